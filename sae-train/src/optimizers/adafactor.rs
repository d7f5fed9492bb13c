//! Adafactor (Shazeer & Stern 2018, arXiv 1804.04235): of a matrix' squared gradients only the means of rows
//! and of columns are kept.
//!
//! ```text
//! β = 1 − t^−decay_power          r ← β r + (1 − β) mean over columns of (g² + eps)      c likewise, of rows
//! u = g / √(r c / mean r)         u ← u / max(1, rms(u) / clip_threshold)
//! p ← p − lr · (u + weight_decay · p)          scale_parameter: u times max(1e-3, rms(p))
//! ```
//!
//! A vector keeps the means of all its squares. The paper's own learning rate, `min(10⁻², 1/√t)`, is
//! `schedule.name = "inverse_sqrt"`.

use super::{from_burn::Keys, require};
use crate::Result;
use burn::optim::AdafactorConfig;
use serde::Deserialize;

/// Adafactor's keys of `[optim]`; see `adafactor.toml`.
#[derive(Debug, Deserialize)]
pub(super) struct Adafactor {
    decay_power: f64,
    clip_threshold: f64,
    scale_parameter: bool,
    eps: f64,
    weight_decay: f64,
}

impl Keys for Adafactor {
    type Burn = burn::optim::Adafactor;
    const USUAL_LR: f64 = 2e-4;

    fn check(&self) -> Result<()> {
        require::positive("decay_power", self.decay_power)?;
        require::positive("clip_threshold", self.clip_threshold)?;
        // Squares are kept in f32.
        require::that((1e-37..1.0).contains(&self.eps), "eps", "at least 1e-37 and below 1", self.eps)?;
        require::weight_decay(self.weight_decay)
    }

    fn build(&self, matrices: bool) -> Self::Burn {
        AdafactorConfig::new()
            .with_decay_rate(-self.decay_power)
            .with_clip_threshold(self.clip_threshold as f32)
            .with_epsilon_1(self.eps as f32)
            .with_relative_step(false)
            .with_scale_parameter(self.scale_parameter)
            .with_weight_decay(if matrices { self.weight_decay as f32 } else { 0.0 })
            .build()
    }
}
