//! Sparse codes in burn: values that gradients flow through, on a support that is data.

use burn::tensor::Tensor;
use rayon::prelude::*;
use sae_core::{Codes, kernels::ByLatent};
use std::sync::{Arc, OnceLock};

/// Which latents fire on which rows, with the values they were encoded with.
#[derive(Debug)]
pub struct Support {
    codes: Codes,
    d_sae: usize,
    by_latent: OnceLock<ByLatent>,
}

impl Support {
    /// The support of codes of an SAE of `d_sae` latents.
    pub fn new(codes: Codes, d_sae: usize) -> Self {
        Self { codes, d_sae, by_latent: OnceLock::new() }
    }

    /// The codes as they were encoded.
    pub fn codes(&self) -> &Codes {
        &self.codes
    }

    /// Number of latents there are.
    pub fn d_sae(&self) -> usize {
        self.d_sae
    }

    /// Every latent that fires on some row; some more than once, unless the gradients have turned the support
    /// around already.
    pub(crate) fn active_latents(&self) -> impl Iterator<Item = u32> {
        let turned = self.by_latent.get();
        let once = turned.into_iter().flat_map(|by_latent| {
            (0..self.d_sae as u32).filter(|&latent| !by_latent.entries(latent as usize).is_empty())
        });
        let as_they_come = turned.is_none().then_some(&self.codes.latents);
        once.chain(as_they_come.into_iter().flatten().copied())
    }

    pub(super) fn by_latent(&self) -> &ByLatent {
        self.by_latent.get_or_init(|| ByLatent::new(&self.codes, self.d_sae))
    }
}

/// Codes of a batch.
#[derive(Debug, Clone)]
pub struct SparseCodes {
    /// `[nnz]`, in the order of the support's rows.
    pub values: Tensor<1>,
    /// Where the values stand.
    pub support: Arc<Support>,
}

impl SparseCodes {
    /// The support of those entries whose value is not 0, with these values.
    pub fn fired(&self) -> Arc<Support> {
        let values = crate::params::to_vec(&self.values.clone().inner());
        let codes = self.support.codes();
        let mut fired = Codes::default();
        for r in 0..codes.n_rows() {
            let row = codes.offsets[r] as usize..codes.offsets[r + 1] as usize;
            let entries = codes.latents[row.clone()].iter().zip(&values[row]);
            for (&latent, &value) in entries.filter(|(_, value)| **value != 0.0) {
                fired.latents.push(latent);
                fired.values.push(value);
            }
            fired.offsets.push(fired.latents.len() as u32);
        }
        Arc::new(Support::new(fired, self.support.d_sae))
    }

    /// Other values `[nnz]` on the same support.
    pub fn with_values(&self, values: Tensor<1>) -> Self {
        Self { values, support: self.support.clone() }
    }

    /// Each row as one row per prefix of the latents: the `j`-th holds the latents from `prefixes[j − 1]`
    /// up to `prefixes[j]`. The prefixes increase and end with `d_sae`.
    pub fn split_at_prefixes(&self, prefixes: &[usize]) -> Self {
        let codes = self.support.codes();
        let mut offsets = Vec::with_capacity(codes.n_rows() * prefixes.len() + 1);
        offsets.push(0);
        for r in 0..codes.n_rows() {
            let latents = codes.row(r).0;
            let below = |&prefix: &usize| latents.partition_point(|&latent| (latent as usize) < prefix);
            offsets.extend(prefixes.iter().map(|prefix| codes.offsets[r] + below(prefix) as u32));
        }
        let split = Codes { offsets, latents: codes.latents.clone(), values: codes.values.clone() };
        Self { values: self.values.clone(), support: Arc::new(Support::new(split, self.support.d_sae)) }
    }

    /// Each row as one row per level of ranks: the `j`-th holds the entries whose rank by value is from
    /// `ranks[j − 1]` up to `ranks[j]`, largest value first. The ranks increase; the last is at least the
    /// number of entries of any row.
    pub fn split_by_rank(&self, ranks: &[usize]) -> Self {
        let codes = self.support.codes();
        let order: Vec<Vec<u32>> = self.rows_by_value(|row| {
            let mut from = 0;
            for &rank in ranks {
                let to = rank.min(row.len());
                // Within a row of codes latents increase.
                row[from..to].sort_unstable();
                from = to;
            }
        });
        let mut offsets = Vec::with_capacity(codes.n_rows() * ranks.len() + 1);
        offsets.push(0);
        for (row, &start) in order.iter().zip(&codes.offsets) {
            offsets.extend(ranks.iter().map(|&rank| start + rank.min(row.len()) as u32));
        }
        self.picked(offsets, order.concat())
    }

    /// The `k` entries of each row with the largest values; of equal ones the lower latents.
    pub fn largest_of_rows(&self, k: usize) -> Self {
        let picked = self.rows_by_value(|row| {
            row.truncate(k);
            row.sort_unstable();
        });
        let mut offsets = vec![0];
        let mut end = 0;
        offsets.extend(picked.iter().map(|row| {
            end += row.len() as u32;
            end
        }));
        self.picked(offsets, picked.concat())
    }

    /// The positions of each row's entries, largest value first, of equal ones the lower latent, and what
    /// `then` makes of them.
    fn rows_by_value(&self, then: impl Fn(&mut Vec<u32>) + Sync) -> Vec<Vec<u32>> {
        let codes = self.support.codes();
        let value = |&position: &u32| codes.values[position as usize];
        let rows = codes.offsets.par_windows(2).with_min_len(64);
        rows.map(|ends| {
            let mut row: Vec<u32> = (ends[0]..ends[1]).collect();
            row.sort_unstable_by(|a, b| value(b).total_cmp(&value(a)).then(a.cmp(b)));
            then(&mut row);
            row
        })
        .collect()
    }

    /// The entries at these positions, each at most once, with these offsets.
    fn picked(&self, offsets: Vec<u32>, positions: Vec<u32>) -> Self {
        let codes = self.support.codes();
        let at = positions.par_iter().with_min_len(1 << 14);
        let picked = Codes {
            offsets,
            latents: at.clone().map(|&position| codes.latents[position as usize]).collect(),
            values: at.map(|&position| codes.values[position as usize]).collect(),
        };
        Self {
            values: super::pick(self.values.clone(), positions),
            support: Arc::new(Support::new(picked, self.support.d_sae)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_active_latents_are_the_same_once_it_is_turned_around() {
        let codes = Codes { offsets: vec![0, 2, 2, 4], latents: vec![1, 4, 0, 4], values: vec![1.0; 4] };
        let support = Support::new(codes, 6);
        assert_eq!(support.active_latents().collect::<Vec<_>>(), [1, 4, 0, 4]);
        support.by_latent();
        assert_eq!(support.active_latents().collect::<Vec<_>>(), [0, 1, 4]);
    }
}
