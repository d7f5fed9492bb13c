//! Building an index beside its bound, the bare products of the encoder over the same rows; opening it;
//! and reading what a page of a latent shows.
//!
//! `cargo bench --workspace --bench index`

#[path = "support/noise.rs"]
mod noise;
#[path = "support/product.rs"]
mod product;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use noise::noise;
use sae_core::{
    Rule, Sae,
    dump::{Columns, Dtype, Dump, DumpInfo, DumpOptions, DumpWriter, DumpWriterOptions},
    index::{Index, IndexBuilder, IndexOptions},
    kernels::Precision,
};
use std::{hint::black_box, path::Path};

const D_IN: usize = 384;
const D_SAE: usize = 6144;
const K: usize = 32;
const ROWS: usize = 131_072;
/// Rows of one product of the bound.
const BATCH: usize = 8192;

/// What `sae index` has too: batches free large blocks, which the next batch asks for again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn build(dir: &Path, sae: &Sae, dump: &Dump, precision: Precision) {
    let options = IndexOptions { precision, ..IndexOptions::default() };
    let mut builder = IndexBuilder::create(dir, sae, dump.other_columns(), options).expect("a new directory");
    for batch in dump.read(Columns::All) {
        builder.push(&batch.expect("a sound dump")).expect("finite numbers");
    }
    builder.finish().expect("room on disk");
}

fn index(c: &mut Criterion) {
    // SAFETY: setting an option of the allocator is allowed at any time; see `sae`'s `keep_freed_memory`.
    unsafe { libmimalloc_sys::mi_option_set(libmimalloc_sys::mi_option_use_numa_nodes - 1, -1) };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("dump");
    let x = noise(ROWS * D_IN, 1);
    let options = DumpWriterOptions { dtype: Dtype::F16, ..Default::default() };
    let mut writer = DumpWriter::create(&path, D_IN, options, DumpInfo::default()).expect("a new directory");
    writer.write(&x, None).expect("finite numbers");
    writer.finish().expect("room on disk");
    let dump = Dump::open(path.to_str().expect("UTF-8"), &DumpOptions::default()).expect("a sound dump");
    let w = noise(D_SAE * D_IN, D_IN);
    let sae = Sae::new(Rule::TopK { k: K }, w.clone(), vec![0.0; D_SAE], w, vec![0.0; D_IN]);

    let mut group = c.benchmark_group(format!("index/{D_IN}x{D_SAE}"));
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    let mut out = vec![0.0f32; BATCH * D_SAE];
    group.bench_function("bound: encoder products", |b| {
        b.iter(|| {
            for x in x.chunks_exact(BATCH * D_IN) {
                product::multiply(x, &sae.w_enc, &mut out, D_IN);
            }
        });
    });
    let built = dir.path().join("index");
    for (name, precision) in
        [("index", Precision::F32), ("index, candidates by bf16", Precision::Bf16Candidates)]
    {
        group.bench_function(name, |b| b.iter(|| build(&built, &sae, &dump, precision)));
    }
    group.bench_function("open", |b| b.iter(|| Index::open(&built).expect("just built").meta().n_rows));
    let index = Index::open(&built).expect("just built");
    let mut latent = 0;
    group.throughput(Throughput::Elements(1)).bench_function("statistics of a latent", |b| {
        b.iter(|| {
            latent = (latent + 1) % D_SAE;
            black_box(index.latent(latent));
        });
    });
    group.finish();
}

criterion_group!(benches, index);
criterion_main!(benches);
