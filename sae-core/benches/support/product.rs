//! The bound of a step: no encoding can take less time than the bare dense product of the encoder.

/// `out = x wᵀ` on all threads; `x` is `[n, d]`, `w` `[m, d]`, `out` `[n, m]`.
pub(crate) fn multiply(x: &[f32], w: &[f32], out: &mut [f32], d: usize) {
    let (n, m) = (x.len() / d, w.len() / d);
    assert_eq!(out.len(), n * m);
    // SAFETY: the strides describe three whole, initialised buffers.
    unsafe {
        gemm::gemm(
            n,
            m,
            d,
            out.as_mut_ptr(),
            1,
            m as isize,
            false,
            x.as_ptr(),
            1,
            d as isize,
            w.as_ptr(),
            d as isize,
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::Rayon(0),
        );
    }
}
