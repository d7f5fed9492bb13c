//! The k-sparse autoencoder (Makhzani & Frey 2013, arXiv 1312.5663).
//!
//! ```text
//! acts = TopK_k(W x + b_enc)      x̂ = Wᵀ acts + b_dec      loss = mean ‖x − x̂‖²
//! ```
//!
//! Linear and tied: one matrix encodes and decodes, the `k` largest values are kept whatever their sign,
//! there is no ReLU. At inference `round(alpha · k)` may fire. Its SAE has the rule TopK, which does not let
//! negative values pass; among the largest of many latents there are none in practice.

use super::{Form, Forward, Sizes, Step, Variant, parts::AnnealedK, parts::fit_k, require};
use crate::{Result, ops, params::Params, state::State};
use sae_core::{Rule, Sae, kernels::Keep};
use serde::Deserialize;

/// The variant's keys of `[variant]`; see `k_sparse.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct KSparse {
    #[serde(flatten)]
    k: AnnealedK,
    alpha: f64,
}

impl KSparse {
    fn k_at_inference(&self) -> usize {
        (self.alpha * self.k.k as f64).round() as usize
    }
}

impl Variant for KSparse {
    fn check(&self) -> Result<()> {
        self.k.check()?;
        require(self.alpha >= 1.0 && self.alpha.is_finite(), "alpha", "at least 1", self.alpha)
    }

    fn fit(&self, sizes: &Sizes) -> Result<()> {
        self.k.fit(sizes)?;
        fit_k("alpha · k", self.k_at_inference(), sizes)
    }

    fn form(&self) -> Form {
        Form { pre_bias: false, unit_rows: false, ..Form::default() }
    }

    fn forward(&self, step: &Step<'_>) -> Forward {
        let codes = step.encode(Keep::Largest(self.k.at(step)));
        let tied = step.params.w_enc.clone();
        let found = ops::reconstruct(step.x.clone(), &codes, tied, step.params.b_dec.clone());
        Forward::reconstructing(&codes, found.errors)
    }

    fn rule(&self, _: &Params, _: &State) -> Rule {
        Rule::TopK { k: self.k_at_inference() }
    }

    fn export(&self, params: &Params, state: &State) -> Sae {
        let tied = Params { w_dec: params.w_enc.clone(), ..params.clone() };
        tied.to_sae(self.rule(params, state), self.form().pre_bias)
    }
}
