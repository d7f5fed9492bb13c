//! TopK (Gao et al. 2024, *Scaling and evaluating sparse autoencoders*, arXiv 2406.04093).
//!
//! ```text
//! acts = ReLU(TopK_k(W_enc (x − b_dec) + b_enc))      x̂ = W_decᵀ acts + b_dec
//! loss = mean ‖x − x̂‖² + aux_coefficient · aux        aux: see losses::aux_k
//! ```
//!
//! `b_dec` is one vector, subtracted and added; sparsity is by construction. With `multi_topk` the loss has
//! a term more, an eighth of the error of the `4k` largest, which keeps the SAE useful at other `k`.

use super::{
    Forward, Sizes, Step, Variant,
    parts::{AnnealedK, Aux},
};
use crate::{Result, params::Params, state::State};
use sae_core::{Rule, kernels::Keep};
use serde::Deserialize;

/// The weight of the multi-TopK term (Gao et al. 2024, A.4).
const MULTI: f64 = 1.0 / 8.0;

/// The variant's keys of `[variant]`; see `topk.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct TopK {
    #[serde(flatten)]
    k: AnnealedK,
    multi_topk: bool,
    #[serde(flatten)]
    aux: Aux,
}

impl Variant for TopK {
    fn check(&self) -> Result<()> {
        self.k.check()?;
        self.aux.check()
    }

    fn fit(&self, sizes: &Sizes) -> Result<()> {
        self.k.fit(sizes)
    }

    fn resolved(&self, sizes: &Sizes) -> Vec<(&'static str, toml_edit::Value)> {
        vec![self.aux.resolved(sizes)]
    }

    fn forward(&self, step: &Step<'_>) -> Forward {
        let k = self.k.at(step);
        let (codes, multi) = if self.multi_topk {
            let all = step.encode(Keep::TopK((4 * k).min(step.d_sae())));
            let multi = step.reconstruct(&all).errors.mean() * MULTI;
            (all.largest_of_rows(k), Some(("multi_topk", multi)))
        } else {
            (step.encode(Keep::TopK(k)), None)
        };
        let reconstruction = step.reconstruct(&codes);
        let aux = self.aux.term(step, || reconstruction.residual(), step.dead);
        Forward::reconstructing(&codes, reconstruction.errors).and(multi).and(aux)
    }

    fn rule(&self, _: &Params, _: &State) -> Rule {
        Rule::TopK { k: self.k.k }
    }
}
