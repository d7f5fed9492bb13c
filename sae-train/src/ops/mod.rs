//! The operations that carry every method, and the optimizer's step.
//!
//! ```text
//! codes = encode(x, b_pre, W_enc, b_enc, choice)   what `choice` leaves of W_enc (x − b_pre) + b_enc
//! x̂     = decode(codes, W_dec, b_dec)              Σ value · W_dec[latent] + b_dec
//! ‖x − x̂‖² of each row = reconstruct(x, codes, W_dec, b_dec)
//! ```
//!
//! The `[batch, d_sae]` matrix of pre-activations never exists, and the backward passes touch active
//! latents only. All arithmetic is in [`sae_core::kernels`]; here it is given to burn. A tensor of
//! burn's `flex` lies in main memory and is borrowed; from any other backend it is copied there and
//! back.
//!
//! `codes` is what is encoded, `sparse` the operations, `gradients` their place in the autodiff graph,
//! `update` what the optimizer does to weights, `host` tensors as slices.

#![cfg_attr(
    feature = "ndarray",
    allow(deprecated, reason = "burn 0.22 deprecates ndarray; users ask for it")
)]

mod codes;
mod gradients;
mod host;
mod sparse;
mod update;

pub use codes::{SparseCodes, Support};
pub use update::{Moments, adam, normalize_rows, project_out_rows, sum_of_squares, zero_rows};

use burn::backend::Dispatch;
use burn::tensor::{Tensor, TensorData};
use sae_core::kernels::{self, Choice};
use sparse::SparseOps;
use std::sync::Arc;

/// Codes of `x` `[n_rows, d_in]`: what `choice` leaves of `W_enc (x − b_pre) + b_enc`.
///
/// Shapes: `b_pre` `[d_in]`, `w_enc` `[d_sae, d_in]`, `b_enc` `[d_sae]`. Differentiable in all three
/// at fixed support; `x` is data.
pub fn encode(
    x: Tensor<2>,
    b_pre: Tensor<1>,
    w_enc: Tensor<2>,
    b_enc: Tensor<1>,
    choice: impl Into<Choice>,
) -> SparseCodes {
    let choice = Arc::new(choice.into());
    let (x, b_pre) = (x.into_dispatch(), b_pre.into_dispatch());
    let encoded = <Dispatch as SparseOps>::sparse_encode(
        x,
        b_pre,
        w_enc.into_dispatch(),
        b_enc.into_dispatch(),
        choice,
    );
    SparseCodes { values: Tensor::from_dispatch(encoded.values), support: encoded.support }
}

/// `x̂ = Σ value · W_dec[latent] + b_dec`, `[n_rows, d_out]`.
///
/// Shapes: `w_dec` `[d_sae, d_out]`, `b_dec` `[d_out]`. Differentiable in the values and both weights.
pub fn decode(codes: &SparseCodes, w_dec: Tensor<2>, b_dec: Tensor<1>) -> Tensor<2> {
    let values = codes.values.clone().into_dispatch();
    let (w_dec, b_dec) = (w_dec.into_dispatch(), b_dec.into_dispatch());
    Tensor::from_dispatch(<Dispatch as SparseOps>::sparse_decode(values, w_dec, b_dec, codes.support.clone()))
}

/// How well codes reconstruct vectors.
#[derive(Debug)]
pub struct Reconstruction {
    /// `‖x − x̂‖²`, `[n_rows]`.
    pub errors: Tensor<1>,
    found: Arc<kernels::Reconstruction>,
}

/// [`decode`] and the squared errors in one: `x` is `[n_rows, d_out]`.
///
/// Differentiable in `x`, the values and both weights.
pub fn reconstruct(x: Tensor<2>, codes: &SparseCodes, w_dec: Tensor<2>, b_dec: Tensor<1>) -> Reconstruction {
    let (x, values) = (x.into_dispatch(), codes.values.clone().into_dispatch());
    let (w_dec, b_dec) = (w_dec.into_dispatch(), b_dec.into_dispatch());
    let support = codes.support.clone();
    let found = <Dispatch as SparseOps>::sparse_reconstruct(x, values, w_dec, b_dec, support);
    Reconstruction { errors: Tensor::from_dispatch(found.errors), found: found.reconstruction }
}

impl Reconstruction {
    /// `x − x̂`, `[n_rows, d_out]`, as data.
    pub fn residual(&self) -> Tensor<2> {
        let (values, n_rows) = (self.found.residual.clone(), self.found.errors.len());
        let d = values.len() / n_rows.max(1);
        Tensor::from_data(TensorData::new(values, [n_rows, d]), &self.errors.clone().inner().device())
    }
}

/// Nested reconstructions `x̂_j = b_dec + Σ_{i ≤ j} (what the i-th level of a row decodes to)`,
/// `[n_rows · levels, d_out]`, the levels of a row one after the other, of codes split into `levels` rows
/// for each row.
///
/// Differentiable as [`decode`] is. With `detached`, each level learns as if those below it were data.
pub fn decode_levels(
    split: &SparseCodes,
    levels: usize,
    detached: bool,
    w_dec: Tensor<2>,
    b_dec: Tensor<1>,
) -> Tensor<2> {
    let parts = decode(split, w_dec, b_dec.zeros_like());
    let (parts, b_dec) = (parts.into_dispatch(), b_dec.into_dispatch());
    Tensor::from_dispatch(<Dispatch as SparseOps>::cumulate(parts, b_dec, levels, detached))
}

/// `‖x − x̂_j‖²` for each row of `x` `[n_rows, d]` and each of its reconstructions, which stand one after
/// the other in `out` `[n_rows · levels, d]`; `[n_rows · levels]`. Differentiable in `out`; `x` is data.
pub fn row_errors(x: Tensor<2>, out: Tensor<2>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as SparseOps>::row_errors(x.into_dispatch(), out.into_dispatch()))
}

/// The values at these positions, each at most once.
fn pick(values: Tensor<1>, positions: Vec<u32>) -> Tensor<1> {
    let positions = Arc::new(positions);
    Tensor::from_dispatch(<Dispatch as SparseOps>::pick(values.into_dispatch(), positions))
}

/// `‖w[l]‖` of every row, `[n_rows]`.
pub fn row_norms(w: Tensor<2>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as SparseOps>::row_norms(w.into_dispatch()))
}

/// For each entry of the support the value of its latent, `[nnz]`, of values `[d_sae]`.
pub fn at_entries(of_latents: Tensor<1>, support: &Arc<Support>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as SparseOps>::at_entries(of_latents.into_dispatch(), support.clone()))
}
