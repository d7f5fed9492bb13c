//! The values of one latent on windows of rows: what the contexts of its examples show.
//!
//! Two places know them. The latent's postings have them all, in one piece, in the order of values: they are
//! read from end to end whatever is asked for. Codes have them row by row, among those of all other latents:
//! each window is read on its own, from another place of the file.

use super::{Postings, lists::Lists, table::Mapped};
use std::ops::Range;

/// How many postings are read in the time that codes take for a window of 25 rows, 2 to 4 µs, of which most goes
/// into the calls for reading. With 50,000 firings the ways met at about 11 windows.
const POSTINGS_PER_WINDOW: usize = 4096;

/// Rows in a block, and blocks that are told apart: 63 windows of 25 rows touch about 110 of them.
const BLOCK_ROWS: u64 = 32;
const BLOCKS: usize = 1 << 13;

/// Whether the postings of a latent that fires `n_firings` times tell its values on `n_windows` windows sooner
/// than codes do.
pub(super) fn are_in_postings(n_firings: usize, n_windows: usize) -> bool {
    n_firings <= POSTINGS_PER_WINDOW * n_windows
}

/// The values on each row of each window, 0 where the latent does not fire, from its postings.
pub(super) fn from_postings(postings: Postings<'_>, windows: &[Range<u64>]) -> Vec<Vec<f32>> {
    // Most postings are far from every window: they are passed over by one look into a table that stays in
    // the nearest cache. Blocks that are a multiple of `BLOCKS` apart share a place in it.
    let place = |block: u64| block as usize % BLOCKS;
    let mut is_near = [false; BLOCKS];
    for window in windows.iter().filter(|window| !window.is_empty()) {
        let blocks = window.start / BLOCK_ROWS..=(window.end - 1) / BLOCK_ROWS;
        blocks.take(BLOCKS).for_each(|block| is_near[place(block)] = true);
    }
    let firings = postings.rows.iter().zip(postings.values);
    let near = firings.filter(|&(&row, _)| is_near[place(u64::from(row) / BLOCK_ROWS)]);
    let mut near: Vec<(u64, f32)> = near.map(|(&row, &value)| (row.into(), value)).collect();
    near.sort_unstable_by_key(|&(row, _)| row);
    let values = |window: &Range<u64>| {
        let mut values = vec![0.0; window.clone().count()];
        let first = near.partition_point(|&(row, _)| row < window.start);
        for &(row, value) in near[first..].iter().take_while(|&&(row, _)| row < window.end) {
            values[(row - window.start) as usize] = value;
        }
        values
    };
    windows.iter().map(values).collect()
}

/// The same from codes, in batches of `batch_rows` rows, read from the file that they lie in.
pub(super) fn from_codes(
    codes: &[Lists],
    batch_rows: usize,
    file: &Mapped,
    latent: u32,
    windows: &[Range<u64>],
) -> Vec<Vec<f32>> {
    let values = |window: &Range<u64>| {
        let mut rows = window.start as usize..window.end as usize;
        let mut values = Vec::with_capacity(rows.len());
        while !rows.is_empty() {
            let (batch, first) = (rows.start / batch_rows, rows.start % batch_rows);
            let last = batch_rows.min(first + rows.len());
            values.extend(codes[batch].find(latent, first..last, file));
            rows.start += last - first;
        }
        values
    };
    windows.iter().map(values).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// How many rows on blocks share their places with earlier ones.
    const PERIOD: u64 = BLOCK_ROWS * BLOCKS as u64;

    /// Rows near each other, and rows that only share a place.
    fn row() -> impl Strategy<Value = u64> {
        (0..4u64, 0..200u64).prop_map(|(period, row)| period * PERIOD + row)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn windows_show_the_firings_in_them(
            firings in prop::collection::btree_map(row(), 0.1f32..9.0, 0..300),
            windows in prop::collection::vec((row(), 0..90u64), 0..20),
        ) {
            let by_value: BTreeMap<u32, (u64, f32)> =
                firings.iter().map(|(&row, &value)| (!value.to_bits(), (row, value))).collect();
            let (rows, values): (Vec<u32>, Vec<f32>) =
                by_value.values().map(|&(row, value)| (row as u32, value)).unzip();
            let firings: BTreeMap<u64, f32> = by_value.into_values().collect();
            let value = |row| firings.get(&row).copied().unwrap_or(0.0);
            let mut windows: Vec<_> = windows.into_iter().map(|(start, len)| start..start + len).collect();
            // The second time with one that is longer than what the table tells apart, so that nothing is far.
            for _ in 0..2 {
                let expected: Vec<Vec<f32>> =
                    windows.iter().map(|window| window.clone().map(value).collect()).collect();
                let found = from_postings(Postings { rows: &rows, values: &values }, &windows);
                prop_assert!(found == expected);
                windows.push(PERIOD / 2..2 * PERIOD + 99);
            }
        }
    }
}
