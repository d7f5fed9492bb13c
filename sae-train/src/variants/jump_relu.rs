//! JumpReLU (Rajamanoharan et al. 2024, arXiv 2407.14435), in two forms.
//!
//! ```text
//! z = pre_acts      acts = z · H(z − θ)      L0 = mean over rows of Σ H(z − θ)
//! gemma      z = W_enc (x − b_dec) + b_enc; decoder rows of length 1
//!            loss = mean ‖x − x̂‖² + the L0 term: see l0_control
//! anthropic  z = W_enc x + b_enc; free decoder rows
//!            loss = mean ‖x − x̂‖² + λ(t) mean Σ tanh(c · acts_l ‖W_dec,l‖)
//!                   + pre_act_coefficient · mean Σ_{l dead} ReLU(θ_l − z_l) ‖W_dec,l‖
//! ```
//!
//! The first is the recipe of Gemma Scope (Lieberum et al. 2024, arXiv 2408.05147), the second that of
//! Anthropic's January 2025 update. Thresholds are trained as they are, not by their logarithm, whose steps
//! under Adam are too small to move small thresholds, and are projected to `θ ≥ 0` after each step.
//!
//! Neither the jump nor the step has a gradient at `θ`, so both get one from a rectangle of width ε
//! (`bandwidth`) about it, on pre-activations: with `K = 1` where `|z − θ| < ε/2`,
//!
//! ```text
//! ∂acts/∂z = H(z − θ)      ∂acts/∂θ = −(θ/ε) K      ∂H/∂z = 0      ∂H/∂θ = −(1/ε) K
//! anthropic: ∂acts/∂z = H(z − θ) + (θ/ε) K
//! ```
//!
//! Pre-activations in the rectangle below `θ` are codes of value 0: they cost, but bring no gradient to
//! anything but thresholds.

use super::{
    After, Form, Forward, Sizes, Step, Variant,
    l0_control::{L0, L0Control},
    require,
};
use crate::{
    Result,
    ops::{self, SparseCodes},
    params::{Params, to_vec},
    state::State,
};
use burn::tensor::{Int, Tensor, TensorData};
use sae_core::{Rule, kernels::Keep};
use serde::Deserialize;

const THRESHOLD: &str = "threshold";

/// The variant's keys of `[variant]`; see `jump_relu.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct JumpRelu {
    form: Which,
    bandwidth: f64,
    threshold_init: f32,
    #[serde(flatten)]
    l0: L0Control,
    tanh_scale: f64,
    pre_act_coefficient: f64,
    pre_act_on: PreActOn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Which {
    Gemma,
    Anthropic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PreActOn {
    Dead,
    All,
}

impl Variant for JumpRelu {
    fn check(&self) -> Result<()> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        require(positive(self.bandwidth), "bandwidth", "above 0", self.bandwidth)?;
        let init = f64::from(self.threshold_init);
        require(positive(init), "threshold_init", "above 0", self.threshold_init)?;
        require(positive(self.tanh_scale), "tanh_scale", "above 0", self.tanh_scale)?;
        let coefficient = self.pre_act_coefficient;
        require(coefficient >= 0.0, "pre_act_coefficient", "at least 0", coefficient)?;
        self.l0.check(self.form == Which::Gemma)
    }

    fn form(&self) -> Form {
        match self.form {
            Which::Gemma => Form::default(),
            Which::Anthropic => {
                Form { pre_bias: false, unit_rows: false, initial_length: 0.1, ..Form::default() }
            }
        }
    }

    fn own_weights(&self, sizes: &Sizes) -> Vec<(&'static str, Vec<f32>)> {
        vec![(THRESHOLD, vec![self.threshold_init; sizes.d_sae])]
    }

    fn forward(&self, step: &Step<'_>) -> Forward {
        let threshold = step.params.own(THRESHOLD).clone();
        let values = to_vec(&threshold.clone().inner());
        // Whatever fires, and whatever lies in the rectangle below the threshold.
        let half = self.bandwidth as f32 / 2.0;
        let z = step.encode(Keep::Over(values.iter().map(|threshold| threshold - half).collect()));
        let jump = Jump::new(&z, &threshold, &values, self.bandwidth);
        let acts = z.with_values(jump.acts(&z.values, self.form == Which::Anthropic));
        let errors = step.reconstruct(&acts).errors;
        let forward = Forward { fired: acts.fired(), ..Forward::reconstructing(&acts, errors) };
        match self.form {
            Which::Gemma => {
                let steps = z.with_values(jump.steps());
                forward.and([("sparsity", self.l0.term(&L0 { steps, step }))])
            }
            Which::Anthropic => {
                let norms = ops::row_norms(step.params.w_dec.clone());
                let weighted = acts.values * ops::at_entries(norms.clone(), &z.support);
                let tanh = (weighted * self.tanh_scale as f32).tanh();
                let sparsity = step.mean_sum(tanh) * self.l0.coefficient(step.at);
                forward.and([("sparsity", sparsity)]).and(self.pre_act(step, threshold, norms))
            }
        }
    }

    fn after_step(&self, after: &mut After<'_>) {
        self.l0.observe(after);
        // Not in the graph: there a clamp would leave a threshold below 0 without gradient for good.
        let threshold = after.params.own_mut(THRESHOLD);
        *threshold = threshold.clone().clamp_min(0.0);
    }

    fn rule(&self, params: &Params, _: &State) -> Rule {
        Rule::JumpRelu { threshold: to_vec(params.own(THRESHOLD)) }
    }
}

impl JumpRelu {
    /// `pre_act_coefficient · mean Σ ReLU(θ_l − z_l) ‖W_dec,l‖` over dead latents, or over all: it lifts
    /// what is silent towards its threshold.
    fn pre_act(
        &self,
        step: &Step<'_>,
        threshold: Tensor<1>,
        norms: Tensor<1>,
    ) -> Option<(&'static str, Tensor<1>)> {
        let latents: Vec<i32> = match self.pre_act_on {
            PreActOn::Dead => step.dead.iter().map(|&latent| latent as i32).collect(),
            PreActOn::All => (0..step.d_sae() as i32).collect(),
        };
        if latents.is_empty() || self.pre_act_coefficient == 0.0 {
            return None;
        }
        let n = latents.len();
        let latents = Tensor::<1, Int>::from_data(TensorData::new(latents, [n]), &step.x.device());
        let of = |tensor: Tensor<1>| tensor.select(0, latents.clone());
        // θ − z is the pre-activation of the negated weights: what is positive of it.
        let below = ops::encode(
            step.x.clone(),
            step.bias_before(),
            step.params.w_enc.clone().select(0, latents.clone()).neg(),
            of(threshold) - of(step.params.b_enc.clone()),
            Keep::Positive,
        );
        let weighted = below.values.clone() * ops::at_entries(of(norms), &below.support);
        Some(("pre_act", step.mean_sum(weighted) * self.pre_act_coefficient))
    }
}

/// The two functions that jump, with their pseudo-derivatives, at the entries of codes.
struct Jump {
    /// `θ` of each entry, with gradient.
    threshold: Tensor<1>,
    /// `H(z − θ)`
    above: Tensor<1>,
    /// `K / ε`
    kernel: Tensor<1>,
}

impl Jump {
    fn new(z: &SparseCodes, threshold: &Tensor<1>, thresholds: &[f32], bandwidth: f64) -> Self {
        let device = z.values.device();
        let codes = z.support.codes();
        let constant = |of: &dyn Fn(f32) -> f32| {
            let entries = codes.latents.iter().zip(&codes.values);
            let values: Vec<f32> = entries.map(|(&latent, z)| of(z - thresholds[latent as usize])).collect();
            let n = values.len();
            Tensor::<1>::from_data(TensorData::new(values, [n]), &device)
        };
        let (half, height) = (bandwidth as f32 / 2.0, bandwidth.recip() as f32);
        Self {
            threshold: ops::at_entries(threshold.clone(), &z.support),
            above: constant(&|over| if over > 0.0 { 1.0 } else { 0.0 }),
            kernel: constant(&|over| if over.abs() < half { height } else { 0.0 }),
        }
    }

    /// `acts`, with the gradient at `z` from the rectangle too if `to_z`.
    fn acts(&self, z: &Tensor<1>, to_z: bool) -> Tensor<1> {
        let slope = self.threshold.clone().detach() * self.kernel.clone();
        let mut without_value = self.threshold.clone().neg();
        if to_z {
            without_value = without_value + z.clone();
        }
        let without_value = slope * without_value;
        z.clone() * self.above.clone() + (without_value.clone() - without_value.detach())
    }

    /// `H(z − θ)`
    fn steps(&self) -> Tensor<1> {
        let without_value = self.kernel.clone() * self.threshold.clone().neg();
        self.above.clone() + (without_value.clone() - without_value.detach())
    }
}
