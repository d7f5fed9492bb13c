//! Mutual Choice (Ayonrinde 2024, arXiv 2411.02124).
//!
//! ```text
//! acts = the ⌊k · n_rows⌋ largest positive pre_acts of the whole batch
//! loss = mean ‖x − x̂‖² + aux_coefficient · aux-Zipf        over the underused latents: see zipf
//! ```
//!
//! The choice is that of BatchTopK, which the paper of the same month found independently, and the code is
//! the same. What differs is whom the auxiliary loss is for: BatchTopK revives dead latents, Mutual Choice
//! also lifts those that fire less than Zipf's law would have them.

use super::{
    After, Forward, Sizes, Step, Variant,
    batch_topk::{fit_mean_k, of_batch},
    parts::{Aux, Threshold, check_mean_k},
    zipf::Zipf,
};
use crate::{Result, params::Params, state::State};
use sae_core::Rule;
use serde::Deserialize;

/// The variant's keys of `[variant]`; see `mutual_choice.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct MutualChoice {
    pub(super) k: f64,
    #[serde(flatten)]
    pub(super) zipf: Zipf,
    #[serde(flatten)]
    pub(super) threshold: Threshold,
    #[serde(flatten)]
    pub(super) aux: Aux,
}

impl MutualChoice {
    /// The loss of a choice.
    pub(super) fn with_choice(&self, step: &Step<'_>, keep: sae_core::kernels::Keep) -> Forward {
        let codes = step.encode(keep);
        let reconstruction = step.reconstruct(&codes);
        let underused = self.zipf.underused(step, self.k);
        let aux = self.aux.term(step, || reconstruction.residual(), &underused);
        Forward::reconstructing(&codes, reconstruction.errors).and(aux)
    }
}

impl Variant for MutualChoice {
    fn check(&self) -> Result<()> {
        check_mean_k(self.k)?;
        self.zipf.check()?;
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
        self.with_choice(step, of_batch(self.k, step))
    }

    fn after_step(&self, after: &mut After<'_>) {
        self.zipf.observe(after);
        self.threshold.observe(after);
    }

    fn rule(&self, params: &Params, state: &State) -> Rule {
        Rule::JumpRelu { threshold: Threshold::of_all(state, params.b_enc.dims()[0]) }
    }
}
