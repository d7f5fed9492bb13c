//! The optimizers, one file each. A new one is its file, its defaults and a line of [`OPTIMIZERS`].
//!
//! Those that burn has come from there (`from_burn`). L-BFGS is not among them: it searches along a line, for
//! which it evaluates the loss and its gradient several times in a step, on the same rows; a step here has one
//! gradient, of a batch that is not seen again.

mod adafactor;
mod adagrad;
mod adam;
mod adan;
mod from_burn;
mod lamb;
mod lion;
mod muon;
mod require;
mod rmsprop;
mod sgd;
mod signum_schedule_free;

use crate::{Result, registry};
use burn::tensor::{Device, Tensor};
use from_burn::FromBurn;
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, fmt::Debug};
use toml_edit::Table;

/// An optimizer with its settings and what it remembers of every weight.
pub trait Optimizer: Debug + Send {
    /// Refuses settings that are out of range.
    ///
    /// # Errors
    /// If one is.
    fn check(&self) -> Result<()>;

    /// The learning rate that is right for 16,384 latents, more or less.
    fn usual_lr(&self) -> f64 {
        2e-4
    }

    /// One step on a weight; gives its new values.
    fn step(&mut self, weight: Weight, step: &StepSize) -> Tensor<1>;

    /// The values of a weight that an SAE is made of, where they are not those that are trained. Rows that
    /// are kept at length 1 are brought to it afterwards.
    fn averaged(&self, _name: &str, _trained: &Tensor<1>) -> Option<Tensor<1>> {
        None
    }

    /// Forgets the past of some rows of a weight, which were given new values; `values` are those of all rows.
    fn forget_rows(&mut self, name: &str, rows: &[u32], width: usize, values: &Tensor<1>);

    /// What is remembered.
    fn memory(&self) -> Memory;

    /// Goes on from what was remembered.
    fn remember(&mut self, memory: Memory, device: &Device);
}

/// What an optimizer remembers, by names of its own, in main memory.
pub type Memory = BTreeMap<String, Vec<f32>>;

/// Floats that hold a number exactly, whatever its bits.
fn digits(number: u64) -> [f32; 4] {
    [0, 16, 32, 48].map(|place| ((number >> place) & 0xffff) as f32)
}

/// The number of [`digits`].
fn from_digits(digits: &[f32]) -> u64 {
    digits.iter().rev().fold(0, |number, &digit| (number << 16) + digit as u64)
}

/// A weight and its gradient, row by row.
#[derive(Debug)]
pub struct Weight {
    /// As [`crate::params::Params::visit`] names it.
    pub name: &'static str,
    /// Its values, `[rows · width]`.
    pub values: Tensor<1>,
    /// The gradient of the loss at them.
    pub grad: Tensor<1>,
    /// Rows and width; a vector is one row, and one row a vector.
    pub shape: [usize; 2],
    /// Whether each row is kept at length 1.
    pub unit_rows: bool,
}

impl Weight {
    fn is_matrix(&self) -> bool {
        self.shape[0] > 1
    }
}

/// How far to step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepSize {
    /// Learning rate.
    pub lr: f64,
    /// Applied to gradients first, for clipping by norm.
    pub grad_scale: f64,
}

type Entry = registry::Entry<Box<dyn Optimizer>>;

const fn entry<O: Optimizer + DeserializeOwned + 'static>(
    name: &'static str,
    defaults: &'static str,
) -> Entry {
    let read = |keys: &Table| -> Result<Box<dyn Optimizer>> {
        Ok(Box::new(registry::read_keys::<O>(keys, "optim", &["name", "lr", "clip"])?))
    };
    Entry { name, defaults, read }
}

const OPTIMIZERS: &[Entry] = &[
    entry::<adam::Adam>("adam", include_str!("adam.toml")),
    entry::<adam::Adam>("adamw", include_str!("adamw.toml")),
    entry::<signum_schedule_free::Signum>("signum_schedule_free", include_str!("signum_schedule_free.toml")),
    entry::<FromBurn<sgd::Sgd>>("sgd", include_str!("sgd.toml")),
    entry::<FromBurn<rmsprop::RmsProp>>("rmsprop", include_str!("rmsprop.toml")),
    entry::<FromBurn<adagrad::AdaGrad>>("adagrad", include_str!("adagrad.toml")),
    entry::<FromBurn<lion::Lion>>("lion", include_str!("lion.toml")),
    entry::<FromBurn<lamb::Lamb>>("lamb", include_str!("lamb.toml")),
    entry::<FromBurn<adan::Adan>>("adan", include_str!("adan.toml")),
    entry::<FromBurn<adafactor::Adafactor>>("adafactor", include_str!("adafactor.toml")),
    entry::<muon::Muon>("muon", include_str!("muon.toml")),
];

/// The names of all optimizers.
pub fn names() -> impl Iterator<Item = &'static str> {
    OPTIMIZERS.iter().map(|optimizer| optimizer.name)
}

/// The keys that an optimizer adds to `[optim]`, as TOML.
pub(crate) fn defaults(name: &str) -> Result<&'static str> {
    Ok(registry::find(OPTIMIZERS, "optim.name", name)?.defaults)
}

/// The optimizer that an `[optim]` section describes, which has seen nothing yet.
///
/// # Errors
/// If there is none of this name, or its settings are out of range.
pub fn build(section: &Table) -> Result<Box<dyn Optimizer>> {
    let name = section.get("name").and_then(toml_edit::Item::as_str).unwrap_or_default();
    let optimizer = (registry::find(OPTIMIZERS, "optim.name", name)?.read)(section)?;
    optimizer.check()?;
    Ok(optimizer)
}
