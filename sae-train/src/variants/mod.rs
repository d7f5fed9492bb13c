//! The training methods, one file each. A new one is its file, its defaults and a line of [`VARIANTS`].

mod topk;

use crate::{Result, TrainError, ops::Support, params::Params};
use burn::tensor::Tensor;
use sae_core::Rule;
use serde::de::DeserializeOwned;
use std::{fmt::Debug, sync::Arc};
use toml_edit::Table;

/// A training method with its settings.
pub trait Variant: Debug + Send + Sync {
    /// What becomes of pre-activations at inference.
    fn rule(&self) -> Rule;

    /// Refuses settings that do not suit so many latents.
    ///
    /// # Errors
    /// If a setting is out of range.
    fn check(&self, d_sae: usize) -> Result<()>;

    /// Keys of `[variant]` that follow from the data, with what they come to.
    fn resolved(&self, d_in: usize) -> Vec<(&'static str, toml_edit::Value)>;

    /// The terms of the loss on a batch.
    fn forward(&self, step: &Step<'_>) -> Forward;
}

/// What a variant sees of a training step.
#[derive(Debug)]
pub struct Step<'a> {
    /// `[n_rows, d_in]`, scaled to a mean squared norm of 1.
    pub x: Tensor<2>,
    /// Tracked by autodiff.
    pub params: &'a Params,
    /// Latents that have not fired for the dead-latent window, increasing.
    pub dead: &'a [u32],
}

impl Step<'_> {
    /// Width of the input.
    pub fn d_in(&self) -> usize {
        self.x.dims()[1]
    }
}

/// What a variant makes of a batch.
#[derive(Debug)]
pub struct Forward {
    /// Which latents fired.
    pub support: Arc<Support>,
    /// The terms whose sum is minimised, by name, with their coefficients; `reconstruction` first,
    /// which is `mean ‖x − x̂‖²`.
    pub terms: Vec<(&'static str, Tensor<1>)>,
}

/// A variant as configured.
pub type VariantConfig = Arc<dyn Variant>;

struct Entry {
    name: &'static str,
    defaults: &'static str,
    read: fn(&Table) -> Result<VariantConfig>,
}

const VARIANTS: &[Entry] = &[Entry {
    name: "topk",
    defaults: topk::DEFAULTS,
    read: |table| {
        let topk: topk::TopK = read(table)?;
        topk.check(usize::MAX)?;
        Ok(Arc::new(topk))
    },
}];

/// The names of all variants.
pub fn names() -> impl Iterator<Item = &'static str> {
    VARIANTS.iter().map(|variant| variant.name)
}

/// The keys that a variant adds to `[variant]`, as TOML.
pub(crate) fn defaults(name: &str) -> Result<&'static str> {
    find(name).map(|variant| variant.defaults)
}

/// The variant that a `[variant]` section describes.
pub(crate) fn read_config(section: &Table) -> Result<VariantConfig> {
    let name = section.get("name").and_then(toml_edit::Item::as_str);
    (find(name.unwrap_or_default())?.read)(section)
}

fn find(name: &str) -> Result<&'static Entry> {
    VARIANTS.iter().find(|variant| variant.name == name).ok_or_else(|| {
        let known = names().collect::<Vec<_>>().join(", ");
        TrainError::Config(format!("configuration: variant.name: expected one of {known}, found {name:?}"))
    })
}

fn read<T: DeserializeOwned>(table: &Table) -> Result<T> {
    let mut document = toml_edit::DocumentMut::from(table.clone());
    document.remove("name");
    toml_edit::de::from_document(document)
        .map_err(|error| TrainError::Config(format!("configuration: [variant]: {error}")))
}
