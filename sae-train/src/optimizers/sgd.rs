//! Gradient descent with momentum (Polyak 1964), or Nesterov's:
//!
//! ```text
//! g ← g + weight_decay · p        b ← momentum · b + g, at first g
//! p ← p − lr · b                  Nesterov: p ← p − lr · (g + momentum · b)
//! ```

use super::{from_burn::Keys, require};
use crate::Result;
use burn::optim::{SgdConfig, decay::WeightDecayConfig, momentum::MomentumConfig};
use serde::Deserialize;

/// SGD's keys of `[optim]`; see `sgd.toml`.
#[derive(Debug, Deserialize)]
pub(super) struct Sgd {
    momentum: f64,
    nesterov: bool,
    weight_decay: f64,
}

impl Keys for Sgd {
    type Burn = burn::optim::Sgd;
    const USUAL_LR: f64 = 3e-2;

    fn check(&self) -> Result<()> {
        require::decay("momentum", self.momentum)?;
        require::weight_decay(self.weight_decay)
    }

    fn build(&self, matrices: bool) -> Self::Burn {
        let momentum = MomentumConfig { momentum: self.momentum, dampening: 0.0, nesterov: self.nesterov };
        SgdConfig::new()
            .with_momentum((self.momentum > 0.0).then_some(momentum))
            .with_weight_decay(matrices.then(|| WeightDecayConfig::new(self.weight_decay as f32)))
            .build()
    }
}
