//! The order of rows: every row once per epoch, as random as can be, the same again, from any place.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sae_core::dump::{Dtype, Dump, DumpInfo, DumpOptions, DumpWriter, DumpWriterOptions};
use sae_train::{
    shuffle::{Memory, Rows, Shuffled},
    split::Split,
};
use std::{collections::BTreeSet, path::Path};

const N_ROWS: usize = 3000;
const ONE_BUCKET: Memory = Memory { whole: 1 << 20, bucket: 1 };
/// 3000 rows of 2 values in f32: 24 buckets.
const MANY_BUCKETS: Memory = Memory { whole: 1, bucket: 1000 };

/// A dump whose rows hold their own number, as (1, number).
fn dump(dir: &Path) -> Dump {
    let path = dir.join("dump");
    let options = DumpWriterOptions { dtype: Dtype::F32, ..DumpWriterOptions::default() };
    let mut writer = DumpWriter::create(&path, 2, options, DumpInfo::default()).unwrap();
    let x: Vec<f32> = (0..N_ROWS).flat_map(|row| [1.0, row as f32]).collect();
    writer.write(&x, None).unwrap();
    writer.finish().unwrap();
    Dump::open(path.to_str().unwrap(), &DumpOptions::default()).unwrap()
}

fn shuffled(dir: &Path, dump: &Dump, seed: u64, memory: Memory, held_out: f64) -> Shuffled {
    Shuffled::read(dump, &Split::new(dump, held_out, 0), seed, memory, dir, &mut |_| ()).unwrap()
}

/// The numbers of the next rows.
fn take(rows: &mut Rows, n: usize) -> Vec<usize> {
    // Rows are scaled: the first value tells by how much.
    rows.take(n).unwrap().as_chunks::<2>().0.iter().map(|[one, row]| (row / one).round() as usize).collect()
}

#[test]
fn an_epoch_has_every_row_once_and_no_two_epochs_are_alike() {
    let folder = tempfile::tempdir().unwrap();
    let dump = dump(folder.path());
    for memory in [ONE_BUCKET, MANY_BUCKETS] {
        let mut rows = Rows::new(shuffled(folder.path(), &dump, 1, memory, 0.0));
        let epochs = [take(&mut rows, N_ROWS), take(&mut rows, N_ROWS)];
        for epoch in &epochs {
            assert_eq!(epoch.iter().collect::<BTreeSet<_>>().len(), N_ROWS);
        }
        assert_ne!(epochs[0], epochs[1]);
    }
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1, "temporary files have names");
}

#[test]
fn any_place_can_be_gone_to() {
    let folder = tempfile::tempdir().unwrap();
    let dump = dump(folder.path());
    for memory in [ONE_BUCKET, MANY_BUCKETS] {
        let all = take(&mut Rows::new(shuffled(folder.path(), &dump, 1, memory, 0.0)), 3 * N_ROWS);
        let mut rows = Rows::new(shuffled(folder.path(), &dump, 1, memory, 0.0));
        for start in [7, N_ROWS - 1, N_ROWS, 2 * N_ROWS + 1234, 0] {
            rows.seek(start as u64);
            // In pieces that do not match the buckets.
            let found: Vec<usize> = (0..5).flat_map(|_| take(&mut rows, 37)).collect();
            assert_eq!(found, all[start..start + 185]);
        }
    }
}

#[test]
fn the_order_follows_from_the_seed_and_is_uniform() {
    let folder = tempfile::tempdir().unwrap();
    let dump = dump(folder.path());
    for memory in [ONE_BUCKET, MANY_BUCKETS] {
        let order = |seed| take(&mut Rows::new(shuffled(folder.path(), &dump, seed, memory, 0.0)), N_ROWS);
        assert_eq!(order(5), order(5));
        assert_ne!(order(5), order(6));
        // The mean row number of a tenth of an epoch: 1499.5 with standard deviation 47.5.
        for seed in 0..20 {
            let mean = order(seed)[..300].iter().sum::<usize>() as f64 / 300.0;
            assert!((mean - 1499.5).abs() < 5.0 * 47.5, "{mean}");
        }
    }
}

#[test]
fn held_out_rows_are_left_out_and_the_figures_are_of_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let dump = dump(folder.path());
    let shuffled = shuffled(folder.path(), &dump, 1, ONE_BUCKET, 0.3);
    let n = shuffled.n_rows() as usize;
    assert!((1950..2250).contains(&n), "{n}");
    let (scale, variance) = (shuffled.scale, shuffled.total_variance);
    let kept = take(&mut Rows::new(shuffled), n);
    assert_eq!(kept.iter().collect::<BTreeSet<_>>().len(), n);
    let mean = kept.iter().sum::<usize>() as f64 / n as f64;
    let squares = kept.iter().map(|&row| (row * row) as f64).sum::<f64>() / n as f64;
    assert!((scale / (1.0 + squares).sqrt() - 1.0).abs() < 1e-9);
    assert!((variance / (squares - mean * mean) - 1.0).abs() < 1e-9);
}
