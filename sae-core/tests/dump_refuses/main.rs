//! What a dump is refused for, and what the user is told.
#![allow(clippy::unwrap_used)]

mod beside;
mod files;
mod rows;

use arrow::{
    array::*,
    datatypes::{Float32Type, Float64Type, Int32Type},
};
use parquet::{
    arrow::ArrowWriter,
    basic::Compression,
    file::{
        properties::WriterProperties,
        reader::{FileReader, SerializedFileReader},
    },
};
use sae_core::{
    Error,
    dump::{Columns, Dtype, Dump, DumpError, DumpInfo, DumpOptions, DumpWriter, DumpWriterOptions},
};
use std::{path::Path, sync::Arc};
use tempfile::TempDir;

/// A directory for the files of a test; its path is written `DIR` in the messages compared.
struct Dir(TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// The message with which the dump `name` is refused, when opened or when read.
    fn refusal(&self, name: &str) -> String {
        self.refusal_with(name, &DumpOptions::default(), Columns::All)
    }

    fn refusal_with(&self, name: &str, options: &DumpOptions, columns: Columns<'_>) -> String {
        let opened = Dump::open(self.path(name).to_str().unwrap(), options);
        self.message(opened.and_then(|dump| {
            let mut reader = dump.read(columns);
            let refused = reader.find_map(Result::err);
            assert!(reader.next().is_none(), "after an error a reader ends");
            refused.map_or(Ok(()), Err)
        }))
    }

    fn message<T: std::fmt::Debug>(&self, result: sae_core::Result<T>) -> String {
        result.unwrap_err().to_string().replace(self.0.path().to_str().unwrap(), "DIR")
    }

    fn write(&self, name: &str, columns: Vec<(&str, ArrayRef)>) {
        write(&self.path(name), columns, Compression::UNCOMPRESSED);
    }

    fn info(&self, json: &str) {
        fs_err::write(self.path("dump.json"), json).unwrap();
    }
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>, compression: Compression) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties =
        WriterProperties::builder().set_max_row_group_row_count(Some(2)).set_compression(compression).build();
    let file = fs_err::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn lists(rows: &[&[f32]]) -> ArrayRef {
    let rows = rows.iter().map(|row| Some(row.iter().map(|v| Some(*v)).collect::<Vec<_>>()));
    Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
}

fn fixed(rows: &[&[f32]]) -> ArrayRef {
    let width = rows[0].len() as i32;
    let rows = rows.iter().map(|row| Some(row.iter().map(|v| Some(*v)).collect::<Vec<_>>()));
    Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, width))
}

fn ints(values: &[i32]) -> ArrayRef {
    Arc::new(Int32Array::from(values.to_vec()))
}
