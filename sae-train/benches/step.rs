//! A whole TopK training step beside its bound, the bare dense product of the encoder.
//!
//! `cargo bench --workspace --bench step`
//!
//! A step is forward, backward, projection, clipping, Adam and unit rows. No encoding can take less
//! time than the product of `[batch, d_in]` with `[d_in, d_sae]`.

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
use sae_train::shuffle::Batch;
use std::hint::black_box;
use support::keep_freed_memory;

const BATCH: usize = 4096;
/// The width of a small sentence encoder, and of GPT-2 small.
const SHAPES: [(usize, usize); 2] = [(384, 6144), (768, 24576)];
const K: usize = 32;

fn step(c: &mut Criterion) {
    keep_freed_memory();
    let all = rayon::current_num_threads();
    // How it scales is asked of the smaller shape.
    let fewer =
        std::iter::successors(Some(1), |threads| Some(2 * threads)).take_while(|&threads| threads < all);
    let runs = SHAPES.map(|shape| (shape, all)).into_iter().chain(fewer.map(|threads| (SHAPES[0], threads)));
    for ((d_in, d_sae), threads) in runs {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let on = if threads < all { format!(", threads {threads}") } else { String::new() };
        let mut group = c.benchmark_group(format!("train/{d_in}x{d_sae}, k {K}, batch {BATCH}{on}"));
        group.throughput(Throughput::Elements(BATCH as u64)).sample_size(if d_in == 384 { 20 } else { 10 });
        let (x, w) = (noise(BATCH * d_in, d_in), noise(d_sae * d_in, d_in));
        let mut out = vec![0.0f32; BATCH * d_sae];
        group.bench_function("bound: dense product", |b| {
            b.iter(|| {
                pool.install(|| product::multiply(&x, &w, &mut out, d_in));
                black_box(&out);
            });
        });
        drop(out);
        for (name, precision) in
            [("step", Precision::F32), ("step, bf16 candidates", Precision::Bf16Candidates)]
        {
            let method = Method { name: "topk", settings: &[], d_in, d_sae, k: K, precision };
            let mut trainer = method.trainer(&x);
            group.bench_function(name, |b| {
                // In a run another thread makes the batch meanwhile.
                let step = |x| {
                    let batch = Batch { x, companion: Vec::new() };
                    pool.install(|| trainer.step(batch, 1e-4)).expect("the loss is finite");
                };
                b.iter_batched(|| x.clone(), step, BatchSize::LargeInput);
            });
        }
        group.finish();
    }
}

criterion_group!(benches, step);
criterion_main!(benches);
