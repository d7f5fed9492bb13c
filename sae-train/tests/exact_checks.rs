//! What is known of the methods in closed form.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use burn::tensor::Device;
use sae_core::kernels::{Keep, encode_keeping};
use sae_train::{
    params::{Params, to_vec},
    shuffle::Batch,
    trainer::Trainer,
    variants::Sizes,
};
use support::{D_IN, D_SAE, Method, ROWS, normal};

const WIDTH: usize = 4;

/// A method with a latent for each sense of each axis: by symmetry `b_dec` stays 0.
fn one_latent_a_sense(name: &str, sets: &[&str], steps: u64) -> (Method, Trainer) {
    let mut method = Method::new(name, sets, steps);
    method.sizes = Sizes { d_in: WIDTH, d_out: WIDTH, d_sae: 2 * WIDTH, widths: vec![WIDTH] };
    let both = axes([1.0]).x;
    let params =
        Params::from_host(both.clone(), vec![0.0; 2 * WIDTH], both, vec![0.0; WIDTH], &Device::flex());
    let trainer = method.trainer(params);
    (method, trainer)
}

/// For each of the sizes a row along each axis in both senses.
fn axes(sizes: impl IntoIterator<Item = f32>) -> Batch {
    let mut x = Vec::new();
    for size in sizes {
        for axis in 0..WIDTH {
            for sense in [1.0, -1.0] {
                x.extend((0..WIDTH).map(|i| if i == axis { sense * size } else { 0.0 }));
            }
        }
    }
    Batch { x, companion: Vec::new() }
}

fn train(trainer: &mut Trainer, steps: u64, lr: f64, batch: impl Fn(u64) -> Batch) {
    for step in 0..steps {
        // Falls to 0, so that the end is not a dance around the optimum.
        trainer.step(batch(step), lr * (1.0 - step as f64 / steps as f64)).unwrap();
    }
}

/// Rows of size 1 come out with this size.
fn assert_reconstructs(trainer: &Trainer, size: f32) {
    let x = axes([1.0]).x;
    for (found, x) in trainer.sae().reconstruct(&x).1.iter().zip(&x) {
        assert!((found - size * x).abs() < 1e-2, "{found} is not {size} of {x}");
    }
}

/// `f* = a − λ/2`: of a feature of size 1 at λ = 1 half is left.
#[test]
fn an_l1_penalty_shrinks_by_half_of_its_weight() {
    for form in ["bricken", "april"] {
        let sets = [format!("variant.form={form}"), "variant.l1=1.0".into(), "variant.l1_warmup=0.0".into()];
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        let (method, mut trainer) = one_latent_a_sense("relu", &sets, 1500);
        train(&mut trainer, method.steps, 1e-2, |_| axes([1.0; 2]));
        assert_reconstructs(&trainer, 0.5);
    }
}

/// On the same rows a gated SAE reconstructs the feature whole: only its gate shrinks.
#[test]
fn a_gated_sae_does_not_shrink() {
    let (method, mut trainer) =
        one_latent_a_sense("gated", &["variant.l1=1.0", "variant.l1_warmup=0.0", "optim.beta1=0.0"], 3000);
    train(&mut trainer, method.steps, 1e-2, |_| axes([1.0; 2]));
    assert_reconstructs(&trainer, 1.0);
}

/// `θ* = √λ`: below it a latent costs more by firing than by being silent.
#[test]
fn a_threshold_settles_at_the_root_of_the_penalty() {
    for lambda in [0.25f64, 0.5] {
        let sets = [
            format!("variant.l0_coefficient={lambda}"),
            "variant.l0_warmup=0.0".into(),
            "variant.bandwidth=0.1".into(),
            "variant.threshold_init=0.3".into(),
        ];
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        let (method, mut trainer) = one_latent_a_sense("jump_relu", &sets, 3000);
        // Sizes spread evenly from 0 to 2, others in every step.
        let sizes = |step: u64| (0..32).map(move |i| (i as f32 + (step as f32 * 0.618).fract()) / 16.0);
        train(&mut trainer, method.steps, 3e-3, |step| axes(sizes(step)));
        for threshold in to_vec(trainer.params().own("threshold")) {
            let expected = lambda.sqrt();
            assert!((f64::from(threshold) - expected).abs() < 0.03, "{threshold} is not {expected}");
        }
    }
}

#[test]
fn the_coefficient_is_led_to_the_wanted_l0() {
    let sets = ["l0_control=coefficient", "l0_target=6.0", "l0_gain=0.01", "l0_warmup=0.0", "bandwidth=0.3"];
    let sets = sets.map(|set| format!("variant.{set}"));
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    let method = Method::new("jump_relu", &sets, 2000);
    let mut trainer = method.fresh();
    for step in 0..method.steps {
        if step == method.steps - 200 {
            trainer.take_window();
        }
        trainer.step(method.batch(step), 3e-3).unwrap();
    }
    let l0 = trainer.take_window().l0();
    assert!((l0 - 6.0).abs() < 0.6, "L0 is {l0}");
}

#[test]
fn a_batch_has_the_largest_and_no_more_than_there_are() {
    let (w, b, x) = (normal(D_SAE * D_IN, 1), vec![-1.0; D_SAE], normal(ROWS * D_IN, 2));
    let all = encode_keeping(&w, &b, &x, &Keep::Positive.into());
    for n in [0, 1, 100, 3 * ROWS, all.nnz(), all.nnz() + 10] {
        let codes = encode_keeping(&w, &b, &x, &Keep::OfBatch(n).into());
        assert_eq!(codes.nnz(), n.min(all.nnz()));
        let smallest = codes.values.iter().copied().fold(f32::INFINITY, f32::min);
        let larger = all.values.iter().filter(|&&value| value > smallest).count();
        assert!(larger <= n, "{larger} are larger than the smallest of {n}");
    }
}

#[test]
fn every_latent_has_its_largest_up_to_its_budget() {
    let (w, b, x) = (normal(D_SAE * D_IN, 1), normal(D_SAE, 4), normal(ROWS * D_IN, 2));
    let budgets: Vec<u32> = (0..D_SAE as u32).map(|latent| latent * latent % 300).collect();
    let all = encode_keeping(&w, &b, &x, &Keep::Positive.into());
    let codes = encode_keeping(&w, &b, &x, &Keep::OfLatents(budgets.clone().into()).into());
    let of_latent = |codes: &sae_core::Codes, latent: usize| -> Vec<f32> {
        let entries = codes.latents.iter().zip(&codes.values);
        let mut values: Vec<f32> =
            entries.filter(|(l, _)| **l as usize == latent).map(|(_, value)| *value).collect();
        values.sort_by(|a, b| b.total_cmp(a));
        values
    };
    for (latent, budget) in budgets.iter().enumerate() {
        let (mut expected, found) = (of_latent(&all, latent), of_latent(&codes, latent));
        expected.truncate(*budget as usize);
        assert_eq!(expected.len(), found.len(), "latent {latent}, budget {budget}");
        for (a, b) in expected.iter().zip(&found) {
            assert!((a - b).abs() < 1e-5 * a.max(1.0), "latent {latent}: {a} and {b}");
        }
    }
}

/// Runs with the same seed end with the same bits, if both add up their products in the same order.
fn ends_like(name: &str, sets: &[&str], other: &str, others: &[&str]) {
    let ends = [(name, sets), (other, others)].map(|(name, sets)| {
        let sets = [sets, &["train.precision=f32"]].concat();
        let method = Method::new(name, &sets, 30);
        let mut trainer = method.fresh();
        for step in 0..method.steps {
            let gradients = method.variant().form().companion.is_some();
            let companion = if gradients { normal(ROWS * D_IN, step) } else { Vec::new() };
            trainer.step(Batch { companion, ..method.batch(step) }, 3e-3).unwrap();
        }
        trainer.checkpoint(String::new()).weights
    });
    assert!(ends[0] == ends[1], "{name} and {other} end with other weights");
}

#[test]
fn without_preference_a_gradient_sae_is_topk() {
    ends_like("gradient_topk", &["variant.k=8", "variant.beta=0.0"], "topk", &["variant.k=8"]);
}

/// With `underused = 0` the latents of the aux-Zipf loss are the dead ones.
#[test]
fn mutual_choice_that_lifts_only_dead_latents_is_batch_topk() {
    ends_like(
        "mutual_choice",
        &["variant.k=3", "variant.underused=0.0", "variant.aux_coefficient=0.5"],
        "batch_topk",
        &["variant.k=3", "variant.aux_coefficient=0.5"],
    );
}

#[test]
fn under_feature_choice_no_latent_dies() {
    let method = Method::new("feature_choice", &["variant.k=3", "variant.mutual_until=0.2"], 40);
    let mut trainer = method.fresh();
    for step in 0..method.steps {
        trainer.step(method.batch(step), 1e-3).unwrap();
    }
    assert_eq!(trainer.n_dead(), 0);
}

#[test]
fn dead_latents_are_resampled_and_fire_again() {
    let every = format!("variant.resample_every={}", 20 * ROWS);
    let method = Method::new("relu", &["variant.form=bricken", "variant.l1=0.05", &every], 40);
    let start = method.fresh();
    // Half of the latents can never fire.
    let mut dead = start.params().clone();
    let b_enc: Vec<f32> = (0..D_SAE).map(|latent| if latent < D_SAE / 2 { -100.0 } else { 0.0 }).collect();
    dead.b_enc = burn::tensor::Tensor::from_floats(b_enc.as_slice(), &Device::flex());
    let mut trainer = method.trainer(dead);
    for step in 0..method.steps {
        trainer.step(method.batch(step), 1e-3).unwrap();
    }
    let fired = method.forward(&trainer, &method.batch(500)).fired;
    let revived: std::collections::BTreeSet<u32> =
        fired.codes().latents.iter().copied().filter(|&latent| (latent as usize) < D_SAE / 2).collect();
    assert!(revived.len() > D_SAE / 4, "{} of {} fire again", revived.len(), D_SAE / 2);
}

/// Candidates by rounded numbers, codes in f32: only sums may differ, by their order.
#[test]
fn bf16_candidates_train_as_f32_does() {
    for name in ["topk", "jump_relu", "gradient_topk"] {
        let weights = ["f32", "bf16-candidates"].map(|precision| {
            let precision = format!("train.precision={precision}");
            let method = Method::new(name, &[&precision], 20);
            let mut trainer = method.fresh();
            for step in 0..method.steps {
                trainer.step(method.batch(step), 1e-3).unwrap();
            }
            to_vec(&trainer.params().w_dec)
        });
        for (f32, bf16) in weights[0].iter().zip(&weights[1]) {
            assert!((f32 - bf16).abs() < 2e-3, "{name}: {f32} and {bf16}");
        }
    }
}

#[test]
fn a_gated_sae_is_exported_as_gated_or_as_the_jumprelu_of_the_same_codes() {
    let saes = ["gated", "jumprelu"].map(|export| {
        let method = Method::new("gated", &[&format!("variant.export={export}")], 40);
        let mut trainer = method.fresh();
        train(&mut trainer, method.steps, 3e-3, |step| method.batch(step));
        trainer.sae()
    });
    assert_eq!(saes.each_ref().map(|sae| sae.rule.name()), ["gated", "jumprelu"]);
    let x = support::features(D_IN, 90);
    let [gated, jumprelu] = saes.map(|sae| sae.encode(&x));
    assert_eq!(gated.latents, jumprelu.latents);
    for (a, b) in gated.values.iter().zip(&jumprelu.values) {
        assert!((a - b).abs() < 1e-5, "{a} and {b}");
    }
}

/// Prefixes drawn in each step follow from the seed, and teach as fixed ones do.
#[test]
fn prefixes_may_be_drawn() {
    let run = |sampled: &str| {
        let method = Method::new("matryoshka", &["variant.k=4", sampled], 60);
        let mut trainer = method.fresh();
        train(&mut trainer, method.steps, 3e-3, |step| method.batch(step));
        (trainer.take_window().error(), to_vec(&trainer.params().w_dec))
    };
    let ((drawn, weights), (again, same)) = (run("variant.sampled=5"), run("variant.sampled=5"));
    let (fixed, other) = run("variant.sampled=0");
    assert_eq!((drawn, &weights), (again, &same));
    assert_ne!(weights, other);
    assert!((drawn / fixed - 1.0).abs() < 0.3, "{drawn} and {fixed}");
}
