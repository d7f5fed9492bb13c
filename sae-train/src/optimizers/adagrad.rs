//! AdaGrad (Duchi, Hazan & Singer 2011, JMLR 12):
//!
//! ```text
//! g ← g + weight_decay · p        s ← s + g², from 0
//! p ← p − lr / (1 + lr_decay · (t − 1)) · g / (√s + eps)
//! ```

use super::{from_burn::Keys, require};
use crate::Result;
use burn::optim::{AdaGradConfig, decay::WeightDecayConfig};
use serde::Deserialize;

/// AdaGrad's keys of `[optim]`; see `adagrad.toml`.
#[derive(Debug, Deserialize)]
pub(super) struct AdaGrad {
    lr_decay: f64,
    eps: f64,
    weight_decay: f64,
}

impl Keys for AdaGrad {
    type Burn = burn::optim::AdaGrad;
    const USUAL_LR: f64 = 2e-3;

    fn check(&self) -> Result<()> {
        require::not_negative("lr_decay", self.lr_decay)?;
        require::positive("eps", self.eps)?;
        require::weight_decay(self.weight_decay)
    }

    fn build(&self, matrices: bool) -> Self::Burn {
        AdaGradConfig::new()
            .with_lr_decay(self.lr_decay)
            .with_epsilon(self.eps as f32)
            .with_weight_decay(matrices.then(|| WeightDecayConfig::new(self.weight_decay as f32)))
            .build()
    }
}
