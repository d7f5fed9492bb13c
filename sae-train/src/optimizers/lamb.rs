//! LAMB (You et al. 2019, arXiv 1904.00962): Adam's step on each weight, scaled by the weight's norm.
//!
//! ```text
//! u = (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + eps) + weight_decay · p      m, v as Adam's
//! p ← p − lr · ‖p‖ / ‖u‖ · u                                            ‖p‖ / ‖u‖ is 1 where either is 0
//! ```

use super::{from_burn::Keys, require};
use crate::Result;
use burn::optim::LambConfig;
use serde::Deserialize;

/// LAMB's keys of `[optim]`; see `lamb.toml`.
#[derive(Debug, Deserialize)]
pub(super) struct Lamb {
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
}

impl Keys for Lamb {
    type Burn = burn::optim::Lamb;
    const USUAL_LR: f64 = 1e-3;

    fn check(&self) -> Result<()> {
        require::decay("beta1", self.beta1)?;
        require::decay("beta2", self.beta2)?;
        require::positive("eps", self.eps)?;
        require::weight_decay(self.weight_decay)
    }

    fn build(&self, matrices: bool) -> Self::Burn {
        LambConfig::new()
            .with_beta_1(self.beta1 as f32)
            .with_beta_2(self.beta2 as f32)
            .with_epsilon(self.eps as f32)
            .with_weight_decay(if matrices { self.weight_decay as f32 } else { 0.0 })
            .build()
    }
}
