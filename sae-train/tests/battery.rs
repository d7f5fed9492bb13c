//! What must hold of every method in the registry. A new one is tested by its line there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use sae_core::{Codes, Rule, Sae, formats::saelens, kernels};
use sae_train::{
    params::to_vec,
    variants::{Companion, names},
};
use support::Method;

const STEPS: u64 = 60;

fn trained(method: &Method) -> sae_train::trainer::Trainer {
    let mut trainer = method.fresh();
    for step in 0..method.steps {
        trainer.step(method.batch(step), 3e-3).unwrap();
    }
    trainer
}

fn every_method(check: impl Fn(&str, Method)) {
    for name in names() {
        check(name, Method::new(name, &[], STEPS));
    }
}

#[test]
fn losses_and_gradients_are_finite_and_the_error_falls() {
    every_method(|name, method| {
        let mut trainer = method.fresh();
        let mut errors = Vec::new();
        for step in 0..method.steps {
            trainer.step(method.batch(step), 3e-3).unwrap();
            let window = trainer.take_window();
            assert!(window.grad_norm().is_finite() && window.grad_norm() > 0.0, "{name}");
            errors.push(window.error());
        }
        let mean = |errors: &[f64]| errors.iter().sum::<f64>() / errors.len() as f64;
        let (first, last) = (mean(&errors[..5]), mean(&errors[errors.len() - 5..]));
        assert!(last < 0.8 * first, "{name}: the error was {first} and is {last}");
    });
}

#[test]
fn gradients_have_the_shapes_of_their_weights_and_reach_all_that_are_used() {
    struct Finite<'a>(&'a mut burn::tensor::Gradients, &'a str, usize);
    impl sae_train::params::Visit for Finite<'_> {
        fn weight<const D: usize>(&mut self, name: &'static str, tensor: &mut burn::tensor::Tensor<D>) {
            if let Some(grad) = tensor.grad_remove(self.0) {
                assert_eq!(grad.dims(), tensor.dims(), "{}: {name}", self.1);
                assert!(to_vec(&grad).iter().all(|value| value.is_finite()), "{}: {name}", self.1);
                self.2 += 1;
            }
        }
    }
    every_method(|name, method| {
        let trainer = trained(&method);
        let mut tracked = trainer.params().tracked();
        let batch = method.batch(1);
        let state = trainer.state().clone();
        let forward =
            support::forward(method.variant(), &tracked, &state, &batch, &method.sizes.widths, STEPS);
        let total = forward.terms.into_iter().map(|(_, term)| term).reduce(|a, b| a + b).unwrap();
        let mut grads = total.backward();
        let mut finite = Finite(&mut grads, name, 0);
        tracked.visit(&mut finite);
        // k_sparse has one matrix for both.
        let unused = usize::from(name == "k_sparse");
        assert_eq!(finite.2, 4 + trainer.params().own.len() - unused, "{name}");
    });
}

#[test]
fn decoder_rows_keep_their_length_where_the_form_says_so() {
    every_method(|name, method| {
        let trainer = trained(&method);
        let w_dec = to_vec(&trainer.params().w_dec);
        let unit =
            kernels::row_norms(&w_dec, method.sizes.d_out).iter().all(|norm| (norm - 1.0).abs() < 1e-5);
        assert_eq!(unit, method.variant().form().unit_rows || name == "k_sparse", "{name}");
    });
}

#[test]
fn the_saved_sae_encodes_as_the_exported_one() {
    every_method(|name, method| {
        let sae = trained(&method).sae();
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("sae");
        saelens::write(&dir, &sae, &saelens::Origin::default()).unwrap();
        let read: Sae = saelens::read(&dir).unwrap();
        let x = method.batch(77).x;
        assert_eq!(sae.encode(&x), read.encode(&x), "{name}");
        assert_eq!(sae.reconstruct(&x).1, read.reconstruct(&x).1, "{name}");
    });
}

/// Methods that choose by thresholds, over a batch, or by gradients choose differently at inference; what
/// both choose has the same value.
#[test]
fn the_exported_sae_encodes_as_the_trained_one_within_its_rule() {
    every_method(|name, method| {
        let trainer = trained(&method);
        let batch = method.batch(78);
        let forward = method.forward(&trainer, &batch);
        let (in_training, exported) = (forward.fired.codes(), trainer.sae().encode(&batch.x));
        let common = common(in_training, &exported, name);
        let by_gradient = method.variant().form().companion == Some(Companion::Gradient);
        let learned_threshold = matches!(trainer.sae().rule, Rule::JumpRelu { .. }) && name != "jump_relu";
        if by_gradient || learned_threshold {
            let (a, b) = (in_training.nnz() as f64, exported.nnz() as f64);
            assert!(common as f64 > 0.6 * a.max(b), "{name}: {common} of {a} and {b} in common");
        } else {
            // k_sparse keeps negative values in training, where its SAE cannot.
            let positive = in_training.values.iter().filter(|&&value| value > 0.0).count();
            assert_eq!((common, exported.nnz()), (positive, positive), "{name}");
        }
    });
}

/// The number of entries in both; their values must agree.
fn common(a: &Codes, b: &Codes, name: &str) -> usize {
    let mut n = 0;
    for r in 0..a.n_rows() {
        let ((latents, values), (others, other_values)) = (a.row(r), b.row(r));
        for (latent, value) in latents.iter().zip(values) {
            if let Ok(place) = others.binary_search(latent) {
                let other = other_values[place];
                assert!((value - other).abs() <= 1e-5 * value.abs().max(0.1), "{name}: {value} and {other}");
                n += 1;
            }
        }
    }
    n
}

#[test]
fn a_run_that_was_interrupted_ends_as_one_that_was_not() {
    every_method(|name, method| {
        let whole = trained(&method);
        let mut first = method.fresh();
        for step in 0..STEPS / 2 {
            first.step(method.batch(step), 3e-3).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let run = sae_core::run::RunDir::new(folder.path());
        fs_err::create_dir_all(run.checkpoints()).unwrap();
        first.checkpoint("hash".into()).write(&run, 1).unwrap();
        let checkpoint = sae_train::checkpoint::Checkpoint::read_newest(&run).unwrap().unwrap();
        let mut second = method.fresh().resume(checkpoint, folder.path()).unwrap();
        for step in STEPS / 2..STEPS {
            second.step(method.batch(step), 3e-3).unwrap();
        }
        let (whole, second) = (whole.checkpoint(String::new()), second.checkpoint(String::new()));
        // Bits, since a threshold that is not known yet is NaN.
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(whole.weights, second.weights, "{name}");
        assert_eq!(whole.optimizer, second.optimizer, "{name}");
        let states = [&whole, &second].map(|checkpoint| {
            checkpoint.state.iter().map(|(key, values)| (key.to_owned(), bits(values))).collect::<Vec<_>>()
        });
        assert_eq!(states[0], states[1], "{name}");
        assert_eq!(whole.rows_since_fired, second.rows_since_fired, "{name}");
        assert_eq!(bits(&whole.window), bits(&second.window), "{name}");
    });
}
