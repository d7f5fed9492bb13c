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
    /// Turns the codes around with one counting sort.
    pub fn new(codes: &Codes, d_sae: usize) -> Self {
        let mut offsets = vec![0u32; d_sae + 1];
        for &latent in &codes.latents {
            offsets[latent as usize + 1] += 1;
        }
        for latent in 0..d_sae {
            offsets[latent + 1] += offsets[latent];
        }
        let mut next = offsets.clone();
        let (mut rows, mut positions) = (vec![0; codes.nnz()], vec![0; codes.nnz()]);
        for r in 0..codes.n_rows() {
            for position in codes.offsets[r]..codes.offsets[r + 1] {
                let slot = &mut next[codes.latents[position as usize] as usize];
                rows[*slot as usize] = r as u32;
                positions[*slot as usize] = position;
                *slot += 1;
            }
        }
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

    /// Values given in the codes' order, put in this order.
    pub fn permute(&self, values: &[f32]) -> Vec<f32> {
        let positions = self.positions.par_iter().with_min_len(1 << 14);
        positions.map(|&position| values[position as usize]).collect()
    }

    /// `[d_sae]`: the sum over each latent's entries of values given in the codes' order.
    pub fn sums(&self, values: &[f32]) -> Vec<f32> {
        let values = self.permute(values);
        (0..self.d_sae()).map(|latent| values[self.entries(latent)].iter().sum()).collect()
    }
}
