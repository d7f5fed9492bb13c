//! A dense product of all rows, for what does not pass through the latents.

use super::dense::multiply_rows_add;
use rayon::prelude::*;

/// Rows that a thread takes at once.
const BLOCK_ROWS: usize = 256;

/// `out[r, o] += Σ_i x[r, i] · w[o, i]` with `x` `[n_rows, d_in]`, `w` `[d_out, d_in]` and `out`
/// `[n_rows, d_out]`.
pub fn add_product(x: &[f32], w: &[f32], d_in: usize, out: &mut [f32]) {
    let d_out = w.len() / d_in;
    assert_eq!(x.len() * d_out, out.len() * d_in, "x and out differ in rows. This is a bug");
    assert_eq!(w.len(), d_out * d_in, "w is no matrix with rows of d_in. This is a bug");
    let blocks = x.par_chunks(BLOCK_ROWS * d_in).zip(out.par_chunks_mut(BLOCK_ROWS * d_out));
    blocks.for_each(|(x, out)| multiply_rows_add(x, w, d_in, out));
}
