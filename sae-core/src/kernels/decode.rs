//! Decoding sparse codes, forwards and backwards, touching active latents only.

use super::{ByLatent, Codes, build_rows, dots, weighted_sum};
use rayon::prelude::*;

/// Rows that a thread takes at once.
const BLOCK_ROWS: usize = 32;

/// `x̂[r, :] = bias + Σ_j values[r, j] · w_dec[latents[r, j], :]`, `[n_rows, d_in]`.
pub fn decode(codes: &Codes, w_dec: &[f32], bias: &[f32]) -> Vec<f32> {
    let d_in = bias.len();
    build_rows(codes.n_rows(), d_in, BLOCK_ROWS, |r, out| {
        let (latents, values) = codes.row(r);
        out.copy_from_slice(bias);
        weighted_sum(latents, values, w_dec, out);
    })
}

/// The gradient at the codes' values, `[nnz]`, from the gradient at the output, `[n_rows, d_in]`:
/// `grad_values[r, j] = ⟨grad[r, :], w_dec[latents[r, j], :]⟩`.
pub fn decode_grad_values(codes: &Codes, w_dec: &[f32], grad: &[f32]) -> Vec<f32> {
    let d_in = grad.len() / codes.n_rows().max(1);
    let mut out = vec![0.0; codes.nnz()];
    let mut rest = out.as_mut_slice();
    let mut rows = Vec::with_capacity(codes.n_rows());
    for r in 0..codes.n_rows() {
        let (row, after) = rest.split_at_mut(codes.row(r).0.len());
        rows.push(row);
        rest = after;
    }
    rows.into_par_iter().with_min_len(BLOCK_ROWS).enumerate().for_each(|(r, out)| {
        dots(&grad[r * d_in..(r + 1) * d_in], codes.row(r).0, w_dec, out);
    });
    out
}

/// The gradient at a weight matrix `[d_sae, d_in]` whose row `l` acts where latent `l` is active:
/// `grad_w[l, :] = Σ weights[r, j] · matrix[r, :]` over the entries `(r, j)` with latent `l`.
///
/// With `weights` the codes' values and `matrix` the gradient at the output this is the decoder's
/// gradient; with the gradient at the values and the centred inputs it is the encoder's.
pub fn grad_weights(by_latent: &ByLatent, weights: &[f32], matrix: &[f32], d_in: usize) -> Vec<f32> {
    let weights = by_latent.permute(weights);
    build_rows(by_latent.d_sae(), d_in, 16, |latent, out| {
        let entries = by_latent.entries(latent);
        weighted_sum(&by_latent.rows()[entries.clone()], &weights[entries], matrix, out);
    })
}
