//! What a run is told: defaults, then a TOML file, then `section.key=value`, resolved once.
//!
//! `defaults.toml` is both the documentation and the source of every default. The variant, the
//! optimizer and the schedule add their own keys to `[variant]`, `[optim]` and `[schedule]`.

mod merge;
mod sections;

pub use sections::{Auto, AutoWord, Columns, Data, Log, Optim, Precision, Shared, Size, Train};

use crate::{Result, TrainError, optimizers, schedules, variants};
use std::path::Path;
use toml_edit::{DocumentMut, Table};

const DEFAULTS: &str = include_str!("defaults.toml");

/// A configuration; see `defaults.toml` or `sae train --print-config` for the meaning of each key.
#[derive(Debug, Clone)]
pub struct Config {
    /// The sections that all variants share.
    pub shared: Shared,
    /// The variant with its own keys.
    pub variant: variants::VariantConfig,
    document: DocumentMut,
}

impl Config {
    /// Defaults, then the file if there is one, then `section.key=value` in order.
    ///
    /// # Errors
    /// If the file cannot be read, a key is unknown (the message suggests the nearest), or a value
    /// has the wrong type or is out of range.
    pub fn load(file: Option<&Path>, sets: &[String]) -> Result<Self> {
        let given = match file {
            Some(path) => merge::parse(&fs_err::read_to_string(path)?, &path.display().to_string())?,
            None => DocumentMut::new(),
        };
        let sets: Vec<DocumentMut> = sets.iter().map(|set| merge::parse_set(set)).collect::<Result<_>>()?;
        let named = |section: &str| {
            let given = sets.iter().rev().chain([&given]);
            given
                .filter_map(|document| document.get(section)?.get("name")?.as_str())
                .next()
                .map(str::to_owned)
        };
        let mut document = defaults(named)?;
        let source = file.map_or_else(String::new, |path| path.display().to_string());
        merge::merge(&mut document, &given, &source)?;
        for set in &sets {
            merge::merge(&mut document, set, "--set")?;
        }
        Self::from_document(document)
    }

    /// The configuration in a run directory, as it was resolved.
    ///
    /// # Errors
    /// If the file cannot be read or is no configuration of this version.
    pub fn read(path: &Path) -> Result<Self> {
        let document = merge::parse(&fs_err::read_to_string(path)?, &path.display().to_string())?;
        Self::from_document(document)
    }

    fn from_document(document: DocumentMut) -> Result<Self> {
        let shared: Shared = toml_edit::de::from_document(document.clone())
            .map_err(|error| TrainError::Config(format!("configuration: {error}")))?;
        let variant = variants::read_config(&section(&document, "variant"))?;
        let config = Self { shared, variant, document };
        config.shared.check()?;
        config.optimizer()?;
        config.schedule()?;
        Ok(config)
    }

    /// The optimizer, which has seen nothing yet.
    ///
    /// # Errors
    /// If its settings are out of range.
    pub fn optimizer(&self) -> Result<Box<dyn optimizers::Optimizer>> {
        optimizers::build(&section(&self.document, "optim"))
    }

    /// The course of the learning rate.
    ///
    /// # Errors
    /// If its settings are out of range.
    pub fn schedule(&self) -> Result<Box<dyn schedules::Schedule>> {
        schedules::build(&section(&self.document, "schedule"))
    }

    /// The largest learning rate of a run with so many latents.
    ///
    /// # Errors
    /// If the optimizer's settings are out of range.
    pub fn peak_lr(&self, d_sae: usize) -> Result<f64> {
        let usual = self.optimizer()?.usual_lr();
        Ok(self.shared.optim.lr.or_else(|| usual / (d_sae as f64 / 16384.0).sqrt()))
    }

    /// The name of the variant.
    pub fn variant_name(&self) -> &str {
        self.document.get("variant").and_then(|section| section.get("name")?.as_str()).unwrap_or_default()
    }

    /// Replaces a derived value by what it came to.
    pub(crate) fn resolve(&mut self, section: &str, key: &str, value: impl Into<toml_edit::Value>) {
        let item = &mut self.document[section][key];
        let decor = item.as_value().map(|old| old.decor().clone());
        let mut value = value.into();
        if let Some(decor) = decor {
            *value.decor_mut() = decor;
        }
        *item = toml_edit::Item::Value(value);
    }

    /// Where the run comes from, below the configuration.
    pub(crate) fn set_provenance(&mut self, pairs: &[(&str, String)]) {
        let mut table = Table::new();
        for (key, value) in pairs {
            table[key] = toml_edit::value(value);
        }
        table.decor_mut().set_prefix("\n# Written by the run; ignored as input.\n");
        self.document["provenance"] = toml_edit::Item::Table(table);
    }

    /// A value below `[provenance]`.
    pub fn provenance(&self, key: &str) -> Option<&str> {
        self.document.get("provenance")?.get(key)?.as_str()
    }

    /// The configuration as TOML, with a comment for every key.
    pub fn to_toml(&self) -> String {
        self.document.to_string()
    }
}

fn section(document: &DocumentMut, name: &str) -> Table {
    document.get(name).and_then(|item| item.as_table()).cloned().unwrap_or_default()
}

/// The keys of a kind, by its name.
type KeysOf = fn(&str) -> Result<&'static str>;

/// The defaults, with the keys of those kinds that were `named` for a section.
fn defaults(named: impl Fn(&str) -> Option<String>) -> Result<DocumentMut> {
    let mut document: DocumentMut = DEFAULTS.parse().expect("the defaults are TOML");
    let kinds: [(&str, KeysOf); 3] =
        [("variant", variants::defaults), ("optim", optimizers::defaults), ("schedule", schedules::defaults)];
    for (section, keys_of) in kinds {
        let name = document[section]["name"].as_str().expect("the defaults name a kind").to_owned();
        let own = keys_of(named(section).as_deref().unwrap_or(&name))?;
        let own: DocumentMut = own.parse().expect("defaults of a kind are TOML");
        let table = document[section].as_table_mut().expect("a section is a table");
        for (key, item) in own.iter() {
            let (formatted, _) = own.get_key_value(key).expect("it is being iterated");
            table.insert_formatted(formatted, item.clone());
        }
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(sets: &[&str]) -> Result<Config> {
        Config::load(None, &sets.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn defaults_print_with_their_comments_and_read_back() {
        let text = load(&[]).unwrap().to_toml();
        assert!(text.contains("# Rows of a step.\nbatch_size = 4096"), "{text}");
        assert!(text.contains("\nk = 32"), "{text}");
        let text = load(&["train.batch_size=8", "variant.k=3"]).unwrap().to_toml();
        assert!(text.contains("# Rows of a step.\nbatch_size = 8"), "{text}");
        assert!(text.contains("# Latents that may fire on a row.\nk = 3"), "{text}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        fs_err::write(&path, &text).unwrap();
        assert_eq!(Config::load(Some(&path), &[]).unwrap().to_toml(), text);
    }

    #[test]
    fn later_sources_win() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        fs_err::write(&path, "[train]\nbatch_size = 8\nseed = 3\n").unwrap();
        let config = Config::load(Some(&path), &["train.seed=4".into()]).unwrap();
        assert_eq!((config.shared.train.batch_size, config.shared.train.seed), (8, 4));
    }

    #[test]
    fn a_kind_brings_its_own_keys() {
        let text = load(&["schedule.name=cosine", "optim.name=lion"]).unwrap().to_toml();
        assert!(text.contains("\nfinal_fraction = 0.0\n") && !text.contains("\ndecay = "), "{text}");
        assert!(text.contains("\nbeta2 = 0.99\n") && !text.contains("\neps = "), "{text}");
        let lr = |sets: &[&str]| load(sets).unwrap().peak_lr(4096).unwrap();
        assert_eq!(lr(&[]), 4e-4);
        assert_eq!(lr(&["optim.name=signum_schedule_free"]), 1e-2);
        assert_eq!(lr(&["optim.lr=0.3"]), 0.3);
    }

    #[test]
    fn errors_say_what_would_be_right() {
        let message = |set: &str| load(&[set]).unwrap_err().to_string();
        assert!(message("train.batchsize=4").contains("did you mean train.batch_size"));
        assert!(message("trian.batch_size=4").contains("did you mean train"));
        assert!(message("variant.name=topkk").contains("topk"));
        assert!(message("train.batch_size=many").contains("batch_size"));
        assert!(message("train.batch_size=0").contains("between 1 and"));
        assert!(message("train.batch_size").contains("section.key=value"));
        assert!(message("variant.k=0").contains("variant.k"));
        assert!(message("schedule.warmpu=0.1").contains("did you mean schedule.warmup"));
        assert!(message("schedule.warmup=1").contains("schedule.warmup must be"));
    }
}
