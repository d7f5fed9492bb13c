//! The binary on every device, against the same run on the processor; what it says of devices.
//!
//! With the feature `wgpu` a driver for Vulkan must be there, or Metal or DirectX 12; one in software will do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use sae_train::variants;
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::Path;
use support::{sae, settings, text, write_all_columns};

/// Largest difference between weights over the largest weight, and between measurements over theirs.
const TOLERANCE: f64 = 1e-4;

/// Trains a method, which measures it too.
fn train(data: &Path, run: &Path, method: &str, device: &str, rows: usize) {
    let mut train = sae(&["train", "--data", text(data), "--out", text(run), "--device", device]);
    for set in settings(method) {
        train.args(["--set", &set]);
    }
    train.args(["--set", &format!("train.rows={rows}")]).assert().success();
}

/// The largest difference between the numbers of two runs, each over the largest of its kind.
fn difference(run: &Path, expected: &Path) -> f64 {
    let relative = |pairs: Vec<(f64, f64)>| {
        let largest = pairs.iter().fold(1e-3, |most, pair| pair.1.abs().max(most));
        pairs.iter().fold(0.0, |most, (a, b)| (a - b).abs().max(most)) / largest
    };
    let bytes = |run: &Path| fs_err::read(run.join("sae/sae_weights.safetensors")).unwrap();
    let (bytes, expected_bytes) = (bytes(run), bytes(expected));
    let expected_weights = SafeTensors::deserialize(&expected_bytes).unwrap();
    let weights = SafeTensors::deserialize(&bytes).unwrap();
    let mut most = 0.0f64;
    for (name, tensor) in expected_weights.tensors() {
        let values = |bytes: &[u8]| -> Vec<f64> {
            bytes.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()
        };
        let (got, expected) = (values(weights.tensor(&name).unwrap().data()), values(tensor.data()));
        assert_eq!(got.len(), expected.len(), "{name}");
        most = most.max(relative(got.into_iter().zip(expected).collect()));
    }
    let eval = |run: &Path| serde_json::from_slice::<Value>(&fs_err::read(run.join("eval.json")).unwrap());
    let (eval, expected) = (eval(run).unwrap(), eval(expected).unwrap());
    for key in ["fvu", "l0_mean", "cosine", "dead_fraction"] {
        let number = |eval: &Value| eval[key].as_f64().unwrap();
        most = most.max(relative(vec![(number(&eval), number(&expected))]));
    }
    most
}

/// The methods that differ on a device from the processor, with how far.
fn differing<'a>(methods: impl IntoIterator<Item = &'a str>, device: &str, rows: usize) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("dump");
    write_all_columns(&data);
    let mut differing = Vec::new();
    for method in methods {
        let [here, there] = ["cpu", device].map(|device| folder.path().join(format!("{method}-{device}")));
        train(&data, &here, method, "cpu", rows);
        train(&data, &there, method, device, rows);
        let far = difference(&there, &here);
        println!("{method} on {device}: {far:.1e}");
        if far.is_nan() || far > TOLERANCE {
            differing.push(format!("{method} by {far:e}"));
        }
    }
    differing
}

#[test]
fn flex_is_another_name_of_cpu() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("dump");
    write_all_columns(&data);
    let [cpu, flex] = ["cpu", "flex"].map(|device| folder.path().join(device));
    train(&data, &cpu, "topk", "cpu", 640);
    train(&data, &flex, "topk", "flex", 640);
    assert_eq!(difference(&flex, &cpu), 0.0);
}

#[test]
#[cfg(feature = "ndarray")]
fn every_method_trains_on_ndarray() {
    let differing = differing(variants::names(), "ndarray", 1280);
    assert!(differing.is_empty(), "{differing:?}");
}

#[test]
#[cfg(feature = "wgpu")]
fn topk_jump_relu_and_matryoshka_train_on_a_gpu() {
    let differing = differing(["topk", "jump_relu", "matryoshka"], "wgpu", 6400);
    assert!(differing.is_empty(), "{differing:?}");
}

/// What the binary says of an error: one line.
fn refused(device: &str, change: impl FnOnce(&mut assert_cmd::Command)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("dump"), folder.path().join("run"));
    write_all_columns(&data);
    let mut train = sae(&["train", "--data", text(&data), "--out", text(&run), "--device", device]);
    train.args(["--set", "data.activation_column=activation"]);
    change(&mut train);
    let message = String::from_utf8(train.assert().code(1).get_output().stderr.clone()).unwrap();
    assert_eq!(message.trim_end().lines().count(), 1, "{message}");
    assert!(!run.exists(), "{device} left something behind");
    message
}

fn devices(change: impl FnOnce(&mut assert_cmd::Command)) -> (String, Value) {
    let mut table = sae(&["inspect", "devices"]);
    change(&mut table);
    let table = String::from_utf8(table.assert().success().get_output().stdout.clone()).unwrap();
    let json = sae(&["inspect", "devices", "--json"]).assert().success().get_output().stdout.clone();
    (table, serde_json::from_slice(&json).unwrap())
}

#[test]
fn devices_are_listed() {
    let (table, json) = devices(|_| ());
    let names: Vec<&str> =
        json["devices"].as_array().unwrap().iter().map(|device| device["name"].as_str().unwrap()).collect();
    assert_eq!(names[0], "cpu");
    assert_eq!(names.contains(&"ndarray"), cfg!(feature = "ndarray"));
    assert_eq!(names.contains(&"wgpu:0"), cfg!(feature = "wgpu"));
    for name in names {
        assert!(table.lines().any(|line| line.split(' ').next() == Some(name)), "{table} lacks {name}");
    }
    assert!(table.contains(json["instructions"].as_str().unwrap()), "{table}");
    assert!(json["threads"].as_u64().unwrap() > 0);
    assert_eq!(table.contains("--features wgpu"), !cfg!(feature = "wgpu"), "{table}");
}

#[test]
fn a_device_that_is_not_there_is_refused_with_those_that_are() {
    for device in ["gpu", "cuda:0", "wgpux", "wgpu:99", "wgpu:", "wgpu:first"] {
        let message = refused(device, |_| ());
        assert!(message.contains(&format!("--device {device}")), "{message}");
        assert!(message.contains("Devices here: cpu"), "{message}");
    }
    let message = refused("wgpu:99", |_| ());
    let said = if cfg!(feature = "wgpu") { "wgpu:0 (" } else { "--features wgpu" };
    assert!(message.contains(said), "{message}");
}

#[test]
#[cfg(feature = "wgpu")]
fn weights_too_large_for_a_gpu_are_refused_before_any_work() {
    // 16 values for each latent, of 4 bytes: half a tebibyte.
    let message = refused("wgpu", |train| {
        train.args(["--set", "sae.d_sae=8589934592"]);
    });
    assert!(message.contains("at most") && message.contains("524288 MiB"), "{message}");
}

/// Vulkan's loader takes its drivers from these variables instead of looking for them.
#[test]
#[cfg(all(feature = "wgpu", target_os = "linux"))]
fn without_a_driver_there_is_one_line_that_says_what_to_install() {
    let hide = |command: &mut assert_cmd::Command| {
        command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
    };
    for device in ["wgpu", "wgpu:0"] {
        let message = refused(device, hide);
        for part in ["Vulkan", "mesa-vulkan-drivers", "Devices here: cpu"] {
            assert!(message.contains(part), "{message:?} lacks {part}");
        }
    }
    let (table, _) = devices(hide);
    assert!(table.contains("mesa-vulkan-drivers") && !table.contains("wgpu:0"), "{table}");
}

#[test]
fn a_folder_named_devices_is_inspected_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    write_all_columns(&folder.path().join("devices"));
    let inspect = |what: &str| {
        let mut inspect = sae(&["inspect", what]);
        let output = inspect.current_dir(folder.path()).assert().success().get_output().clone();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(inspect("./devices").contains("2000"));
    assert!(inspect("devices").contains("flex"));
}
