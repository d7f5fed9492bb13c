//! Building an index takes memory that does not grow with the rows. A process of its own, for what is
//! measured is the most that this process ever held.
#![cfg(target_os = "linux")]

use arrow::{array::RecordBatch, datatypes::Schema};
use sae_core::{
    Rule, Sae,
    dump::DumpBatch,
    index::{IndexBuilder, IndexOptions},
};
use std::{path::Path, sync::Arc};

const D_IN: usize = 4;
const D_SAE: usize = 64;
const K: usize = 16;
const BATCH: usize = 8192;

/// The most memory that this process has held so far, mapped files included, in bytes.
fn most_memory() -> usize {
    let status = fs_err::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line of VmHWM");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib << 10
}

fn build(dir: &Path, sae: &Sae, n_batches: usize) -> u64 {
    // So little that a pass over the codes is one record batch of postings.
    let options = IndexOptions { memory_budget: 1 << 20, ..IndexOptions::default() };
    let mut builder = IndexBuilder::create(dir, sae, &Schema::empty(), options).expect("a new directory");
    for i in 0..n_batches {
        let x = (i * BATCH * D_IN..).map(|i| ((i * 7919 % 10007) as f32).sin());
        let batch = DumpBatch {
            first_row: (i * BATCH) as u64,
            activations: x.take(BATCH * D_IN).collect(),
            companion: Vec::new(),
            others: RecordBatch::new_empty(Arc::new(Schema::empty())),
        };
        builder.push(&batch).expect("finite numbers");
    }
    builder.finish().expect("room on disk").n_firings
}

#[test]
fn memory_does_not_grow_with_rows() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let w: Vec<f32> = (0..D_SAE * D_IN).map(|i| (i as f32 * 1.7).cos()).collect();
    let sae = Sae::new(Rule::TopK { k: K }, w.clone(), vec![3.0; D_SAE], w, vec![0.0; D_IN]);
    // As many firings as the largest record batch of postings holds.
    let few = build(&dir.path().join("few"), &sae, (1 << 24) / K / BATCH);
    let before = most_memory();
    let many = build(&dir.path().join("many"), &sae, 3 * (1 << 24) / K / BATCH);
    let grown = most_memory() - before;
    assert_eq!((few, many), (1 << 24, 3 << 24));
    // The codes alone have become larger by four times as much.
    assert!(grown < 64 << 20, "{} MiB more than before", grown >> 20);
}
