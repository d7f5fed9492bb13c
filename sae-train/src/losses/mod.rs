//! Terms of losses that variants share, one file each.

mod aux_k;

pub use aux_k::aux_k;

use crate::ops;
use burn::tensor::Tensor;

/// `mean over rows of ‖x − x̂‖²`, both `[n_rows, d_in]`; `x` is data.
pub fn reconstruction(x: Tensor<2>, out: Tensor<2>) -> Tensor<1> {
    let rows = x.dims()[0] as f64;
    ops::squared_error(x, out) / rows
}
