//! Laying one TOML document over another that knows every key.

use crate::{Result, TrainError};
use toml_edit::{DocumentMut, Item, Table, TableLike};

/// Reads TOML text that came from `source`.
pub(super) fn parse(text: &str, source: &str) -> Result<DocumentMut> {
    text.parse().map_err(|error| TrainError::Config(format!("{source}: expected TOML, found: {error}")))
}

/// Reads `section.key=value`. A value that is no TOML is a string: `variant.name=topk` needs no quotes.
pub(super) fn parse_set(set: &str) -> Result<DocumentMut> {
    let parts =
        set.split_once('=').and_then(|(path, value)| Some((path.trim().split_once('.')?, value.trim())));
    let Some(((section, key), value)) = parts else {
        return Err(TrainError::Config(format!(
            "--set {set}: expected section.key=value, such as train.batch_size=2048"
        )));
    };
    let value: toml_edit::Value = value.parse().unwrap_or_else(|_| value.into());
    let mut table = Table::new();
    table[key] = Item::Value(value);
    let mut document = DocumentMut::new();
    document[section] = Item::Table(table);
    Ok(document)
}

/// Overwrites values of `base`, whose keys are all there are, and keeps its comments.
pub(super) fn merge(base: &mut DocumentMut, over: &DocumentMut, source: &str) -> Result<()> {
    for (section, item) in over.iter() {
        // A run's own config.toml may be given again.
        if section == "provenance" {
            continue;
        }
        let Some(over) = item.as_table_like() else {
            return Err(unknown(source, section, base.iter().map(|(name, _)| name.to_owned())));
        };
        let Some(table) = base.get_mut(section).and_then(Item::as_table_like_mut) else {
            return Err(unknown(source, section, base.iter().map(|(name, _)| name.to_owned())));
        };
        merge_section(table, over, source, section)?;
    }
    Ok(())
}

fn merge_section(base: &mut dyn TableLike, over: &dyn TableLike, source: &str, section: &str) -> Result<()> {
    for (key, item) in over.iter() {
        let known: Vec<String> = base.iter().map(|(name, _)| format!("{section}.{name}")).collect();
        let Some(old) = base.get_mut(key) else {
            return Err(unknown(source, &format!("{section}.{key}"), known.into_iter()));
        };
        let Some(mut value) = item.as_value().cloned() else {
            let problem = format!("{source}: {section}.{key}: expected a value, found a table");
            return Err(TrainError::Config(problem));
        };
        if let Some(old) = old.as_value() {
            *value.decor_mut() = old.decor().clone();
        }
        // Replacing the item alone keeps its key, and with it the comment above.
        *old = Item::Value(value);
    }
    Ok(())
}

fn unknown(source: &str, key: &str, known: impl Iterator<Item = String>) -> TrainError {
    let known: Vec<String> = known.collect();
    let nearest = known.iter().min_by_key(|name| strsim::damerau_levenshtein(name, key));
    let suggestion = nearest.map_or(String::new(), |name| format!("did you mean {name}? "));
    TrainError::Config(format!(
        "{source}: {key} is no key of the configuration; {suggestion}Known here: {}",
        known.join(", ")
    ))
}
