//! `sae-train → sae-core ← sae-server`: who may depend on whom.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

/// For each package of the workspace, every package that its normal dependencies reach.
fn reachable() -> BTreeMap<String, BTreeSet<String>> {
    // Only packages of this platform are sure to have been fetched.
    let host = Command::new("rustc").args(["--print", "host-tuple"]).output().unwrap().stdout;
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform"])
        .arg(String::from_utf8(host).unwrap().trim())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let names: BTreeMap<String, String> = list(&metadata["packages"])
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let edges: BTreeMap<String, Vec<String>> = list(&metadata["resolve"]["nodes"])
        .iter()
        .map(|node| {
            let normal = list(&node["deps"]).into_iter().filter(|dependency| {
                list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null())
            });
            (text(&node["id"]), normal.map(|dependency| text(&dependency["pkg"])).collect())
        })
        .collect();
    let members = list(&metadata["workspace_members"]);
    members
        .iter()
        .map(|member| {
            let (mut seen, mut todo) = (BTreeSet::new(), vec![text(member)]);
            while let Some(id) = todo.pop() {
                todo.extend(edges[&id].iter().filter(|next| seen.insert((*next).clone())).cloned());
            }
            (names[&text(member)].clone(), seen.iter().map(|id| names[id].clone()).collect())
        })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
fn crates_depend_only_as_the_law_allows() {
    let reachable = reachable();
    let members: BTreeSet<&str> = reachable.keys().map(String::as_str).collect();
    assert_eq!(members, BTreeSet::from(["sae", "sae-core", "sae-server", "sae-train"]));
    for (package, forbidden) in [
        ("sae-core", &["burn", "tokio", "axum", "sae-train", "sae-server"][..]),
        ("sae-train", &["axum", "sae-server"]),
        ("sae-server", &["burn", "sae-train"]),
    ] {
        for name in forbidden {
            assert!(!reachable[package].contains(*name), "{package} must not depend on {name}");
        }
    }
    // The search itself works: what must be reached is.
    assert!(reachable["sae-train"].contains("burn") && reachable["sae-server"].contains("tokio"));
    assert!(reachable["sae"].is_superset(&BTreeSet::from(["sae-train".into(), "sae-server".into()])));
}
