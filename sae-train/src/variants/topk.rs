//! TopK (Gao et al. 2024, *Scaling and evaluating sparse autoencoders*, arXiv 2406.04093).
//!
//! ```text
//! acts = ReLU(TopK_k(W_enc (x − b_dec) + b_enc))      x̂ = W_decᵀ acts + b_dec
//! loss = mean ‖x − x̂‖² + aux_coefficient · aux        aux: see losses::aux_k
//! ```
//!
//! `b_dec` is one vector, subtracted and added; sparsity is by construction.

use super::{Forward, Step, Variant};
use crate::{Result, TrainError, config::Auto, losses, ops};
use sae_core::Rule;
use serde::Deserialize;
use std::sync::Arc;

pub(super) const DEFAULTS: &str = include_str!("topk.toml");

/// The variant's keys of `[variant]`; see `topk.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct TopK {
    k: usize,
    k_aux: Auto<usize>,
    aux_coefficient: f64,
}

impl Variant for TopK {
    fn rule(&self) -> Rule {
        Rule::TopK { k: self.k }
    }

    fn check(&self, d_sae: usize) -> Result<()> {
        let wrong = |problem: String| Err(TrainError::Config(format!("configuration: {problem}")));
        if self.k == 0 || self.k > d_sae {
            let most = if d_sae == usize::MAX { "the number of latents".into() } else { d_sae.to_string() };
            return wrong(format!("variant.k must be between 1 and {most}, found {}", self.k));
        }
        if !(self.aux_coefficient >= 0.0 && self.aux_coefficient.is_finite()) {
            return wrong(format!(
                "variant.aux_coefficient must be at least 0, found {}",
                self.aux_coefficient
            ));
        }
        Ok(())
    }

    fn resolved(&self, d_in: usize) -> Vec<(&'static str, toml_edit::Value)> {
        vec![("k_aux", (self.k_aux(d_in) as i64).into())]
    }

    fn forward(&self, step: &Step<'_>) -> Forward {
        let params = step.params;
        let rule = Arc::new(self.rule());
        let codes = ops::encode(
            step.x.clone(),
            params.b_dec.clone(),
            params.w_enc.clone(),
            params.b_enc.clone(),
            rule,
        );
        let reconstruction = ops::decode(&codes, params.w_dec.clone(), params.b_dec.clone());
        let mut terms =
            vec![("reconstruction", losses::reconstruction(step.x.clone(), reconstruction.clone()))];
        if !step.dead.is_empty() && self.aux_coefficient > 0.0 {
            let residual = step.x.clone() - reconstruction.detach();
            let aux = losses::aux_k(step, residual, self.k_aux(step.d_in()));
            terms.push(("aux", aux * self.aux_coefficient));
        }
        Forward { support: codes.support, terms }
    }
}

impl TopK {
    fn k_aux(&self, d_in: usize) -> usize {
        self.k_aux.or_else(|| (d_in / 2).max(1))
    }
}
