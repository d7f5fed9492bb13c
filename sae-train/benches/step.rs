//! A whole TopK training step beside its bound, the bare dense product of the encoder.
//!
//! `cargo bench -p sae-train --bench step`
//!
//! A step is forward, backward, projection, clipping, Adam and unit rows. No encoding can take less
//! time than the product of `[batch, d_in]` with `[d_in, d_sae]`.

use burn::tensor::Device;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sae_train::{Config, params::Params, trainer::Trainer};
use std::hint::black_box;

const BATCH: usize = 4096;
const D_IN: usize = 384;
const D_SAE: usize = 6144;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn noise(n: usize) -> Vec<f32> {
    let mut state = 88172645463325252u64;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let scale = 1.732 / (D_IN as f32).sqrt();
    (0..n).map(|_| (uniform() + uniform() + uniform() + uniform() - 2.0) * scale).collect()
}

fn step(c: &mut Criterion) {
    // As `sae train` does: freed memory is kept.
    // SAFETY: setting an option of the allocator is allowed at any time.
    unsafe { libmimalloc_sys::mi_option_set(libmimalloc_sys::mi_option_use_numa_nodes - 1, -1) };
    let mut group = c.benchmark_group(format!("train/{D_IN}x{D_SAE}, k 32, batch {BATCH}"));
    group.throughput(Throughput::Elements(BATCH as u64)).sample_size(20);
    let (x, w) = (noise(BATCH * D_IN), noise(D_SAE * D_IN));
    let mut out = vec![0.0f32; BATCH * D_SAE];
    group.bench_function("bound: dense product", |b| {
        b.iter(|| {
            multiply(&x, &w, &mut out);
            black_box(&out);
        });
    });
    let config = Config::load(None, &["variant.k=32".into()]).expect("the settings are right");
    let params = Params::initial(D_SAE, vec![0.0; D_IN], 0, &Device::flex());
    // Nothing dies: the auxiliary loss is no part of the bound's work.
    let mut trainer = Trainer::new(config.variant.clone(), config.shared.optim.clone(), params, u64::MAX);
    group.bench_function("step", |b| {
        // In a run another thread makes the batch meanwhile.
        let step = |x| trainer.step(x, 1e-4).expect("the loss is finite");
        b.iter_batched(|| x.clone(), step, BatchSize::LargeInput);
    });
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
