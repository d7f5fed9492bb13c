//! The binary, and small dumps to run it on.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use arrow::{
    array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch},
    datatypes::{DataType, Field},
};
use assert_cmd::Command;
use parquet::arrow::ArrowWriter;
use sae_train::Config;
use std::{path::Path, sync::Arc};

/// The sample dump.
pub(crate) const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/sample/dump");

/// `sae` with these arguments.
pub(crate) fn sae(arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("sae"));
    command.args(arguments);
    command
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// Width of the dumps written here.
const D_IN: usize = 16;

/// Writes a dump of `n_rows` rows of width 16 made of sparse, non-negative causes; `change` may spoil it.
///
/// Not with the project's own writer, which refuses what is spoilt.
pub(crate) fn write_dump(dir: &Path, n_rows: usize, change: impl FnOnce(&mut Vec<f32>)) {
    let mut x = rows(n_rows);
    change(&mut x);
    fs_err::create_dir(dir).unwrap();
    write_parquet(&dir.join("0.parquet"), &[("activation", lists(x))]);
}

/// A dump with two activation columns, a gradient and a target.
pub(crate) fn write_all_columns(dir: &Path) {
    let x = rows(2000);
    let changed =
        |change: fn(usize, f32) -> f32| lists(x.iter().enumerate().map(|(i, &x)| change(i, x)).collect());
    fs_err::create_dir(dir).unwrap();
    write_parquet(
        &dir.join("0.parquet"),
        &[
            ("activation", lists(x.clone())),
            ("other", changed(|_, x| 0.5 * x)),
            ("gradient", changed(|i, _| (i as f32).sin())),
            ("target", changed(|_, x| x.max(0.0) - 0.3)),
        ],
    );
}

/// Settings of a small SAE by a method, on the columns of [`write_all_columns`].
pub(crate) fn settings(name: &str) -> Vec<String> {
    let mut sets: Vec<String> =
        ["sae.d_sae=48", "train.batch_size=64", "train.rows=6400", "optim.lr=0.003"].map(Into::into).into();
    sets.push(format!("variant.name={name}"));
    let k = "variant.k=4".to_owned();
    if Config::load(None, &[sets[4].clone(), k.clone()]).is_ok() {
        sets.push(k);
    }
    let columns = if name == "crosscoder" { "[\"activation\",\"other\"]" } else { "activation" };
    sets.push(format!("data.activation_column={columns}"));
    sets
}

/// `n_rows` rows of width 16 made of sparse, non-negative causes.
pub(crate) fn rows(n_rows: usize) -> Vec<f32> {
    let mut x = vec![0f32; n_rows * D_IN];
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    for row in x.chunks_mut(D_IN) {
        for _ in 0..3 {
            let cause = (random() * 24.0) as usize;
            let size = random() + 0.5;
            for (i, value) in row.iter_mut().enumerate() {
                *value += size * ((cause * 7 + i * 3) as f32).sin();
            }
        }
    }
    x
}

/// Rows of width 16 as a column.
pub(crate) fn lists(x: Vec<f32>) -> ArrayRef {
    lists_of(D_IN, x)
}

/// Rows of width `d` as a column.
pub(crate) fn lists_of(d: usize, x: Vec<f32>) -> ArrayRef {
    let item = Arc::new(Field::new_list_field(DataType::Float32, false));
    let values: ArrayRef = Arc::new(Float32Array::from(x));
    Arc::new(FixedSizeListArray::new(item, d as i32, values, None))
}

/// Writes a Parquet file.
pub(crate) fn write_parquet(path: &Path, columns: &[(&str, ArrayRef)]) {
    let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
    let file = fs_err::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}
