//! What the benches of whole steps share.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As `sae train` does: freed memory is kept.
pub(crate) fn keep_freed_memory() {
    // SAFETY: setting an option of the allocator is allowed at any time.
    unsafe { libmimalloc_sys::mi_option_set(libmimalloc_sys::mi_option_use_numa_nodes - 1, -1) };
}
