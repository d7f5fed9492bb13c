//! A power that falls while training (Karvonen et al. 2024, arXiv 2408.00113).
//!
//! ```text
//! S(p) = mean over rows of Σ a^p over the active latents, with a the (weighted) activation
//! p_j  = 1 + (p_end − 1) j / n     from step s_j = ⌊T (p_from + (p_until − p_from) j / n)⌋ on, j = 1 … n
//! α    ← α · mean S(p_{j−1}) / mean S(p_j)     when p_j begins, over the last 10 batches
//! ```
//!
//! So the penalty does not jump. The reference code never uses its last power, since its last stage begins
//! with the last step; here the last begins at `p_until`.

use super::{After, At, require};
use crate::{Result, state::State};
use serde::Deserialize;

/// Batches over which penalties are compared.
const QUEUE: usize = 10;

const NOW: &str = "s_now";
const NEXT: &str = "s_next";

/// When and how far the power falls.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct PAnnealing {
    p_end: f64,
    p_updates: u32,
    p_from: f64,
    p_until: f64,
}

impl PAnnealing {
    pub(super) fn check(&self) -> Result<()> {
        // At 0 the penalty would be constant: no gradient.
        require(self.p_end > 0.0 && self.p_end <= 1.0, "p_end", "above 0 and at most 1", self.p_end)?;
        require(self.p_updates > 0, "p_updates", "at least 1", self.p_updates)?;
        let ordered = 0.0 <= self.p_from && self.p_from < self.p_until && self.p_until <= 1.0;
        require(ordered, "p_from", "at least 0 and below p_until, which is at most 1", self.p_from)
    }

    /// The stage of a step: 0 before the first update.
    fn stage(&self, at: At) -> u32 {
        (1..=self.p_updates).take_while(|&j| at.step >= self.begins(at, j)).count() as u32
    }

    fn begins(&self, at: At, stage: u32) -> u64 {
        let part = f64::from(stage) / f64::from(self.p_updates);
        at.end_of(self.p_from + (self.p_until - self.p_from) * part)
    }

    fn power(&self, stage: u32) -> f64 {
        1.0 + (self.p_end - 1.0) * f64::from(stage) / f64::from(self.p_updates)
    }

    /// Whether the power falls at all.
    pub(super) fn is_on(&self) -> bool {
        self.p_end < 1.0
    }

    /// The power and `α` of a step.
    pub(super) fn now(&self, at: At, state: &State) -> (f64, f64) {
        (self.power(self.stage(at)), self.alpha(at, state))
    }

    fn alpha(&self, at: At, state: &State) -> f64 {
        let alpha = state.number("alpha").unwrap_or(1.0);
        let mean = |name: &str| {
            let queue = state.get(name).unwrap_or_default();
            queue.iter().sum::<f64>() / queue.len() as f64
        };
        let ratio = mean(NOW) / mean(NEXT);
        // Without any batch, or any active latent, there is nothing to compare.
        if self.has_just_fallen(at) && ratio.is_finite() && ratio > 0.0 { alpha * ratio } else { alpha }
    }

    fn has_just_fallen(&self, at: At) -> bool {
        at.step > 1 && self.stage(at) > self.stage(At { step: at.step - 1, ..at })
    }

    /// Takes note of a batch.
    pub(super) fn observe(&self, after: &mut After<'_>) {
        let Some(weighted) = after.weighted else { return };
        let alpha = self.alpha(after.at, after.state);
        after.state.set("alpha", vec![alpha]);
        let stage = self.stage(after.at);
        if self.has_just_fallen(after.at) {
            // What the queues hold compares powers that are past.
            after.state.set(NOW, Vec::new());
            after.state.set(NEXT, Vec::new());
        }
        if stage == self.p_updates {
            return;
        }
        let n_rows = after.fired.n_rows() as f64;
        let penalty = |stage: u32| {
            let p = self.power(stage);
            weighted.iter().map(|&value| f64::from(value).powf(p)).sum::<f64>() / n_rows
        };
        // Of stages that begin with the same step only the last counts.
        let next = (stage + 1..=self.p_updates)
            .take_while(|&next| self.begins(after.at, next) == self.begins(after.at, stage + 1))
            .last()
            .unwrap_or(stage + 1);
        push(after.state, NOW, penalty(stage));
        push(after.state, NEXT, penalty(next));
    }
}

/// Adds a number to a queue.
fn push(state: &mut State, name: &str, value: f64) {
    let mut queue = state.get(name).unwrap_or_default().to_vec();
    queue.push(value);
    if queue.len() > QUEUE {
        queue.remove(0);
    }
    state.set(name, queue);
}
