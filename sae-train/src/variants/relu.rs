//! ReLU with an L1 penalty, in two forms.
//!
//! ```text
//! april    acts = ReLU(W_enc x + b_enc)                   loss = mean ‖x − x̂‖² + λ(t) mean Σ (acts_l ‖W_dec,l‖)^p
//! bricken  acts = ReLU(W_enc (x − b_dec) + b_enc)         loss = mean ‖x − x̂‖² + λ(t) mean Σ acts_l^p
//!          decoder rows of length 1, dead latents resampled
//! λ(t) = l1 · α · min(t / ⌊l1_warmup · T⌋, 1)
//! ```
//!
//! The first is that of Anthropic's April 2024 update (Conerly et al.), the second that of *Towards
//! monosemanticity* (Bricken et al. 2023). `p` is 1; with `p_end` below 1 it falls on the way, and `α`, 1 at
//! first, keeps the penalty as large as it was (Karvonen et al. 2024, *p-annealing*, arXiv 2408.00113).

use super::{After, Form, Forward, Step, Variant, p_annealing::PAnnealing, require, resampling};
use crate::{Result, config::Auto, ops, params::Params, state::State};
use sae_core::{Rule, kernels::Keep};
use serde::Deserialize;

/// The variant's keys of `[variant]`; see `relu.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Relu {
    form: Which,
    l1: f64,
    l1_warmup: f64,
    #[serde(flatten)]
    annealing: PAnnealing,
    resample_every: Auto<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Which {
    April,
    Bricken,
}

impl Variant for Relu {
    fn check(&self) -> Result<()> {
        check_l1(self.l1, self.l1_warmup)?;
        let resamples = self.resample_every.or_else(|| 0) > 0;
        let expected = "\"auto\" or 0 unless variant.form is \"bricken\"";
        let kept = !resamples || self.form == Which::Bricken;
        require(kept, "resample_every", expected, self.resample_every.or_else(|| 0))?;
        self.annealing.check()
    }

    fn form(&self) -> Form {
        match self.form {
            Which::April => {
                Form { pre_bias: false, unit_rows: false, initial_length: 0.1, ..Form::default() }
            }
            Which::Bricken => Form::default(),
        }
    }

    fn forward(&self, step: &Step<'_>) -> Forward {
        let codes = step.encode(Keep::Positive);
        let errors = step.reconstruct(&codes).errors;
        let weighted = match self.form {
            Which::April => {
                let norms = ops::row_norms(step.params.w_dec.clone());
                codes.values.clone() * ops::at_entries(norms, &codes.support)
            }
            Which::Bricken => codes.values.clone(),
        };
        let (p, alpha) = self.annealing.now(step.at, step.state);
        let powers = if p == 1.0 { weighted.clone() } else { weighted.clone().powf_scalar(p as f32) };
        let sparsity = step.mean_sum(powers) * (self.l1 * alpha * step.at.rising(self.l1_warmup));
        let forward = Forward::reconstructing(&codes, errors);
        let weighted = self.annealing.is_on().then(|| weighted.inner());
        Forward { weighted, ..forward }.and([("sparsity", sparsity)])
    }

    fn after_step(&self, after: &mut After<'_>) {
        self.annealing.observe(after);
        if self.form == Which::Bricken {
            // A fifth of the run leaves time to learn what was resampled.
            let every =
                self.resample_every.or_else(|| after.at.steps.div_ceil(5) * after.fired.n_rows() as u64);
            resampling::resample(after, every);
        }
    }

    fn rule(&self, _: &Params, _: &State) -> Rule {
        Rule::Standard
    }
}

/// Refuses a penalty out of range.
pub(super) fn check_l1(l1: f64, warmup: f64) -> Result<()> {
    require(l1 >= 0.0 && l1.is_finite(), "l1", "at least 0", l1)?;
    require((0.0..=1.0).contains(&warmup), "l1_warmup", "between 0 and 1", warmup)
}
