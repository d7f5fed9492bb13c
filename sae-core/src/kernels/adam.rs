//! Adam on weight matrices whose rows may be kept at unit length, in one pass over memory.

use super::{
    dot,
    simd::{mul_add, multiversion},
};
use rayon::prelude::*;

/// Values that a thread takes at once where rows do not matter.
const BLOCK: usize = 4096;
/// Fewer blocks are not worth waking another thread.
const MIN_BLOCKS: usize = 4;

/// One step of Adam (Kingma & Ba 2014, arXiv 1412.6980), or with `weight_decay` of AdamW (Loshchilov &
/// Hutter 2017, arXiv 1711.05101):
///
/// ```text
/// g = grad_scale · grad
/// m ← β₁ m + (1 − β₁) g        v ← β₂ v + (1 − β₂) g²
/// p ← p − lr · ((m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε) + weight_decay · p)
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// `t`, counted from 1.
    pub t: u64,
    /// Learning rate.
    pub lr: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// `ε`
    pub eps: f64,
    /// Rate at which values fall towards 0, in units of `lr`; 0 for Adam.
    pub weight_decay: f64,
    /// Applied to the gradient first, for clipping by norm.
    pub grad_scale: f64,
}

/// [`AdamStep`]'s constants as the inner loop takes them.
#[derive(Debug, Clone, Copy)]
struct Constants {
    beta1: f32,
    beta2: f32,
    one_minus_beta1: f32,
    one_minus_beta2: f32,
    step: f32,
    v_scale: f32,
    eps: f32,
    decay: f32,
    grad_scale: f32,
}

impl AdamStep {
    fn constants(&self) -> Constants {
        let t = self.t as f64;
        Constants {
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            one_minus_beta1: (1.0 - self.beta1) as f32,
            one_minus_beta2: (1.0 - self.beta2) as f32,
            step: (self.lr / (1.0 - self.beta1.powf(t))) as f32,
            v_scale: (1.0 - self.beta2.powf(t)).recip() as f32,
            eps: self.eps as f32,
            decay: (self.lr * self.weight_decay) as f32,
            grad_scale: self.grad_scale as f32,
        }
    }

    /// Updates `param` and its moments; all four slices have the same length.
    pub fn apply(&self, param: &mut [f32], m: &mut [f32], v: &mut [f32], grad: &[f32]) {
        self.apply_blocks((param, m, v), grad, BLOCK, |_| ());
    }

    /// [`AdamStep::apply`] to a matrix of rows of `d`, each then scaled to unit length.
    /// A row of zeros stays one.
    pub fn apply_unit_rows(&self, param: &mut [f32], m: &mut [f32], v: &mut [f32], grad: &[f32], d: usize) {
        self.apply_blocks((param, m, v), grad, d, normalize);
    }

    fn apply_blocks(
        &self,
        (param, m, v): (&mut [f32], &mut [f32], &mut [f32]),
        grad: &[f32],
        block: usize,
        after: fn(&mut [f32]),
    ) {
        let constants = self.constants();
        let blocks = param.par_chunks_mut(block).zip(m.par_chunks_mut(block));
        let blocks = blocks.zip(v.par_chunks_mut(block)).zip(grad.par_chunks(block));
        blocks.with_min_len((MIN_BLOCKS * BLOCK).div_ceil(block)).for_each(|(((param, m), v), grad)| {
            adam(param, m, v, grad, &constants);
            after(param);
        });
    }
}

/// Scales each row of `d` to unit length; a row of zeros stays one.
pub fn normalize_rows(matrix: &mut [f32], d: usize) {
    matrix.par_chunks_mut(d).with_min_len(16).for_each(normalize);
}

fn normalize(row: &mut [f32]) {
    let norm = dot(row, row).sqrt();
    if norm > 0.0 {
        let scale = norm.recip();
        row.iter_mut().for_each(|value| *value *= scale);
    }
}

/// Takes from each row of `grad` its part along the same row of `w`, whose rows have unit length:
/// `grad_l ← grad_l − ⟨grad_l, w_l⟩ w_l`, so that a step of gradient descent keeps lengths to first
/// order (Bricken et al. 2023). Gives the sum of squares of what is left, as [`sum_of_squares`] does.
pub fn project_out_rows(grad: &mut [f32], w: &[f32], d: usize) -> f64 {
    let project = |(grad, w): (&mut [f32], &[f32])| {
        let along = -dot(grad, w);
        // The rows of latents that were silent in the batch are zero already.
        if along != 0.0 {
            add_scaled(grad, w, along);
        }
        f64::from(dot(grad, grad))
    };
    let rows = grad.par_chunks_mut(d).zip(w.par_chunks(d)).with_min_len(16);
    let squares: Vec<f64> = rows.map(project).collect();
    squares.iter().sum()
}

/// `Σ a²` in f64, in an order that does not depend on the number of threads.
pub fn sum_of_squares(a: &[f32]) -> f64 {
    let parts: Vec<f64> =
        a.par_chunks(BLOCK).with_min_len(MIN_BLOCKS).map(|a| f64::from(dot(a, a))).collect();
    parts.iter().sum()
}

/// `Σ_r matrix[r, :]`, `[d]`, in an order that does not depend on the number of threads.
pub fn sum_of_rows(matrix: &[f32], d: usize) -> Vec<f32> {
    weighted_sum_of_rows(matrix, d, |_| 1.0)
}

/// `Σ_r weights[r] · matrix[r, :]`, `[d]`, in an order that does not depend on the number of threads.
pub fn weighted_sum_of_rows(matrix: &[f32], d: usize, weight: impl Fn(usize) -> f32 + Sync) -> Vec<f32> {
    const ROWS: usize = 256;
    let block = |(block, rows): (usize, &[f32])| {
        let mut sum = vec![0.0; d];
        for (r, row) in rows.chunks_exact(d).enumerate() {
            let weight = weight(block * ROWS + r);
            if weight != 0.0 {
                add_scaled(&mut sum, row, weight);
            }
        }
        sum
    };
    let parts: Vec<Vec<f32>> = matrix.par_chunks(ROWS * d).enumerate().map(block).collect();
    let mut sum = vec![0.0; d];
    parts.iter().for_each(|part| add_scaled(&mut sum, part, 1.0));
    sum
}

multiversion! {
    fn add_scaled(out: &mut [f32], a: &[f32], scale: f32) = add_scaled_body
}

#[inline(always)]
fn add_scaled_body<const FMA: bool>(out: &mut [f32], a: &[f32], scale: f32) {
    for (out, &a) in out.iter_mut().zip(a) {
        *out = mul_add::<FMA>(a, scale, *out);
    }
}

multiversion! {
    fn adam(param: &mut [f32], m: &mut [f32], v: &mut [f32], grad: &[f32], c: &Constants) = adam_body
}

#[inline(always)]
fn adam_body<const FMA: bool>(param: &mut [f32], m: &mut [f32], v: &mut [f32], grad: &[f32], c: &Constants) {
    for (((param, m), v), grad) in param.iter_mut().zip(m).zip(v).zip(grad) {
        let g = grad * c.grad_scale;
        *m = mul_add::<FMA>(c.beta1, *m, c.one_minus_beta1 * g);
        *v = mul_add::<FMA>(c.beta2, *v, c.one_minus_beta2 * g * g);
        *param -= mul_add::<FMA>(c.decay, *param, c.step * *m / ((*v * c.v_scale).sqrt() + c.eps));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::waves::waves;

    #[test]
    fn adam_agrees_with_its_definition_in_f64() {
        let n = 1000;
        let (mut param, mut m, mut v) = (waves(n, 0.3), vec![0.0; n], vec![0.0; n]);
        let (mut p64, mut m64, mut v64): (Vec<f64>, _, _) =
            (param.iter().map(|&p| p.into()).collect(), vec![0f64; n], vec![0f64; n]);
        for t in 1..=5 {
            let grad = waves(n, 0.1 * t as f32);
            let (beta1, beta2) = (0.9, 0.999);
            let step = AdamStep { t, lr: 1e-2, beta1, beta2, eps: 1e-8, weight_decay: 0.3, grad_scale: 0.5 };
            step.apply(&mut param, &mut m, &mut v, &grad);
            for i in 0..n {
                let g = 0.5 * f64::from(grad[i]);
                m64[i] = 0.9 * m64[i] + 0.1 * g;
                v64[i] = 0.999 * v64[i] + 0.001 * g * g;
                let (m, v) =
                    (m64[i] / (1.0 - 0.9f64.powf(t as f64)), v64[i] / (1.0 - 0.999f64.powf(t as f64)));
                p64[i] -= 1e-2 * (m / (v.sqrt() + 1e-8) + 0.3 * p64[i]);
            }
        }
        for (p, exact) in param.iter().zip(&p64) {
            assert!((f64::from(*p) - exact).abs() < 1e-5, "{p} is not {exact}");
        }
    }

    #[test]
    fn rows_come_out_with_unit_length() {
        let (d, n) = (7, 70);
        let (mut param, mut m, mut v) = (waves(n, 0.7), vec![0.0; n], vec![0.0; n]);
        param[..d].fill(0.0);
        let mut grad = waves(n, 0.2);
        grad[..d].fill(0.0);
        let (beta1, beta2) = (0.9, 0.999);
        let step = AdamStep { t: 1, lr: 0.1, beta1, beta2, eps: 1e-8, weight_decay: 0.0, grad_scale: 1.0 };
        step.apply_unit_rows(&mut param, &mut m, &mut v, &grad, d);
        assert_eq!(param[..d], [0.0; 7]);
        for row in param.chunks(d).skip(1) {
            assert!((dot(row, row) - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn what_is_left_of_a_projected_gradient_is_orthogonal() {
        let (d, n) = (12, 240);
        let mut w = waves(n, 0.9);
        normalize_rows(&mut w, d);
        let mut grad = waves(n, 0.4);
        let squares = project_out_rows(&mut grad, &w, d);
        assert!((squares - sum_of_squares(&grad)).abs() < 1e-4 * squares);
        for (grad, w) in grad.chunks(d).zip(w.chunks(d)) {
            assert!(dot(grad, w).abs() < 1e-6);
        }
    }

    #[test]
    fn sums_of_rows() {
        let (d, rows) = (5, 600);
        let matrix = waves(d * rows, 0.05);
        let sum = weighted_sum_of_rows(&matrix, d, |r| r as f32);
        for i in 0..d {
            let exact: f64 = (0..rows).map(|r| r as f64 * f64::from(matrix[r * d + i])).sum();
            assert!((f64::from(sum[i]) - exact).abs() < 1e-2, "{} is not {exact}", sum[i]);
        }
        assert!(
            (sum_of_squares(&matrix) - matrix.iter().map(|&a| f64::from(a * a)).sum::<f64>()).abs() < 1e-2
        );
    }
}
