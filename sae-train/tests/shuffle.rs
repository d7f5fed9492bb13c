//! The order of rows: every row once per epoch, as random as can be, the same again, from any place.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use arrow::array::{ArrayRef, FixedSizeListArray, RecordBatch};
use arrow::datatypes::Float32Type;
use sae_core::dump::{Dtype, Dump, DumpInfo, DumpOptions, DumpWriter, DumpWriterOptions};
use sae_train::{
    normalize::Normalize,
    shuffle::{Memory, Rows, ShuffleOptions, Shuffled},
    split::Split,
};
use std::{collections::BTreeSet, path::Path, sync::Arc};

const N_ROWS: usize = 3000;
/// What the activations take in main memory.
const BYTES: u64 = N_ROWS as u64 * 2 * 4;
const ONE_BUCKET: Memory = Memory { whole: 1 << 20, bucket: 1 };
/// 24 buckets.
const MANY_BUCKETS: Memory = Memory { whole: 1, bucket: 1000 };

/// A dump whose rows hold their own number, as (1, number), and a gradient, (number, −number, 7).
fn dump(dir: &Path, companion: Option<&str>) -> Dump {
    let path = dir.join("dump");
    let options = DumpWriterOptions { dtype: Dtype::F32, ..DumpWriterOptions::default() };
    let mut writer = DumpWriter::create(&path, 2, options, DumpInfo::default()).unwrap();
    let rows = || (0..N_ROWS).map(|row| row as f32);
    let x: Vec<f32> = rows().flat_map(|row| [1.0, row]).collect();
    let gradient = rows().map(|row| Some([Some(row), Some(-row), Some(7.0)]));
    let gradient = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(gradient, 3);
    let others = RecordBatch::try_from_iter([("gradient", Arc::new(gradient) as ArrayRef)]).unwrap();
    writer.write(&x, Some(&others)).unwrap();
    writer.finish().unwrap();
    let options = DumpOptions { companion: companion.map(str::to_owned), ..DumpOptions::default() };
    Dump::open(path.to_str().unwrap(), &options).unwrap()
}

fn shuffled(dir: &Path, dump: &Dump, seed: u64, memory: Memory, held_out: f64) -> Shuffled {
    let normalize = Normalize::UnitMeanSquare;
    let options = ShuffleOptions { seed, memory, scratch: dir, normalize, companion_scaled: false };
    Shuffled::read(dump, &Split::new(dump, held_out, 0), &options, &mut |_| ()).unwrap()
}

/// The numbers of the next rows.
fn take(rows: &mut Rows, n: usize) -> Vec<usize> {
    // Rows are scaled: the first value tells by how much.
    rows.take(n).unwrap().x.as_chunks::<2>().0.iter().map(|[one, row]| (row / one).round() as usize).collect()
}

#[test]
fn an_epoch_has_every_row_once_and_no_two_epochs_are_alike() {
    let folder = tempfile::tempdir().unwrap();
    let dump = dump(folder.path(), None);
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
    let dump = dump(folder.path(), None);
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
fn the_order_follows_from_the_seed() {
    let folder = tempfile::tempdir().unwrap();
    let dump = dump(folder.path(), None);
    for memory in [ONE_BUCKET, MANY_BUCKETS] {
        let order = |seed| take(&mut Rows::new(shuffled(folder.path(), &dump, seed, memory, 0.0)), N_ROWS);
        assert_eq!(order(5), order(5));
        assert_ne!(order(5), order(6));
    }
}

/// Where a row lands tells nothing about where it stood, near or far, though only a tenth of the dump
/// fits into the memory given.
#[test]
fn the_order_is_uniform_in_a_tenth_of_the_memory() {
    const ORDERS: usize = 100;
    const PARTS: usize = 10;
    let folder = tempfile::tempdir().unwrap();
    let dump = dump(folder.path(), None);
    let mut cells = [[0.0f64; PARTS]; PARTS];
    let mut successions = 0;
    for seed in 0..ORDERS as u64 {
        let memory = Memory::up_to(BYTES / 10);
        let order = take(&mut Rows::new(shuffled(folder.path(), &dump, seed, memory, 0.0)), N_ROWS);
        for (place, row) in order.iter().enumerate() {
            cells[place * PARTS / N_ROWS][row * PARTS / N_ROWS] += 1.0;
        }
        successions += order.windows(2).filter(|pair| pair[1] == pair[0] + 1).count();
    }
    let expected = (ORDERS * N_ROWS / PARTS / PARTS) as f64;
    let chi_square: f64 = cells.iter().flatten().map(|found| (found - expected).powi(2) / expected).sum();
    // χ² of 9 · 9 degrees of freedom: mean 81, standard deviation 12.7.
    assert!((chi_square - 81.0).abs() < 4.0 * 12.7, "{chi_square}");
    // A row is followed by its neighbour about once in an order: of 100 orders, 100 ± 10 times.
    assert!((60..140).contains(&successions), "{successions}");
}

#[test]
fn a_row_and_its_companion_stay_together() {
    let folder = tempfile::tempdir().unwrap();
    let dump = dump(folder.path(), Some("gradient"));
    for memory in [ONE_BUCKET, MANY_BUCKETS] {
        let shuffled = shuffled(folder.path(), &dump, 3, memory, 0.1);
        assert_eq!((shuffled.d_in(), shuffled.d_companion(), shuffled.companion_scale), (2, 3, 1.0));
        let mut rows = Rows::new(shuffled);
        rows.seek(500);
        for _ in 0..20 {
            let batch = rows.take(177).unwrap();
            assert_eq!((batch.x.len(), batch.companion.len()), (2 * 177, 3 * 177));
            for (x, companion) in batch.x.chunks(2).zip(batch.companion.chunks(3)) {
                let row = (x[1] / x[0]).round();
                assert_eq!(companion, [row, -row, 7.0]);
            }
        }
    }
}

#[test]
fn held_out_rows_are_left_out_and_the_figures_are_of_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let dump = dump(folder.path(), None);
    let shuffled = shuffled(folder.path(), &dump, 1, ONE_BUCKET, 0.3);
    let n = shuffled.n_rows() as usize;
    assert!((1950..2250).contains(&n), "{n}");
    let (scale, variance) = (shuffled.scale[0], shuffled.total_variance);
    let kept = take(&mut Rows::new(shuffled), n);
    assert_eq!(kept.iter().collect::<BTreeSet<_>>().len(), n);
    let mean = kept.iter().sum::<usize>() as f64 / n as f64;
    let squares = kept.iter().map(|&row| (row * row) as f64).sum::<f64>() / n as f64;
    assert!((scale / (1.0 + squares).sqrt() - 1.0).abs() < 1e-9);
    assert!((variance * scale.powi(2) / (squares - mean * mean) - 1.0).abs() < 1e-9);
}
