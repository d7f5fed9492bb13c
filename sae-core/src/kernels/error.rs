//! The squared errors of reconstructions, row by row, and their gradient, on all threads.

use super::{
    build_rows,
    simd::{mul_add, multiversion},
};
use rayon::prelude::*;

/// Rows that a thread takes at once at least.
const MIN_ROWS: usize = 64;

/// `‖x[r] − out[r·levels + j]‖²` for every row `r` of `x` `[n_rows, d]` and each of its `levels`
/// reconstructions `j`, which stand one after the other in `out` `[n_rows · levels, d]`.
pub fn row_errors(x: &[f32], out: &[f32], d: usize, levels: usize) -> Vec<f32> {
    let rows = out.par_chunks_exact(d).with_min_len(MIN_ROWS).enumerate();
    rows.map(|(r, out)| squared_distance(&x[r / levels * d..][..d], out)).collect()
}

/// The gradient of `Σ_r weights[r] · row_errors[r]` at `out`: `2 weights[r] (out[r] − x[r / levels])`.
pub fn row_errors_grad(x: &[f32], out: &[f32], d: usize, levels: usize, weights: &[f32]) -> Vec<f32> {
    build_rows(out.len() / d, d, MIN_ROWS, |r, grad| {
        let scale = 2.0 * weights[r];
        let (x, out) = (&x[r / levels * d..][..d], &out[r * d..][..d]);
        for ((grad, x), out) in grad.iter_mut().zip(x).zip(out) {
            *grad = scale * (out - x);
        }
    })
}

multiversion! {
    /// Sets `out` to `x − out` and gives the sum of its squares.
    pub(super) fn residual(x: &[f32], out: &mut [f32]) -> f32 = residual_body
}

#[inline(always)]
fn residual_body<const FMA: bool>(x: &[f32], out: &mut [f32]) -> f32 {
    const LANES: usize = 32;
    let mut sums = [0.0f32; LANES];
    let ((x, x_tail), (out, out_tail)) = (x.as_chunks::<LANES>(), out.as_chunks_mut::<LANES>());
    for (x, out) in x.iter().zip(out) {
        for i in 0..LANES {
            out[i] = x[i] - out[i];
            sums[i] = mul_add::<FMA>(out[i], out[i], sums[i]);
        }
    }
    let mut sum = sums.iter().sum::<f32>();
    for (x, out) in x_tail.iter().zip(out_tail) {
        *out = x - *out;
        sum += *out * *out;
    }
    sum
}

multiversion! {
    fn squared_distance(a: &[f32], b: &[f32]) -> f32 = squared_distance_body
}

#[inline(always)]
fn squared_distance_body<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 32;
    let mut sums = [0.0f32; LANES];
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            let difference = a[i] - b[i];
            sums[i] = mul_add::<FMA>(difference, difference, sums[i]);
        }
    }
    let tail: f32 = a_tail.iter().zip(b_tail).map(|(a, b)| (a - b).powi(2)).sum();
    tail + sums.iter().sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agree_with_their_definitions() {
        for (n_rows, d, levels) in [(1, 1, 1), (3, 15, 1), (70, 100, 3), (2, 33, 4)] {
            let x: Vec<f32> = (0..n_rows * d).map(|i| (i as f32).sin()).collect();
            let out: Vec<f32> = (0..n_rows * levels * d).map(|i| (i as f32 * 0.7).cos()).collect();
            let weights: Vec<f32> = (0..n_rows * levels).map(|r| 0.1 * r as f32).collect();
            let errors = row_errors(&x, &out, d, levels);
            let grad = row_errors_grad(&x, &out, d, levels, &weights);
            for r in 0..n_rows * levels {
                let difference = |i: usize| f64::from(out[r * d + i]) - f64::from(x[r / levels * d + i]);
                let exact: f64 = (0..d).map(|i| difference(i).powi(2)).sum();
                assert!((f64::from(errors[r]) - exact).abs() < 1e-5 * exact);
                for i in 0..d {
                    let exact = 2.0 * f64::from(weights[r]) * difference(i);
                    assert!((f64::from(grad[r * d + i]) - exact).abs() < 1e-4);
                }
            }
        }
    }
}
