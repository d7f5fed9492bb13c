//! Rises linearly from 0 over `W = max(1, ⌊warmup · T⌋)` of the `T` steps, then falls as `1 / √t` (Vaswani et al.
//! 2017, arXiv 1706.03762): `min(t / W, √(W / t))`.

use super::{Schedule, require_fraction};
use crate::Result;
use serde::Deserialize;

/// The key of `[schedule]`; see `inverse_sqrt.toml`.
#[derive(Debug, Deserialize)]
pub(super) struct InverseSqrt {
    warmup: f64,
}

impl Schedule for InverseSqrt {
    fn check(&self) -> Result<()> {
        require_fraction("warmup", self.warmup)
    }

    fn fraction(&self, step: u64, steps: u64) -> f64 {
        let warmup = (self.warmup * steps as f64).floor().max(1.0);
        let risen = step as f64 / warmup;
        risen.min(risen.recip().sqrt())
    }
}
