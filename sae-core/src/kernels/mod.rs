//! The mathematics of sparse codes, fast.
//!
//! | file | does |
//! |---|---|
//! | `codes` | what sparse codes are |
//! | `encode`, `walk`, `selections`, `select`, `floor` | dense product fused with the selection of active latents |
//! | `product`, `pack`, `bf16` | the dense product on one thread; candidates for it of half the precision |
//! | `decode`, `by_latent` | sparse decoding and the gradients of both matrices |
//! | `dense` | the same for codes with many active latents |
//! | `reconstruct` | decoding with errors and the gradient of values in one pass |
//! | `keep` | what training methods keep: choices over the whole batch, per latent, by scores |
//! | `error` | squared errors of rows and their gradient |
//! | `levels` | nested reconstructions |
//! | `norms` | lengths of rows |
//! | `skip` | a dense product, for what skips the latents |
//! | `adam` | the optimizer's step, with unit rows and projected gradients |
//! | `rows`, `simd` | the two inner loops, for each instruction set |
//!
//! Everything runs on the current rayon pool and gives the same bits for any number of threads.

mod adam;
mod bf16;
mod by_latent;
mod codes;
mod decode;
mod dense;
mod encode;
mod error;
mod floor;
mod keep;
mod levels;
mod norms;
mod pack;
mod product;
mod reconstruct;
mod rows;
mod select;
#[cfg(target_arch = "x86_64")]
mod select_avx512;
mod selections;
mod simd;
mod skip;
mod walk;
#[cfg(test)]
mod waves;

pub use adam::{
    AdamStep, normalize_rows, project_out_rows, sum_of_rows, sum_of_squares, weighted_sum_of_rows,
};
pub use by_latent::ByLatent;
pub use codes::Codes;
pub use decode::{decode, decode_grad_values, grad_weights, grad_weights_and_sums};
pub use encode::{Encoder, Precision, encode, encode_with};
pub use error::{row_errors, row_errors_grad};
pub use keep::{Choice, Keep, Scores, encode_keeping};
pub use levels::{cumulate, cumulate_grad, sum_of_first_levels};
pub use norms::{row_norms, row_norms_grad};
pub use product::{has_bf16_products, instruction_set};
pub use reconstruct::Reconstruction;
use rows::{build, build_beside, build_rows};
pub use rows::{dot, dots, weighted_sum};
pub use select::Selection;
pub(crate) use simd::multiversion;
pub use skip::add_product;

/// `x − b` for every row of `x` `[n_rows, d_in]`.
pub fn subtract_from_rows(x: &[f32], b: &[f32]) -> Vec<f32> {
    let d = b.len();
    build_rows(x.len() / d, d, 256, |r, out| {
        for ((out, x), b) in out.iter_mut().zip(&x[r * d..]).zip(b) {
            *out = x - b;
        }
    })
}
