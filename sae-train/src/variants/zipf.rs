//! How often latents should fire if their densities followed Zipf's law (Ayonrinde 2024, *Adaptive sparse
//! allocation with mutual choice and feature choice SAEs*, arXiv 2411.02124).
//!
//! ```text
//! p_l   running mean of the fraction of rows that latent l fires on
//! r_l   its rank by p, from 1
//! q_r = k (r + shift)^−exponent / Σ_r' (r' + shift)^−exponent, at most 1       what p of rank r should be
//! U   = { l : p_l < underused · q_{r_l} } ∪ dead                              who the auxiliary loss is for
//! ```
//!
//! The paper names neither exponent, shift nor factor: all three are settings. With `underused = 0` `U` is
//! the set of dead latents, and the loss is aux-k.

use super::{After, Step, require};
use crate::{Result, state::State};
use serde::Deserialize;

const DENSITY: &str = "density";

/// The law, and how densities are followed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Zipf {
    zipf_exponent: f64,
    zipf_shift: f64,
    underused: f64,
    density_decay: f64,
}

impl Zipf {
    pub(super) fn check(&self) -> Result<()> {
        let at_least_0 = |value: f64| value >= 0.0 && value.is_finite();
        require(at_least_0(self.zipf_exponent), "zipf_exponent", "at least 0", self.zipf_exponent)?;
        require(at_least_0(self.zipf_shift), "zipf_shift", "at least 0", self.zipf_shift)?;
        require((0.0..1.0).contains(&self.underused), "underused", "at least 0 and below 1", self.underused)?;
        let decay = self.density_decay;
        require((0.0..1.0).contains(&decay), "density_decay", "at least 0 and below 1", decay)
    }

    /// The share of each rank in all firings, `[n]`, which sum to 1.
    pub(super) fn shares(&self, n: usize) -> Vec<f64> {
        let weight = |rank: usize| (rank as f64 + self.zipf_shift).powf(-self.zipf_exponent);
        let total: f64 = (1..=n).map(weight).sum();
        (1..=n).map(|rank| weight(rank) / total).collect()
    }

    /// The latents that fire too seldom, with the dead ones, increasing.
    pub(super) fn underused(&self, step: &Step<'_>, k: f64) -> Vec<u32> {
        let Some(density) = step.state.get(DENSITY) else { return step.dead.to_vec() };
        let mut underused: Vec<u32> = by_density(density)
            .into_iter()
            .zip(self.shares(density.len()))
            .filter(|&(latent, share)| density[latent as usize] < self.underused * (k * share).min(1.0))
            .map(|(latent, _)| latent)
            .chain(step.dead.iter().copied())
            .collect();
        underused.sort_unstable();
        underused.dedup();
        underused
    }

    /// Takes note of a batch.
    pub(super) fn observe(&self, after: &mut After<'_>) {
        let n_rows = after.fired.n_rows() as f64;
        let mut now = vec![0.0; after.params.b_enc.dims()[0]];
        after.fired.latents.iter().for_each(|&latent| now[latent as usize] += 1.0 / n_rows);
        if let Some(before) = after.state.get(DENSITY) {
            for (now, before) in now.iter_mut().zip(before) {
                *now = self.density_decay * before + (1.0 - self.density_decay) * *now;
            }
        }
        after.state.set(DENSITY, now);
    }
}

/// The latents by falling density as followed so far, or in their own order before the first batch.
pub(super) fn ranked(state: &State, d_sae: usize) -> Vec<u32> {
    state.get(DENSITY).map_or_else(|| (0..d_sae as u32).collect(), by_density)
}

fn by_density(density: &[f64]) -> Vec<u32> {
    let mut latents: Vec<u32> = (0..density.len() as u32).collect();
    latents.sort_by(|&a, &b| density[b as usize].total_cmp(&density[a as usize]).then(a.cmp(&b)));
    latents
}
