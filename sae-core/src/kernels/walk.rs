//! The one dense product of encoding, in blocks that are used while they are in cache.
//!
//! The `[n_rows, d_sae]` matrix of pre-activations never exists: a thread takes a block of rows and
//! walks over blocks of latents; what is computed of one is shown to a visitor and overwritten.

use super::{
    pack::{LINE, Line, pack, packed},
    product::Kernel,
};
use rayon::prelude::*;
use std::{cell::RefCell, ops::Range};

/// Floats of a block of packed inputs, and of packed weights: each takes less than half of a core's
/// second-level cache, which holds 1 MiB or more.
const BLOCK: usize = 96 << 10;

/// The pre-activations of a block of rows at a block of latents.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block<'a> {
    /// Number of the block's first row in `x`.
    pub(super) first_row: usize,
    /// Number of the block's first latent.
    pub(super) first_latent: usize,
    n_latents: usize,
    stride: usize,
    pre_acts: &'a [f32],
}

impl<'a> Block<'a> {
    /// The pre-activations of each row, in order: of the row `first_row` at the latents from
    /// `first_latent` on, then of the row after it, …
    pub(super) fn rows(self) -> impl Iterator<Item = &'a [f32]> {
        self.pre_acts.chunks_exact(self.stride).map(move |row| &row[..self.n_latents])
    }
}

/// Computes `W_enc x + b_enc` for all rows of `x` `[n_rows, d_in]`, on all threads, as precisely as the
/// kernel does.
///
/// The rows are cut into ranges. For each a state is made by `start`, is shown the pre-activations at all
/// latents by `visit`, and ends in `finish`; what came of the ranges is given in their order. A visited
/// block holds some rows of the range; each row meets the latents in increasing order. How the rows are
/// cut depends on the number of threads; the pre-activations do not.
pub(super) fn walk<S, T: Send>(
    kernel: Kernel,
    (w_enc, b_enc): (&[f32], &[f32]),
    x: &[f32],
    start: impl Fn(Range<usize>) -> S + Sync,
    visit: impl Fn(&mut S, Block<'_>) + Sync,
    finish: impl Fn(S) -> T + Sync,
) -> Vec<T> {
    let d_in = w_enc.len() / b_enc.len();
    assert_eq!(x.len() % d_in, 0, "x has {} values, not a multiple of d_in = {d_in}. This is a bug", x.len());
    let (height, width, depth) = (kernel.height, kernel.width, kernel.form.depth(d_in));
    let packed = packed(w_enc, d_in, kernel.form, width);
    let packed: &[f32] = bytemuck::cast_slice(&packed);
    // As long as the packed weights.
    let mut bias = b_enc.to_vec();
    bias.resize(b_enc.len().next_multiple_of(width), 0.0);

    let block_latents = (BLOCK / depth / width).clamp(1, 8) * width;

    let walk_range = |range: Range<usize>| {
        let (range_start, n_rows, x) = (range.start, range.len(), &x[range.start * d_in..range.end * d_in]);
        let mut state = start(range);
        // Taken out, so that a visitor may itself encode.
        let mut scratch = SCRATCH.take();
        let padded_rows = n_rows.next_multiple_of(height);
        let n_lines = (padded_rows * depth + height * block_latents).div_ceil(LINE);
        scratch.resize(scratch.len().max(n_lines), Line::default());
        let (pre_acts, inputs) =
            bytemuck::cast_slice_mut::<Line, f32>(&mut scratch).split_at_mut(height * block_latents);
        let inputs = &mut inputs[..padded_rows * depth];
        pack(x, d_in, kernel.form, height, inputs);
        let blocks = packed.chunks(block_latents * depth).zip(bias.chunks(block_latents));
        for (block, (weights, bias)) in blocks.enumerate() {
            let (first_latent, stride) = (block * block_latents, bias.len());
            let pre_acts = &mut pre_acts[..height * stride];
            for (panel, inputs) in inputs.chunks_exact(height * depth).enumerate() {
                let first = panel * height;
                kernel.multiply(inputs, weights, bias, pre_acts);
                let block = Block {
                    first_row: range_start + first,
                    first_latent,
                    n_latents: stride.min(b_enc.len() - first_latent),
                    stride,
                    pre_acts: &pre_acts[..height.min(n_rows - first) * stride],
                };
                visit(&mut state, block);
            }
        }
        SCRATCH.set(scratch);
        finish(state)
    };
    let ranges = cut(x.len() / d_in, (BLOCK / depth).max(4 * height), height);
    // Taken one by one in their order: halves of them, as rayon cuts other work, would leave large ones for last.
    let walked = ranges.into_iter().enumerate().par_bridge();
    let mut walked: Vec<(usize, T)> = walked.map(|(i, range)| (i, walk_range(range))).collect();
    walked.sort_unstable_by_key(|&(i, _)| i);
    walked.into_iter().map(|(_, of_range)| of_range).collect()
}

/// Cuts rows into ranges of at most `most`, nearly all of a multiple of `height`: large ones first, for each
/// walks over all weights; then smaller and smaller ones, so that all threads end at the same time.
fn cut(n_rows: usize, most: usize, height: usize) -> Vec<Range<usize>> {
    let threads = rayon::current_num_threads();
    let least = (most / 4).min(n_rows.div_ceil(threads));
    let (mut ranges, mut start) = (Vec::new(), 0);
    while start < n_rows {
        let rows = ((n_rows - start) / (2 * threads)).clamp(least, most).next_multiple_of(height);
        let end = n_rows.min(start + rows);
        ranges.push(start..end);
        start = end;
    }
    ranges
}

thread_local! {
    /// A block's pre-activations and the packed inputs, kept between calls: a training step encodes in
    /// every few milliseconds, and fresh pages cost more than the selection.
    static SCRATCH: RefCell<Vec<Line>> = RefCell::default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_into_ranges_that_end_small() {
        for (n_rows, threads) in [(0, 1), (1, 2), (11, 3), (100, 2), (4096, 1), (4096, 2), (4099, 16)] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let ranges = pool.install(|| cut(n_rows, 256, 12));
            assert!(ranges.iter().map(Range::len).is_sorted_by(|a, b| a >= b), "{ranges:?}");
            assert!(ranges.iter().all(|range| range.len() < 256 + 12), "{ranges:?}");
            assert!(ranges.windows(2).all(|two| two[0].end == two[1].start && two[0].len() % 12 == 0));
            assert_eq!(ranges.iter().map(Range::len).sum::<usize>(), n_rows);
            assert!(ranges.len() >= threads.min(n_rows.div_ceil(12)), "nobody is left without: {ranges:?}");
            assert!(
                n_rows < 4096 || ranges.iter().rev().skip(1).take(threads).all(|range| range.len() <= 72)
            );
        }
    }
}
