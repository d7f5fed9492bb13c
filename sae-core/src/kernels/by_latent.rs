use super::Codes;
use rayon::prelude::*;
use std::ops::Range;

/// The support of [`Codes`] turned around: for each latent, the rows on which it fires.
#[derive(Debug, Clone, PartialEq)]
pub struct ByLatent {
    /// `[d_sae + 1]`
    offsets: Vec<u32>,
    /// `[nnz]`, increasing within a latent.
    rows: Vec<u32>,
    /// `[nnz]`, where the entry stands in the codes.
    positions: Vec<u32>,
}

impl ByLatent {
    /// Turns the codes around with one counting sort: each thread sorts the entries of a range of
    /// latents, which lie together in every row.
    pub fn new(codes: &Codes, d_sae: usize) -> Self {
        let share = d_sae.div_ceil(rayon::current_num_threads()).max(1);
        let mut offsets = vec![0u32; d_sae + 1];
        offsets[1..].par_chunks_mut(share).enumerate().for_each(|(t, counts)| {
            let latents = t * share..t * share + counts.len();
            for r in 0..codes.n_rows() {
                entries_among(codes, r, latents.clone()).for_each(|(_, latent)| counts[latent] += 1);
            }
        });
        for latent in 0..d_sae {
            offsets[latent + 1] += offsets[latent];
        }
        let (mut rows, mut positions) = (vec![0; codes.nnz()], vec![0; codes.nnz()]);
        let (mut rest_rows, mut rest_positions) = (&mut rows[..], &mut positions[..]);
        let mut shares = Vec::new();
        for first in (0..d_sae).step_by(share) {
            let latents = first..d_sae.min(first + share);
            let len = (offsets[latents.end] - offsets[latents.start]) as usize;
            let (share_rows, after_rows) = rest_rows.split_at_mut(len);
            let (share_positions, after_positions) = rest_positions.split_at_mut(len);
            shares.push((latents, share_rows, share_positions));
            (rest_rows, rest_positions) = (after_rows, after_positions);
        }
        shares.into_par_iter().for_each(|(latents, rows, positions)| {
            let start = offsets[latents.start];
            let mut next: Vec<u32> = offsets[latents.clone()].iter().map(|offset| offset - start).collect();
            for r in 0..codes.n_rows() {
                for (position, latent) in entries_among(codes, r, latents.clone()) {
                    let slot = next[latent] as usize;
                    rows[slot] = r as u32;
                    positions[slot] = position;
                    next[latent] += 1;
                }
            }
        });
        Self { offsets, rows, positions }
    }

    /// Number of latents.
    pub fn d_sae(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Where the latent's entries stand in [`ByLatent::rows`].
    pub fn entries(&self, latent: usize) -> Range<usize> {
        self.offsets[latent] as usize..self.offsets[latent + 1] as usize
    }

    /// The rows of all entries, `[nnz]`.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Where all entries stand in the codes, `[nnz]`.
    pub(super) fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// `[d_sae]`: the sum over each latent's entries of values given in the codes' order.
    pub fn sums(&self, values: &[f32]) -> Vec<f32> {
        let value = |&position: &u32| values[position as usize];
        let sum = |latent| self.positions[self.entries(latent)].iter().map(value).sum();
        (0..self.d_sae()).into_par_iter().with_min_len(256).map(sum).collect()
    }
}

/// The entries of row `r` at a range of latents: where each stands in the codes, and the place of its
/// latent in the range.
fn entries_among(codes: &Codes, r: usize, latents: Range<usize>) -> impl Iterator<Item = (u32, usize)> {
    let (start, all) = (codes.offsets[r], codes.row(r).0);
    let from = all.partition_point(|&latent| (latent as usize) < latents.start);
    let positions = start + from as u32..start + all.len() as u32;
    let entries = positions.zip(all[from..].iter().map(|&latent| latent as usize));
    let among = entries.take_while(move |&(_, latent)| latent < latents.end);
    among.map(move |(position, latent)| (position, latent - latents.start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_entry_is_found_in_the_order_of_rows(
            rows in prop::collection::vec(prop::collection::btree_set(0u32..20, 0..20), 0..40), threads in 1usize..6,
        ) {
            let mut codes = Codes::default();
            for row in &rows {
                let latents: Vec<u32> = row.iter().copied().collect();
                codes.push_row(&latents, &vec![1.0; latents.len()]);
            }
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
            let by_latent = pool.install(|| ByLatent::new(&codes, 20));
            prop_assert_eq!(by_latent.rows.len(), codes.nnz());
            for latent in 0..20 {
                let entries = by_latent.entries(latent);
                let expected: Vec<u32> = (0..rows.len() as u32).filter(|&r| rows[r as usize].contains(&(latent as u32))).collect();
                prop_assert_eq!(&by_latent.rows[entries.clone()], &expected);
                for entry in entries {
                    let (row, position) = (by_latent.rows[entry] as usize, by_latent.positions[entry]);
                    prop_assert!((codes.offsets[row]..codes.offsets[row + 1]).contains(&position));
                    prop_assert_eq!(codes.latents[position as usize], latent as u32);
                }
            }
        }
    }
}
