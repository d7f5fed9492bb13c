//! The squared error of reconstructions and its gradient, on all threads.

use super::build_rows;
use rayon::prelude::*;

/// Values that a thread takes at once.
const BLOCK: usize = 4096;

/// `Σ (x − out)²` over two matrices of equal size, in an order that does not depend on the number of
/// threads.
pub fn squared_error(x: &[f32], out: &[f32]) -> f64 {
    let block = |(x, out): (&[f32], &[f32])| {
        const LANES: usize = 16;
        let mut sums = [0.0f32; LANES];
        let ((x, x_tail), (out, out_tail)) = (x.as_chunks::<LANES>(), out.as_chunks::<LANES>());
        for (x, out) in x.iter().zip(out) {
            for i in 0..LANES {
                sums[i] += (x[i] - out[i]).powi(2);
            }
        }
        let tail: f32 = x_tail.iter().zip(out_tail).map(|(x, out)| (x - out).powi(2)).sum();
        f64::from(tail) + sums.iter().map(|&sum| f64::from(sum)).sum::<f64>()
    };
    let blocks: Vec<f64> = x.par_chunks(BLOCK).zip(out.par_chunks(BLOCK)).map(block).collect();
    blocks.iter().sum()
}

/// The gradient of `scale · Σ (x − out)²` at `out`, `2 scale (out − x)`.
pub fn squared_error_grad(x: &[f32], out: &[f32], scale: f32) -> Vec<f32> {
    let (scale, n) = (2.0 * scale, x.len());
    let block = BLOCK.min(n.max(1));
    let mut grad = build_rows(n / block, block, 1, |b, grad| {
        let range = b * block..(b + 1) * block;
        for ((grad, x), out) in grad.iter_mut().zip(&x[range.clone()]).zip(&out[range]) {
            *grad = scale * (out - x);
        }
    });
    let tail = n - n % block..n;
    grad.extend(x[tail.clone()].iter().zip(&out[tail]).map(|(x, out)| scale * (out - x)));
    grad
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agree_with_their_definitions() {
        for n in [1, 15, 4096, 10_000] {
            let x: Vec<f32> = (0..n).map(|i| (i as f32).sin()).collect();
            let out: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).cos()).collect();
            let exact: f64 = x.iter().zip(&out).map(|(x, out)| f64::from(x - out).powi(2)).sum();
            assert!((squared_error(&x, &out) - exact).abs() < 1e-5 * exact);
            let grad = squared_error_grad(&x, &out, 0.25);
            assert_eq!(grad.len(), n);
            for i in 0..n {
                assert!((grad[i] - 0.5 * (out[i] - x[i])).abs() < 1e-6);
            }
        }
    }
}
