//! A whole TopK training step beside its bound, the bare dense product of the encoder.
//!
//! `cargo bench -p sae-train --bench step`
//!
//! A step is forward, backward, projection, clipping, Adam and unit rows. No encoding can take less
//! time than the product of `[batch, d_in]` with `[d_in, d_sae]`.

#[path = "support/method.rs"]
mod method;
#[path = "support/product.rs"]
mod product;
mod support;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use method::Method;
use sae_core::kernels::Precision;
use sae_train::shuffle::Batch;
use std::hint::black_box;
use support::{keep_freed_memory, noise};

const BATCH: usize = 4096;
const D_IN: usize = 384;
const D_SAE: usize = 6144;
const K: usize = 32;

fn step(c: &mut Criterion) {
    keep_freed_memory();
    let mut group = c.benchmark_group(format!("train/{D_IN}x{D_SAE}, k {K}, batch {BATCH}"));
    group.throughput(Throughput::Elements(BATCH as u64)).sample_size(20);
    let (x, w) = (noise(BATCH * D_IN, D_IN), noise(D_SAE * D_IN, D_IN));
    let mut out = vec![0.0f32; BATCH * D_SAE];
    group.bench_function("bound: dense product", |b| {
        b.iter(|| {
            product::multiply(&x, &w, &mut out, D_IN);
            black_box(&out);
        });
    });
    for (name, precision) in [("step", Precision::F32), ("step, bf16 candidates", Precision::Bf16Candidates)]
    {
        let method = Method { name: "topk", d_in: D_IN, d_sae: D_SAE, k: K, precision };
        let mut trainer = method.trainer(&x);
        group.bench_function(name, |b| {
            // In a run another thread makes the batch meanwhile.
            let step =
                |x| trainer.step(Batch { x, companion: Vec::new() }, 1e-4).expect("the loss is finite");
            b.iter_batched(|| x.clone(), step, BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
