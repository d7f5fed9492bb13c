//! A centre of rows that few of them can move far.

use sae_core::kernels;

/// The point with the least sum of distances to the rows of `x` `[n_rows, d]`, by Weiszfeld's
/// iteration from the mean: `m ← Σ (x_r / ‖x_r − m‖) / Σ (1 / ‖x_r − m‖)`.
///
/// Unlike the mean, a few rows of huge norm do not move it far.
pub fn geometric_median(x: &[f32], d: usize) -> Vec<f32> {
    const ITERATIONS: usize = 100;
    const TOLERANCE: f64 = 1e-5;
    let rows = x.len() / d;
    let weighted_mean = |weights: &[f32]| -> Vec<f32> {
        let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        let sum = kernels::weighted_sum_of_rows(x, d, |r| weights[r]);
        sum.into_iter().map(|value| (f64::from(value) / total) as f32).collect()
    };
    let mut median = weighted_mean(&vec![1.0; rows]);
    for _ in 0..ITERATIONS {
        let differences = kernels::subtract_from_rows(x, &median);
        let norms: Vec<f32> = differences.chunks_exact(d).map(|row| kernels::dot(row, row).sqrt()).collect();
        // A row on the median itself would have infinite weight.
        let weights: Vec<f32> = norms.iter().map(|norm| norm.max(1e-8).recip()).collect();
        let next = weighted_mean(&weights);
        let square = |a: &[f32]| a.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
        let moved: Vec<f32> = next.iter().zip(&median).map(|(a, b)| a - b).collect();
        median = next;
        if square(&moved).sqrt() <= TOLERANCE * square(&median).sqrt() {
            break;
        }
    }
    median
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_geometric_median_of_a_triangle_sees_its_sides_at_120_degrees() {
        // The Fermat point of (0,0), (1,0), (0,1): both coordinates (3 − √3) / 6.
        let median = geometric_median(&[0.0, 0.0, 1.0, 0.0, 0.0, 1.0], 2);
        let expected = (3.0 - 3f32.sqrt()) / 6.0;
        assert!(median.iter().all(|m| (m - expected).abs() < 1e-4), "{median:?}");
    }
}
