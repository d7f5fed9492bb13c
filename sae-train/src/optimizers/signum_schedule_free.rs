//! Sign descent without a schedule: the sign of the gradient (Bernstein et al. 2018, arXiv 1802.04434), taken
//! between the steps' end and their average (Defazio et al. 2024, arXiv 2405.15682).
//!
//! ```text
//! z ← z − lr · sign(g)                g at y, from z = x = y
//! x ← (1 − c) x + c z                 c = w / Σ w over steps, w = (the largest lr so far)²
//! y ← β₁ x + (1 − β₁) z
//! ```
//!
//! `y` is trained and its rows are kept at length 1, `z` is kept, `x = (y − (1 − β₁) z) / β₁` is what an SAE is
//! made of. It needs no falling learning rate: `schedule.name = "constant"`.

use super::{Memory, Optimizer, StepSize, Weight, digits, from_digits, require};
use crate::{
    Result, ops,
    params::{to_vec, vector},
};
use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The keys of `[optim]`; see `signum_schedule_free.toml`.
#[derive(Debug, Deserialize)]
pub(super) struct Signum {
    beta1: f64,
    /// By weight.
    #[serde(skip)]
    kept: BTreeMap<String, Kept>,
}

/// What is kept of a weight.
#[derive(Debug)]
struct Kept {
    z: Tensor<1>,
    /// The largest learning rate so far.
    largest: f64,
    /// `Σ w`
    weights: f64,
}

impl Signum {
    /// `x`
    fn average(&self, y: &Tensor<1>, z: &Tensor<1>) -> Tensor<1> {
        (y.clone() - z.clone().mul_scalar(1.0 - self.beta1)).div_scalar(self.beta1)
    }
}

impl Optimizer for Signum {
    fn check(&self) -> Result<()> {
        let kept = self.beta1 > 0.0 && self.beta1 <= 1.0;
        require::that(kept, "beta1", "above 0 and at most 1", self.beta1)
    }

    fn usual_lr(&self) -> f64 {
        5e-3
    }

    fn step(&mut self, weight: Weight, step: &StepSize) -> Tensor<1> {
        let Weight { name, values: y, grad, shape, unit_rows } = weight;
        let past = self.kept.remove(name);
        let Kept { z, largest, weights } =
            past.unwrap_or_else(|| Kept { z: y.clone(), largest: 0.0, weights: 0.0 });
        let x = self.average(&y, &z);
        let z = z - grad.sign().mul_scalar(step.lr);
        let largest = largest.max(step.lr);
        let weights = weights + largest * largest;
        let c = if weights > 0.0 { largest * largest / weights } else { 0.0 };
        let x = x.mul_scalar(1.0 - c) + z.clone().mul_scalar(c);
        let y = x.mul_scalar(self.beta1) + z.clone().mul_scalar(1.0 - self.beta1);
        self.kept.insert(name.to_owned(), Kept { z, largest, weights });
        if unit_rows { ops::normalize_rows(y, shape[1]) } else { y }
    }

    fn averaged(&self, name: &str, y: &Tensor<1>) -> Option<Tensor<1>> {
        self.kept.get(name).map(|kept| self.average(y, &kept.z))
    }

    fn forget_rows(&mut self, name: &str, rows: &[u32], width: usize, y: &Tensor<1>) {
        if let Some(Kept { z, .. }) = self.kept.get_mut(name) {
            let (mut past, new) = (to_vec(z), to_vec(y));
            for start in rows.iter().map(|&row| row as usize * width) {
                past[start..][..width].copy_from_slice(&new[start..][..width]);
            }
            *z = Tensor::from_data(TensorData::new(past, z.dims()), &z.device());
        }
    }

    fn memory(&self) -> Memory {
        let of_weight = |(name, kept): (&String, &Kept)| {
            let numbers = [kept.largest, kept.weights].map(|number| digits(number.to_bits()));
            [(format!("z.{name}"), to_vec(&kept.z)), (format!("numbers.{name}"), numbers.concat())]
        };
        self.kept.iter().flat_map(of_weight).collect()
    }

    fn remember(&mut self, memory: Memory, device: &Device) {
        for (key, z) in &memory {
            let Some(name) = key.strip_prefix("z.") else { continue };
            let numbers = memory.get(&format!("numbers.{name}")).map_or(&[][..], |numbers| numbers);
            let mut numbers = numbers.chunks(4).map(|digits| f64::from_bits(from_digits(digits)));
            let mut next = || numbers.next().unwrap_or_default();
            let kept = Kept { z: vector(z.clone(), device), largest: next(), weights: next() };
            self.kept.insert(name.to_owned(), kept);
        }
    }
}
