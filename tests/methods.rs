//! Every training method through the binary, from a dump to an index, and what each refuses.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use sae_train::variants;
use serde_json::Value;
use std::path::Path;
use support::{lists, lists_of, rows, sae, settings, text, write_all_columns, write_dump, write_parquet};

#[test]
fn from_a_dump_to_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("dump");
    write_all_columns(&data);
    for name in variants::names() {
        let run = folder.path().join("runs").join(name);
        let mut train = sae(&["train", "--data", text(&data), "--out", text(&run)]);
        for set in settings(name) {
            train.args(["--set", &set]);
        }
        train.assert().success();
        let events = sae_core::run::RunDir::new(&run).read_events().unwrap();
        let (first, last) = (events[0].fvu, events.last().unwrap().fvu);
        assert!(last < first && last < 1.0, "{name}: FVU went from {first} to {last}");

        let output = sae(&["eval", text(&run), "--data", text(&data), "--all", "--json"]).output().unwrap();
        let measured: Value = serde_json::from_slice(&output.stdout).unwrap();
        let output = sae(&["index", text(&run), "--data", text(&data), "--json"]).output().unwrap();
        let indexed: Value = serde_json::from_slice(&output.stdout).unwrap();
        let fvu = |value: &Value| value["fvu"].as_f64().unwrap();
        assert!((fvu(&measured) - fvu(&indexed)).abs() < 1e-5, "{name}: {measured} {indexed}");
        let l0 = indexed["n_firings"].as_f64().unwrap() / indexed["n_rows"].as_f64().unwrap();
        assert!((measured["l0_mean"].as_f64().unwrap() - l0).abs() < 1e-9, "{name}: {measured} {indexed}");
    }
}

/// What training saw of the input is undone, or recorded, so that the saved SAE does on the dump's rows what
/// training said of its own.
#[test]
fn every_normalisation_is_folded_or_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("dump");
    write_all_columns(&data);
    for normalize in ["none", "unit_mean_square", "sqrt_d", "layer_norm"] {
        let run = folder.path().join(normalize);
        let mut train = sae(&["train", "--data", text(&data), "--out", text(&run)]);
        for set in settings("topk") {
            train.args(["--set", &set]);
        }
        train.args(["--set", &format!("data.normalize={normalize}")]).assert().success();
        let trained = sae_core::run::RunDir::new(&run).read_events().unwrap().last().unwrap().fvu;
        let output = sae(&["eval", text(&run), "--data", text(&data), "--all", "--json"]).output().unwrap();
        let measured = serde_json::from_slice::<Value>(&output.stdout).unwrap()["fvu"].as_f64().unwrap();
        // The last event is a mean over steps, and layer norm weighs rows otherwise.
        assert!((0.5..1.5).contains(&(measured / trained)), "{normalize}: {measured}, in training {trained}");
        let config = fs_err::read_to_string(run.join("sae/cfg.json")).unwrap();
        let recorded = if normalize == "layer_norm" { "layer_norm" } else { "none" };
        assert!(config.contains(&format!("\"normalize_activations\": \"{recorded}\"")), "{config}");
    }
}

/// `sae-core/tests/saelens_agrees.rs` compares what lies there with SAELens.
#[test]
fn an_export_of_every_method_was_held_against_saelens() {
    let exports = Path::new(env!("CARGO_MANIFEST_DIR")).join("sae-core/tests/golden/saelens/exports");
    for name in variants::names() {
        assert!(exports.join(name).join("ref.safetensors").is_file(), "{} lacks {name}", exports.display());
    }
}

#[test]
fn what_does_not_fit_is_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, all) = (folder.path().join("plain"), folder.path().join("all"));
    write_dump(&plain, 100, |_| ());
    write_all_columns(&all);
    let refused = |data: &Path, sets: &[&str], expected: &[&str]| {
        let run = folder.path().join("run");
        let mut train = sae(&["train", "--data", text(data), "--out", text(&run)]);
        for set in sets {
            train.args(["--set", set]);
        }
        let output = train.assert().code(1).get_output().clone();
        let message = String::from_utf8(output.stderr).unwrap();
        for part in expected {
            assert!(message.contains(part), "{sets:?}: {message:?} lacks {part:?}");
        }
        assert_eq!(message.trim_end().lines().count(), 1, "{message}");
        assert!(!run.exists(), "{sets:?} left something behind");
    };
    let name = |name: &str| format!("variant.name={name}");
    let plain_text = text(&plain);
    refused(&plain, &[&name("gradient_topk")], &[plain_text, "`gradient`", "gradient_topk", "--gradient"]);
    refused(&plain, &[&name("transcoder")], &[plain_text, "`target`", "transcoder", "data.target_column"]);
    refused(&plain, &[&name("skip_transcoder"), "data.target_column=y"], &[plain_text, "`y`"]);
    refused(&plain, &[&name("crosscoder")], &["variant.name", "data.activation_column", plain_text]);
    refused(&plain, &["variant.k=999", "sae.d_sae=48"], &["variant.k", "48", "999", plain_text]);
    refused(&plain, &["variant.k_start=99", "sae.d_sae=48"], &["variant.k_start", "48", "99"]);
    for width in [9, 20] {
        let odd = folder.path().join(format!("gradients{width}"));
        fs_err::create_dir(&odd).unwrap();
        let columns =
            [("activation", lists(rows(100))), ("gradient", lists_of(width, vec![0.5; 100 * width]))];
        write_parquet(&odd.join("0.parquet"), &columns);
        let sets = [&*name("gradient_topk"), "data.activation_column=activation"];
        let widths = format!("`gradient` has width {width}, `activation` has width 16");
        refused(&odd, &sets, &[text(&odd), "gradient_topk", &widths, "data.gradient_column"]);
    }
    let matryoshka = name("matryoshka");
    refused(
        &plain,
        &[&matryoshka, "variant.prefixes=[4,20]", "sae.d_sae=48"],
        &["variant.prefixes", "48", "[4, 20]"],
    );
    refused(&plain, &[&matryoshka, "variant.prefixes=[20,4]"], &["variant.prefixes", "[20, 4]"]);
    refused(
        &plain,
        &[&matryoshka, "variant.weights=[1.0]", "sae.d_sae=64", "variant.k=4"],
        &["variant.weights", "[1.0]"],
    );
    refused(
        &plain,
        &[&name("matryoshka_k"), "variant.levels=[4,99]", "sae.d_sae=48"],
        &["variant.levels", "99"],
    );
    refused(&plain, &[&name("jumprelu")], &["variant.name", "\"jumprelu\"", "did you mean jump_relu"]);
    refused(&plain, &["variant.kk=3"], &["variant.kk", "did you mean variant.k"]);
    refused(&plain, &["optim.name=adamv"], &["optim.name", "did you mean adam"]);
    refused(&plain, &["schedule.name=linaer"], &["schedule.name", "did you mean linear"]);
    refused(&plain, &[&name("jump_relu"), "variant.l0_control=quadratic"], &["variant.l0_target", "above 0"]);
    refused(
        &all,
        &[&name("transcoder"), "data.activation_column=activation", "data.normalize=layer_norm"],
        &["layer_norm", "transcoder"],
    );
    refused(&all, &["data.activation_column=[\"activation\",\"nope\"]"], &["`nope`", "`other`"]);
}
