//! The lengths of a matrix' rows, which penalties weigh latents by, and their gradient.

use super::{build_rows, dot};
use rayon::prelude::*;

/// `‖w[l]‖` of every row of `w` `[n_rows, d]`.
pub fn row_norms(w: &[f32], d: usize) -> Vec<f32> {
    w.par_chunks_exact(d).with_min_len(64).map(|row| dot(row, row).sqrt()).collect()
}

/// The gradient of `Σ_l weights[l] · ‖w[l]‖` at `w`: `weights[l] · w[l] / ‖w[l]‖`, 0 at a row of zeros.
pub fn row_norms_grad(w: &[f32], d: usize, weights: &[f32]) -> Vec<f32> {
    build_rows(weights.len(), d, 64, |l, grad| {
        let row = &w[l * d..][..d];
        let norm = dot(row, row).sqrt();
        if norm > 0.0 && weights[l] != 0.0 {
            let scale = weights[l] / norm;
            grad.iter_mut().zip(row).for_each(|(grad, w)| *grad = scale * w);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_directions() {
        let w = [3.0, 4.0, 0.0, 0.0, 0.0, 2.0];
        assert_eq!(row_norms(&w, 2), [5.0, 0.0, 2.0]);
        assert_eq!(row_norms_grad(&w, 2, &[10.0, 7.0, -1.0]), [6.0, 8.0, 0.0, 0.0, 0.0, -1.0]);
    }
}
