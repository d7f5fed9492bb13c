//! The sections of a configuration that all methods share.

use crate::{Result, TrainError, normalize::Normalize};
use sae_core::kernels;
use serde::Deserialize;

/// A number, or `"auto"` for the one that follows from the others.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Auto<T> {
    /// As given.
    Value(T),
    /// To be derived.
    Auto(AutoWord),
}

/// The word `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AutoWord {
    /// `"auto"`
    Auto,
}

impl<T> Auto<T> {
    /// The value, or what it is derived as.
    pub fn or_else(self, derive: impl FnOnce() -> T) -> T {
        match self {
            Self::Value(value) => value,
            Self::Auto(_) => derive(),
        }
    }
}

/// The sections that all variants share.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "defaults.toml documents every key")]
pub struct Shared {
    pub data: Data,
    pub sae: Size,
    pub optim: Optim,
    pub train: Train,
    pub log: Log,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "defaults.toml documents every key")]
pub struct Data {
    pub activation_column: Columns,
    pub gradient_column: String,
    pub target_column: String,
    pub normalize: Normalize,
    pub skip_bad_rows: bool,
    pub eval_fraction: f64,
    pub eval_seed: u64,
}

/// The names of activation columns.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Columns {
    /// One, or `auto`.
    One(String),
    /// Several, side by side.
    Several(Vec<String>),
}

impl Columns {
    /// The names; none for `auto`.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::One(name) if name == "auto" => Vec::new(),
            Self::One(name) => vec![name.clone()],
            Self::Several(names) => names.clone(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "defaults.toml documents every key")]
pub struct Size {
    pub d_sae: Auto<usize>,
    pub expansion: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "defaults.toml documents every key")]
pub struct Optim {
    pub name: String,
    pub lr: Auto<f64>,
    pub clip: f64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "defaults.toml documents every key")]
pub struct Train {
    pub batch_size: usize,
    pub rows: Auto<u64>,
    pub seed: u64,
    pub threads: Auto<usize>,
    pub precision: Precision,
    pub dead_after: Auto<u64>,
    pub shuffle_memory: u64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "defaults.toml documents every key")]
pub struct Log {
    pub every: u64,
    pub checkpoint_every: Auto<u64>,
    pub checkpoints_kept: usize,
}

/// How precisely latents are chosen; the codes are those of f32 either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// By pre-activations in f32.
    F32,
    /// Among candidates by a product in bf16.
    Bf16Candidates,
}

impl From<Precision> for kernels::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::Bf16Candidates => Self::Bf16Candidates,
        }
    }
}

impl Shared {
    pub(super) fn check(&self) -> Result<()> {
        let Self { data, sae, optim, train, log } = self;
        let fraction = |value: f64| (0.0..1.0).contains(&value);
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let rules = [
            (fraction(data.eval_fraction), "data.eval_fraction", "at least 0 and below 1"),
            (
                data.activation_column != Columns::Several(Vec::new()),
                "data.activation_column",
                "a name or several",
            ),
            (sae.expansion > 0, "sae.expansion", "at least 1"),
            (sae.d_sae.or_else(|| 1) > 0, "sae.d_sae", "at least 1"),
            (positive(optim.lr.or_else(|| 1.0)), "optim.lr", "above 0"),
            (positive(optim.clip), "optim.clip", "above 0"),
            ((1..=1 << 20).contains(&train.batch_size), "train.batch_size", "between 1 and 1048576"),
            (train.rows.or_else(|| 1) > 0, "train.rows", "at least 1"),
            (train.threads.or_else(|| 1) > 0, "train.threads", "at least 1"),
            (train.dead_after.or_else(|| 1) > 0, "train.dead_after", "at least 1"),
            (train.shuffle_memory > 0, "train.shuffle_memory", "at least 1"),
            (log.every > 0, "log.every", "at least 1"),
            (log.checkpoint_every.or_else(|| 1) > 0, "log.checkpoint_every", "at least 1"),
            (log.checkpoints_kept > 0, "log.checkpoints_kept", "at least 1"),
        ];
        match rules.iter().find(|(kept, ..)| !kept) {
            Some((_, key, rule)) => Err(TrainError::Config(format!("configuration: {key} must be {rule}"))),
            None => Ok(()),
        }
    }
}
