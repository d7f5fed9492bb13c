//! Gradient SAEs (Olmo et al. 2024, *Features that make a difference*, arXiv 2411.10397): TopK that prefers
//! latents with an effect on the model's loss.
//!
//! ```text
//! z     = W_enc (x − b_dec) + b_enc      g = gradient of the model's loss at x, from the dump
//! score = z · (1 + beta · |⟨W_dec,l, g̃⟩|)      g̃ = g, or g / mean over the batch of ‖g‖
//! acts  = ReLU(z) of the k latents with the largest scores
//! loss  = mean ‖x − x̂‖² + aux_coefficient · aux
//! ```
//!
//! Scores choose, they do not change values, and no gradient flows through them. With `beta = 0` this is
//! TopK bit for bit. Neither `beta` nor a scale for `g` is known from the paper; lengths of gradients vary by
//! orders of magnitude between models, so by default the batch's mean length is 1. An SAE has no gradients
//! at inference: its rule is TopK.
//!
//! A score takes a product of its own, so only the `candidates · k` largest pre-activations of a row have
//! one: a latent further down would have to be raised by more than its distance to be chosen.

use super::{
    Companion, Form, Forward, Sizes, Step, Variant,
    parts::{Aux, fit_k},
    require,
};
use crate::{
    Result,
    params::{Params, to_vec},
    state::State,
};
use sae_core::{
    Rule,
    kernels::{self, Keep, Scores},
};
use serde::Deserialize;
use std::sync::Arc;

/// The variant's keys of `[variant]`; see `gradient_topk.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct GradientTopK {
    k: usize,
    beta: f32,
    gradient_norm: GradientNorm,
    candidates: usize,
    #[serde(flatten)]
    aux: Aux,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum GradientNorm {
    None,
    BatchMean,
}

impl Variant for GradientTopK {
    fn check(&self) -> Result<()> {
        require((1..=1 << 24).contains(&self.k), "k", "between 1 and 16777216", self.k)?;
        // More than that is every latent of any SAE.
        require(self.candidates <= 1 << 20, "candidates", "at most 1048576", self.candidates)?;
        require(self.beta >= 0.0 && self.beta.is_finite(), "beta", "at least 0", self.beta)?;
        self.aux.check()
    }

    fn fit(&self, sizes: &Sizes) -> Result<()> {
        fit_k("k", self.k, sizes)
    }

    fn form(&self) -> Form {
        Form { companion: Some(Companion::Gradient), ..Form::default() }
    }

    fn resolved(&self, sizes: &Sizes) -> Vec<(&'static str, toml_edit::Value)> {
        vec![self.aux.resolved(sizes)]
    }

    fn forward(&self, step: &Step<'_>) -> Forward {
        let gradient = to_vec(step.companion.as_ref().expect("the form asks for gradients"));
        let d = gradient.len() / step.n_rows();
        let norms = kernels::row_norms(&gradient, d);
        let mean = norms.iter().map(|&norm| f64::from(norm)).sum::<f64>() / norms.len() as f64;
        let boost = match self.gradient_norm {
            // Without any gradient there is no preference either.
            GradientNorm::BatchMean if mean > 0.0 => (f64::from(self.beta) / mean) as f32,
            _ => self.beta,
        };
        let w = to_vec(&step.params.w_dec.clone().inner());
        let scores = Arc::new(Scores { boost, candidates: self.candidates * self.k, gradient, w });
        let codes = step.encode(Keep::Scored(self.k, scores));
        let reconstruction = step.reconstruct(&codes);
        let aux = self.aux.term(step, || reconstruction.residual(), step.dead);
        Forward::reconstructing(&codes, reconstruction.errors).and(aux)
    }

    fn rule(&self, _: &Params, _: &State) -> Rule {
        Rule::TopK { k: self.k }
    }
}
