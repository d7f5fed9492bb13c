//! The training methods, one file each. A new one is its file, its defaults and a line of [`VARIANTS`].

mod batch_topk;
mod crosscoder;
mod feature_choice;
mod gated;
mod gradient_topk;
mod jump_relu;
mod k_sparse;
mod l0_control;
mod matryoshka;
mod matryoshka_k;
mod mutual_choice;
mod nested;
mod p_annealing;
mod parts;
mod relu;
mod resampling;
mod step;
mod topk;
mod transcoder;
mod zipf;

pub use step::{After, At, Forward, Step};

use crate::{Result, TrainError, params::Params, registry, state::State};
use sae_core::{Rule, Sae};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, sync::Arc};
use toml_edit::Table;

/// A training method with its settings.
pub trait Variant: Debug + Send + Sync {
    /// Refuses settings that are out of range.
    ///
    /// # Errors
    /// If one is; the message names its key.
    fn check(&self) -> Result<()>;

    /// Refuses settings that do not suit the sizes.
    ///
    /// # Errors
    /// If one does not; the message names its key and what would fit.
    fn fit(&self, _sizes: &Sizes) -> Result<()> {
        Ok(())
    }

    /// How the method's SAEs look and begin.
    fn form(&self) -> Form {
        Form::default()
    }

    /// Keys of `[variant]` that follow from the data, with what they come to.
    fn resolved(&self, _sizes: &Sizes) -> Vec<(&'static str, toml_edit::Value)> {
        Vec::new()
    }

    /// Weights beyond the four, with their initial values.
    fn own_weights(&self, _sizes: &Sizes) -> Vec<(&'static str, Vec<f32>)> {
        Vec::new()
    }

    /// The terms of the loss on a batch.
    fn forward(&self, step: &Step<'_>) -> Forward;

    /// What follows the optimizer's step: projections of weights, running means.
    fn after_step(&self, _after: &mut After<'_>) {}

    /// What becomes of pre-activations at inference, in the units of training.
    fn rule(&self, params: &Params, state: &State) -> Rule;

    /// The SAE at inference, in the units of training.
    fn export(&self, params: &Params, state: &State) -> Sae {
        params.to_sae(self.rule(params, state), self.form().pre_bias)
    }
}

/// The sizes of an SAE and its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    /// Width of the input, all columns together.
    pub d_in: usize,
    /// Width of what is reconstructed.
    pub d_out: usize,
    /// Number of latents.
    pub d_sae: usize,
    /// Widths of the activation columns.
    pub widths: Vec<usize>,
}

/// How a method's SAEs look and begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Form {
    /// Whether `b_dec` is subtracted from the input; it then begins as the geometric median, else as 0.
    pub pre_bias: bool,
    /// Whether decoder rows are kept at length 1.
    pub unit_rows: bool,
    /// Length of the decoder rows at the beginning.
    pub initial_length: f32,
    /// The second vector of each row that the method needs.
    pub companion: Option<Companion>,
}

impl Default for Form {
    fn default() -> Self {
        Self { pre_bias: true, unit_rows: true, initial_length: 1.0, companion: None }
    }
}

/// What a second vector of each row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Companion {
    /// The gradient of a loss at the activation.
    Gradient,
    /// What is to be reconstructed in the input's place.
    Target,
}

/// A variant as configured.
pub type VariantConfig = Arc<dyn Variant>;

type Entry = registry::Entry<VariantConfig>;

const fn entry<V: Variant + DeserializeOwned + 'static>(name: &'static str, defaults: &'static str) -> Entry {
    Entry { name, defaults, read: |keys| Ok(Arc::new(registry::read_keys::<V>(keys, "variant", &["name"])?)) }
}

const VARIANTS: &[Entry] = &[
    entry::<topk::TopK>("topk", include_str!("topk.toml")),
    entry::<batch_topk::BatchTopK>("batch_topk", include_str!("batch_topk.toml")),
    entry::<jump_relu::JumpRelu>("jump_relu", include_str!("jump_relu.toml")),
    entry::<gated::Gated>("gated", include_str!("gated.toml")),
    entry::<relu::Relu>("relu", include_str!("relu.toml")),
    entry::<matryoshka::Matryoshka>("matryoshka", include_str!("matryoshka.toml")),
    entry::<matryoshka_k::MatryoshkaK>("matryoshka_k", include_str!("matryoshka_k.toml")),
    entry::<mutual_choice::MutualChoice>("mutual_choice", include_str!("mutual_choice.toml")),
    entry::<feature_choice::FeatureChoice>("feature_choice", include_str!("feature_choice.toml")),
    entry::<gradient_topk::GradientTopK>("gradient_topk", include_str!("gradient_topk.toml")),
    entry::<k_sparse::KSparse>("k_sparse", include_str!("k_sparse.toml")),
    entry::<transcoder::Transcoder>("transcoder", include_str!("transcoder.toml")),
    entry::<transcoder::SkipTranscoder>("skip_transcoder", include_str!("transcoder.toml")),
    entry::<crosscoder::Crosscoder>("crosscoder", include_str!("crosscoder.toml")),
];

/// The names of all variants.
pub fn names() -> impl Iterator<Item = &'static str> {
    VARIANTS.iter().map(|variant| variant.name)
}

/// The keys that a variant adds to `[variant]`, as TOML.
pub(crate) fn defaults(name: &str) -> Result<&'static str> {
    Ok(registry::find(VARIANTS, "variant.name", name)?.defaults)
}

/// The variant that a `[variant]` section describes.
///
/// # Errors
/// If there is none of this name, or its settings are out of range.
pub fn read_config(section: &Table) -> Result<VariantConfig> {
    let name = section.get("name").and_then(toml_edit::Item::as_str).unwrap_or_default();
    let variant = (registry::find(VARIANTS, "variant.name", name)?.read)(section)?;
    variant.check()?;
    Ok(variant)
}

/// Refuses a setting unless it is as it must be.
fn require(kept: bool, key: &str, expected: impl std::fmt::Display, found: impl Debug) -> Result<()> {
    if kept {
        return Ok(());
    }
    Err(TrainError::Config(format!("configuration: variant.{key} must be {expected}, found {found:?}")))
}
