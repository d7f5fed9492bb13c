//! Lion (Chen et al. 2023, arXiv 2302.06675):
//!
//! ```text
//! p ← p − lr · (sign(β₁ m + (1 − β₁) g) + weight_decay · p)
//! m ← β₂ m + (1 − β₂) g, from 0
//! ```

use super::{from_burn::Keys, require};
use crate::Result;
use burn::optim::LionConfig;
use serde::Deserialize;

/// Lion's keys of `[optim]`; see `lion.toml`.
#[derive(Debug, Deserialize)]
pub(super) struct Lion {
    beta1: f64,
    beta2: f64,
    weight_decay: f64,
}

impl Keys for Lion {
    type Burn = burn::optim::Lion;
    const USUAL_LR: f64 = 5e-5;

    fn check(&self) -> Result<()> {
        require::decay("beta1", self.beta1)?;
        require::decay("beta2", self.beta2)?;
        require::weight_decay(self.weight_decay)
    }

    fn build(&self, matrices: bool) -> Self::Burn {
        LionConfig::new()
            .with_beta_1(self.beta1 as f32)
            .with_beta_2(self.beta2 as f32)
            .with_weight_decay(if matrices { self.weight_decay as f32 } else { 0.0 })
            .build()
    }
}
