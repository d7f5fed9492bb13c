//! Adan (Xie et al. 2022, arXiv 2208.06677), `d` the difference of the gradient to the last one, at first 0:
//!
//! ```text
//! m ← β₁ m + (1 − β₁) g      n ← β₂ n + (1 − β₂) d      v ← β₃ v + (1 − β₃) (g + β₂ d)²
//! u = (m / (1 − β₁ᵗ) + β₂ n / (1 − β₂ᵗ)) / (√(v / (1 − β₃ᵗ)) + eps)
//! p ← (p − lr · u) / (1 + lr · weight_decay)
//! ```

use super::{from_burn::Keys, require};
use crate::Result;
use burn::optim::AdanConfig;
use serde::Deserialize;

/// Adan's keys of `[optim]`; see `adan.toml`.
#[derive(Debug, Deserialize)]
pub(super) struct Adan {
    beta1: f64,
    beta2: f64,
    beta3: f64,
    eps: f64,
    weight_decay: f64,
}

impl Keys for Adan {
    type Burn = burn::optim::Adan;
    const USUAL_LR: f64 = 2e-4;

    fn check(&self) -> Result<()> {
        require::decay("beta1", self.beta1)?;
        require::decay("beta2", self.beta2)?;
        require::decay("beta3", self.beta3)?;
        require::positive("eps", self.eps)?;
        require::weight_decay(self.weight_decay)
    }

    fn build(&self, matrices: bool) -> Self::Burn {
        AdanConfig::new()
            .with_beta_1(self.beta1 as f32)
            .with_beta_2(self.beta2 as f32)
            .with_beta_3(self.beta3 as f32)
            .with_epsilon(self.eps as f32)
            .with_weight_decay(if matrices { self.weight_decay as f32 } else { 0.0 })
            .build()
    }
}
