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

/// Accumulators kept in registers while all rows of the sum pass by.
const LANES: usize = 64;

/// How many rows ahead of its use a row is asked for: rows come in no order that the processor could
/// foresee, from matrices larger than its nearer caches.
const AHEAD: usize = 4;

#[inline(always)]
fn prefetch_row(rows: &[u32], j: usize, matrix: &[f32], d: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(&row) = rows.get(j) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        const LINE: usize = 16;
        let row = matrix[row as usize * d..][..d].as_ptr();
        for i in (0..d).step_by(LINE) {
            // SAFETY: the address lies inside `matrix`; asking for it changes nothing but the cache.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(row.add(i).cast()) };
        }
    }
}

multiversion! {
    /// `out += Σ_j weights[j] · matrix[rows[j], :]`, with `out` `[d]` and `matrix` `[_, d]`.
    pub fn weighted_sum(rows: &[u32], weights: &[f32], matrix: &[f32], out: &mut [f32]) = weighted_sum_body
}

#[inline(always)]
fn weighted_sum_body<const FMA: bool>(rows: &[u32], weights: &[f32], matrix: &[f32], out: &mut [f32]) {
    let d = out.len();
    (0..AHEAD).for_each(|j| prefetch_row(rows, j, matrix, d));
    let (blocks, tail) = out.as_chunks_mut::<LANES>();
    for (b, block) in blocks.iter_mut().enumerate() {
        let mut acc = *block;
        for (j, (&row, &weight)) in rows.iter().zip(weights).enumerate() {
            if b == 0 {
                prefetch_row(rows, j + AHEAD, matrix, d);
            }
            let start = row as usize * d + b * LANES;
            let source = &matrix[start..start + LANES];
            for i in 0..LANES {
                acc[i] = mul_add::<FMA>(weight, source[i], acc[i]);
            }
        }
        *block = acc;
    }
    if !tail.is_empty() {
        for (&row, &weight) in rows.iter().zip(weights) {
            let end = (row as usize + 1) * d;
            for (out, &value) in tail.iter_mut().zip(&matrix[end - d % LANES..end]) {
                *out = mul_add::<FMA>(weight, value, *out);
            }
        }
    }
}

multiversion! {
    /// `out[j] = Σ_i a[i] · matrix[rows[j], i]`, with `a` `[d]` and `matrix` `[_, d]`.
    pub fn dots(a: &[f32], rows: &[u32], matrix: &[f32], out: &mut [f32]) = dots_body
}

#[inline(always)]
fn dots_body<const FMA: bool>(a: &[f32], rows: &[u32], matrix: &[f32], out: &mut [f32]) {
    let d = a.len();
    (0..AHEAD).for_each(|j| prefetch_row(rows, j, matrix, d));
    for (j, (out, &row)) in out.iter_mut().zip(rows).enumerate() {
        prefetch_row(rows, j + AHEAD, matrix, d);
        *out = dot_body::<FMA>(a, &matrix[row as usize * d..][..d]);
    }
}

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
