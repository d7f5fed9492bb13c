//! Muon (Jordan et al. 2024, *Muon: an optimizer for hidden layers*), for matrices; vectors learn by Adam.
//!
//! ```text
//! b ← momentum · b + g, at first g        Nesterov: u = g + momentum · b, else b
//! o ≈ U Vᵀ where u = U S Vᵀ               by Newton-Schulz iterations
//! p ← p − lr · (0.2 √max(rows, width) · o + weight_decay · p)
//! ```
//!
//! The factor gives steps the size of Adam's, so that one learning rate suits both (Liu et al. 2025,
//! arXiv 2502.16982).

use super::{
    Memory, Optimizer, StepSize, Weight,
    adam::Adam,
    from_burn::{FromBurn, Keys},
    require,
};
use crate::Result;
use burn::optim::{AdjustLrFn, MuonConfig, decay::WeightDecayConfig, momentum::MomentumConfig};
use burn::tensor::{Device, Tensor};
use serde::Deserialize;

/// Muon's keys of `[optim]`; see `muon.toml`.
#[derive(Debug, Deserialize)]
pub(super) struct Muon {
    #[serde(flatten)]
    matrices: FromBurn<Matrices>,
    #[serde(flatten)]
    vectors: Adam,
}

/// The keys that matrices learn by.
#[derive(Debug, Deserialize)]
struct Matrices {
    momentum: f64,
    nesterov: bool,
    iterations: usize,
    weight_decay: f64,
}

impl Keys for Matrices {
    type Burn = burn::optim::Muon;
    const USUAL_LR: f64 = 2e-4;

    fn check(&self) -> Result<()> {
        require::decay("momentum", self.momentum)?;
        require::that(
            (1..=100).contains(&self.iterations),
            "iterations",
            "between 1 and 100",
            self.iterations,
        )?;
        require::weight_decay(self.weight_decay)
    }

    fn build(&self, _: bool) -> Self::Burn {
        let momentum = MomentumConfig { momentum: self.momentum, dampening: 0.0, nesterov: self.nesterov };
        MuonConfig::new()
            .with_momentum(momentum)
            .with_ns_steps(self.iterations)
            .with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW)
            .with_weight_decay(Some(WeightDecayConfig::new(self.weight_decay as f32)))
            .build()
    }
}

impl Optimizer for Muon {
    fn check(&self) -> Result<()> {
        self.matrices.check()?;
        self.vectors.check()
    }

    fn usual_lr(&self) -> f64 {
        self.matrices.usual_lr()
    }

    fn step(&mut self, weight: Weight, step: &StepSize) -> Tensor<1> {
        if weight.is_matrix() { self.matrices.step(weight, step) } else { self.vectors.step(weight, step) }
    }

    fn forget_rows(&mut self, name: &str, rows: &[u32], width: usize, values: &Tensor<1>) {
        // Each knows its own weights.
        self.matrices.forget_rows(name, rows, width, values);
        self.vectors.forget_rows(name, rows, width, values);
    }

    fn memory(&self) -> Memory {
        self.matrices.memory().into_iter().chain(self.vectors.memory()).collect()
    }

    fn remember(&mut self, memory: Memory, device: &Device) {
        self.matrices.remember(memory.clone(), device);
        self.vectors.remember(memory, device);
    }
}
