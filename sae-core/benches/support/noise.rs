//! Numbers to measure with.

/// `n` values about normal, of mean square `1 / d`: rows of `d` have a mean squared norm of 1.
pub(crate) fn noise(n: usize, d: usize) -> Vec<f32> {
    let mut state = 88172645463325252u64;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let scale = 1.732 / (d as f32).sqrt();
    (0..n).map(|_| (uniform() + uniform() + uniform() + uniform() - 2.0) * scale).collect()
}
