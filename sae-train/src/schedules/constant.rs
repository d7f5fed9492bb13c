//! Rises linearly from 0 over `W = ⌊warmup · T⌋` of the `T` steps, then stays: `min(t / W, 1)`.

use super::{Schedule, require_fraction, risen};
use crate::Result;
use serde::Deserialize;

/// The key of `[schedule]`; see `constant.toml`.
#[derive(Debug, Deserialize)]
pub(super) struct Constant {
    warmup: f64,
}

impl Schedule for Constant {
    fn check(&self) -> Result<()> {
        require_fraction("warmup", self.warmup)
    }

    fn fraction(&self, step: u64, steps: u64) -> f64 {
        risen(self.warmup, step, steps).min(1.0)
    }
}
