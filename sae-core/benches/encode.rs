//! Encoding and decoding beside their bound, the bare dense product of the encoder.
//!
//! `cargo bench -p sae-core --bench encode`

#[path = "support/noise.rs"]
mod noise;
#[path = "support/product.rs"]
mod product;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use noise::noise;
use sae_core::{
    Rule, Sae,
    kernels::{self, Encoder, Precision, Selection},
};

const BATCH: usize = 4096;
/// The width of a small sentence encoder, and of GPT-2 small.
const SHAPES: [(usize, usize); 2] = [(384, 6144), (768, 24576)];

fn encode(c: &mut Criterion) {
    for (d_in, d_sae) in SHAPES {
        let mut group = c.benchmark_group(format!("encode/{d_in}x{d_sae}"));
        group.throughput(Throughput::Elements(BATCH as u64)).sample_size(10);
        let x = noise(BATCH * d_in, 1);
        let w = noise(d_sae * d_in, d_in);
        let mut out = vec![0.0f32; BATCH * d_sae];
        group.bench_function("bound: dense product", |b| {
            b.iter(|| {
                product::multiply(&x, &w, &mut out, d_in);
            });
        });
        let sae = Sae::new(Rule::TopK { k: 32 }, w.clone(), vec![0.0; d_sae], w, vec![0.0; d_in]);
        group.bench_function("encode", |b| b.iter(|| sae.encode(&x)));
        let encoder = Encoder { w_enc: &sae.w_enc, b_enc: &sae.b_enc, selection: Selection::TopK(32) };
        group.bench_function("encode, candidates by bf16", |b| {
            b.iter(|| kernels::encode_with(&encoder, &x, Precision::Bf16Candidates));
        });
        let codes = sae.encode(&x);
        group.bench_function("decode", |b| b.iter(|| sae.decode(&codes)));
        // As a ReLU SAE begins its training: half of the latents are active.
        let half = kernels::encode(&Encoder { selection: Selection::Positive, ..encoder }, &x);
        group.bench_function("decode, half of the latents", |b| b.iter(|| sae.decode(&half)));
        group.finish();
    }
}

criterion_group!(benches, encode);
criterion_main!(benches);
