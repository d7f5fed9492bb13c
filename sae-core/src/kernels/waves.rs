//! Numbers that the tests of kernels compute with, and how near they have to come.

/// `n` values between −1 and 1, of which no two rows are alike.
pub(super) fn waves(n: usize, frequency: f32) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * frequency).sin()).collect()
}

/// Whether all values agree but for the order in which they were summed.
pub(super) fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-4 * (1.0 + a.abs()))
}
