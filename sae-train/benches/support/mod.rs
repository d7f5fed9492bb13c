//! What the benches of whole steps share.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As `sae train` does: freed memory is kept.
pub(crate) fn keep_freed_memory() {
    // SAFETY: setting an option of the allocator is allowed at any time.
    unsafe { libmimalloc_sys::mi_option_set(libmimalloc_sys::mi_option_use_numa_nodes - 1, -1) };
}

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
