//! Reading a dump beside its bounds: the bytes of its file, and the bare Parquet reader, which decodes
//! the same columns and converts nothing.
//!
//! `cargo bench --workspace --bench dump`; throughput counts rows and, as f32, their activations. Behind
//! `taskset -c 0` (Linux) it is that of one core, whatever the number of threads.

#[path = "support/noise.rs"]
mod noise;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mimalloc::MiMalloc;
use noise::noise;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sae_core::dump::{Columns, Dtype, Dump, DumpInfo, DumpOptions, DumpWriter, DumpWriterOptions};

/// As in the program.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const D_IN: usize = 384;
/// Two row groups.
const ROWS: usize = 131_072;

fn dump(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let activations = noise(ROWS * D_IN, D_IN);
    for (dtype, compress) in
        [(Dtype::F16, false), (Dtype::F16, true), (Dtype::F32, false), (Dtype::F32, true)]
    {
        let name = format!("{dtype:?}{}", if compress { " zstd" } else { "" });
        let path = dir.path().join(&name);
        let options = DumpWriterOptions { dtype, compress, ..Default::default() };
        let mut writer =
            DumpWriter::create(&path, D_IN, options, DumpInfo::default()).expect("a new directory");
        writer.write(&activations, None).expect("finite numbers");
        writer.finish().expect("room on disk");
        let dump = Dump::open(path.to_str().expect("UTF-8"), &DumpOptions::default()).expect("a sound dump");

        let mut group = c.benchmark_group(format!("dump/{name}"));
        let (elements, bytes) = (ROWS as u64, (ROWS * D_IN * 4) as u64);
        group.throughput(Throughput::ElementsAndBytes { elements, bytes }).sample_size(20);
        group.bench_function("bound: bytes", |b| {
            b.iter(|| fs_err::read(&dump.files()[0].path).expect("just written").len());
        });
        group.bench_function("bound: parquet", |b| {
            b.iter(|| {
                let file = fs_err::File::open(&dump.files()[0].path).expect("just written").into_parts().0;
                let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a sound file");
                let batches = reader.with_batch_size(8192).build().expect("a sound file");
                batches.map(|batch| batch.expect("a sound file").num_rows()).sum::<usize>()
            });
        });
        group.bench_function("dump", |b| {
            b.iter(|| {
                let batches = dump.read(Columns::Activations);
                batches.map(|batch| batch.expect("a sound dump").activations.len()).sum::<usize>()
            });
        });
    }
}

criterion_group!(benches, dump);
criterion_main!(benches);
