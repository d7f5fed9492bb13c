//! Writing `rows.arrow`: one dictionary per column of strings, over the whole file.
//!
//! An Arrow file has its dictionaries before its batches, so batches of keys wait in a scratch file
//! until the dictionaries are complete.

use super::{
    IndexError,
    rows::{is_text, text_type},
    table::{Table, TableWriter, at},
};
use crate::{Result, atomic::NewDir};
use arrow::{
    array::{ArrayRef, AsArray, DictionaryArray, RecordBatch, RecordBatchOptions, StringArray, UInt32Array},
    compute::{BatchCoalescer, cast},
    datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type},
    error::ArrowError,
};
use std::{collections::HashMap, path::PathBuf, sync::Arc};

pub(super) struct RowsWriter {
    path: PathBuf,
    /// Which of the dump's columns are written.
    kept: Vec<usize>,
    schema: SchemaRef,
    dictionaries: Vec<Option<Dictionary>>,
    batches: BatchCoalescer,
    keys: TableWriter,
}

impl RowsWriter {
    /// For the columns `others` of a dump, in batches of `batch_rows`.
    pub(super) fn create(staging: &NewDir, others: &Schema, batch_rows: usize) -> Result<Self> {
        let kept = others.fields().iter().enumerate().filter(|(_, field)| !is_vector(field));
        let kept: Vec<usize> = kept.map(|(column, _)| column).collect();
        // The metadata of a schema is left behind: it has no order, and it speaks of another file.
        let field = |field: &Arc<Field>| {
            let data_type = if is_text(field.data_type()) { text_type() } else { field.data_type().clone() };
            Field::new(field.name(), data_type, true)
        };
        let schema =
            Schema::new(kept.iter().map(|&column| field(&others.fields()[column])).collect::<Vec<_>>());
        let key_field = |field: &Arc<Field>| {
            if is_text(field.data_type()) {
                Field::new(field.name(), DataType::UInt32, true)
            } else {
                field.as_ref().clone()
            }
        };
        let keys_schema = Arc::new(Schema::new(schema.fields().iter().map(key_field).collect::<Vec<_>>()));
        let dictionary =
            |field: &Arc<Field>| is_text(field.data_type()).then(|| Dictionary::new(field.name()));
        Ok(Self {
            path: staging.path().join("rows.arrow"),
            kept,
            dictionaries: schema.fields().iter().map(dictionary).collect(),
            schema: Arc::new(schema),
            batches: BatchCoalescer::new(keys_schema.clone(), batch_rows),
            keys: TableWriter::create(staging.scratch("rows.arrow"), keys_schema)?,
        })
    }

    /// The columns of `rows.arrow`.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Adds rows, and gives them back with keys in place of strings.
    pub(super) fn push(&mut self, others: &RecordBatch, n_rows: usize) -> Result<RecordBatch> {
        let kept = self.kept.iter().map(|&column| others.column(column));
        let columns = kept.zip(&mut self.dictionaries).map(|(column, dictionary)| match dictionary {
            None => Ok(column.clone()),
            Some(dictionary) => dictionary.keys(column),
        });
        let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
        let columns = columns.collect::<Result<_>>()?;
        let batch = RecordBatch::try_new_with_options(self.keys.schema().clone(), columns, &options);
        let batch = batch.map_err(|error| at(&self.path, error))?;
        self.batches.push_batch(batch.clone()).map_err(|error| at(&self.path, error))?;
        self.write_completed()?;
        Ok(batch)
    }

    fn write_completed(&mut self) -> Result<()> {
        while let Some(batch) = self.batches.next_completed_batch() {
            self.keys.write(&batch)?;
        }
        Ok(())
    }

    /// Writes the file, and gives the dictionary of each column of strings.
    pub(super) fn finish(mut self) -> Result<Vec<Option<ArrayRef>>> {
        self.batches.finish_buffered_batch().map_err(|error| at(&self.path, error))?;
        self.write_completed()?;
        let keys = Table::open(&self.keys.finish()?)?;
        let dictionaries: Vec<_> =
            self.dictionaries.into_iter().map(|d| d.map(Dictionary::into_array)).collect();
        let mut rows = TableWriter::create(self.path.clone(), self.schema.clone())?;
        for batch in &keys.batches {
            let columns = batch.columns().iter().zip(&dictionaries);
            let columns = columns.map(|(column, dictionary)| with_dictionary(column, dictionary.as_ref()));
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let batch = columns.collect::<Result<_, _>>().and_then(|columns| {
                RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            });
            rows.write(&batch.map_err(|error| at(&self.path, error))?)?;
            keys.file.forget();
        }
        rows.finish()?;
        Ok(dictionaries)
    }
}

/// Whether a column is a vector as the activations are, which `rows.arrow` is not for.
fn is_vector(field: &Field) -> bool {
    field.data_type().is_list() && ["gradient", "target"].contains(&field.name().as_str())
}

/// Keys with their strings, or the column itself if it has no dictionary.
pub(super) fn with_dictionary(
    column: &ArrayRef,
    dictionary: Option<&ArrayRef>,
) -> Result<ArrayRef, ArrowError> {
    let Some(dictionary) = dictionary else { return Ok(column.clone()) };
    let keys = column.as_primitive::<UInt32Type>().clone();
    Ok(Arc::new(DictionaryArray::try_new(keys, dictionary.clone())?))
}

/// The distinct strings of a column, numbered in order of their first row.
struct Dictionary {
    column: String,
    keys: HashMap<Box<str>, u32>,
    bytes: usize,
}

impl Dictionary {
    fn new(column: &str) -> Self {
        Self { column: column.to_owned(), keys: HashMap::new(), bytes: 0 }
    }

    fn keys(&mut self, column: &ArrayRef) -> Result<ArrayRef> {
        let strings = cast(column, &DataType::Utf8).map_err(|error| at(self.column.as_ref(), error))?;
        let keys =
            strings.as_string::<i32>().iter().map(|string| string.map(|string| self.key(string)).transpose());
        Ok(Arc::new(keys.collect::<Result<UInt32Array>>()?))
    }

    fn key(&mut self, string: &str) -> Result<u32> {
        if let Some(&key) = self.keys.get(string) {
            return Ok(key);
        }
        self.bytes += string.len();
        let key = self.keys.len() as u32;
        // Both the text's offsets and its count must fit into 31 bits.
        if self.bytes > i32::MAX as usize || key > i32::MAX as u32 - 1 {
            return Err(IndexError::Dictionary { column: self.column.clone() }.into());
        }
        self.keys.insert(string.into(), key);
        Ok(key)
    }

    fn into_array(self) -> ArrayRef {
        let mut strings: Vec<_> = self.keys.into_iter().collect();
        strings.sort_unstable_by_key(|&(_, key)| key);
        Arc::new(StringArray::from_iter_values(strings.into_iter().map(|(string, _)| string)))
    }
}
