//! Settings that several methods share, with what they mean: the auxiliary loss, the running threshold, a
//! value that is annealed.

use super::{After, Sizes, Step, require};
use crate::{Result, config::Auto, losses, state::State};
use burn::tensor::Tensor;
use serde::Deserialize;

/// The auxiliary loss; see [`losses::aux_k`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Aux {
    k_aux: Auto<usize>,
    aux_coefficient: f64,
}

impl Aux {
    pub(super) fn check(&self) -> Result<()> {
        let kept = self.aux_coefficient >= 0.0 && self.aux_coefficient.is_finite();
        require(kept, "aux_coefficient", "at least 0", self.aux_coefficient)
    }

    pub(super) fn resolved(&self, sizes: &Sizes) -> (&'static str, toml_edit::Value) {
        ("k_aux", (self.k_aux(sizes.d_in) as i64).into())
    }

    fn k_aux(&self, d_in: usize) -> usize {
        self.k_aux.or_else(|| (d_in / 2).max(1))
    }

    /// The term for some latents, given what makes `target − x̂`, as data; none without latents.
    pub(super) fn term(
        &self,
        step: &Step<'_>,
        residual: impl FnOnce() -> Tensor<2>,
        latents: &[u32],
    ) -> Option<(&'static str, Tensor<1>)> {
        (!latents.is_empty() && self.aux_coefficient > 0.0).then(|| {
            let aux = losses::aux_k(step, residual(), latents, self.k_aux(step.d_in()));
            ("aux", aux * self.aux_coefficient)
        })
    }
}

/// A threshold for inference, learned from which values a choice over the batch lets pass:
///
/// ```text
/// v_t = smallest value that was kept in batch t
/// θ ← v_t at first, then decay · θ + (1 − decay) · v_t        once threshold_start of the run is over
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Threshold {
    threshold_start: f64,
    threshold_decay: f64,
}

impl Threshold {
    pub(super) fn check(&self) -> Result<()> {
        let fraction = |value: f64| (0.0..1.0).contains(&value);
        require(
            fraction(self.threshold_start),
            "threshold_start",
            "at least 0 and below 1",
            self.threshold_start,
        )?;
        require(
            fraction(self.threshold_decay),
            "threshold_decay",
            "at least 0 and below 1",
            self.threshold_decay,
        )
    }

    pub(super) fn has_started(&self, after: &After<'_>) -> bool {
        after.at.step > after.at.end_of(self.threshold_start)
    }

    pub(super) fn decay(&self) -> f64 {
        self.threshold_decay
    }

    /// Takes note of a batch.
    pub(super) fn observe(&self, after: &mut After<'_>) {
        let smallest = after.fired.values.iter().copied().reduce(f32::min);
        if let Some(smallest) = smallest.filter(|_| self.has_started(after)) {
            after.state.average("threshold", self.threshold_decay, f64::from(smallest));
        }
    }

    /// One threshold for each of `d_sae` latents; 0 before there is any.
    pub(super) fn of_all(state: &State, d_sae: usize) -> Vec<f32> {
        vec![state.number("threshold").unwrap_or(0.0) as f32; d_sae]
    }
}

/// A number of latents per row that goes linearly from `k_start` to `k`:
///
/// ```text
/// k(t) = round(k_start + (k − k_start) · min(t / ⌊k_anneal · T⌋, 1))
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct AnnealedK {
    pub(super) k: usize,
    k_start: Auto<usize>,
    k_anneal: f64,
}

impl AnnealedK {
    pub(super) fn check(&self) -> Result<()> {
        require(self.k > 0, "k", "at least 1", self.k)?;
        require(self.k_start.or_else(|| 1) > 0, "k_start", "at least 1", self.k_start.or_else(|| 1))?;
        require((0.0..=1.0).contains(&self.k_anneal), "k_anneal", "between 0 and 1", self.k_anneal)
    }

    pub(super) fn fit(&self, sizes: &Sizes) -> Result<()> {
        fit_k("k", self.k, sizes)?;
        fit_k("k_start", self.k_start.or_else(|| self.k), sizes)
    }

    pub(super) fn at(&self, step: &Step<'_>) -> usize {
        let (start, end) = (self.k_start.or_else(|| self.k) as f64, self.k as f64);
        (start + (end - start) * step.at.rising(self.k_anneal)).round() as usize
    }
}

/// Refuses a number of latents that is larger than there are.
pub(super) fn fit_k(key: &str, k: usize, sizes: &Sizes) -> Result<()> {
    require(k <= sizes.d_sae, key, format!("at most sae.d_sae = {}", sizes.d_sae), k)
}

/// Refuses a mean number of latents per row that is no number of latents.
pub(super) fn check_mean_k(k: f64) -> Result<()> {
    require(k > 0.0 && k.is_finite(), "k", "above 0", k)
}
