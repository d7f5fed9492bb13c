//! What must hold of every optimizer in the registry. A new one is tested by its line there.
//!
//! `golden/optimizers/make_optimizers.py` makes the numbers that steps are compared with.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use burn::tensor::{Device, Tensor, TensorData};
use sae_core::{kernels, run::RunDir};
use sae_train::{
    checkpoint::Checkpoint,
    optimizers::{self, Optimizer, StepSize, Weight},
    params::to_vec,
    trainer::Trainer,
};
use safetensors::SafeTensors;
use std::path::Path;
use support::{D_SAE, Method};

const STEPS: u64 = 60;

fn every_optimizer(variant: &str, check: impl Fn(&str, Method)) {
    for name in optimizers::names() {
        check(name, Method::new(variant, &[&format!("optim.name={name}")], STEPS));
    }
}

/// Steps from `steps.start` on.
fn go_on(method: &Method, trainer: &mut Trainer, steps: std::ops::Range<u64>) {
    let lr = method.config.peak_lr(D_SAE).unwrap();
    for step in steps {
        trainer.step(method.batch(step), lr).unwrap();
    }
}

fn tensor(values: &[f32]) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), &Device::flex())
}

fn optimizer(keys: &str) -> Box<dyn Optimizer> {
    optimizers::build(&keys.parse::<toml_edit::DocumentMut>().unwrap()).unwrap()
}

#[test]
fn the_loss_falls_at_the_usual_learning_rate_and_rows_keep_their_length() {
    every_optimizer("topk", |name, method| {
        let mut trainer = method.fresh();
        go_on(&method, &mut trainer, 0..5);
        let first = trainer.take_window().error();
        go_on(&method, &mut trainer, 5..STEPS - 5);
        trainer.take_window();
        go_on(&method, &mut trainer, STEPS - 5..STEPS);
        let last = trainer.take_window().error();
        assert!(last < 0.7 * first, "{name}: the error was {first} and is {last}");
        for w_dec in [to_vec(&trainer.params().w_dec), trainer.sae().w_dec] {
            let norms = kernels::row_norms(&w_dec, method.sizes.d_out);
            assert!(norms.iter().all(|norm| (norm - 1.0).abs() < 1e-5), "{name}: {norms:?}");
        }
    });
}

#[test]
fn a_run_that_was_interrupted_ends_as_one_that_was_not() {
    every_optimizer("skip_transcoder", |name, method| {
        let mut whole = method.fresh();
        go_on(&method, &mut whole, 0..STEPS);
        let mut first = method.fresh();
        go_on(&method, &mut first, 0..STEPS / 2);
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::new(folder.path());
        fs_err::create_dir_all(run.checkpoints()).unwrap();
        first.checkpoint(String::new()).write(&run, 1).unwrap();
        let checkpoint = Checkpoint::read_newest(&run).unwrap().unwrap();
        let mut second = method.fresh().resume(checkpoint, folder.path()).unwrap();
        assert_eq!(second.sae(), first.sae(), "{name}: what was learned so far");
        go_on(&method, &mut second, STEPS / 2..STEPS);
        assert_eq!(whole.sae(), second.sae(), "{name}");
        let (whole, second) = (whole.checkpoint(String::new()), second.checkpoint(String::new()));
        assert_eq!(whole.weights, second.weights, "{name}");
        assert_eq!(whole.optimizer, second.optimizer, "{name}");
    });
}

#[test]
fn steps_agree_with_torch_or_with_the_equations() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/optimizers/optimizers.safetensors");
    let bytes = fs_err::read(path).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = metadata.metadata().clone().unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let f32s = |name: &str| -> Vec<f32> {
        let doubles: Vec<f64> = bytemuck::pod_collect_to_vec(tensors.tensor(name).unwrap().data());
        doubles.into_iter().map(|value| value as f32).collect()
    };
    let lr: f64 = metadata["lr"].parse().unwrap();
    let cases: Vec<serde_json::Map<String, serde_json::Value>> =
        serde_json::from_str(&metadata["cases"]).unwrap();
    for (i, case) in cases.iter().enumerate() {
        let keys: Vec<String> = case.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        let mut optimizer = optimizer(&keys.join("\n"));
        for (name, weight, shape) in [("w_enc", "matrix", [7, 4]), ("b_enc", "vector", [1, 7])] {
            let mut values = tensor(&f32s(weight));
            for grad in f32s(&format!("{weight}_grads")).chunks(shape[0] * shape[1]) {
                // Clipping scales gradients down before they are used.
                let grad = tensor(grad).mul_scalar(4.0);
                let weight = Weight { name, values, grad, shape, unit_rows: false };
                values = optimizer.step(weight, &StepSize { lr, grad_scale: 0.25 });
            }
            let expected = f32s(&format!("{i}.{weight}"));
            for (found, expected) in to_vec(&values).iter().zip(&expected) {
                assert!((found - expected).abs() < 2e-6, "{keys:?}, {weight}: {found} is not {expected}");
            }
        }
    }
}

/// A row without a past and without a gradient stays where it is.
#[test]
fn rows_that_were_given_new_values_do_not_go_on_as_before() {
    const ROWS: usize = 5;
    let no_momentum = ["rmsprop", "adagrad", "adafactor"];
    for name in optimizers::names() {
        for (weight, width) in [("w_enc", 3), ("b_enc", 1)] {
            let row = 2 * width..3 * width;
            let shape = if width == 1 { [1, ROWS] } else { [ROWS, width] };
            let moved_by = |forget: bool| {
                let config = Method::new("topk", &[&format!("optim.name={name}")], STEPS).config;
                let mut optimizer = config.optimizer().unwrap();
                let mut values = support::normal(ROWS * width, 1);
                for i in 2..7 {
                    let mut grad = support::normal(ROWS * width, i);
                    if i == 6 {
                        values[row.clone()].fill(0.5);
                        grad[row.clone()].fill(0.0);
                        if forget {
                            optimizer.forget_rows(weight, &[2], width, &tensor(&values));
                        }
                    }
                    let (values_before, grad) = (tensor(&values), tensor(&grad));
                    let weight =
                        Weight { name: weight, values: values_before, grad, shape, unit_rows: false };
                    values = to_vec(&optimizer.step(weight, &StepSize { lr: 1e-2, grad_scale: 1.0 }));
                }
                values[row.clone()].iter().map(|value| (value - 0.5).abs()).fold(0f32, f32::max)
            };
            // AdamW's weight decay takes 5e-5.
            assert!(moved_by(true) < 1e-4, "{name}: {weight} moved by {}", moved_by(true));
            assert!(moved_by(false) > 1e-4 || no_momentum.contains(&name), "{name}: {weight} had no past");
        }
    }
}

#[test]
fn errors_say_what_would_be_right() {
    let message = |sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        sae_train::Config::load(None, &sets).unwrap_err().to_string()
    };
    assert!(message(&["optim.name=adm"]).contains("did you mean adam?"));
    assert!(message(&["optim.name=lion", "optim.beta3=0.9"]).contains("did you mean optim.beta"));
    assert!(message(&["optim.weight_decay=0.1"]).contains("optim.weight_decay is no key"));
    assert!(message(&["optim.name=adamw", "optim.weight_decay=-1"]).contains("at least 0, found -1"));
    assert!(
        message(&["optim.name=sgd", "optim.momentum=1"])
            .contains("optim.momentum must be at least 0 and below 1")
    );
    assert!(message(&["optim.name=muon", "optim.iterations=0"]).contains("between 1 and 100, found 0"));
    assert!(message(&["optim.name=signum_schedule_free", "optim.beta1=0"]).contains("above 0 and at most 1"));
}
