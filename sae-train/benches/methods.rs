//! A step of every single-dictionary method beside that of TopK, at the sparsity of trained SAEs.
//!
//! `cargo bench -p sae-train --bench methods`
//!
//! Methods whose L0 is not a setting begin with many active latents and end with few; here their biases are
//! lowered until about `K` latents fire on a row, and the learning rate is 0, so that it stays so.

mod support;

use burn::tensor::{Device, Tensor};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sae_core::kernels::{Keep, Precision, encode_keeping};
use sae_train::{
    Config,
    params::{Params, to_vec},
    shuffle::Batch,
    trainer::{Setup, Trainer},
    variants::{Companion, Sizes, names},
};
use support::{keep_freed_memory, noise};

const BATCH: usize = 4096;
const D_IN: usize = 384;
const D_SAE: usize = 6144;
const K: usize = 32;

/// A bias under which about `K` pre-activations of a row are positive.
fn bias(w_enc: &[f32], x: &[f32]) -> f32 {
    let codes = encode_keeping(w_enc, &[0.0; D_SAE], x, &Keep::OfBatch(K * BATCH).into());
    -codes.values.iter().copied().fold(f32::INFINITY, f32::min)
}

fn trainer(name: &str, x: &[f32]) -> Trainer {
    let mut sets = vec![format!("variant.name={name}")];
    if name == "matryoshka_k" {
        // Its last level, of eight times as many, is what the others have.
        sets.push("variant.k=4".into());
    }
    let config = Config::load(None, &sets).expect("the settings are right");
    let sizes = Sizes { d_in: D_IN, d_out: D_IN, d_sae: D_SAE, widths: vec![D_IN / 2; 2] };
    let form = config.variant.form();
    let device = Device::flex();
    let mut params = Params::initial([D_IN, D_SAE], vec![0.0; D_IN], form.initial_length, 0, &device)
        .with_own(config.variant.own_weights(&sizes));
    let chooses = ["relu", "gated", "crosscoder", "jump_relu"].contains(&name);
    if chooses {
        let threshold = if name == "jump_relu" { 0.05 } else { 0.0 };
        let bias = bias(&to_vec(&params.w_enc), x) + threshold;
        params.b_enc = Tensor::full([D_SAE], bias, &device);
    }
    let setup = Setup {
        variant: config.variant.clone(),
        optimizer: config.optimizer().expect("the settings are right"),
        clip: 1.0,
        widths: sizes.widths.clone(),
        steps: 1 << 40,
        dead_after: u64::MAX,
        seed: 0,
        precision: Precision::F32,
    };
    Trainer::new(setup, params)
}

fn methods(c: &mut Criterion) {
    keep_freed_memory();
    let mut group = c.benchmark_group(format!("train/{D_IN}x{D_SAE}, about {K} active, batch {BATCH}"));
    group.throughput(Throughput::Elements(BATCH as u64)).sample_size(10);
    let x = noise(BATCH * D_IN, D_IN);
    for name in names() {
        let mut trainer = trainer(name, &x);
        let config = Config::load(None, &[format!("variant.name={name}")]).expect("the name is known");
        let companion = match config.variant.form().companion {
            None => Vec::new(),
            Some(Companion::Target) => x.clone(),
            Some(Companion::Gradient) => x.iter().rev().copied().collect(),
        };
        let batch = Batch { x: x.clone(), companion };
        trainer.step(batch.clone(), 0.0).expect("the loss is finite");
        let l0 = trainer.take_window().l0();
        group.bench_function(format!("{name} (L0 {l0:.0})"), |b| {
            let step = |batch| trainer.step(batch, 0.0).expect("the loss is finite");
            b.iter_batched(|| batch.clone(), step, BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, methods);
criterion_main!(benches);
