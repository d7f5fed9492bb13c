//! Numbers that the tests of kernels compute with, and how near they have to come.

/// `n` values between −1 and 1, of which no two rows are alike.
pub(super) fn waves(n: usize, frequency: f32) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * frequency).sin()).collect()
}

/// Whether all values agree but for the order in which they were summed.
pub(super) fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-4 * (1.0 + a.abs()))
}

/// Numbers from -1 to 1 in no order.
pub(super) fn noise(n: usize, seed: u32) -> Vec<f32> {
    let mut state = u64::from(seed);
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}
