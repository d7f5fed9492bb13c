//! Matryoshka SAEs (Bussmann et al. 2025, arXiv 2503.17547): the first latents reconstruct alone.
//!
//! ```text
//! acts = as BatchTopK, one choice over all latents      x̂_j = Σ_{l < m_j} acts_l W_dec,l + b_dec
//! loss = Σ_j w_j · mean ‖x − x̂_j‖² + aux_coefficient · aux        m_1 < … < m_G = d_sae
//! ```
//!
//! So general features stay in the short prefixes instead of being absorbed by more special ones. The paper
//! sums over the prefixes (`w_j = 1`); dictionary_learning divides by their number twice.
//!
//! With `sampled` the prefixes of each step are drawn, short ones more often: `m = ⌈d_sae · u²⌉`, `u` uniform
//! (after Nabeshima 2024). With `detached` each level learns from what those before it leave, and they do not
//! learn from it (Chanin et al. 2025, on hedging).

use super::{
    After, Forward, Sizes, Step, Variant,
    batch_topk::{fit_mean_k, of_batch},
    nested::Nested,
    parts::{Aux, Threshold, check_mean_k},
    require,
};
use crate::{Result, config::Auto, params::Params, state::State};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use sae_core::Rule;
use serde::Deserialize;

/// The variant's keys of `[variant]`; see `matryoshka.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Matryoshka {
    k: f64,
    prefixes: Auto<Vec<usize>>,
    weights: Auto<Vec<f64>>,
    sampled: usize,
    detached: bool,
    #[serde(flatten)]
    threshold: Threshold,
    #[serde(flatten)]
    aux: Aux,
}

impl Matryoshka {
    /// Lengths of the prefixes that do not change: halvings from a thirty-second on, unless given.
    fn fixed(&self, d_sae: usize) -> Vec<usize> {
        self.prefixes.clone().or_else(|| {
            let mut halvings: Vec<usize> = [32, 16, 8, 4, 2, 1].iter().map(|part| d_sae / part).collect();
            halvings.retain(|&length| length > 0);
            halvings.dedup();
            halvings
        })
    }

    fn lengths(&self, step: &Step<'_>) -> Vec<usize> {
        let d_sae = step.d_sae();
        if self.sampled == 0 {
            return self.fixed(d_sae);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(step.at.seed ^ step.at.step);
        let mut draw = || (d_sae as f64 * rng.random::<f64>().powi(2)).ceil().max(1.0) as usize;
        let mut lengths: Vec<usize> = (1..self.sampled).map(|_| draw()).chain([d_sae]).collect();
        lengths.sort_unstable();
        lengths.dedup();
        lengths
    }
}

impl Variant for Matryoshka {
    fn check(&self) -> Result<()> {
        check_mean_k(self.k)?;
        let weights = self.weights.clone().or_else(Vec::new);
        let good = weights.iter().all(|weight| *weight >= 0.0 && weight.is_finite());
        require(good, "weights", "numbers of at least 0", &weights)?;
        let free = weights.is_empty() || self.sampled == 0;
        require(free, "weights", "\"auto\" where prefixes are sampled", &weights)?;
        let prefixes = self.prefixes.clone().or_else(Vec::new);
        let increase = prefixes.is_sorted_by(|a, b| a < b) && prefixes.first() != Some(&0);
        require(increase, "prefixes", "increasing lengths from at least 1", &prefixes)?;
        self.threshold.check()?;
        self.aux.check()
    }

    fn fit(&self, sizes: &Sizes) -> Result<()> {
        fit_mean_k(self.k, sizes)?;
        let (prefixes, d_sae) = (self.fixed(sizes.d_sae), sizes.d_sae);
        let ends = prefixes.last() == Some(&d_sae);
        require(ends, "prefixes", format!("lengths that end with sae.d_sae = {d_sae}"), &prefixes)?;
        let weights = self.weights.clone().or_else(|| vec![1.0; prefixes.len()]);
        let expected = format!("one number for each of the {} prefixes", prefixes.len());
        require(weights.len() == prefixes.len(), "weights", expected, &weights)
    }

    fn resolved(&self, sizes: &Sizes) -> Vec<(&'static str, toml_edit::Value)> {
        let prefixes = self.fixed(sizes.d_sae).into_iter().map(|length| length as i64);
        vec![self.aux.resolved(sizes), ("prefixes", prefixes.collect::<toml_edit::Array>().into())]
    }

    fn forward(&self, step: &Step<'_>) -> Forward {
        let lengths = self.lengths(step);
        let codes = step.encode(of_batch(self.k, step));
        let split = codes.split_at_prefixes(&lengths);
        let nested = Nested::decode(step, &split, lengths.len(), self.detached);
        let aux = self.aux.term(step, || nested.residual(step), step.dead);
        let weights = self.weights.clone().or_else(|| vec![1.0; lengths.len()]);
        nested.forward(&codes, &weights, None, "prefixes").and(aux)
    }

    fn after_step(&self, after: &mut After<'_>) {
        self.threshold.observe(after);
    }

    fn rule(&self, params: &Params, state: &State) -> Rule {
        Rule::JumpRelu { threshold: Threshold::of_all(state, params.b_enc.dims()[0]) }
    }
}
