//! A run that is stopped and resumed ends bit for bit as one that was not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use support::{sae, text, write_dump};

/// Big enough not to fit into a mebibyte: several buckets in temporary files.
const N_ROWS: usize = 20_000;

fn settings(rows: u64) -> Vec<String> {
    [
        "sae.d_sae=64".into(),
        "variant.k=4".into(),
        "train.batch_size=32".into(),
        format!("train.rows={rows}"),
        // Latents die and the auxiliary loss works.
        "train.dead_after=200".into(),
        "log.every=7".into(),
        "log.checkpoint_every=10".into(),
        "train.shuffle_memory=1".into(),
    ]
    .into_iter()
    .flat_map(|set: String| ["--set".into(), set])
    .collect()
}

fn weights(run: &Path) -> Vec<u8> {
    fs_err::read(run.join("sae/sae_weights.safetensors")).unwrap()
}

/// The events without their speed, which depends on the machine.
fn events(run: &Path) -> Vec<sae_core::run::Event> {
    let mut events = sae_core::run::RunDir::new(run).read_events().unwrap();
    events.iter_mut().for_each(|event| event.tokens_per_s = 0.0);
    events
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_a_checkpoint_and_resume_ends_bit_equal() {
    const ROWS: u64 = 32 * 3000;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("dump");
    write_dump(&data, N_ROWS, |_| ());
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    sae(&["train", "--data", text(&data), "--out", text(&whole)]).args(settings(ROWS)).assert().success();

    let child = Command::new(assert_cmd::cargo::cargo_bin!("sae"))
        .args(["train", "--data", text(&data), "--out", text(&stopped)])
        .args(settings(ROWS))
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while events(&stopped).len() < 5 {
        assert!(Instant::now() < deadline, "training does not start");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--resume"), "{output:?}");
    assert!(!stopped.join("sae").exists(), "it finished before it could be stopped");

    sae(&["train", "--data", text(&data), "--out", text(&stopped), "--resume"]).assert().success();
    assert_eq!(weights(&whole), weights(&stopped));
    assert_eq!(events(&whole), events(&stopped));
    sae(&["train", "--data", text(&data), "--out", text(&stopped), "--resume"]).assert().code(1);
}

#[test]
fn a_run_that_was_killed_goes_on_from_its_last_checkpoint() {
    const ROWS: u64 = 32 * 60;
    let folder = tempfile::tempdir().unwrap();
    let (data, whole, killed) =
        (folder.path().join("dump"), folder.path().join("whole"), folder.path().join("killed"));
    write_dump(&data, 1500, |_| ());
    sae(&["train", "--data", text(&data), "--out", text(&whole)]).args(settings(ROWS)).assert().success();
    sae(&["train", "--data", text(&data), "--out", text(&killed)]).args(settings(ROWS)).assert().success();
    // As it would stand had it been killed at step 55: a checkpoint of step 50, events after it.
    fs_err::remove_dir_all(killed.join("sae")).unwrap();
    assert!(killed.join("checkpoints/50").is_dir());
    sae(&["train", "--data", text(&data), "--out", text(&killed), "--resume"]).assert().success();
    assert_eq!(weights(&whole), weights(&killed));
    assert_eq!(events(&whole), events(&killed));

    // Another dump is refused.
    fs_err::remove_dir_all(killed.join("sae")).unwrap();
    let other = folder.path().join("other");
    write_dump(&other, 1600, |_| ());
    sae(&["train", "--data", text(&other), "--out", text(&killed), "--resume"])
        .assert()
        .code(1)
        .stderr(predicates::str::contains("another dump"));
}
