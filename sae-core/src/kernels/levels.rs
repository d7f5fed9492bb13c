//! Sums over nested reconstructions: what Matryoshka methods decode.

use super::build_rows;

/// Rows that a thread takes at once at least.
const MIN_ROWS: usize = 32;

/// `out[r, j] = bias + Σ_{i ≤ j} parts[r, i]`, all `[n_rows · levels, d]` with the levels of a row one after
/// the other.
pub fn cumulate(parts: &[f32], bias: &[f32], levels: usize) -> Vec<f32> {
    let d = bias.len();
    build_rows(parts.len() / (d * levels), d * levels, MIN_ROWS, |r, out| {
        let parts = &parts[r * d * levels..][..d * levels];
        for (i, &bias) in bias.iter().enumerate() {
            let mut sum = bias;
            for j in (i..d * levels).step_by(d) {
                sum += parts[j];
                out[j] = sum;
            }
        }
    })
}

/// The gradient of [`cumulate`] at the parts: `grad_parts[r, j] = Σ_{i ≥ j} grad[r, i]`.
pub fn cumulate_grad(grad: &[f32], d: usize, levels: usize) -> Vec<f32> {
    build_rows(grad.len() / (d * levels), d * levels, MIN_ROWS, |r, out| {
        let grad = &grad[r * d * levels..][..d * levels];
        for i in 0..d {
            let mut sum = 0.0;
            for j in (i..d * levels).step_by(d).rev() {
                sum += grad[j];
                out[j] = sum;
            }
        }
    })
}

/// `Σ_r matrix[r, 0]` `[d]` over the first levels of all rows of a matrix `[n_rows · levels, d]`.
pub fn sum_of_first_levels(matrix: &[f32], d: usize, levels: usize) -> Vec<f32> {
    super::weighted_sum_of_rows(matrix, d, |r| if r % levels == 0 { 1.0 } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_run_upwards_and_gradients_downwards() {
        // Two rows, three levels, width 2.
        let parts = [1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 4.0, 40.0, 5.0, 50.0, 6.0, 60.0];
        let bias = [0.5, 0.25];
        assert_eq!(
            cumulate(&parts, &bias, 3),
            [1.5, 10.25, 3.5, 30.25, 6.5, 60.25, 4.5, 40.25, 9.5, 90.25, 15.5, 150.25]
        );
        assert_eq!(
            cumulate_grad(&parts, 2, 3),
            [6.0, 60.0, 5.0, 50.0, 3.0, 30.0, 15.0, 150.0, 11.0, 110.0, 6.0, 60.0]
        );
        assert_eq!(sum_of_first_levels(&parts, 2, 3), [5.0, 50.0]);
    }
}
