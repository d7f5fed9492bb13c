//! A whole TopK training step beside its bound, the bare dense product of the encoder.
//!
//! `cargo bench -p sae-train --bench step`
//!
//! A step is forward, backward, projection, clipping, Adam and unit rows. No encoding can take less
//! time than the product of `[batch, d_in]` with `[d_in, d_sae]`.

mod support;

use burn::tensor::Device;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sae_core::kernels::Precision;
use sae_train::{
    Config,
    params::Params,
    shuffle::Batch,
    trainer::{Setup, Trainer},
};
use std::hint::black_box;
use support::{keep_freed_memory, noise};

const BATCH: usize = 4096;
const D_IN: usize = 384;
const D_SAE: usize = 6144;

fn step(c: &mut Criterion) {
    keep_freed_memory();
    let mut group = c.benchmark_group(format!("train/{D_IN}x{D_SAE}, k 32, batch {BATCH}"));
    group.throughput(Throughput::Elements(BATCH as u64)).sample_size(20);
    let (x, w) = (noise(BATCH * D_IN, D_IN), noise(D_SAE * D_IN, D_IN));
    let mut out = vec![0.0f32; BATCH * D_SAE];
    group.bench_function("bound: dense product", |b| {
        b.iter(|| {
            multiply(&x, &w, &mut out);
            black_box(&out);
        });
    });
    let config = Config::load(None, &["variant.k=32".into()]).expect("the settings are right");
    for (name, precision) in [("step", Precision::F32), ("step, bf16 candidates", Precision::Bf16Candidates)]
    {
        let setup = Setup {
            variant: config.variant.clone(),
            optimizer: config.optimizer().expect("the settings are right"),
            clip: config.shared.optim.clip,
            widths: vec![D_IN],
            steps: u64::MAX,
            // Nothing dies: the auxiliary loss is no part of the bound's work.
            dead_after: u64::MAX,
            seed: 0,
            precision,
        };
        let params = Params::initial([D_IN, D_SAE], vec![0.0; D_IN], 1.0, 0, &Device::flex());
        let mut trainer = Trainer::new(setup, params);
        group.bench_function(name, |b| {
            // In a run another thread makes the batch meanwhile.
            let step =
                |x| trainer.step(Batch { x, companion: Vec::new() }, 1e-4).expect("the loss is finite");
            b.iter_batched(|| x.clone(), step, BatchSize::LargeInput);
        });
    }
    group.finish();
}

/// `out = x wᵀ` on all threads.
fn multiply(x: &[f32], w: &[f32], out: &mut [f32]) {
    // SAFETY: the strides describe three whole, initialised buffers.
    unsafe {
        gemm::gemm(
            BATCH,
            D_SAE,
            D_IN,
            out.as_mut_ptr(),
            1,
            D_SAE as isize,
            false,
            x.as_ptr(),
            1,
            D_IN as isize,
            w.as_ptr(),
            D_IN as isize,
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::Rayon(0),
        );
    }
}

criterion_group!(benches, step);
criterion_main!(benches);
