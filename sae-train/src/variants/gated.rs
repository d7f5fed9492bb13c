//! Gated SAEs (Rajamanoharan et al. 2024, arXiv 2404.16014).
//!
//! ```text
//! π    = W_enc (x − b_dec) + b_enc                                   whether: the gate
//! acts = 1[π > 0] · ReLU(exp(r_mag) · (π − b_enc) + b_mag)           how much: the same directions, rescaled
//! loss = mean ‖x − x̂‖² + λ(t) mean Σ ReLU(π) + mean ‖x − (sg(W_dec)ᵀ ReLU(π) + sg(b_dec))‖²
//! ```
//!
//! The penalty shrinks the gate only. `sg` stops gradients: the third term teaches the gate to reconstruct
//! with a decoder that it cannot change. Through the shared directions `W_enc` learns from all three terms,
//! as does the `b_dec` that is subtracted from the input.

use super::{Form, Forward, Sizes, Step, Variant, relu::check_l1};
use crate::{Result, ops, params::Params, params::to_vec, state::State};
use burn::tensor::activation::relu;
use sae_core::{Rule, Sae, kernels::Keep};
use serde::Deserialize;

const R_MAG: &str = "r_mag";
const B_MAG: &str = "b_mag";

/// The variant's keys of `[variant]`; see `gated.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Gated {
    l1: f64,
    l1_warmup: f64,
    export: Export,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Export {
    Gated,
    Jumprelu,
}

impl Variant for Gated {
    fn check(&self) -> Result<()> {
        check_l1(self.l1, self.l1_warmup)
    }

    fn form(&self) -> Form {
        Form::default()
    }

    fn own_weights(&self, sizes: &Sizes) -> Vec<(&'static str, Vec<f32>)> {
        vec![(R_MAG, vec![0.0; sizes.d_sae]), (B_MAG, vec![0.0; sizes.d_sae])]
    }

    fn forward(&self, step: &Step<'_>) -> Forward {
        let params = step.params;
        let gate = step.encode(Keep::Positive);
        let at = |tensor| ops::at_entries(tensor, &gate.support);
        let projection = gate.values.clone() - at(params.b_enc.clone());
        let scale = at(params.own(R_MAG).clone().exp());
        let magnitudes = gate.with_values(relu(scale * projection + at(params.own(B_MAG).clone())));
        let errors = step.reconstruct(&magnitudes).errors;

        let (w_dec, b_dec) = (params.w_dec.clone().detach(), params.b_dec.clone().detach());
        let by_gate = ops::reconstruct(step.x.clone(), &gate, w_dec, b_dec).errors.mean();
        let sparsity = step.mean_sum(gate.values.clone()) * (self.l1 * step.at.rising(self.l1_warmup));
        let fired = magnitudes.fired();
        let forward = Forward::reconstructing(&magnitudes, errors);
        Forward { fired, ..forward }.and([("sparsity", sparsity), ("gate", by_gate)])
    }

    fn rule(&self, params: &Params, _: &State) -> Rule {
        Rule::Gated { r_mag: to_vec(params.own(R_MAG)), b_mag: to_vec(params.own(B_MAG)) }
    }

    fn export(&self, params: &Params, state: &State) -> Sae {
        let gated = params.to_sae(self.rule(params, state), true);
        match self.export {
            Export::Gated => gated,
            Export::Jumprelu => gated.gated_as_jumprelu().expect("its rule is gated"),
        }
    }
}
