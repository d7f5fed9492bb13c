//! Rises linearly from 0 over `W = ⌊warmup · T⌋` of the `T` steps, then falls by the same factor in each. With
//! `r = (T − t + 1) / (T − W)`, what is left, `min(t / W, final_fraction^(1 − r))`.

use super::{Schedule, left_after, require, require_fraction, risen};
use crate::Result;
use serde::Deserialize;

/// The keys of `[schedule]`; see `exponential.toml`.
#[derive(Debug, Deserialize)]
pub(super) struct Exponential {
    warmup: f64,
    final_fraction: f64,
}

impl Schedule for Exponential {
    fn check(&self) -> Result<()> {
        require_fraction("warmup", self.warmup)?;
        let kept = self.final_fraction > 0.0 && self.final_fraction <= 1.0;
        require(kept, "final_fraction", "above 0 and at most 1", self.final_fraction)
    }

    fn fraction(&self, step: u64, steps: u64) -> f64 {
        let left = left_after(self.warmup, step, steps).min(1.0);
        risen(self.warmup, step, steps).min(self.final_fraction.powf(1.0 - left))
    }
}
