//! Matrices packed into panels, as the dense product reads them.
//!
//! A panel holds a few rows of a matrix side by side, `[d][width]`, so that the inner loop of the product
//! reads it from front to back.

use super::bf16::pair_halves;
use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// A cache line: panels start at one, because a load across two costs double.
#[derive(Debug, Default, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line([f32; LINE]);

// SAFETY: 16 floats, without padding.
unsafe impl Zeroable for Line {}
// SAFETY: as above.
unsafe impl Pod for Line {}

/// Floats of a line.
pub(super) const LINE: usize = 16;

/// What a panel holds of a row of `d` values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// The values.
    F32,
    /// Pairs of them rounded to bf16, the halves of the row side by side.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "no other kernel takes it"))]
    Bf16,
}

impl Form {
    /// How many floats that is.
    pub(super) fn depth(self, d: usize) -> usize {
        match self {
            Self::F32 => d,
            Self::Bf16 => d.div_ceil(2),
        }
    }
}

/// Floats of a matrix whose panels are written past the caches: they could not stay there until they are used,
/// and a line that is not in cache would have to be read before it is written.
const STREAMED: usize = 1 << 20;

/// Panels of `width` rows, a multiple of [`LINE`], of a matrix `[n, d]`, packed by all threads; the last
/// one is filled up with zeros.
pub(super) fn packed(matrix: &[f32], d: usize, form: Form, width: usize) -> Vec<Line> {
    let panel_lines = width * form.depth(d) / LINE;
    let n_lines = (matrix.len() / d).div_ceil(width) * panel_lines;
    let mut lines: Vec<Line> = Vec::with_capacity(n_lines);
    let panels = lines.spare_capacity_mut()[..n_lines].par_chunks_exact_mut(panel_lines);
    panels.zip(matrix.par_chunks(width * d)).for_each(|(panel, rows)| {
        // SAFETY: a line is as many floats, of lower alignment; either may be unwritten.
        let panel = unsafe { std::slice::from_raw_parts_mut(panel.as_mut_ptr().cast(), panel.len() * LINE) };
        write_panels(rows, d, form, width, panel, matrix.len() >= STREAMED);
    });
    // SAFETY: the chunks cover the first `n_lines` lines, and each was written.
    unsafe { lines.set_len(n_lines) };
    lines
}

/// Panels of `width` rows of a matrix `[n, d]`, the last one filled up with zeros.
pub(super) fn pack(matrix: &[f32], d: usize, form: Form, width: usize, panels: &mut [f32]) {
    let panels: *mut [f32] = panels;
    // SAFETY: only values are written there.
    let panels = unsafe { &mut *(panels as *mut [MaybeUninit<f32>]) };
    write_panels(matrix, d, form, width, panels, false);
}

/// [`pack`], which writes all of `panels`; `streamed` past the caches, where they begin with a line.
fn write_panels(
    matrix: &[f32],
    d: usize,
    form: Form,
    width: usize,
    panels: &mut [MaybeUninit<f32>],
    streamed: bool,
) {
    match form {
        Form::F32 => transpose(matrix, d, width, panels, streamed),
        Form::Bf16 => {
            let depth = form.depth(d);
            let mut pairs = vec![0.0; width * depth];
            for (rows, panel) in matrix.chunks(width * d).zip(panels.chunks_exact_mut(width * depth)) {
                let pairs = &mut pairs[..rows.len() / d * depth];
                rows.chunks_exact(d)
                    .zip(pairs.chunks_exact_mut(depth))
                    .for_each(|(row, pairs)| pair_halves(row, pairs));
                transpose(pairs, depth, width, panel, streamed);
            }
        }
    }
}

#[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, unused_mut, reason = "for AVX-512 alone"))]
fn transpose(matrix: &[f32], d: usize, width: usize, panels: &mut [MaybeUninit<f32>], streamed: bool) {
    for (rows, panel) in matrix.chunks(width * d).zip(panels.chunks_exact_mut(width * d)) {
        let n_rows = rows.len() / d;
        if n_rows < width {
            panel.fill(MaybeUninit::new(0.0));
        }
        let mut done = 0;
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") {
            done = d - d % LINE;
            for (at, rows) in rows.chunks(LINE * d).enumerate() {
                // SAFETY: AVX-512F was just detected.
                unsafe { transpose_avx512(rows, d, width, &mut panel[at * LINE..], streamed) };
            }
        }
        for (r, row) in rows.chunks_exact(d).enumerate() {
            for i in done..d {
                panel[i * width + r].write(row[i]);
            }
        }
    }
}

/// `panel[i, r] = rows[r, i]` for at most 16 rows of `d`, over the whole lines of them.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn transpose_avx512(rows: &[f32], d: usize, width: usize, panel: &mut [MaybeUninit<f32>], streamed: bool) {
    use std::arch::x86_64::*;
    let n_rows = rows.len() / d;
    let whole_lines =
        n_rows == LINE && width.is_multiple_of(LINE) && panel.as_ptr().cast::<Line>().is_aligned();
    assert!(n_rows <= LINE && n_rows <= width && panel.len() + width >= d * width + n_rows);
    let lanes = ((1u32 << n_rows) - 1) as u16;
    for from in (0..d - d % LINE).step_by(LINE) {
        let mut a = [_mm512_setzero_ps(); LINE];
        for (r, a) in a.iter_mut().enumerate().take(n_rows) {
            // SAFETY: `from + 16 <= d`, and there are `n_rows` rows.
            *a = unsafe { _mm512_loadu_ps(rows.as_ptr().add(r * d + from)) };
        }
        // Four rounds of perfect shuffles of the 256 values, as in a fast Fourier transform: each brings
        // one bit of the row's number into the place of a bit of the column's.
        let mut b = a;
        for r in 0..LINE / 2 {
            b[2 * r] = _mm512_unpacklo_ps(a[2 * r], a[2 * r + 1]);
            b[2 * r + 1] = _mm512_unpackhi_ps(a[2 * r], a[2 * r + 1]);
        }
        for r in 0..LINE / 4 {
            for half in 0..2 {
                let (low, high) = (_mm512_castps_pd(b[4 * r + half]), _mm512_castps_pd(b[4 * r + half + 2]));
                a[4 * r + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
                a[4 * r + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
            }
        }
        // a[4 r + i] holds, in each quarter q, the rows 4 r..4 r + 4 at the column 4 q + i.
        for i in 0..4 {
            let even = |x, y| _mm512_shuffle_f32x4::<0x88>(x, y);
            let odd = |x, y| _mm512_shuffle_f32x4::<0xdd>(x, y);
            let (q02, q13) = (even(a[i], a[4 + i]), odd(a[i], a[4 + i]));
            let (p02, p13) = (even(a[8 + i], a[12 + i]), odd(a[8 + i], a[12 + i]));
            let columns = [even(q02, p02), even(q13, p13), odd(q02, p02), odd(q13, p13)];
            for (q, column) in columns.into_iter().enumerate() {
                // SAFETY: writes `n_rows` values at the start of a row of the panel below `d`; where those are
                // a line and the panel begins with one, at a line.
                unsafe {
                    let at = panel.as_mut_ptr().cast::<f32>().add((from + 4 * q + i) * width);
                    if streamed && whole_lines {
                        _mm512_stream_ps(at, column);
                    } else {
                        _mm512_mask_storeu_ps(at, lanes, column);
                    }
                }
            }
        }
    }
    if streamed {
        // Other threads see what was written only after this.
        _mm_sfence();
    }
}
