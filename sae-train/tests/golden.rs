//! Every method against an independent implementation in PyTorch: `golden/README.md` says what its files
//! hold and how they are made.
//!
//! One step's codes, errors, terms and gradients, then ten steps' weights and state, each step with a trainer
//! that goes on from the checkpoint of the one before.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use burn::tensor::{Device, Tensor, TensorData};
use sae_core::kernels::Precision;
use sae_train::{
    checkpoint::Checkpoint,
    optimizers,
    params::{Params, to_vec},
    shuffle::Batch,
    state::State,
    trainer::{Setup, Trainer},
    variants::{self, At, Step, VariantConfig},
};
use safetensors::{Dtype, SafeTensors};
use std::{collections::BTreeMap, path::Path};

/// Largest difference over the largest value.
const TOLERANCE: f64 = 1e-5;

/// Counters of dead latents stand beyond it, those of others are 0.
const DEAD_AFTER: u64 = 1 << 40;

struct Case {
    name: String,
    arrays: BTreeMap<String, Vec<f64>>,
    shapes: BTreeMap<String, Vec<usize>>,
    variant: VariantConfig,
    optim: serde_json::Value,
    step: u64,
    steps: u64,
    dead: Vec<u32>,
    widths: Vec<usize>,
}

impl Case {
    fn read(path: &Path) -> Self {
        let bytes = fs_err::read(path).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = metadata.metadata().clone().unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let (mut arrays, mut shapes) = (BTreeMap::new(), BTreeMap::new());
        for (name, view) in tensors.iter() {
            let values: Vec<f64> = match view.dtype() {
                Dtype::F64 => bytemuck::pod_collect_to_vec(view.data()),
                _ => {
                    bytemuck::pod_collect_to_vec::<u8, f32>(view.data()).into_iter().map(f64::from).collect()
                }
            };
            arrays.insert(name.to_owned(), values);
            shapes.insert(name.to_owned(), view.shape().to_vec());
        }
        let json = |key: &str| serde_json::from_str::<serde_json::Value>(&metadata[key]).unwrap();
        let numbers = |value: serde_json::Value| -> Vec<u64> {
            value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
        };
        let given: toml_edit::DocumentMut = metadata["variant"].parse().unwrap();
        let d_in = *shapes["x"].last().unwrap();
        Self {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            variant: variant(&given),
            optim: json("optim"),
            step: metadata["step"].parse().unwrap(),
            steps: metadata["steps"].parse().unwrap(),
            dead: numbers(json("dead")).into_iter().map(|latent| latent as u32).collect(),
            widths: metadata.get("widths").map_or(vec![d_in], |_| {
                numbers(json("widths")).into_iter().map(|width| width as usize).collect()
            }),
            arrays,
            shapes,
        }
    }

    fn f32s(&self, name: &str) -> Vec<f32> {
        self.arrays[name].iter().map(|&value| value as f32).collect()
    }

    fn d_in(&self) -> usize {
        self.widths.iter().sum()
    }

    /// The `i`-th batch.
    fn batch(&self, i: usize) -> Batch {
        let of = |name: &str| {
            let Some(all) = self.arrays.get(name) else { return Vec::new() };
            let n = all.len() / self.shapes[name][0];
            all[i * n..(i + 1) * n].iter().map(|&value| value as f32).collect()
        };
        let companion = if self.arrays.contains_key("target") { of("target") } else { of("gradient") };
        Batch { x: of("x"), companion }
    }

    fn params(&self) -> Params {
        let own = ["threshold", "r_mag", "b_mag", "w_skip"].into_iter().filter_map(|name| {
            let key = format!("param.{name}");
            self.arrays.contains_key(&key).then(|| (name, self.f32s(&key)))
        });
        let weight = |name: &str| self.f32s(&format!("param.{name}"));
        let device = Device::flex();
        Params::from_host(weight("w_enc"), weight("b_enc"), weight("w_dec"), weight("b_dec"), &device)
            .with_own(own.collect())
    }

    fn state(&self) -> State {
        self.arrays
            .iter()
            .filter_map(|(name, values)| Some((name.strip_prefix("state.")?.to_owned(), values.clone())))
            .collect()
    }

    fn trainer(&self) -> Trainer {
        let mut optim = toml_edit::Table::new();
        for (key, value) in self.optim.as_object().unwrap() {
            optim[key] = match value {
                serde_json::Value::String(text) => toml_edit::value(text),
                number => toml_edit::value(number.as_f64().unwrap()),
            };
        }
        let setup = Setup {
            variant: self.variant.clone(),
            optimizer: optimizers::build(&optim).unwrap(),
            clip: self.optim["clip"].as_f64().unwrap(),
            widths: self.widths.clone(),
            steps: self.steps,
            dead_after: DEAD_AFTER,
            seed: 0,
            precision: Precision::F32,
        };
        Trainer::new(setup, self.params())
    }

    fn assert_close(&self, what: &str, found: &[f32], expected: &[f64]) {
        assert_eq!(found.len(), expected.len(), "{}: {what}: number of values", self.name);
        let largest = expected.iter().fold(0f64, |largest, value| largest.max(value.abs()));
        for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
            let error = (f64::from(found) - expected).abs();
            let allowed = TOLERANCE * largest.max(1e-3);
            assert!(
                error <= allowed || (found.is_nan() && expected.is_nan()),
                "{}: {what}[{i}]: {found} is not {expected} (largest {largest})",
                self.name
            );
        }
    }
}

/// The variant with the given keys over its defaults.
fn variant(given: &toml_edit::DocumentMut) -> VariantConfig {
    let sets: Vec<String> =
        given.iter().map(|(key, value)| format!("variant.{key}={}", value.to_string().trim())).collect();
    sae_train::Config::load(None, &sets).unwrap().variant
}

/// The first step alone: codes, errors, terms, gradients.
fn check_first_step(case: &Case) {
    let Batch { x, companion } = case.batch(0);
    let n_rows = x.len() / case.d_in();
    let matrix = |values: Vec<f32>| {
        let d = values.len() / n_rows;
        Tensor::<2>::from_data(TensorData::new(values, [n_rows, d]), &Device::flex())
    };
    let target = if case.arrays.contains_key("target") { companion.clone() } else { x.clone() };
    let params = case.params();
    let tracked = params.tracked();
    let state = case.state();
    let step = Step {
        x: matrix(x),
        companion: (!companion.is_empty()).then(|| matrix(companion)),
        params: &tracked,
        pre_bias: case.variant.form().pre_bias,
        precision: Precision::F32,
        dead: &case.dead,
        state: &state,
        widths: &case.widths,
        at: At { step: case.step, steps: case.steps, seed: 0 },
    };
    let forward = case.variant.forward(&step);

    let d_sae = params.b_enc.dims()[0];
    let mut codes = vec![0f32; n_rows * d_sae];
    let fired = forward.fired.codes();
    for r in 0..n_rows {
        for (&latent, &value) in fired.row(r).0.iter().zip(fired.row(r).1) {
            codes[r * d_sae + latent as usize] = value;
        }
    }
    case.assert_close("codes", &codes, &case.arrays["codes"]);

    let d_out = target.len() / n_rows;
    let errors: Vec<f64> = case.arrays["reconstruction"]
        .chunks(d_out)
        .zip(target.chunks(d_out))
        .map(|(out, target)| out.iter().zip(target).map(|(o, t)| (o - f64::from(*t)).powi(2)).sum())
        .collect();
    case.assert_close("errors", &to_vec(&forward.errors.clone().inner()), &errors);

    let terms: BTreeMap<String, Vec<f64>> = case
        .arrays
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("term.")?.to_owned(), value.clone())))
        .collect();
    let found: Vec<&str> = forward.terms.iter().map(|(name, _)| *name).collect();
    assert_eq!(found.len(), terms.len(), "{}: terms {found:?}", case.name);
    for (name, term) in &forward.terms {
        case.assert_close(name, &[term.clone().into_scalar::<f32>()], &terms[*name]);
    }

    let total = forward.terms.into_iter().map(|(_, term)| term).reduce(|a, b| a + b).unwrap();
    let mut grads = total.backward();
    let mut gradients = Gradients { case, grads: &mut grads };
    let mut tracked = tracked;
    tracked.visit(&mut gradients);
}

struct Gradients<'a> {
    case: &'a Case,
    grads: &'a mut burn::tensor::Gradients,
}

impl sae_train::params::Visit for Gradients<'_> {
    fn weight<const D: usize>(&mut self, name: &'static str, tensor: &mut Tensor<D>) {
        let found = tensor.grad_remove(self.grads).map(|grad| to_vec(&grad));
        let n = tensor.shape().num_elements();
        let expected = self.case.arrays.get(&format!("grad.{name}"));
        match (found, expected) {
            (None, None) => {}
            // A gradient that is absent is one of zeros.
            (found, expected) => self.case.assert_close(
                &format!("grad.{name}"),
                &found.unwrap_or_else(|| vec![0.0; n]),
                &expected.cloned().unwrap_or_else(|| vec![0.0; n]),
            ),
        }
    }
}

/// Ten steps: weights and state.
fn check_ten_steps(case: &Case) {
    let mut checkpoint = case.trainer().checkpoint(String::new());
    checkpoint.state = case.state();
    checkpoint.place.step = case.step - 1;
    let lr = case.optim["lr"].as_f64().unwrap();
    let mut trainer = None;
    for i in 0..10 {
        let d_sae = checkpoint.rows_since_fired.len();
        checkpoint.rows_since_fired = vec![0; d_sae];
        case.dead.iter().for_each(|&latent| checkpoint.rows_since_fired[latent as usize] = 2 * DEAD_AFTER);
        let mut next = resumed(case, checkpoint);
        next.step(case.batch(i), lr).unwrap();
        checkpoint = next.checkpoint(String::new());
        trainer = Some(next);
    }
    for (name, expected) in &case.arrays {
        if let Some(name) = name.strip_prefix("after.") {
            case.assert_close(&format!("after.{name}"), &checkpoint.weights[name], expected);
        }
        if let Some(name) = name.strip_prefix("after_state.") {
            let found: Vec<f32> =
                checkpoint.state.get(name).unwrap_or_default().iter().map(|&value| value as f32).collect();
            case.assert_close(&format!("after_state.{name}"), &found, expected);
        }
    }
    if case.arrays.contains_key("averaged.w_dec") {
        let sae = trainer.unwrap().sae();
        case.assert_close("averaged.w_enc", &sae.w_enc, &case.arrays["averaged.w_enc"]);
        case.assert_close("averaged.b_enc", &sae.b_enc, &case.arrays["averaged.b_enc"]);
        case.assert_close("averaged.w_dec", &sae.w_dec, &case.arrays["averaged.w_dec"]);
        case.assert_close("averaged.b_dec", &sae.b_dec, &case.arrays["averaged.b_dec"]);
    }
}

fn resumed(case: &Case, checkpoint: Checkpoint) -> Trainer {
    case.trainer().resume(checkpoint, Path::new("golden")).unwrap()
}

#[test]
fn methods_agree_with_an_independent_implementation() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<_> = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    files.sort();
    let cases: Vec<Case> = files.iter().map(|path| Case::read(path)).collect();
    for name in variants::names() {
        let covered = cases.iter().any(|case| case.name.starts_with(name));
        assert!(covered, "no golden file begins with {name}");
    }
    let mut failures = Vec::new();
    for case in &cases {
        for check in [check_first_step as fn(&Case), check_ten_steps] {
            let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(case)));
            if let Err(problem) = run {
                failures.push(problem.downcast_ref::<String>().cloned().unwrap_or_else(|| case.name.clone()));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
