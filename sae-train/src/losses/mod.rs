//! Terms of losses that variants share, one file each.

mod aux_k;

pub use aux_k::aux_k;

use burn::tensor::Tensor;

/// `mean over rows of ‖residual‖²`, residual `[n_rows, d_in]`.
pub fn reconstruction(residual: Tensor<2>) -> Tensor<1> {
    let rows = residual.dims()[0] as f64;
    residual.powi_scalar(2).sum() / rows
}
