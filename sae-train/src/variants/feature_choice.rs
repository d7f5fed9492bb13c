//! Feature Choice (Ayonrinde 2024, arXiv 2411.02124).
//!
//! ```text
//! for the first mutual_until of the steps: Mutual Choice; then
//! acts[·, l] = the m_l largest positive pre_acts of latent l over the batch
//! m_l        = share of l's rank in ⌊k · n_rows⌋ firings, at least 1        uniform, or as Zipf's law says
//! at inference  acts_l = pre_acts_l where pre_acts_l > θ_l
//! ```
//!
//! Every latent has a budget, so none can die. `θ_l` is the running mean, over the batches of the second
//! phase, of the smallest value that latent `l` kept. The paper gives neither shares nor thresholds.

use super::{After, Forward, Sizes, Step, Variant, mutual_choice::MutualChoice, require, zipf};
use crate::{Result, params::Params, state::State};
use sae_core::{Rule, kernels::Keep};
use serde::Deserialize;

const THRESHOLD: &str = "threshold";

/// The variant's keys of `[variant]`; see `feature_choice.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct FeatureChoice {
    #[serde(flatten)]
    mutual: MutualChoice,
    budget: Budget,
    mutual_until: f64,
}

/// How the firings of a batch are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Budget {
    Uniform,
    Zipf,
}

impl FeatureChoice {
    /// How often each latent fires on a batch of so many rows, `[d_sae]`.
    fn budgets(&self, state: &State, d_sae: usize, n_rows: usize) -> Vec<u32> {
        let firings = (self.mutual.k * n_rows as f64).floor();
        let shares = match self.budget {
            Budget::Uniform => vec![1.0 / d_sae as f64; d_sae],
            Budget::Zipf => self.mutual.zipf.shares(d_sae),
        };
        let mut budgets = vec![0; d_sae];
        let mut sum = 0.0;
        for (latent, share) in zipf::ranked(state, d_sae).into_iter().zip(shares) {
            // Differences of rounded sums: budgets add up to the firings.
            let before = (firings * sum).round();
            sum += share;
            let budget = ((firings * sum).round() - before).max(1.0) as u32;
            budgets[latent as usize] = budget.min(n_rows as u32);
        }
        budgets
    }
}

impl Variant for FeatureChoice {
    fn check(&self) -> Result<()> {
        let fraction = (0.0..1.0).contains(&self.mutual_until);
        require(fraction, "mutual_until", "at least 0 and below 1", self.mutual_until)?;
        self.mutual.check()
    }

    fn fit(&self, sizes: &Sizes) -> Result<()> {
        self.mutual.fit(sizes)
    }

    fn resolved(&self, sizes: &Sizes) -> Vec<(&'static str, toml_edit::Value)> {
        self.mutual.resolved(sizes)
    }

    fn forward(&self, step: &Step<'_>) -> Forward {
        if step.at.step <= step.at.end_of(self.mutual_until) {
            return self.mutual.forward(step);
        }
        let budgets = self.budgets(step.state, step.d_sae(), step.n_rows());
        self.mutual.with_choice(step, Keep::OfLatents(budgets.into()))
    }

    fn after_step(&self, after: &mut After<'_>) {
        self.mutual.zipf.observe(after);
        let threshold = &self.mutual.threshold;
        if after.at.step > after.at.end_of(self.mutual_until) && threshold.has_started(after) {
            let mut smallest = vec![f32::INFINITY; after.params.b_enc.dims()[0]];
            for (&latent, &value) in after.fired.latents.iter().zip(&after.fired.values) {
                let smallest = &mut smallest[latent as usize];
                *smallest = smallest.min(value);
            }
            let before = after.state.get(THRESHOLD).unwrap_or_default();
            let decay = threshold.decay();
            let next = smallest.into_iter().enumerate().map(|(latent, smallest)| {
                // NaN until the latent has fired.
                let before = before.get(latent).copied().unwrap_or(f64::NAN);
                match (f64::from(smallest), before.is_nan()) {
                    (smallest, _) if smallest.is_infinite() => before,
                    (smallest, true) => smallest,
                    (smallest, false) => decay * before + (1.0 - decay) * smallest,
                }
            });
            let next = next.collect();
            after.state.set(THRESHOLD, next);
        }
    }

    fn rule(&self, params: &Params, state: &State) -> Rule {
        // A latent that has not fired since thresholds are learned lets pass what is positive.
        let known = |&threshold: &f64| if threshold.is_nan() { 0.0 } else { threshold as f32 };
        let threshold = state.get(THRESHOLD).map(|known_yet| known_yet.iter().map(known).collect());
        Rule::JumpRelu { threshold: threshold.unwrap_or_else(|| vec![0.0; params.b_enc.dims()[0]]) }
    }
}
