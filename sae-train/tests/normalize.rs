//! What trainers see of a dump: each column at its own scale, and the variance at the same one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use arrow::array::{ArrayRef, FixedSizeListArray, RecordBatch};
use arrow::datatypes::Float32Type;
use proptest::prelude::*;
use sae_core::dump::{Dtype, Dump, DumpInfo, DumpOptions, DumpWriter, DumpWriterOptions};
use sae_train::{
    normalize::{Normalize, layer_norm},
    shuffle::{Batch, Memory, Rows, ShuffleOptions, Shuffled},
    split::Split,
};
use std::sync::Arc;

/// Enough for several chunks of sums, and no multiple of one.
const N_ROWS: usize = 1357;
const WIDTHS: [usize; 3] = [19, 8, 5];
const NAMES: [&str; 3] = ["activation", "late", "target"];
const RULES: [Normalize; 4] =
    [Normalize::None, Normalize::UnitMeanSquare, Normalize::SqrtD, Normalize::LayerNorm];

/// Values of a column, of its own size and away from 0.
fn column(which: usize) -> Vec<f32> {
    let size = [1.0, 50.0, 20.0][which];
    let value = |i: usize| ((i * 7919 + i * i * 31) % 1000) as f32 / 500.0 - 1.0 + (i % WIDTHS[which]) as f32;
    (0..N_ROWS * WIDTHS[which]).map(|i| size * value(i)).collect()
}

/// The three columns of the first rows: the activations, and others.
fn dump(dir: &std::path::Path, columns: [Vec<f32>; 3], options: &DumpOptions) -> Dump {
    let path = dir.join("dump");
    let writer = DumpWriterOptions { dtype: Dtype::F32, ..DumpWriterOptions::default() };
    let mut writer = DumpWriter::create(&path, WIDTHS[0], writer, DumpInfo::default()).unwrap();
    let lists = |which: usize| {
        let rows = columns[which].chunks(WIDTHS[which]).map(|row| Some(row.iter().copied().map(Some)));
        let lists = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, WIDTHS[which] as i32);
        (NAMES[which], Arc::new(lists) as ArrayRef)
    };
    writer.write(&columns[0], Some(&RecordBatch::try_from_iter([lists(1), lists(2)]).unwrap())).unwrap();
    writer.finish().unwrap();
    Dump::open(path.to_str().unwrap(), options).unwrap()
}

fn options(activations: &[&str], companion: Option<&str>) -> DumpOptions {
    DumpOptions {
        activation_columns: activations.iter().map(ToString::to_string).collect(),
        companion: companion.map(str::to_owned),
        ..DumpOptions::default()
    }
}

fn read(dump: &Dump, normalize: Normalize, companion_scaled: bool) -> sae_train::Result<Shuffled> {
    let memory = Memory::up_to(1 << 20);
    let scratch = &std::env::temp_dir();
    let options = ShuffleOptions { seed: 1, memory, scratch, normalize, companion_scaled };
    Shuffled::read(dump, &Split::new(dump, 0.0, 0), &options, &mut |_| ())
}

/// All rows, in the order in which they come.
fn epoch(shuffled: Shuffled) -> Batch {
    let n = shuffled.n_rows() as usize;
    Rows::new(shuffled).take(n).unwrap()
}

/// Values `start..end` of each row of `d`.
fn part(x: &[f32], d: usize, start: usize, width: usize) -> Vec<Vec<f64>> {
    x.chunks(d).map(|row| row[start..start + width].iter().map(|v| f64::from(*v)).collect()).collect()
}

fn norm(row: &[f64]) -> f64 {
    row.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(rows: &[Vec<f64>]) -> f64 {
    let center: Vec<f64> = (0..rows[0].len()).map(|i| mean(rows.iter().map(|row| row[i]))).collect();
    mean(rows.iter().map(|row| row.iter().zip(&center).map(|(v, c)| (v - c).powi(2)).sum()))
}

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 1e-5, "found {found}, expected {expected}");
}

/// What a rule promises of rows.
#[track_caller]
fn holds(rule: Normalize, rows: &[Vec<f64>], raw: &[Vec<f64>]) {
    let d = rows[0].len() as f64;
    match rule {
        Normalize::None => {
            near(mean(rows.iter().map(|row| norm(row))), mean(raw.iter().map(|row| norm(row))))
        }
        Normalize::UnitMeanSquare => near(mean(rows.iter().map(|row| norm(row).powi(2))), 1.0),
        Normalize::SqrtD => near(mean(rows.iter().map(|row| norm(row))), d.sqrt()),
        Normalize::LayerNorm => {
            for row in rows {
                let center = mean(row.iter().copied());
                assert!(center.abs() < 1e-5);
                near(row.iter().map(|v| (v - center).powi(2)).sum::<f64>() / (d - 1.0), 1.0);
            }
        }
    }
}

#[test]
fn columns_are_scaled_each_by_itself() {
    let columns = || [column(0), column(1), column(2)];
    for rule in RULES {
        let dir = tempfile::tempdir().unwrap();
        let dump = dump(dir.path(), columns(), &options(&["late", "activation"], None));
        let shuffled = read(&dump, rule, true).unwrap();
        assert_eq!((shuffled.scale.len(), shuffled.companion_scale), (2, 1.0));
        let total_variance = shuffled.total_variance;
        let x = epoch(shuffled).x;
        let parts = [part(&x, 27, 0, 8), part(&x, 27, 8, 19)];
        for (part, which) in parts.iter().zip([1, 0]) {
            let raw = column(which)
                .chunks(WIDTHS[which])
                .map(|row| row.iter().map(|v| f64::from(*v)).collect())
                .collect::<Vec<_>>();
            holds(rule, part, &raw);
        }
        near(total_variance, variance(&parts[0]) + variance(&parts[1]));
    }
}

#[test]
fn a_target_is_scaled_by_the_same_rule_and_is_what_varies() {
    for rule in RULES {
        let dir = tempfile::tempdir().unwrap();
        let dump = dump(dir.path(), [column(0), column(1), column(2)], &options(&[], Some("target")));
        let shuffled = read(&dump, rule, true).unwrap();
        let total_variance = shuffled.total_variance;
        let batch = epoch(shuffled);
        let raw = part(&column(2), 5, 0, 5);
        let target = part(&batch.companion, 5, 0, 5);
        holds(rule, &target, &raw);
        holds(rule, &part(&batch.x, 19, 0, 19), &part(&column(0), 19, 0, 19));
        near(total_variance, variance(&target));

        let shuffled = read(&dump, rule, false).unwrap();
        assert_eq!(shuffled.companion_scale, 1.0);
        let total_variance = shuffled.total_variance;
        let batch = epoch(shuffled);
        holds(Normalize::None, &part(&batch.companion, 5, 0, 5), &raw);
        near(total_variance, variance(&part(&batch.x, 19, 0, 19)));
    }
}

#[test]
fn a_column_of_zeros_is_refused_by_name() {
    let zeros = |which: usize| vec![0.0; N_ROWS * WIDTHS[which]];
    let message = |columns, options: &DumpOptions, rule| {
        let dir = tempfile::tempdir().unwrap();
        read(&dump(dir.path(), columns, options), rule, false).unwrap_err().to_string()
    };
    for rule in RULES {
        let refused =
            message([column(0), zeros(1), column(2)], &options(&["activation", "late"], None), rule);
        assert_eq!(
            refused,
            "every value of `late` is zero: there is nothing to learn. Check how the dump was written, or \
             name another column"
        );
        let refused = message([column(0), column(1), zeros(2)], &options(&[], Some("target")), rule);
        assert!(refused.starts_with("every value of `target` is zero"), "{refused}");
    }
}

#[test]
fn rules_have_names() {
    let names = RULES.map(|rule| serde_json::to_string(&rule).unwrap());
    assert_eq!(names, [r#""none""#, r#""unit_mean_square""#, r#""sqrt_d""#, r#""layer_norm""#]);
    assert_eq!(Normalize::default(), Normalize::UnitMeanSquare);
}

proptest! {
    /// The definition, in f64 and column by column.
    #[test]
    fn layer_norm_is_as_defined(
        rows in prop::collection::vec(prop::collection::vec(-1e3f32..1e3, 14), 1..4),
    ) {
        let widths = [1, 10, 3];
        let mut x = rows.concat();
        layer_norm(&mut x, &widths);
        for (row, found) in rows.iter().zip(x.chunks(14)) {
            let mut start = 0;
            for width in widths {
                let values: Vec<f64> = row[start..start + width].iter().map(|v| f64::from(*v)).collect();
                let center = mean(values.iter().copied());
                let squares: f64 = values.iter().map(|v| (v - center).powi(2)).sum();
                let deviation = (squares / (width.max(2) - 1) as f64).sqrt();
                for (value, found) in values.iter().zip(&found[start..]) {
                    let expected = (value - center) / (deviation + 1e-5);
                    prop_assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} {expected}");
                }
                start += width;
            }
        }
    }
}
