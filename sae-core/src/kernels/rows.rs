//! The two loops that every sparse operation is made of, on rows of a dense matrix.
//!
//! Decoding sums decoder rows; the gradient of a decoder row sums output gradients; the gradient of
//! an encoder row sums inputs: all are [`weighted_sum`]. The gradient of a code is [`dot`].

use super::simd::{mul_add, multiversion};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// A matrix of `n_rows` rows of `d`, filled row by row; see [`build`].
pub(super) fn build_rows(
    n_rows: usize,
    d: usize,
    min_rows: usize,
    fill: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    build(n_rows * d, d, min_rows, fill)
}

/// `len` floats in chunks of `chunk`, the last one maybe shorter, each zeroed and then filled by a thread
/// that takes at least `min_chunks` of them: setting the whole to zero first would be one thread's work.
pub(super) fn build(
    len: usize,
    chunk: usize,
    min_chunks: usize,
    fill: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let numbers = (0..len.div_ceil(chunk.max(1))).into_par_iter().with_min_len(min_chunks);
    build_from(len, chunk, numbers, |out, c| fill(c, out))
}

/// [`build`], with something for each chunk beside it.
pub(super) fn build_beside<T: Send>(
    len: usize,
    chunk: usize,
    beside: Vec<T>,
    fill: impl Fn(&mut [f32], T) + Sync,
) -> Vec<f32> {
    build_from(len, chunk, beside.into_par_iter(), fill)
}

fn build_from<T: Send>(
    len: usize,
    chunk: usize,
    beside: impl IndexedParallelIterator<Item = T>,
    fill: impl Fn(&mut [f32], T) + Sync,
) -> Vec<f32> {
    let mut out = Vec::with_capacity(len);
    let chunks = out.spare_capacity_mut()[..len].par_chunks_mut(chunk);
    assert_eq!(chunks.len(), beside.len(), "something for each chunk. This is a bug");
    chunks.zip(beside).for_each(|(chunk, beside)| {
        chunk.fill(MaybeUninit::new(0.0));
        let chunk: *mut [MaybeUninit<f32>] = chunk;
        // SAFETY: every entry was just written, and MaybeUninit<f32> is laid out as f32.
        fill(unsafe { &mut *(chunk as *mut [f32]) }, beside);
    });
    // SAFETY: the chunks cover the first `len` entries, and each was filled.
    unsafe { out.set_len(len) };
    out
}

/// How many rows ahead of its use a row is asked for: rows come in no order that the processor could
/// foresee, from matrices larger than its nearer caches.
const AHEAD: usize = 4;

/// Asks for a row before its use: into the second-level cache, for of the first it would take a large part.
#[inline(always)]
#[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "nothing is asked for elsewhere"))]
pub(super) fn prefetch(row: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        const LINE: usize = 16;
        for i in (0..row.len()).step_by(LINE) {
            // SAFETY: the address lies inside the row; asking for it changes nothing but the cache.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(row.as_ptr().add(i).cast()) };
        }
    }
}

#[inline(always)]
fn prefetch_row(rows: &[u32], j: usize, matrix: &[f32], d: usize) {
    if let Some(&row) = rows.get(j) {
        prefetch(&matrix[row as usize * d..][..d]);
    }
}

multiversion! {
    /// `out += Σ_j weights[j] · matrix[rows[j], :]`, with `out` `[d]` and `matrix` `[_, d]`.
    pub fn weighted_sum(rows: &[u32], weights: &[f32], matrix: &[f32], out: &mut [f32]) = weighted_sum_body, 384 or 64
}

/// `WIDE` sums are kept in registers while all rows pass by, so that each is read from front to back.
#[inline(always)]
fn weighted_sum_body<const FMA: bool, const WIDE: usize>(
    rows: &[u32],
    weights: &[f32],
    matrix: &[f32],
    out: &mut [f32],
) {
    const NARROW: usize = 64;
    let d = out.len();
    (0..AHEAD).for_each(|j| prefetch_row(rows, j, matrix, d));
    let (wide, rest) = out.as_chunks_mut::<WIDE>();
    let n_wide = wide.len() * WIDE;
    let (narrow, tail) = rest.as_chunks_mut::<NARROW>();
    let n_narrow = narrow.len() * NARROW;
    for (c, out) in wide.iter_mut().enumerate() {
        add_columns::<FMA, WIDE>(rows, weights, (matrix, d), c * WIDE, out);
    }
    for (c, out) in narrow.iter_mut().enumerate() {
        add_columns::<FMA, NARROW>(rows, weights, (matrix, d), n_wide + c * NARROW, out);
    }
    if !tail.is_empty() {
        for (&row, &weight) in rows.iter().zip(weights) {
            let row = &matrix[row as usize * d..][..d];
            for (out, &value) in tail.iter_mut().zip(&row[n_wide + n_narrow..]) {
                *out = mul_add::<FMA>(weight, value, *out);
            }
        }
    }
}

/// [`weighted_sum`] of the columns from `from` on.
#[inline(always)]
fn add_columns<const FMA: bool, const N: usize>(
    rows: &[u32],
    weights: &[f32],
    (matrix, d): (&[f32], usize),
    from: usize,
    out: &mut [f32; N],
) {
    let mut sums = *out;
    for (j, (&row, &weight)) in rows.iter().zip(weights).enumerate() {
        if from == 0 {
            prefetch_row(rows, j + AHEAD, matrix, d);
        }
        let row = &matrix[row as usize * d + from..][..N];
        for i in 0..N {
            sums[i] = mul_add::<FMA>(weight, row[i], sums[i]);
        }
    }
    *out = sums;
}

multiversion! {
    /// `out[j] = Σ_i a[i] · matrix[rows[j], i]`, with `a` `[d]` and `matrix` `[_, d]`.
    pub fn dots(a: &[f32], rows: &[u32], matrix: &[f32], out: &mut [f32]) = dots_body, 4 or 4
}

multiversion! {
    /// [`dots`] of rows that have just been read in their order.
    pub(super) fn dots_again(a: &[f32], rows: &[u32], matrix: &[f32], out: &mut [f32]) = dots_body, 0 or 0
}

#[inline(always)]
fn dots_body<const FMA: bool, const AHEAD: usize>(a: &[f32], rows: &[u32], matrix: &[f32], out: &mut [f32]) {
    let d = a.len();
    (0..AHEAD).for_each(|j| prefetch_row(rows, rows.len().wrapping_sub(j + 1), matrix, d));
    // From the last one on: if they were read before, those are the ones still in the nearest cache.
    for (j, (out, &row)) in out.iter_mut().zip(rows).enumerate().rev() {
        if AHEAD > 0 {
            prefetch_row(rows, j.wrapping_sub(AHEAD), matrix, d);
        }
        *out = dot_body::<FMA>(a, &matrix[row as usize * d..][..d]);
    }
}

/// Sums of [`dot`], kept in registers.
const LANES: usize = 64;

multiversion! {
    /// `Σ_i a[i] · b[i]` over two slices of equal length.
    pub fn dot(a: &[f32], b: &[f32]) -> f32 = dot_body
}

#[inline(always)]
fn dot_body<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut acc = [0.0f32; LANES];
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            acc[i] = mul_add::<FMA>(a[i], b[i], acc[i]);
        }
    }
    fold::<32>(&mut acc);
    fold::<16>(&mut acc);
    fold::<8>(&mut acc);
    fold::<4>(&mut acc);
    fold::<2>(&mut acc);
    acc[0] + acc[1] + a_tail.iter().zip(b_tail).map(|(a, b)| a * b).sum::<f32>()
}

/// Adds the second half of `2 N` sums to the first; `N` is known, so that they stay in registers.
#[inline(always)]
fn fold<const N: usize>(sums: &mut [f32; LANES]) {
    for i in 0..N {
        sums[i] += sums[i + N];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn weighted_sum_adds_every_row(d in 1usize..200, picks in prop::collection::vec((0u32..7, -2f32..2.0), 0..9)) {
            let matrix: Vec<f32> = (0..7 * d).map(|i| (i as f32 * 0.37).sin()).collect();
            let (rows, weights): (Vec<u32>, Vec<f32>) = picks.into_iter().unzip();
            let mut out = vec![0.5; d];
            weighted_sum(&rows, &weights, &matrix, &mut out);
            for i in 0..d {
                let sum: f32 = rows.iter().zip(&weights).map(|(&r, w)| w * matrix[r as usize * d + i]).sum();
                prop_assert!((out[i] - 0.5 - sum).abs() < 1e-5);
            }
        }

        #[test]
        fn dot_is_the_sum_of_products(d in 0usize..300) {
            let a: Vec<f32> = (0..d).map(|i| (i as f32 * 0.7).cos()).collect();
            let b: Vec<f32> = (0..d).map(|i| (i as f32 * 0.3).sin()).collect();
            let exact: f64 = a.iter().zip(&b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            prop_assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-4);
        }
    }
}
