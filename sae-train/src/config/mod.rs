//! What a run is told: defaults, then a TOML file, then `section.key=value`, resolved once.
//!
//! `defaults.toml` is both the documentation and the source of every default. The variant adds its
//! own keys to `[variant]`.

mod merge;

use crate::{Result, TrainError, variants};
use serde::Deserialize;
use std::path::Path;
use toml_edit::DocumentMut;

const DEFAULTS: &str = include_str!("defaults.toml");

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

/// A configuration; see `defaults.toml` or `sae train --print-config` for the meaning of each key.
#[derive(Debug, Clone)]
pub struct Config {
    /// The sections that all variants share.
    pub shared: Shared,
    /// The variant with its own keys.
    pub variant: variants::VariantConfig,
    document: DocumentMut,
}

/// The sections that all variants share.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "defaults.toml documents every key")]
pub struct Shared {
    pub data: Data,
    pub sae: Size,
    pub optim: Optim,
    pub schedule: Schedule,
    pub train: Train,
    pub log: Log,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "defaults.toml documents every key")]
pub struct Data {
    pub activation_column: String,
    pub skip_bad_rows: bool,
    pub eval_fraction: f64,
    pub eval_seed: u64,
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
    pub lr: Auto<f64>,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    pub clip: f64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "defaults.toml documents every key")]
pub struct Schedule {
    pub warmup: f64,
    pub decay: f64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "defaults.toml documents every key")]
pub struct Train {
    pub batch_size: usize,
    pub rows: Auto<u64>,
    pub seed: u64,
    pub threads: Auto<usize>,
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
        let name = sets
            .iter()
            .rev()
            .chain([&given])
            .find_map(|document| document.get("variant")?.get("name")?.as_str().map(str::to_owned));
        let mut document = defaults(name.as_deref())?;
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
        let variant =
            document.get("variant").and_then(toml_edit::Item::as_table).cloned().unwrap_or_default();
        let variant = variants::read_config(&variant)?;
        let config = Self { shared, variant, document };
        config.check()?;
        Ok(config)
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
        let mut table = toml_edit::Table::new();
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

    fn check(&self) -> Result<()> {
        let Shared { data, sae, optim, schedule, train, log } = &self.shared;
        let fraction = |value: f64| (0.0..1.0).contains(&value);
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let rules = [
            (fraction(data.eval_fraction), "data.eval_fraction", "at least 0 and below 1"),
            (sae.expansion > 0, "sae.expansion", "at least 1"),
            (sae.d_sae.or_else(|| 1) > 0, "sae.d_sae", "at least 1"),
            (positive(optim.lr.or_else(|| 1.0)), "optim.lr", "above 0"),
            (fraction(optim.beta1), "optim.beta1", "at least 0 and below 1"),
            (fraction(optim.beta2), "optim.beta2", "at least 0 and below 1"),
            (positive(optim.eps), "optim.eps", "above 0"),
            (positive(optim.clip), "optim.clip", "above 0"),
            (fraction(schedule.warmup), "schedule.warmup", "at least 0 and below 1"),
            (fraction(schedule.decay), "schedule.decay", "at least 0 and below 1"),
            (schedule.warmup + schedule.decay <= 1.0, "schedule.warmup + schedule.decay", "at most 1"),
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

fn defaults(variant: Option<&str>) -> Result<DocumentMut> {
    let mut document: DocumentMut = DEFAULTS.parse().expect("the defaults are TOML");
    let name = document["variant"]["name"].as_str().expect("the defaults name a variant").to_owned();
    let own = variants::defaults(variant.unwrap_or(&name))?;
    let own: DocumentMut = own.parse().expect("a variant's defaults are TOML");
    let table = document["variant"].as_table_mut().expect("[variant] is a table");
    for (key, item) in own.iter() {
        let (formatted, _) = own.get_key_value(key).expect("it is being iterated");
        table.insert_formatted(formatted, item.clone());
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
    fn errors_say_what_would_be_right() {
        let message = |set: &str| load(&[set]).unwrap_err().to_string();
        assert!(message("train.batchsize=4").contains("did you mean train.batch_size"));
        assert!(message("trian.batch_size=4").contains("did you mean train"));
        assert!(message("variant.name=topkk").contains("topk"));
        assert!(message("train.batch_size=many").contains("batch_size"));
        assert!(message("train.batch_size=0").contains("between 1 and"));
        assert!(message("train.batch_size").contains("section.key=value"));
        assert!(message("variant.k=0").contains("variant.k"));
    }
}
