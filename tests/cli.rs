//! The binary as a user runs it: the way through, and what it says when something is wrong.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use arrow::array::Int32Array;
use predicates::prelude::*;
use serde_json::Value;
use std::{path::Path, sync::Arc};
use support::{SAMPLE, sae, text, write_dump, write_parquet};

const SMALL: [&str; 10] = [
    "--set",
    "sae.d_sae=48",
    "--set",
    "variant.k=4",
    "--set",
    "train.batch_size=64",
    "--set",
    "train.rows=6400",
    "--set",
    "optim.lr=0.003",
];

fn train(data: &Path, out: &Path) -> assert_cmd::Command {
    let mut command = sae(&["train", "--data", text(data), "--out", text(out)]);
    command.args(SMALL);
    command
}

fn entries(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs_err::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn train_eval_index_and_inspect() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("dump"), folder.path().join("runs/one"));
    write_dump(&data, 2000, |_| ());
    train(&data, &run).assert().success().stdout(predicate::str::contains("FVU"));
    assert_eq!(entries(&run), ["checkpoints", "config.toml", "eval.json", "events.jsonl", "sae"]);

    let events = sae_core::run::RunDir::new(&run).read_events().unwrap();
    assert_eq!(events.last().unwrap().step, 100);
    assert!(events.last().unwrap().fvu < 0.5 * events[0].fvu, "training does not learn: {events:?}");
    assert!(events.iter().all(|event| event.l0 <= 4.0));

    let output = sae(&["eval", text(&run), "--data", text(&data), "--json"]).output().unwrap();
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let saved: Value = serde_json::from_slice(&fs_err::read(run.join("eval.json")).unwrap()).unwrap();
    assert_eq!(printed["fvu"], saved["fvu"]);
    assert_eq!(saved["split"], "held out");

    sae(&["index", text(&run), "--data", text(&data)])
        .assert()
        .success()
        .stdout(predicate::str::contains("2000 rows"));
    sae(&["index", text(&run), "--data", text(&data)])
        .assert()
        .code(1)
        .stderr(predicate::str::contains("--force"));
    // Candidates by bf16, which are the default, are chosen among in f32.
    let built = |precision: &[&str]| -> Value {
        let arguments = ["index", text(&run), "--data", text(&data), "--force", "--json"];
        let output = sae(&[&arguments, precision].concat()).output().unwrap();
        assert!(output.status.success(), "{precision:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let (fast, exact) = (built(&[]), built(&["--precision", "f32"]));
    assert_eq!(fast["n_firings"], exact["n_firings"]);
    let fvu = |meta: &Value| meta["fvu"].as_f64().unwrap();
    assert!((fvu(&fast) - fvu(&exact)).abs() < 1e-5 * fvu(&exact), "{} and {}", fast["fvu"], exact["fvu"]);
    sae(&["index", text(&run), "--data", text(&data), "--precision", "f16"])
        .assert()
        .code(1)
        .stderr(predicate::str::contains("bf16-candidates"));
    sae(&["inspect", text(&run)]).assert().success().stdout(predicate::str::contains("topk"));
    sae(&["inspect", text(&data)]).assert().success().stdout(predicate::str::contains("2000"));
    sae(&["inspect", "devices"]).assert().success().stdout(predicate::str::contains("cpu"));

    // The same settings and data give the same bytes.
    let again = folder.path().join("runs/two");
    train(&data, &again).assert().success();
    let weights = |run: &Path| fs_err::read(run.join("sae/sae_weights.safetensors")).unwrap();
    assert_eq!(weights(&run), weights(&again));
    // And a run is not overwritten.
    train(&data, &run).assert().code(1).stderr(predicate::str::contains("--resume"));
}

#[test]
fn a_config_prints_reads_back_and_refuses_unknown_keys() {
    let folder = tempfile::tempdir().unwrap();
    let printed = sae(&["train", "--print-config", "--set", "train.seed=7"]).output().unwrap();
    let path = folder.path().join("run.toml");
    fs_err::write(&path, &printed.stdout).unwrap();
    let again = sae(&["train", "--print-config", "--config", text(&path)]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&printed.stdout), String::from_utf8_lossy(&again.stdout));
    assert!(String::from_utf8_lossy(&again.stdout).contains("seed = 7"));
    sae(&["train", "--print-config", "--set", "train.batchsize=7"])
        .assert()
        .code(1)
        .stderr(predicate::str::contains("did you mean train.batch_size?"));
}

/// Every kind of bad input: exit code 1, one line that says `expected` among others, and no trace of a run.
fn refused(data: &Path, out: &Path, said: &str) {
    let folder = out.parent().unwrap();
    let before = entries(folder);
    let assert = train(data, out).assert().code(1);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert_eq!(stderr.trim_end().lines().count(), 1, "more than a line: {stderr}");
    assert!(stderr.contains(said), "{said:?} is not in: {stderr}");
    assert_eq!(entries(folder), before, "something is left behind");
}

#[test]
fn bad_dumps_get_one_clear_line_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("runs").join("bad");
    fs_err::create_dir(folder.path().join("runs")).unwrap();

    let nan = folder.path().join("nan");
    write_dump(&nan, 300, |x| x[250 * 16 + 3] = f32::NAN);
    refused(&nan, &out, "row 250");

    let good = folder.path().join("good");
    write_dump(&good, 300, |_| ());
    let file = entries(&good).into_iter().find(|name| name.ends_with(".parquet")).unwrap();

    let truncated = folder.path().join("truncated.parquet");
    let bytes = fs_err::read(good.join(&file)).unwrap();
    fs_err::write(&truncated, &bytes[..bytes.len() / 2]).unwrap();
    refused(&truncated, &out, "truncated.parquet");

    let text_file = folder.path().join("text.parquet");
    fs_err::write(&text_file, "this is no Parquet").unwrap();
    refused(&text_file, &out, "text.parquet");

    let empty = folder.path().join("empty");
    fs_err::create_dir(&empty).unwrap();
    refused(&empty, &out, "empty");
    refused(&folder.path().join("nowhere"), &out, "nowhere");

    let no_floats = folder.path().join("no_floats.parquet");
    write_parquet(&no_floats, &[("n", Arc::new(Int32Array::from(vec![1, 2, 3])))]);
    refused(&no_floats, &out, "no_floats.parquet");

    // A dump of another width than the SAE's.
    let run = folder.path().join("runs/good");
    train(&good, &run).assert().success();
    for command in ["index", "eval"] {
        sae(&[command, text(&run), "--data", SAMPLE])
            .assert()
            .code(1)
            .stderr(predicate::str::contains("width 384"));
    }
    assert!(!run.join("index").exists());
}

/// The decoder panics on some of these files; the reader makes errors of that, and so must the binary.
#[test]
fn a_flipped_byte_is_never_taken_for_a_bug() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    write_dump(&good, 8, |_| ());
    let sound = fs_err::read(good.join("0.parquet")).unwrap();
    let (bad, out) = (folder.path().join("bad.parquet"), folder.path().join("run"));
    let mut refusals = 0;
    for i in 4..sound.len() {
        let mut bytes = sound.clone();
        bytes[i] ^= [0x01, 0x80, 0xff][i % 3];
        fs_err::write(&bad, &bytes).unwrap();
        // Floats may change without a trace: then there is something to train on, though so few rows
        // that none is held out.
        let output = train(&bad, &out).args(["--set", "train.rows=64"]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => fs_err::remove_dir_all(&out).unwrap(),
            Some(1) => {
                refusals += 1;
                assert_eq!(stderr.trim_end().lines().count(), 1, "byte {i}: {stderr}");
                assert!(!out.exists(), "byte {i}: something is left behind");
            }
            code => panic!("byte {i}: exit code {code:?}: {stderr}"),
        }
    }
    assert!(refusals > 0, "no flip was noticed");
}

#[test]
fn an_output_that_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("dump");
    write_dump(&data, 300, |_| ());
    // A file where a folder should be: refused for every user, root too.
    let file = folder.path().join("file");
    fs_err::write(&file, "").unwrap();
    refused(&data, &file.join("run"), "file");
}

#[test]
fn arguments_that_are_wrong_exit_with_1() {
    sae(&["train"]).assert().code(1);
    sae(&["trian"]).assert().code(1);
    sae(&["--help"]).assert().success();
    sae(&["--version"]).assert().success().stdout(predicate::str::starts_with("sae "));
    sae(&["inspect", "/nowhere"]).assert().code(1).stderr(predicate::str::contains("/nowhere"));
}

/// `golden/eval.json` was computed by `golden/numpy_eval.py` with the SAE of sae-core's SAELens test.
#[test]
fn metrics_on_the_sample_are_those_of_numpy() {
    let folder = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = folder.path().join("run/sae");
    fs_err::create_dir_all(&dir).unwrap();
    for name in ["cfg.json", "sae_weights.safetensors"] {
        fs_err::copy(golden.join("sae-core/tests/golden/saelens/sae").join(name), dir.join(name)).unwrap();
    }
    let output =
        sae(&["eval", text(&folder.path().join("run")), "--data", SAMPLE, "--all", "--json"]).output();
    let found: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let expected: Value =
        serde_json::from_slice(&fs_err::read(golden.join("tests/golden/eval.json")).unwrap()).unwrap();
    let expected = expected.as_object().unwrap();
    assert_eq!(found.as_object().unwrap().len(), expected.len());
    for (name, value) in expected {
        let (value, found) = (value.as_f64().unwrap(), found[name].as_f64().unwrap());
        assert!((found - value).abs() <= 1e-5 * value.abs(), "{name}: {found} is not {value}");
    }
}
