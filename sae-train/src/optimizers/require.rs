//! The ranges that keys of optimizers share.

use crate::{Result, TrainError};
use std::fmt::Display;

/// Refuses a decay of a running mean, or a momentum, unless it is one.
pub(super) fn decay(key: &str, found: f64) -> Result<()> {
    that((0.0..1.0).contains(&found), key, "at least 0 and below 1", found)
}

/// Refuses a number unless it is above 0.
pub(super) fn positive(key: &str, found: f64) -> Result<()> {
    that(found > 0.0 && found.is_finite(), key, "above 0", found)
}

/// Refuses a rate unless it is 0 or above.
pub(super) fn not_negative(key: &str, found: f64) -> Result<()> {
    that(found >= 0.0 && found.is_finite(), key, "at least 0", found)
}

/// Refuses a `weight_decay` below 0.
pub(super) fn weight_decay(found: f64) -> Result<()> {
    not_negative("weight_decay", found)
}

/// Refuses a setting unless it is as it must be.
pub(super) fn that(kept: bool, key: &str, expected: &str, found: impl Display) -> Result<()> {
    if kept {
        return Ok(());
    }
    Err(TrainError::Config(format!("configuration: optim.{key} must be {expected}, found {found}")))
}
