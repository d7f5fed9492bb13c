//! Transcoders: SAEs that predict another place of the model than they read (Dunefsky et al. 2024, arXiv
//! 2406.11944), and skip transcoders, which have a linear path beside the latents (Paulo et al. 2025, arXiv
//! 2501.18823).
//!
//! ```text
//! acts = the ⌊k · n_rows⌋ largest positive entries of W_enc x + b_enc over the batch
//! ŷ    = W_decᵀ acts + b_dec  (+ W_skip x)
//! loss = mean ‖y − ŷ‖² + aux_coefficient · aux        y: the dump's target column
//! at inference  acts = pre_acts where pre_acts > θ
//! ```
//!
//! The papers use ReLU with an L1 penalty and TopK. The choice here is that of BatchTopK, because SAELens
//! has transcoders with thresholds but none with TopK. `b_dec` belongs to the output and is not subtracted
//! from the input; `W_skip` begins as 0.

use super::{
    After, Companion, Form, Forward, Sizes, Step, Variant,
    batch_topk::{fit_mean_k, of_batch},
    parts::{Aux, Threshold, check_mean_k},
};
use crate::{
    Result,
    params::{Params, to_vec},
    state::State,
};
use burn::tensor::Tensor;
use sae_core::{Rule, Sae, Target};
use serde::Deserialize;

const W_SKIP: &str = "w_skip";

/// A transcoder; its keys of `[variant]` are in `transcoder.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Transcoder {
    k: f64,
    #[serde(flatten)]
    threshold: Threshold,
    #[serde(flatten)]
    aux: Aux,
}

/// A transcoder with a linear path beside the latents; it has the same keys.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub(super) struct SkipTranscoder(Transcoder);

impl Transcoder {
    fn with_skip(&self, step: &Step<'_>, skip: Option<Tensor<2>>) -> Forward {
        let target = step.companion.clone().expect("the form asks for targets");
        let codes = step.encode(of_batch(self.k, step));
        // What the linear path gives is not left for the latents to reconstruct.
        let target = match skip {
            Some(skip) => target.autodiff() - skip,
            None => target,
        };
        let reconstruction = step.reconstruct_as(target, &codes);
        let aux = self.aux.term(step, || reconstruction.residual(), step.dead);
        Forward::reconstructing(&codes, reconstruction.errors).and(aux)
    }
}

impl Variant for Transcoder {
    fn check(&self) -> Result<()> {
        check_mean_k(self.k)?;
        self.threshold.check()?;
        self.aux.check()
    }

    fn fit(&self, sizes: &Sizes) -> Result<()> {
        fit_mean_k(self.k, sizes)
    }

    fn form(&self) -> Form {
        Form { pre_bias: false, companion: Some(Companion::Target), ..Form::default() }
    }

    fn resolved(&self, sizes: &Sizes) -> Vec<(&'static str, toml_edit::Value)> {
        vec![self.aux.resolved(sizes)]
    }

    fn forward(&self, step: &Step<'_>) -> Forward {
        self.with_skip(step, None)
    }

    fn after_step(&self, after: &mut After<'_>) {
        self.threshold.observe(after);
    }

    fn rule(&self, params: &Params, state: &State) -> Rule {
        Rule::JumpRelu { threshold: Threshold::of_all(state, params.b_enc.dims()[0]) }
    }

    fn export(&self, params: &Params, state: &State) -> Sae {
        let target = Target::Companion { w_skip: None };
        Sae { target, ..params.to_sae(self.rule(params, state), false) }
    }
}

impl Variant for SkipTranscoder {
    fn check(&self) -> Result<()> {
        self.0.check()
    }

    fn fit(&self, sizes: &Sizes) -> Result<()> {
        self.0.fit(sizes)
    }

    fn form(&self) -> Form {
        self.0.form()
    }

    fn resolved(&self, sizes: &Sizes) -> Vec<(&'static str, toml_edit::Value)> {
        self.0.resolved(sizes)
    }

    fn own_weights(&self, sizes: &Sizes) -> Vec<(&'static str, Vec<f32>)> {
        vec![(W_SKIP, vec![0.0; sizes.d_out * sizes.d_in])]
    }

    fn forward(&self, step: &Step<'_>) -> Forward {
        let [d_in, d_out, _] = step.params.sizes();
        let w_skip = step.params.own(W_SKIP).clone().reshape([d_out, d_in]);
        // x is data, but burn multiplies tensors of one kind only.
        let skip = step.x.clone().autodiff().matmul(w_skip.transpose());
        self.0.with_skip(step, Some(skip))
    }

    fn after_step(&self, after: &mut After<'_>) {
        self.0.after_step(after);
    }

    fn rule(&self, params: &Params, state: &State) -> Rule {
        self.0.rule(params, state)
    }

    fn export(&self, params: &Params, state: &State) -> Sae {
        let target = Target::Companion { w_skip: Some(to_vec(params.own(W_SKIP))) };
        Sae { target, ..self.0.export(params, state) }
    }
}
