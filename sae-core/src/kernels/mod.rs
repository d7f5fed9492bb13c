//! The mathematics of sparse codes, fast.
//!
//! | file | does |
//! |---|---|
//! | `codes` | what sparse codes are |
//! | `encode`, `select` | dense product fused with the selection of active latents |
//! | `decode`, `by_latent` | sparse decoding and the gradients of both matrices |
//! | `error` | the squared error and its gradient |
//! | `adam` | the optimizer's step, with unit rows and projected gradients |
//! | `rows`, `simd` | the two inner loops, for each instruction set |
//!
//! Everything runs on the current rayon pool and gives the same bits for any number of threads.

mod adam;
mod by_latent;
mod codes;
mod decode;
mod encode;
mod error;
mod rows;
mod select;
mod simd;

pub use adam::{
    AdamStep, normalize_rows, project_out_rows, sum_of_rows, sum_of_squares, weighted_sum_of_rows,
};
pub use by_latent::ByLatent;
pub use codes::Codes;
pub use decode::{decode, decode_grad_values, grad_weights};
pub use encode::{Encoder, encode};
pub use error::{squared_error, squared_error_grad};
use rows::build_rows;
pub use rows::{dot, dots, weighted_sum};
pub use select::Selection;

/// `x − b` for every row of `x` `[n_rows, d_in]`.
pub fn subtract_from_rows(x: &[f32], b: &[f32]) -> Vec<f32> {
    let d = b.len();
    build_rows(x.len() / d, d, 256, |r, out| {
        for ((out, x), b) in out.iter_mut().zip(&x[r * d..]).zip(b) {
            *out = x - b;
        }
    })
}
