//! Rises linearly from 0 over `W = ⌊warmup · T⌋` of the `T` steps, stays, and falls over the last `D = ⌊decay · T⌋`
//! as `1 − √` of what is done of them (Hägele et al. 2024, arXiv 2405.18392): fast at first, then slowly to 0. With
//! `r = (T − t + 1) / D`, what is left, `min(t / W, 1 − √(1 − min(r, 1)))`.

use super::{Schedule, left, require_parts, risen};
use crate::Result;
use serde::Deserialize;

/// The keys of `[schedule]`; see `warmup_stable_decay.toml`.
#[derive(Debug, Deserialize)]
pub(super) struct WarmupStableDecay {
    warmup: f64,
    decay: f64,
}

impl Schedule for WarmupStableDecay {
    fn check(&self) -> Result<()> {
        require_parts(self.warmup, self.decay)
    }

    fn fraction(&self, step: u64, steps: u64) -> f64 {
        let done = 1.0 - left(self.decay, step, steps).min(1.0);
        risen(self.warmup, step, steps).min(1.0 - done.sqrt())
    }
}
