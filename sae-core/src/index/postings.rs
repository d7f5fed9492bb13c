//! Turning codes around: from the latents of every row to the rows of every latent.
//!
//! Codes on disk are read once for each range of latents whose firings fit into memory, so that no
//! second copy of them is ever written.

use super::{
    LatentStats, latents,
    lists::{self, Lists},
    statistics::Context,
    table::{Table, TableWriter},
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

/// Writes postings and statistics from codes on disk.
pub(super) struct Writer<'a> {
    pub(super) codes: &'a [Lists],
    /// The file that the codes lie in.
    pub(super) codes_table: &'a Table,
    /// `[d_sae]`: how often each latent fires.
    pub(super) firings: &'a [u64],
    pub(super) latents_per_batch: usize,
    /// Holds as many firings as fit into these bytes, and never less than a record batch.
    pub(super) memory_budget: usize,
    pub(super) context: &'a Context<'a>,
}

impl Writer<'_> {
    /// Writes `postings.arrow` and `latents.arrow`.
    pub(super) fn write(&self, mut postings: TableWriter, mut latents: TableWriter) -> Result<()> {
        let counts: Vec<u64> =
            self.firings.chunks(self.latents_per_batch).map(|batch| batch.iter().sum()).collect();
        // A firing takes 8 bytes here, and 8 more in the batch that is written.
        let largest = counts.iter().max().copied().unwrap_or(0);
        let most = (self.memory_budget as u64 / FIRING_BYTES).saturating_sub(largest);
        for batches in split(&counts, most) {
            let first = batches.start * self.latents_per_batch;
            let range = first..(batches.end * self.latents_per_batch).min(self.firings.len());
            let mut gathered = self.gather(range.clone());
            let mut rest = &mut gathered[..];
            for (batch, firings) in self.firings[range].chunks(self.latents_per_batch).enumerate() {
                let (firings_of_batch, after) = rest.split_at_mut(firings.iter().sum::<u64>() as usize);
                rest = after;
                let first = first + batch * self.latents_per_batch;
                let statistics = self.sort(first, firings, firings_of_batch);
                let (offsets, (rows, values)) = (offsets(firings), columns(firings_of_batch));
                postings.write_with(|schema| lists::lists(schema, offsets, rows, values))?;
                latents.write_with(|schema| latents::to_batch(schema, &statistics))?;
                self.context.rows.forget();
            }
        }
        postings.finish()?;
        latents.finish()?;
        Ok(())
    }

    /// Puts the firings of each latent from `first` on into the order of postings, and tells the
    /// statistics of each.
    fn sort(&self, first: usize, firings: &[u64], of_batch: &mut [Firing]) -> Vec<LatentStats> {
        let mut by_latent = slices(of_batch, firings);
        let statistics = by_latent.par_iter_mut().enumerate().map(|(i, firings)| {
            let by_row = self.context.by_row(firings);
            firings.sort_unstable();
            self.context.statistics(first + i, firings, by_row)
        });
        statistics.collect()
    }

    /// The firings of a range of latents, by latent, then by row.
    fn gather(&self, latents: Range<usize>) -> Vec<Firing> {
        let firings = &self.firings[latents.clone()];
        let total: u64 = firings.iter().sum();
        let mut gathered = vec![Firing::default(); total as usize];
        // Every thread reads all codes and keeps its own latents.
        let pieces = split(firings, total / rayon::current_num_threads() as u64);
        let sums: Vec<u64> = pieces.iter().map(|piece| firings[piece.clone()].iter().sum()).collect();
        let pieces = pieces.into_iter().zip(slices(&mut gathered, &sums));
        let mut pieces: Vec<Piece<'_>> = pieces
            .map(|(piece, out)| Piece {
                next: starts(&firings[piece.clone()]),
                latents: latents.start + piece.start..latents.start + piece.end,
                out,
            })
            .collect();
        let mut first_row = 0;
        for batch in self.codes {
            pieces.par_iter_mut().for_each(|piece| piece.take(batch, first_row));
            first_row += batch.len() as u32;
            self.codes_table.file.forget();
        }
        gathered
    }
}

/// The bytes of a firing in memory, and in a record batch of postings.
const FIRING_BYTES: u64 = 8;

/// The latents whose firings one thread gathers.
struct Piece<'a> {
    latents: Range<usize>,
    /// For each latent, where its next firing goes.
    next: Vec<usize>,
    out: &'a mut [Firing],
}

impl Piece<'_> {
    fn take(&mut self, batch: &Lists, first_row: u32) {
        for (row, i) in (first_row..).zip(0..batch.len()) {
            let (latents, values) = batch.get(i);
            let first = latents.partition_point(|&latent| (latent as usize) < self.latents.start);
            for (&latent, &value) in latents[first..].iter().zip(&values[first..]) {
                if latent as usize >= self.latents.end {
                    break;
                }
                let slot = &mut self.next[latent as usize - self.latents.start];
                self.out[*slot] = Firing::new(row, value);
                *slot += 1;
            }
        }
    }
}

/// Firings as the two columns of postings.
fn columns(firings: &[Firing]) -> (Vec<u32>, Vec<f32>) {
    firings.par_iter().map(|firing| (firing.row(), firing.value())).unzip()
}

/// Where lists of these lengths start, and the last ends.
fn offsets(lengths: &[u64]) -> Vec<i64> {
    let mut end = 0;
    let ends = lengths.iter().map(|&length| {
        end += length as i64;
        end
    });
    std::iter::once(0).chain(ends).collect()
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
