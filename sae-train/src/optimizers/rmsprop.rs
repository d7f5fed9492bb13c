//! RMSprop (Tieleman & Hinton 2012, lecture 6.5):
//!
//! ```text
//! g ← g + weight_decay · p        v ← alpha · v + (1 − alpha) · g², from 0
//! b ← momentum · b + g / (√v + eps)
//! p ← p − lr · b
//! ```

use super::{from_burn::Keys, require};
use crate::Result;
use burn::optim::{RmsPropConfig, decay::WeightDecayConfig};
use serde::Deserialize;

/// RMSprop's keys of `[optim]`; see `rmsprop.toml`.
#[derive(Debug, Deserialize)]
pub(super) struct RmsProp {
    alpha: f64,
    momentum: f64,
    eps: f64,
    weight_decay: f64,
}

impl Keys for RmsProp {
    type Burn = burn::optim::RmsProp;
    const USUAL_LR: f64 = 1e-4;

    fn check(&self) -> Result<()> {
        require::decay("alpha", self.alpha)?;
        require::decay("momentum", self.momentum)?;
        require::positive("eps", self.eps)?;
        require::weight_decay(self.weight_decay)
    }

    fn build(&self, matrices: bool) -> Self::Burn {
        RmsPropConfig::new()
            .with_alpha(self.alpha as f32)
            .with_momentum(self.momentum as f32)
            .with_epsilon(self.eps as f32)
            .with_weight_decay(matrices.then(|| WeightDecayConfig::new(self.weight_decay as f32)))
            .build()
    }
}
