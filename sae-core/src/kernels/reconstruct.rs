//! Decoding together with what training asks of it, while the rows of `W_dec` lie in cache: how far the
//! reconstructions are from their targets, and how much each code is to blame.

use super::{
    ByLatent, Codes, build_beside, build_rows, decode,
    decode::grad_weights_by,
    dense,
    error::residual,
    rows::{dots_again, prefetch},
    weighted_sum, weighted_sum_of_rows,
};
use rayon::prelude::*;

/// Rows that a thread takes at once.
const BLOCK_ROWS: usize = 32;

/// What is left of targets `x` by reconstructions `x̂[r, :] = bias + Σ_j values[r, j] · w_dec[latents[r, j], :]`.
///
/// Gradients are those of `Σ_r weights[r] · errors[r]`, for any weights `[n_rows]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Reconstruction {
    /// `x − x̂`, `[n_rows, d]`.
    pub residual: Vec<f32>,
    /// `‖x − x̂‖²`, `[n_rows]`.
    pub errors: Vec<f32>,
    /// `⟨x − x̂, w_dec[latent]⟩` for each code, `[nnz]`.
    along: Vec<f32>,
}

impl Reconstruction {
    /// Decodes the support of `codes` with `values` `[nnz]` and compares with `x` `[n_rows, d]`.
    pub fn new(codes: &Codes, values: &[f32], w_dec: &[f32], bias: &[f32], x: &[f32]) -> Self {
        let (n_rows, d) = (codes.n_rows(), bias.len());
        let (mut errors, mut along) = (vec![0.0; n_rows], vec![0.0; codes.nnz()]);
        let blocks = codes.split_rows(&mut along, BLOCK_ROWS);
        let beside: Vec<_> = blocks.into_iter().zip(errors.chunks_mut(BLOCK_ROWS)).collect();
        if decode::is_dense(codes, w_dec.len() / d) {
            let mut out = dense::decode(codes, values, w_dec, bias);
            out.par_chunks_mut(BLOCK_ROWS * d).zip(beside).for_each(|(out, ((rows, _), errors))| {
                for ((r, out), error) in rows.zip(out.chunks_exact_mut(d)).zip(errors) {
                    *error = residual(&x[r * d..][..d], out);
                }
            });
            dense::decode_grad_values(codes, w_dec, &out, &mut along);
            return Self { residual: out, errors, along };
        }
        let residual =
            build_beside(n_rows * d, BLOCK_ROWS * d, beside, |out, ((rows, mut along), errors)| {
                for ((r, out), error) in rows.zip(out.chunks_exact_mut(d)).zip(errors) {
                    let entries = codes.entries(r);
                    let (row_along, rest) = std::mem::take(&mut along).split_at_mut(entries.len());
                    prefetch(&x[r * d..][..d]);
                    out.copy_from_slice(bias);
                    weighted_sum(&codes.latents[entries.clone()], &values[entries.clone()], w_dec, out);
                    *error = residual(&x[r * d..][..d], out);
                    dots_again(out, &codes.latents[entries], w_dec, row_along);
                    along = rest;
                }
            });
        Self { residual, errors, along }
    }

    /// The gradient at the values, `[nnz]`: `−2 weights[r] ⟨residual[r, :], w_dec[latent]⟩`.
    pub fn grad_values(&self, codes: &Codes, weights: &[f32]) -> Vec<f32> {
        let mut grad = self.along.clone();
        codes.split_rows(&mut grad, 8 * BLOCK_ROWS).into_par_iter().for_each(|(rows, mut grad)| {
            for r in rows {
                let (row, rest) = grad.split_at_mut(codes.entries(r).len());
                row.iter_mut().for_each(|entry| *entry *= -2.0 * weights[r]);
                grad = rest;
            }
        });
        grad
    }

    /// The gradient at `w_dec`, `[d_sae, d]`: `−2 Σ weights[r] · value · residual[r, :]`.
    pub fn grad_w_dec(&self, by_latent: &ByLatent, values: &[f32], weights: &[f32]) -> Vec<f32> {
        let d = self.residual.len() / weights.len();
        let weight = |row: usize, position: usize| -2.0 * weights[row] * values[position];
        grad_weights_by(by_latent, weight, &self.residual, d).0
    }

    /// The gradient at the bias, `[d]`: `−2 Σ_r weights[r] · residual[r, :]`.
    pub fn grad_bias(&self, weights: &[f32]) -> Vec<f32> {
        weighted_sum_of_rows(&self.residual, self.residual.len() / weights.len(), |r| -2.0 * weights[r])
    }

    /// The gradient at the targets, `[n_rows, d]`: `2 weights[r] · residual[r, :]`.
    pub fn grad_target(&self, weights: &[f32]) -> Vec<f32> {
        let d = self.residual.len() / weights.len();
        build_rows(weights.len(), d, BLOCK_ROWS, |r, grad| {
            let scale = 2.0 * weights[r];
            grad.iter_mut().zip(&self.residual[r * d..]).for_each(|(grad, rest)| *grad = scale * rest);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dot;
    use crate::kernels::waves::{close, waves};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

        /// Few codes, which are gathered, and many, which are multiplied.
        #[test]
        fn agrees_with_its_definition(n_rows in 1usize..100, d in 1usize..80, d_sae in 1usize..80, every in 1usize..20) {
            let mut codes = Codes::default();
            for r in 0..n_rows {
                let fires = |l: &u32| (r * 7 + (l * l) as usize).is_multiple_of(every);
                let latents: Vec<u32> = (0..d_sae as u32).filter(fires).collect();
                codes.push_row(&latents, &vec![1.0; latents.len()]);
            }
            let (values, weights) = (waves(codes.nnz(), 0.3), waves(n_rows, 0.8));
            let (w, bias, x) = (waves(d_sae * d, 0.7), waves(d, 0.1), waves(n_rows * d, 0.9));
            let found = Reconstruction::new(&codes, &values, &w, &bias, &x);

            let out = decode(&codes, &values, &w, &bias);
            let residual: Vec<f32> = x.iter().zip(&out).map(|(x, out)| x - out).collect();
            prop_assert!(close(&found.residual, &residual));
            let rows = || residual.chunks(d);
            prop_assert!(close(&found.errors, &rows().map(|row| dot(row, row)).collect::<Vec<_>>()));
            let (mut of_values, mut of_w) = (Vec::new(), vec![0.0; w.len()]);
            for (r, row) in rows().enumerate() {
                for (&latent, j) in codes.row(r).0.iter().zip(codes.entries(r)) {
                    let latent = latent as usize * d;
                    of_values.push(-2.0 * weights[r] * dot(row, &w[latent..][..d]));
                    for i in 0..d {
                        of_w[latent + i] -= 2.0 * weights[r] * values[j] * row[i];
                    }
                }
            }
            prop_assert!(close(&found.grad_values(&codes, &weights), &of_values));
            let by_latent = ByLatent::new(&codes, d_sae);
            prop_assert!(close(&found.grad_w_dec(&by_latent, &values, &weights), &of_w));
            let of_target: Vec<f32> =
                rows().zip(&weights).flat_map(|(row, w)| row.iter().map(move |rest| 2.0 * w * rest)).collect();
            prop_assert!(close(&found.grad_target(&weights), &of_target));
            let of_bias: Vec<f32> = (0..d).map(|i| -of_target.iter().skip(i).step_by(d).sum::<f32>()).collect();
            prop_assert!(close(&found.grad_bias(&weights), &of_bias));
        }
    }
}
