//! Adam (Kingma & Ba 2014, arXiv 1412.6980), and AdamW (Loshchilov & Hutter 2017, arXiv 1711.05101), which
//! lets matrices fall towards 0; the equations are those of [`AdamStep`].

use super::{Memory, Optimizer, StepSize, Weight, digits, from_digits, require};
use crate::{
    Result, ops,
    params::{to_vec, vector},
};
use burn::tensor::{Device, Tensor};
use sae_core::kernels::AdamStep;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Adam's keys of `[optim]`; see `adam.toml` and `adamw.toml`.
#[derive(Debug, Deserialize)]
pub(super) struct Adam {
    beta1: f64,
    beta2: f64,
    eps: f64,
    /// AdamW's alone.
    #[serde(default)]
    weight_decay: f64,
    /// By weight.
    #[serde(skip)]
    kept: BTreeMap<String, Kept>,
}

/// What is kept of a weight.
#[derive(Debug)]
struct Kept {
    moments: ops::Moments<1>,
    /// Steps done.
    t: u64,
}

impl Optimizer for Adam {
    fn check(&self) -> Result<()> {
        require::decay("beta1", self.beta1)?;
        require::decay("beta2", self.beta2)?;
        require::positive("eps", self.eps)?;
        require::weight_decay(self.weight_decay)
    }

    fn step(&mut self, weight: Weight, step: &StepSize) -> Tensor<1> {
        let weight_decay = if weight.is_matrix() { self.weight_decay } else { 0.0 };
        let Weight { name, values, grad, shape, unit_rows } = weight;
        // Taken out, so that nothing else refers to the moments and the update is in place.
        let Kept { moments, t } = self.kept.remove(name).unwrap_or_else(|| Kept {
            moments: ops::Moments { m: grad.zeros_like(), v: grad.zeros_like() },
            t: 0,
        });
        let adam = AdamStep {
            t: t + 1,
            lr: step.lr,
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            weight_decay,
            grad_scale: step.grad_scale,
        };
        let (values, moments) = ops::adam(values, moments, grad, adam, unit_rows.then_some(shape[1]));
        self.kept.insert(name.to_owned(), Kept { moments, t: t + 1 });
        values
    }

    fn forget_rows(&mut self, name: &str, rows: &[u32], width: usize, _: &Tensor<1>) {
        if let Some(Kept { moments: ops::Moments { m, v }, .. }) = self.kept.get_mut(name) {
            for tensor in [m, v] {
                ops::zero_rows(tensor, rows, width);
            }
        }
    }

    fn memory(&self) -> Memory {
        let of_weight = |(name, kept): (&String, &Kept)| {
            let Kept { moments: ops::Moments { m, v }, t } = kept;
            [
                (format!("m.{name}"), to_vec(m)),
                (format!("v.{name}"), to_vec(v)),
                (format!("t.{name}"), digits(*t).into()),
            ]
        };
        self.kept.iter().flat_map(of_weight).collect()
    }

    fn remember(&mut self, mut memory: Memory, device: &Device) {
        let names: Vec<String> =
            memory.keys().filter_map(|key| Some(key.strip_prefix("t.")?.to_owned())).collect();
        for name in names {
            let mut take = |what: &str| memory.remove(&format!("{what}.{name}")).unwrap_or_default();
            let moments = ops::Moments { m: vector(take("m"), device), v: vector(take("v"), device) };
            let t = from_digits(&take("t"));
            self.kept.insert(name, Kept { moments, t });
        }
    }
}
