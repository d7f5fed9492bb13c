//! The course of the learning rate over a run, one file each. A new one is its file, its defaults and a line
//! of [`SCHEDULES`].

mod constant;
mod cosine;
mod exponential;
mod inverse_sqrt;
mod linear;
mod warmup_stable_decay;

use crate::{Result, TrainError, registry};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use toml_edit::Table;

/// A course of the learning rate with its settings.
pub trait Schedule: Debug + Send + Sync {
    /// Refuses settings that are out of range.
    ///
    /// # Errors
    /// If one is; the message names its key.
    fn check(&self) -> Result<()>;

    /// The rate of a step, counted from 1 to `steps`, as a fraction of the peak.
    fn fraction(&self, step: u64, steps: u64) -> f64;
}

/// The learning rate of a run.
#[derive(Debug)]
pub struct LearningRate {
    /// The largest.
    pub peak: f64,
    /// Steps in all.
    pub steps: u64,
    /// Its course.
    pub schedule: Box<dyn Schedule>,
}

impl LearningRate {
    /// The rate of step `step`, counted from 1 to `steps`.
    pub fn at(&self, step: u64) -> f64 {
        self.peak * self.schedule.fraction(step, self.steps)
    }
}

type Entry = registry::Entry<Box<dyn Schedule>>;

const fn entry<S: Schedule + DeserializeOwned + 'static>(
    name: &'static str,
    defaults: &'static str,
) -> Entry {
    let read = |keys: &Table| -> Result<Box<dyn Schedule>> {
        Ok(Box::new(registry::read_keys::<S>(keys, "schedule", &["name"])?))
    };
    Entry { name, defaults, read }
}

const SCHEDULES: &[Entry] = &[
    entry::<linear::Linear>("linear", include_str!("linear.toml")),
    entry::<constant::Constant>("constant", include_str!("constant.toml")),
    entry::<cosine::Cosine>("cosine", include_str!("cosine.toml")),
    entry::<exponential::Exponential>("exponential", include_str!("exponential.toml")),
    entry::<inverse_sqrt::InverseSqrt>("inverse_sqrt", include_str!("inverse_sqrt.toml")),
    entry::<warmup_stable_decay::WarmupStableDecay>(
        "warmup_stable_decay",
        include_str!("warmup_stable_decay.toml"),
    ),
];

/// The names of all schedules.
pub fn names() -> impl Iterator<Item = &'static str> {
    SCHEDULES.iter().map(|schedule| schedule.name)
}

/// The keys that a schedule adds to `[schedule]`, as TOML.
pub(crate) fn defaults(name: &str) -> Result<&'static str> {
    Ok(registry::find(SCHEDULES, "schedule.name", name)?.defaults)
}

/// The schedule that a `[schedule]` section describes.
///
/// # Errors
/// If there is none of this name, or its settings are out of range.
pub fn build(section: &Table) -> Result<Box<dyn Schedule>> {
    let name = section.get("name").and_then(toml_edit::Item::as_str).unwrap_or_default();
    let schedule = (registry::find(SCHEDULES, "schedule.name", name)?.read)(section)?;
    schedule.check()?;
    Ok(schedule)
}

/// How much of the warm-up is done: it rises to 1 at its last step, and further after it.
fn risen(warmup: f64, step: u64, steps: u64) -> f64 {
    let warmup = (warmup * steps as f64).floor();
    if warmup > 0.0 { step as f64 / warmup } else { 1.0 }
}

/// How much of the last `part` of the steps is left: 1 at its first, and more before it.
fn left(part: f64, step: u64, steps: u64) -> f64 {
    let (step, steps) = (step as f64, steps as f64);
    let part = (part * steps).floor();
    if part > 0.0 { (steps - step + 1.0) / part } else { 1.0 }
}

/// How much of the steps after the warm-up is left: 1 at their first, and more before it.
fn left_after(warmup: f64, step: u64, steps: u64) -> f64 {
    let after = steps as f64 - (warmup * steps as f64).floor();
    (steps as f64 - step as f64 + 1.0) / after
}

/// Refuses a fraction of the steps, or of the rate, unless it is one.
fn require_fraction(key: &str, found: f64) -> Result<()> {
    require((0.0..1.0).contains(&found), key, "at least 0 and below 1", found)
}

/// Refuses a warm-up and what follows it unless both fit.
fn require_parts(warmup: f64, decay: f64) -> Result<()> {
    require_fraction("warmup", warmup)?;
    require_fraction("decay", decay)?;
    require(warmup + decay <= 1.0, "warmup + schedule.decay", "at most 1", warmup + decay)
}

/// Refuses a setting unless it is as it must be.
fn require(kept: bool, key: &str, expected: &str, found: f64) -> Result<()> {
    if kept {
        return Ok(());
    }
    Err(TrainError::Config(format!("configuration: schedule.{key} must be {expected}, found {found}")))
}

#[cfg(test)]
mod tests;
