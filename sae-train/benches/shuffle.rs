//! Reading a dump for training beside its bound, reading it at all; and an epoch of shuffled rows.
//!
//! `cargo bench --workspace --bench shuffle`; throughput counts rows and, as f32, their activations.

#[path = "../../sae-core/benches/support/noise.rs"]
mod noise;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mimalloc::MiMalloc;
use noise::noise;
use sae_core::dump::{Columns, Dtype, Dump, DumpInfo, DumpOptions, DumpWriter, DumpWriterOptions};
use sae_train::{
    normalize::Normalize,
    shuffle::{Memory, Rows, ShuffleOptions, Shuffled},
    split::Split,
};
use std::path::Path;

/// As in the program.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const D_IN: usize = 384;
/// Two row groups.
const ROWS: usize = 131_072;
const BATCH: usize = 4096;

/// The dump that `SAE_BENCH_DUMP` names, or one of noise.
fn dump(dir: &Path) -> Dump {
    let made = || {
        let activations = noise(ROWS * D_IN, D_IN);
        let path = dir.join("dump");
        let options = DumpWriterOptions { dtype: Dtype::F16, compress: true, ..Default::default() };
        let mut writer =
            DumpWriter::create(&path, D_IN, options, DumpInfo::default()).expect("a new directory");
        writer.write(&activations, None).expect("finite numbers");
        writer.finish().expect("room on disk");
        path.to_str().expect("UTF-8").to_owned()
    };
    let path = std::env::var("SAE_BENCH_DUMP").unwrap_or_else(|_| made());
    Dump::open(&path, &DumpOptions::default()).expect("a sound dump")
}

fn shuffle(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dump = dump(dir.path());
    let split = Split::new(&dump, 0.05, 0);
    let (rows, bytes) = (dump.n_rows(), dump.n_rows() * dump.d_in() as u64 * 4);
    let read = |memory, normalize| {
        let options =
            ShuffleOptions { seed: 0, memory, scratch: dir.path(), normalize, companion_scaled: false };
        Shuffled::read(&dump, &split, &options, &mut |_| ()).expect("a sound dump")
    };

    let mut group = c.benchmark_group("shuffle");
    group.throughput(Throughput::ElementsAndBytes { elements: rows, bytes }).sample_size(10);
    group.bench_function("bound: dump", |b| {
        b.iter(|| {
            let batches = dump.read(Columns::Activations);
            batches.map(|batch| batch.expect("a sound dump").activations.len()).sum::<usize>()
        });
    });
    let whole = Memory::up_to(bytes);
    group.bench_function("in memory", |b| b.iter(|| read(whole, Normalize::UnitMeanSquare)));
    group.bench_function("in memory, layer norm", |b| b.iter(|| read(whole, Normalize::LayerNorm)));
    let tenth = Memory::up_to(bytes / 10);
    group.bench_function("in files", |b| b.iter(|| read(tenth, Normalize::UnitMeanSquare)));
    for (name, memory) in [("epoch in memory", whole), ("epoch in files", tenth)] {
        // Read only if this is to be measured, and once.
        let mut shuffled = None;
        group.bench_function(name, |b| {
            let shuffled = shuffled.get_or_insert_with(|| Rows::new(read(memory, Normalize::UnitMeanSquare)));
            b.iter(|| {
                for _ in 0..rows / BATCH as u64 {
                    shuffled.take(BATCH).expect("readable files");
                }
            });
        });
    }
}

criterion_group!(benches, shuffle);
criterion_main!(benches);
