//! Turning codes around: from the latents of every row to the rows of every latent.
//!
//! Codes on disk are read once for each range of latents whose firings fit into memory, so that no
//! second copy of them is ever written.

use super::{
    documents::count_documents,
    latents,
    lists::{Lists, ListsBuilder},
    statistics::Context,
    table::TableWriter,
};
use crate::Result;
use rayon::prelude::*;
use std::ops::Range;

/// A row on which a latent fires, and its value there: ordered by value descending, then by row.
///
/// The bits of positive numbers have the order of the numbers, so one integer holds both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Firing(u64);

impl Firing {
    fn new(row: u32, value: f32) -> Self {
        Self(u64::from(!value.to_bits()) << 32 | u64::from(row))
    }

    pub(super) fn row(self) -> u32 {
        self.0 as u32
    }

    pub(super) fn value(self) -> f32 {
        f32::from_bits(!((self.0 >> 32) as u32))
    }
}

/// The sizes of record batches.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchSizes {
    /// Rows in a batch of codes and rows.
    pub(super) rows: usize,
    /// Most latents in a batch, a power of two.
    pub(super) latents: usize,
    /// Most firings in a batch of postings, as long as there are not too many batches.
    pub(super) firings: u64,
    /// When there are too many batches.
    pub(super) batches: usize,
}

impl Default for BatchSizes {
    fn default() -> Self {
        Self { rows: 1 << 16, latents: 1 << 14, firings: 1 << 24, batches: 1 << 12 }
    }
}

impl BatchSizes {
    /// How many latents share a batch; it follows from the firings of each latent alone.
    pub(super) fn latents_per_batch(&self, firings: &[u64]) -> usize {
        let least = firings.len().div_ceil(self.batches).next_power_of_two();
        let mut size = self.latents.max(least);
        while size > least && firings.chunks(size).any(|batch| batch.iter().sum::<u64>() > self.firings) {
            size /= 2;
        }
        size
    }
}

/// Writes `postings.arrow` and `latents.arrow`; `firings` `[d_sae]` counts them.
///
/// Holds as many firings as fit into `memory_budget` bytes, and never less than a record batch.
pub(super) fn write(
    codes: &[Lists],
    firings: &[u64],
    latents_per_batch: usize,
    memory_budget: usize,
    context: &Context<'_>,
    (mut postings, mut latents): (TableWriter, TableWriter),
) -> Result<()> {
    // A firing takes 8 bytes here and 8 more in the batch that is written.
    let most = memory_budget as u64 / 16;
    let counts: Vec<u64> = firings.chunks(latents_per_batch).map(|batch| batch.iter().sum()).collect();
    for batches in split(&counts, most) {
        let first = batches.start * latents_per_batch;
        let range = first..(batches.end * latents_per_batch).min(firings.len());
        let mut gathered = gather(codes, range.clone(), firings);
        let mut by_latent = slices(&mut gathered, &firings[range.clone()]);
        for (batch, lists) in by_latent.chunks_mut(latents_per_batch).enumerate() {
            let first = first + batch * latents_per_batch;
            let statistics = lists.par_iter_mut().enumerate().map(|(i, firings)| {
                let documents = count_documents(context.documents, firings.iter().map(|firing| firing.row()));
                firings.sort_unstable();
                context.statistics(first + i, firings, documents)
            });
            let statistics: Vec<_> = statistics.collect();
            let mut rows = ListsBuilder::default();
            for firings in lists {
                rows.push(firings.iter().map(|firing| (firing.row(), firing.value())));
            }
            postings.write_with(|schema| rows.take(schema))?;
            latents.write_with(|schema| latents::to_batch(schema, &statistics))?;
        }
    }
    postings.finish()?;
    latents.finish()?;
    Ok(())
}

/// The firings of a range of latents, by latent, then by row.
fn gather(codes: &[Lists], latents: Range<usize>, firings: &[u64]) -> Vec<Firing> {
    let firings = &firings[latents.clone()];
    let total: u64 = firings.iter().sum();
    let mut gathered = vec![Firing::default(); total as usize];
    // Every thread reads all codes and keeps its own latents.
    let share = total / rayon::current_num_threads() as u64;
    let pieces = split(firings, share);
    let sums: Vec<u64> = pieces.iter().map(|piece| firings[piece.clone()].iter().sum()).collect();
    let slices = slices(&mut gathered, &sums);
    pieces.into_par_iter().zip(slices).for_each(|(piece, out)| {
        let mut next = starts(&firings[piece.clone()]);
        let range = latents.start + piece.start..latents.start + piece.end;
        gather_on_this_thread(codes, range, &mut next, out);
    });
    gathered
}

fn gather_on_this_thread(codes: &[Lists], range: Range<usize>, next: &mut [usize], out: &mut [Firing]) {
    let mut row = 0;
    for batch in codes {
        for i in 0..batch.len() {
            let (latents, values) = batch.get(i);
            let first = latents.partition_point(|&latent| (latent as usize) < range.start);
            for (&latent, &value) in latents[first..].iter().zip(&values[first..]) {
                if latent as usize >= range.end {
                    break;
                }
                let slot = &mut next[latent as usize - range.start];
                out[*slot] = Firing::new(row, value);
                *slot += 1;
            }
            row += 1;
        }
    }
}

/// Cuts a sequence into ranges of at least one item, with sums of at most `most` where that is possible.
fn split(counts: &[u64], most: u64) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut sum = 0;
    for (i, count) in counts.iter().enumerate() {
        sum += count;
        match ranges.last_mut() {
            Some(range) if sum <= most => range.end = i + 1,
            _ => {
                ranges.push(i..i + 1);
                sum = *count;
            }
        }
    }
    ranges
}

/// Where each of these consecutive lists starts.
fn starts(lengths: &[u64]) -> Vec<usize> {
    let start = |end: &mut usize, &length: &u64| {
        let start = *end;
        *end += length as usize;
        Some(start)
    };
    lengths.iter().scan(0, start).collect()
}

/// Consecutive slices of these lengths.
fn slices<'a>(mut all: &'a mut [Firing], lengths: &[u64]) -> Vec<&'a mut [Firing]> {
    let mut slices = Vec::with_capacity(lengths.len());
    for &length in lengths {
        let (slice, rest) = all.split_at_mut(length as usize);
        slices.push(slice);
        all = rest;
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firings_have_the_order_of_postings() {
        let expected = [(7, 3.5), (2, 0.25), (9, 0.25), (0, f32::MIN_POSITIVE), (u32::MAX - 1, 1e-45)];
        let mut firings = expected.map(|(row, value)| Firing::new(row, value));
        firings.reverse();
        firings.sort_unstable();
        assert_eq!(firings.map(|firing| (firing.row(), firing.value())), expected);
    }

    #[test]
    fn sequences_are_cut_where_sums_grow_too_large() {
        assert_eq!(split(&[1, 2, 3, 9, 0, 1], 3), [0..2, 2..3, 3..4, 4..6]);
        assert_eq!(split(&[5, 5], 0), [0..1, 1..2]);
        assert!(split(&[], 9).is_empty());
    }

    #[test]
    fn latents_per_batch_follows_the_firings() {
        let sizes = BatchSizes { rows: 1, latents: 8, firings: 10, batches: 4 };
        assert_eq!(sizes.latents_per_batch(&[1; 8]), 8);
        assert_eq!(sizes.latents_per_batch(&[3; 8]), 2);
        assert_eq!(sizes.latents_per_batch(&[99; 8]), 2, "at most 4 batches");
        assert_eq!(sizes.latents_per_batch(&[99; 3]), 1);
        let sizes = BatchSizes::default();
        assert_eq!(sizes.latents_per_batch(&[0; 5]), 1 << 14);
        assert_eq!(sizes.latents_per_batch(&vec![5_000_000_000; 1 << 20]), 256);
    }
}
