//! Decoding sparse codes, forwards and backwards, touching active latents only, unless they are many.

use super::{ByLatent, Codes, build_beside, build_rows, dense, dots, weighted_sum};
use rayon::prelude::*;
use std::ops::Range;

/// Rows that a thread takes at once.
const BLOCK_ROWS: usize = 32;
/// Latents that a thread takes at once.
const BLOCK_LATENTS: usize = 16;

/// From this fraction of active latents on, gathering the rows of `W_dec` for each takes longer than
/// multiplying with all: measured at 1/6 for a matrix of 9 MB, at 1/15 for one of 38 MB, which leaves the
/// third-level cache.
const DENSE_ROWS: f64 = 0.125;
/// The same for a weight's gradient, which gathers rows of the batch: measured between 0.2 and 0.27.
const DENSE_LATENTS: f64 = 0.25;

fn density(nnz: usize, n_rows: usize, d_sae: usize) -> f64 {
    nnz as f64 / (n_rows as f64 * d_sae as f64)
}

/// Whether codes are so many that gathering rows of `W_dec` is slower than a product.
pub(super) fn is_dense(codes: &Codes, d_sae: usize) -> bool {
    density(codes.nnz(), codes.n_rows(), d_sae) > DENSE_ROWS
}

/// `x̂[r, :] = bias + Σ_j values[r, j] · w_dec[latents[r, j], :]`, `[n_rows, d_in]`, with `values` `[nnz]` in
/// the place of those of the codes.
pub fn decode(codes: &Codes, values: &[f32], w_dec: &[f32], bias: &[f32]) -> Vec<f32> {
    if is_dense(codes, w_dec.len() / bias.len()) {
        return dense::decode(codes, values, w_dec, bias);
    }
    gather(codes, values, w_dec, bias)
}

fn gather(codes: &Codes, values: &[f32], w_dec: &[f32], bias: &[f32]) -> Vec<f32> {
    build_rows(codes.n_rows(), bias.len(), BLOCK_ROWS, |r, out| {
        let entries = codes.entries(r);
        out.copy_from_slice(bias);
        weighted_sum(&codes.latents[entries.clone()], &values[entries], w_dec, out);
    })
}

/// The gradient at the codes' values, `[nnz]`, from the gradient at the output, `[n_rows, d_in]`:
/// `grad_values[r, j] = ⟨grad[r, :], w_dec[latents[r, j], :]⟩`.
pub fn decode_grad_values(codes: &Codes, w_dec: &[f32], grad: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; codes.nnz()];
    if out.is_empty() {
        return out;
    }
    let d_sae = w_dec.len() * codes.n_rows() / grad.len();
    if is_dense(codes, d_sae) {
        dense::decode_grad_values(codes, w_dec, grad, &mut out);
    } else {
        gather_grad_values(codes, w_dec, grad, &mut out);
    }
    out
}

fn gather_grad_values(codes: &Codes, w_dec: &[f32], grad: &[f32], out: &mut [f32]) {
    let d_in = grad.len() / codes.n_rows();
    codes.split_rows(out, BLOCK_ROWS).into_par_iter().for_each(|(rows, mut out)| {
        for r in rows {
            let latents = codes.row(r).0;
            let (row, rest) = out.split_at_mut(latents.len());
            dots(&grad[r * d_in..(r + 1) * d_in], latents, w_dec, row);
            out = rest;
        }
    });
}

/// The gradient at a weight matrix `[d_sae, d_in]` whose row `l` acts where latent `l` is active:
/// `grad_w[l, :] = Σ weights[r, j] · matrix[r, :]` over the entries `(r, j)` with latent `l`.
///
/// With `weights` the codes' values and `matrix` the gradient at the output this is the decoder's
/// gradient; with the gradient at the values and the centred inputs it is the encoder's.
pub fn grad_weights(by_latent: &ByLatent, weights: &[f32], matrix: &[f32], d_in: usize) -> Vec<f32> {
    grad_weights_and_sums(by_latent, weights, matrix, d_in).0
}

/// [`grad_weights`], and `Σ weights[r, j]` over the entries of each latent, `[d_sae]`: the gradient of a bias.
pub fn grad_weights_and_sums(
    by_latent: &ByLatent,
    weights: &[f32],
    matrix: &[f32],
    d_in: usize,
) -> (Vec<f32>, Vec<f32>) {
    grad_weights_by(by_latent, |_, position| weights[position], matrix, d_in)
}

/// [`grad_weights_and_sums`] with the weight of an entry from its row and its position in the codes.
pub(super) fn grad_weights_by(
    by_latent: &ByLatent,
    weight: impl Fn(usize, usize) -> f32 + Sync,
    matrix: &[f32],
    d_in: usize,
) -> (Vec<f32>, Vec<f32>) {
    let weights = |entries: Range<usize>, to: &mut Vec<f32>| {
        let entries = by_latent.rows()[entries.clone()].iter().zip(&by_latent.positions()[entries]);
        to.clear();
        to.extend(entries.map(|(&row, &position)| weight(row as usize, position as usize)));
    };
    if density(by_latent.rows().len(), matrix.len() / d_in, by_latent.d_sae()) > DENSE_LATENTS {
        return dense::grad_weights(by_latent, weights, matrix, d_in);
    }
    gather_grad_weights(by_latent, weights, matrix, d_in)
}

fn gather_grad_weights(
    by_latent: &ByLatent,
    weights: impl Fn(Range<usize>, &mut Vec<f32>) + Sync,
    matrix: &[f32],
    d_in: usize,
) -> (Vec<f32>, Vec<f32>) {
    let mut sums = vec![0.0; by_latent.d_sae()];
    let beside = sums.chunks_mut(BLOCK_LATENTS).enumerate().collect();
    let len = by_latent.d_sae() * d_in;
    let grad = build_beside(len, BLOCK_LATENTS * d_in, beside, |out, (block, sums): (usize, &mut [f32])| {
        let mut of_latent = Vec::new();
        for (l, (out, sum)) in out.chunks_exact_mut(d_in).zip(sums).enumerate() {
            let entries = by_latent.entries(block * BLOCK_LATENTS + l);
            weights(entries.clone(), &mut of_latent);
            *sum = of_latent.iter().sum();
            weighted_sum(&by_latent.rows()[entries], &of_latent, matrix, out);
        }
    });
    (grad, sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::waves::{close, waves};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn gathered_rows_and_dense_products_agree(
            n_rows in 1usize..600, d_in in 1usize..40, d_sae in 1usize..80, every in 1usize..9,
        ) {
            let mut codes = Codes::default();
            for r in 0..n_rows {
                let latents: Vec<u32> = (0..d_sae).filter(|l| (r * 7 + l * l) % every == 0).map(|l| l as u32).collect();
                codes.push_row(&latents, &waves(latents.len(), 0.3 + r as f32));
            }
            let (w, grad, bias) = (waves(d_sae * d_in, 0.7), waves(n_rows * d_in, 0.9), waves(d_in, 0.1));
            prop_assert!(close(&gather(&codes, &codes.values, &w, &bias), &dense::decode(&codes, &codes.values, &w, &bias)));
            let (mut gathered, mut product) = (vec![f32::NAN; codes.nnz()], vec![f32::NAN; codes.nnz()]);
            gather_grad_values(&codes, &w, &grad, &mut gathered);
            dense::decode_grad_values(&codes, &w, &grad, &mut product);
            prop_assert!(close(&gathered, &product));
            let by_latent = ByLatent::new(&codes, d_sae);
            let weights = |entries: Range<usize>, to: &mut Vec<f32>| {
                to.clear();
                to.extend(by_latent.positions()[entries].iter().map(|&position| codes.values[position as usize]));
            };
            let (gathered, sums) = gather_grad_weights(&by_latent, weights, &grad, d_in);
            let (product, also_sums) = dense::grad_weights(&by_latent, weights, &grad, d_in);
            prop_assert!(close(&gathered, &product) && close(&sums, &also_sums));
            prop_assert!(close(&sums, &by_latent.sums(&codes.values)));
        }
    }
}
