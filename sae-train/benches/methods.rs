//! A step of every single-dictionary method beside its bound, the bare dense product of the encoder, at the
//! sparsity of trained SAEs.
//!
//! `cargo bench --workspace --bench methods`

#[path = "support/method.rs"]
mod method;
#[path = "../../sae-core/benches/support/noise.rs"]
mod noise;
#[path = "../../sae-core/benches/support/product.rs"]
mod product;
mod support;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use method::Method;
use noise::noise;
use sae_core::kernels::Precision;
use sae_train::{
    Config,
    shuffle::Batch,
    variants::{Companion, names},
};
use std::hint::black_box;
use support::keep_freed_memory;

const BATCH: usize = 4096;
const D_IN: usize = 384;
const D_SAE: usize = 6144;
const K: usize = 32;

fn methods(c: &mut Criterion) {
    keep_freed_memory();
    let mut group = c.benchmark_group(format!("train/{D_IN}x{D_SAE}, about {K} active, batch {BATCH}"));
    group.throughput(Throughput::Elements(BATCH as u64)).sample_size(10);
    let (x, w) = (noise(BATCH * D_IN, D_IN), noise(D_SAE * D_IN, D_IN));
    let mut out = vec![0.0f32; BATCH * D_SAE];
    group.bench_function("bound: dense product", |b| {
        b.iter(|| {
            product::multiply(&x, &w, &mut out, D_IN);
            black_box(&out);
        });
    });
    let precisions = [("", Precision::F32), (", bf16 candidates", Precision::Bf16Candidates)];
    let methods = names().map(|name| (name, name, &[][..]));
    // Which begins as Mutual Choice.
    let methods =
        methods.chain([("feature_choice, its second phase", "feature_choice", &["mutual_until=0.0"][..])]);
    for ((title, name, settings), (form, precision)) in
        methods.flat_map(|method| precisions.map(|form| (method, form)))
    {
        let method = Method { name, settings, d_in: D_IN, d_sae: D_SAE, k: K, precision };
        let mut trainer = method.trainer(&x);
        let config = Config::load(None, &[format!("variant.name={name}")]).expect("the name is known");
        let companion = match config.variant.form().companion {
            None => Vec::new(),
            Some(Companion::Target) => x.clone(),
            Some(Companion::Gradient) => x.iter().rev().copied().collect(),
        };
        let batch = Batch { x: x.clone(), companion };
        trainer.step(batch.clone(), 0.0).expect("the loss is finite");
        let l0 = trainer.take_window().l0();
        group.bench_function(format!("{title}{form} (L0 {l0:.0})"), |b| {
            let step = |batch| trainer.step(batch, 0.0).expect("the loss is finite");
            b.iter_batched(|| batch.clone(), step, BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, methods);
criterion_main!(benches);
