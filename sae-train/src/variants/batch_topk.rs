//! BatchTopK (Bussmann et al. 2024, arXiv 2412.06410).
//!
//! ```text
//! pre_acts = W_enc (x − b_dec) + b_enc
//! acts     = the ⌊k · n_rows⌋ largest positive pre_acts of the whole batch
//! loss     = mean ‖x − x̂‖² + aux_coefficient · aux
//! at inference  acts = pre_acts where pre_acts > θ        θ: see parts::Threshold
//! ```
//!
//! Some rows have more active latents than others; on average there are `k`, which may be fractional.

use super::{
    After, Forward, Sizes, Step, Variant,
    parts::{Aux, Threshold, check_mean_k},
    require,
};
use crate::{Result, params::Params, state::State};
use sae_core::{Rule, kernels::Keep};
use serde::Deserialize;

/// The variant's keys of `[variant]`; see `batch_topk.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct BatchTopK {
    k: f64,
    #[serde(flatten)]
    threshold: Threshold,
    #[serde(flatten)]
    aux: Aux,
}

/// What the `k` of every row would be, together.
pub(super) fn of_batch(k: f64, step: &Step<'_>) -> Keep {
    Keep::OfBatch((k * step.n_rows() as f64).floor() as usize)
}

/// Refuses a mean number of latents that is larger than there are.
pub(super) fn fit_mean_k(k: f64, sizes: &Sizes) -> Result<()> {
    require(k <= sizes.d_sae as f64, "k", format!("at most sae.d_sae = {}", sizes.d_sae), k)
}

impl Variant for BatchTopK {
    fn check(&self) -> Result<()> {
        check_mean_k(self.k)?;
        self.threshold.check()?;
        self.aux.check()
    }

    fn fit(&self, sizes: &Sizes) -> Result<()> {
        fit_mean_k(self.k, sizes)
    }

    fn resolved(&self, sizes: &Sizes) -> Vec<(&'static str, toml_edit::Value)> {
        vec![self.aux.resolved(sizes)]
    }

    fn forward(&self, step: &Step<'_>) -> Forward {
        let codes = step.encode(of_batch(self.k, step));
        let reconstruction = step.reconstruct(&codes);
        let aux = self.aux.term(step, || reconstruction.residual(), step.dead);
        Forward::reconstructing(&codes, reconstruction.errors).and(aux)
    }

    fn after_step(&self, after: &mut After<'_>) {
        self.threshold.observe(after);
    }

    fn rule(&self, params: &Params, state: &State) -> Rule {
        Rule::JumpRelu { threshold: Threshold::of_all(state, params.b_enc.dims()[0]) }
    }
}
