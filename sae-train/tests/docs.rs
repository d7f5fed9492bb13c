//! The documentation lists what there is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sae_train::{Config, optimizers, schedules, variants};
use std::{collections::BTreeSet, path::Path};

fn page(name: &str) -> String {
    fs_err::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)).unwrap()
}

/// A key of a section or kind, with its default.
type Row = (String, String, String);

/// The rows of `config.md`, where a row of a table that names a section or kinds is about those that follow.
fn listed() -> BTreeSet<Row> {
    let (mut of, mut rows) = (Vec::new(), BTreeSet::new());
    let quoted = |cell: &str| cell.trim_matches('`').to_owned();
    for line in page("config.md").lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if cells.len() < 3 {
            of.clear();
        } else if cells[1].starts_with("**`") {
            of = cells[1].split(", ").map(|name| quoted(name.trim_matches('*'))).collect();
        } else if !cells[1].is_empty() {
            rows.extend(of.iter().map(|of| (of.clone(), quoted(cells[1]), quoted(cells[2]))));
        }
    }
    rows
}

/// The keys of the configuration with the kind of this name in a section: those of the kind, and all.
fn keys(section: &str, name: &str) -> (Vec<Row>, Vec<Row>) {
    let config = Config::load(None, &[format!("{section}.name={name}")]).unwrap();
    let config: toml_edit::DocumentMut = config.to_toml().parse().unwrap();
    let row = |of: &str, key: &str, default: &toml_edit::Item| {
        (of.to_owned(), key.to_owned(), default.to_string().trim().to_owned())
    };
    let of_kind = config[section].as_table().unwrap().iter().map(|(key, default)| row(name, key, default));
    let all = config.iter().flat_map(|(section, keys)| {
        let keys = keys.as_table().unwrap().iter();
        keys.map(move |(key, default)| row(&format!("[{section}]"), key, default))
    });
    (of_kind.collect(), all.collect())
}

#[test]
fn config_md_lists_every_key_with_its_default_and_nothing_else() {
    let listed = listed();
    let mut known = BTreeSet::new();
    let kinds = variants::names().map(|name| ("variant", name));
    let kinds = kinds.chain(optimizers::names().map(|name| ("optim", name)));
    for (section, name) in kinds.chain(schedules::names().map(|name| ("schedule", name))) {
        let (of_kind, all) = keys(section, name);
        for (_, key, default) in of_kind.iter().filter(|(_, key, _)| key != "name") {
            let of = [name.to_owned(), format!("[{section}]")];
            let found = of.iter().any(|of| listed.contains(&(of.clone(), key.clone(), default.clone())));
            assert!(found, "docs/config.md lacks | `{key}` | `{default}` | of `{name}`");
        }
        known.extend(of_kind);
        known.extend(all);
    }
    for (section, key, default) in keys("variant", "topk").1 {
        let kind = ["[variant]", "[optim]", "[schedule]"].contains(&section.as_str());
        let found = listed.contains(&(section.clone(), key.clone(), default.clone()));
        assert!(
            found || kind && key != "name",
            "docs/config.md lacks | `{key}` | `{default}` | of {section}"
        );
    }
    for row in &listed {
        assert!(known.contains(row), "docs/config.md lists {row:?}, which there is not");
    }
}

#[test]
fn the_usual_learning_rates_are_in_config_md() {
    let page = page("config.md");
    for name in optimizers::names() {
        let config = Config::load(None, &[format!("optim.name={name}")]).unwrap();
        let usual = format!("`c` = {:e}", config.optimizer().unwrap().usual_lr());
        let after = page.split(&format!("**`{name}`**")).nth(1).unwrap_or_default();
        let listed = after.lines().nth(1).is_some_and(|line| line.contains(&usual));
        assert!(listed, "docs/config.md: {name} lacks {usual}");
    }
}

#[test]
fn every_method_is_in_methods_md() {
    let page = page("methods.md");
    for name in variants::names() {
        assert!(page.contains(&format!("`{name}`")), "docs/methods.md lacks `{name}`");
    }
}
