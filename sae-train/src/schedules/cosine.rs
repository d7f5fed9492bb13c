//! Rises linearly from 0 over `W = ⌊warmup · T⌋` of the `T` steps, then falls along half a cosine (Loshchilov &
//! Hutter 2016, arXiv 1608.03983, without restarts). With `r = (T − t + 1) / (T − W)`, what is left,
//!
//! ```text
//! min(t / W, final_fraction + (1 − final_fraction) (1 − cos(π r)) / 2)
//! ```

use super::{Schedule, left_after, require_fraction, risen};
use crate::Result;
use serde::Deserialize;
use std::f64::consts::PI;

/// The keys of `[schedule]`; see `cosine.toml`.
#[derive(Debug, Deserialize)]
pub(super) struct Cosine {
    warmup: f64,
    final_fraction: f64,
}

impl Schedule for Cosine {
    fn check(&self) -> Result<()> {
        require_fraction("warmup", self.warmup)?;
        require_fraction("final_fraction", self.final_fraction)
    }

    fn fraction(&self, step: u64, steps: u64) -> f64 {
        let left = left_after(self.warmup, step, steps).min(1.0);
        let fallen = self.final_fraction + (1.0 - self.final_fraction) * 0.5 * (1.0 - (PI * left).cos());
        risen(self.warmup, step, steps).min(fallen)
    }
}
