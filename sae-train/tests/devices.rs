//! Every method and every optimizer on every device, against the same on the processor.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use burn::tensor::Device;
use sae_train::{checkpoint::Checkpoint, device, optimizers, trainer::Trainer, variants};
use support::Method;

/// So few that sums that round otherwise have no time to change what is chosen.
const STEPS: u64 = 12;

/// Largest difference between weights over the largest weight, and between losses over the loss.
const TOLERANCE: f64 = 2e-5;

/// The devices to compare, without the one they are compared with.
fn devices() -> Vec<(&'static str, Device)> {
    let mut names = Vec::new();
    if cfg!(feature = "ndarray") {
        names.push("ndarray");
    }
    if cfg!(feature = "wgpu") {
        names.push("wgpu");
    }
    let open = |name| device::open(name).unwrap_or_else(|error| panic!("these tests need a device: {error}"));
    names.into_iter().map(|name| (name, open(name))).collect()
}

/// What a method learns in a few steps, and the loss of each.
fn trained(method: &Method, device: &Device) -> (Trainer, Vec<f64>) {
    let mut trainer = method.fresh_on(device);
    let losses = (0..STEPS).map(|step| {
        trainer.step(method.batch(step), 3e-3).unwrap();
        trainer.take_window().terms().1
    });
    let losses = losses.collect();
    (trainer, losses)
}

fn far(what: &str, got: impl IntoIterator<Item = f64>, expected: impl IntoIterator<Item = f64>) -> f64 {
    let (got, expected): (Vec<f64>, Vec<f64>) = (got.into_iter().collect(), expected.into_iter().collect());
    assert_eq!(got.len(), expected.len(), "{what}");
    // A threshold that is not known yet is NaN on both.
    assert!(got.iter().zip(&expected).all(|(a, b)| a.is_nan() == b.is_nan()), "{what}");
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let difference = largest(&mut got.iter().zip(&expected).map(|(a, b)| (a - b).abs()));
    difference / largest(&mut expected.iter().map(|value| value.abs())).max(1e-3)
}

fn wide(values: &[f32]) -> impl Iterator<Item = f64> {
    values.iter().map(|&value| f64::from(value))
}

fn agree(name: &str, method: &Method) {
    let (on_cpu, losses) = trained(method, &Device::flex());
    let expected: Checkpoint = on_cpu.checkpoint(String::new());
    for (device_name, device) in devices() {
        let (trainer, got_losses) = trained(method, &device);
        let got = trainer.checkpoint(String::new());
        let check = |what: &str, far: f64| {
            println!("{name} on {device_name}: {what} differ by {far:.1e}");
            assert!(far < TOLERANCE, "{name} on {device_name}: {what} differ by {far:e}");
        };
        check("losses", far("losses", got_losses, losses.iter().copied()));
        for (weight, expected) in &expected.weights {
            check(weight, far(weight, wide(&got.weights[weight]), wide(expected)));
        }
        for (key, values) in expected.state.iter() {
            let got = got.state.get(key).unwrap();
            check(key, far(key, got.iter().copied(), values.iter().copied()));
        }
        assert_eq!(got.rows_since_fired, expected.rows_since_fired, "{name} on {device_name}");
        // And the SAE that is measured and saved.
        let x = method.batch(99).x;
        let reconstructed = |trainer: &Trainer| trainer.sae().reconstruct(&x).1;
        let (got, expected) = (reconstructed(&trainer), reconstructed(&on_cpu));
        check("reconstructions", far("reconstructions", wide(&got), wide(&expected)));
    }
}

#[test]
fn every_method_learns_the_same() {
    for name in variants::names() {
        agree(name, &Method::new(name, &[], STEPS));
    }
}

#[test]
fn every_optimizer_learns_the_same() {
    for name in optimizers::names() {
        agree(name, &Method::new("topk", &[&format!("optim.name={name}")], STEPS));
    }
}
