//! What L0 costs, and how a wanted one is reached.
//!
//! ```text
//! L0_b = Σ_l H(z_l − θ_l) of row b      L0 = mean over rows      λ = l0_coefficient · min(t / ⌊l0_warmup · T⌋, 1)
//! none               λ · L0
//! quadratic          λ · (L0 / target − 1)²                      as dictionary_learning
//! quadratic_per_row  λ · mean over rows of (L0_b / target − 1)²  as Gemma Scope 2
//! coefficient        λ · m · L0                                  m is controlled:
//!   e ← 0.99 e + 0.01 L0 (at first L0)      m ← clamp(m · exp(l0_gain · tanh(10 (e − target) / target)), 10⁻³, 10³)
//! ```

use super::{After, At, Step, require};
use crate::{Result, ops, ops::SparseCodes};
use burn::tensor::Tensor;
use serde::Deserialize;

const DECAY: f64 = 0.99;
const MULTIPLIER: &str = "multiplier";
const MEAN: &str = "l0";

/// The cost of L0.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct L0Control {
    l0_coefficient: f64,
    l0_warmup: f64,
    l0_control: Control,
    l0_target: f64,
    l0_gain: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Control {
    None,
    Quadratic,
    QuadraticPerRow,
    Coefficient,
}

/// The steps of a batch.
pub(super) struct L0<'a> {
    /// `H(z − θ)` at the entries of the codes.
    pub(super) steps: SparseCodes,
    pub(super) step: &'a Step<'a>,
}

impl L0Control {
    /// `any` is whether the penalty counts, so that it can be aimed at a count.
    pub(super) fn check(&self, any: bool) -> Result<()> {
        let at_least_0 = |value: f64| value >= 0.0 && value.is_finite();
        require(at_least_0(self.l0_coefficient), "l0_coefficient", "at least 0", self.l0_coefficient)?;
        require((0.0..=1.0).contains(&self.l0_warmup), "l0_warmup", "between 0 and 1", self.l0_warmup)?;
        require(at_least_0(self.l0_gain), "l0_gain", "at least 0", self.l0_gain)?;
        let controls = self.l0_control != Control::None;
        require(any || !controls, "l0_control", "\"none\" with form \"anthropic\"", self.l0_control)?;
        let aims = self.l0_target > 0.0 && self.l0_target.is_finite();
        require(aims || !controls, "l0_target", "above 0 where l0_control is not \"none\"", self.l0_target)
    }

    /// `λ`
    pub(super) fn coefficient(&self, at: At) -> f64 {
        self.l0_coefficient * at.rising(self.l0_warmup)
    }

    pub(super) fn term(&self, l0: &L0<'_>) -> Tensor<1> {
        let coefficient = self.coefficient(l0.step.at);
        let mean = || l0.step.mean_sum(l0.steps.values.clone());
        match self.l0_control {
            Control::None => mean() * coefficient,
            Control::Coefficient => mean() * (coefficient * l0.step.state.number(MULTIPLIER).unwrap_or(1.0)),
            Control::Quadratic => self.squared(mean()) * coefficient,
            Control::QuadraticPerRow => self.squared(l0.of_rows()).mean() * coefficient,
        }
    }

    fn squared(&self, l0: Tensor<1>) -> Tensor<1> {
        (l0 / self.l0_target - 1.0).powi_scalar(2)
    }

    /// Takes note of a batch.
    pub(super) fn observe(&self, after: &mut After<'_>) {
        if self.l0_control != Control::Coefficient {
            return;
        }
        after.state.average(MEAN, DECAY, after.fired.nnz() as f64 / after.fired.n_rows() as f64);
        let mean = after.state.number(MEAN).unwrap_or(self.l0_target);
        let change = self.l0_gain * (10.0 * (mean - self.l0_target) / self.l0_target).tanh();
        let multiplier = after.state.number(MULTIPLIER).unwrap_or(1.0) * change.exp();
        after.state.set(MULTIPLIER, vec![multiplier.clamp(1e-3, 1e3)]);
    }
}

impl L0<'_> {
    /// `L0_b`, `[n_rows]`: the steps decoded with a single output of weight 1.
    fn of_rows(&self) -> Tensor<1> {
        let device = self.step.x.device();
        let ones = Tensor::ones([self.step.d_sae(), 1], &device);
        ops::decode(&self.steps, ones, Tensor::zeros([1], &device)).flatten(0, 1)
    }
}
