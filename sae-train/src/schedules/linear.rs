//! Rises linearly from 0 over `W = ⌊warmup · T⌋` of the `T` steps, stays, falls linearly to 0 over the last
//! `D = ⌊decay · T⌋`: `min(t / W, (T − t + 1) / D, 1)`.

use super::{Schedule, left, require_parts, risen};
use crate::Result;
use serde::Deserialize;

/// The keys of `[schedule]`; see `linear.toml`.
#[derive(Debug, Deserialize)]
pub(super) struct Linear {
    warmup: f64,
    decay: f64,
}

impl Schedule for Linear {
    fn check(&self) -> Result<()> {
        require_parts(self.warmup, self.decay)
    }

    fn fraction(&self, step: u64, steps: u64) -> f64 {
        risen(self.warmup, step, steps).min(left(self.decay, step, steps)).min(1.0)
    }
}
