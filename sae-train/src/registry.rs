//! Lists of kinds that are chosen by name: methods, optimizers, schedules.

use crate::{Result, TrainError};
use serde::de::DeserializeOwned;
use toml_edit::Table;

/// One kind of a list.
pub(crate) struct Entry<T> {
    pub(crate) name: &'static str,
    /// Its own keys with comments and defaults, as TOML.
    pub(crate) defaults: &'static str,
    /// Reads its section of the configuration.
    pub(crate) read: fn(&Table) -> Result<T>,
}

/// The entry of this name; `key` is where it was asked for.
pub(crate) fn find<'a, T>(entries: &'a [Entry<T>], key: &str, name: &str) -> Result<&'a Entry<T>> {
    entries.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
        let nearest = names.iter().min_by_key(|known| strsim::damerau_levenshtein(known, name));
        TrainError::Config(format!(
            "configuration: {key}: there is no {name:?}; did you mean {}? There are {}",
            nearest.unwrap_or(&""),
            names.join(", ")
        ))
    })
}

/// The keys of a section, without those that all kinds share.
pub(crate) fn read_keys<T: DeserializeOwned>(section: &Table, name: &str, shared: &[&str]) -> Result<T> {
    let mut document = toml_edit::DocumentMut::from(section.clone());
    shared.iter().for_each(|key| drop(document.remove(key)));
    toml_edit::de::from_document(document)
        .map_err(|error| TrainError::Config(format!("configuration: [{name}]: {error}")))
}
