//! Finding documents and what is constant inside them, and writing `documents.arrow`.

use super::{
    Document, IndexError,
    rows::OWN_COLUMNS,
    rows_writer::with_dictionary,
    table::{TableWriter, at},
};
use crate::{Result, atomic::NewDir};
use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array, UInt64Array},
    compute::{cast, concat, kernels::cmp::distinct, take},
    datatypes::{DataType, Field, FieldRef, Int64Type, Schema, SchemaRef},
    error::ArrowError,
};
use std::{collections::HashSet, path::PathBuf, sync::Arc};

pub(super) struct DocumentsWriter {
    path: PathBuf,
    /// Where `doc_id` stands, if the dump has one.
    doc_id: Option<usize>,
    documents: Vec<Document>,
    seen: HashSet<i64>,
    constant: Vec<Constant>,
}

/// A metadata column that has been constant inside every document so far.
struct Constant {
    column: usize,
    field: FieldRef,
    /// Its value on the last row.
    last: Option<ArrayRef>,
    /// Its values on the first rows of documents, batch by batch.
    firsts: Vec<ArrayRef>,
}

impl DocumentsWriter {
    /// For rows with the columns of `rows.arrow`.
    pub(super) fn new(staging: &NewDir, rows: &SchemaRef) -> Self {
        let doc_id = rows.index_of("doc_id").ok();
        let constant = rows.fields().iter().enumerate().filter(|(_, field)| {
            let name = field.name().as_str();
            let comparable = field.data_type().is_primitive()
                || matches!(field.data_type(), DataType::Boolean | DataType::Dictionary(..));
            // The file's own columns must stay what they are.
            comparable && !OWN_COLUMNS.contains(&name) && !["first_row", "n_rows"].contains(&name)
        });
        let constant = constant.map(|(column, field)| Constant {
            column,
            field: field.clone(),
            last: None,
            firsts: Vec::new(),
        });
        Self {
            path: staging.path().join("documents.arrow"),
            doc_id,
            documents: Vec::new(),
            seen: HashSet::new(),
            constant: if doc_id.is_some() { constant.collect() } else { Vec::new() },
        }
    }

    /// Adds rows, with keys in place of strings.
    pub(super) fn push(&mut self, first_row: u64, rows: &RecordBatch) -> Result<()> {
        let Some(doc_id) = self.doc_id else { return Ok(()) };
        let ids = cast(rows.column(doc_id), &DataType::Int64).map_err(|error| at(&self.path, error))?;
        let mut starts = Vec::new();
        for (row, doc_id) in (first_row..).zip(ids.as_primitive::<Int64Type>()) {
            let doc_id = doc_id.ok_or(IndexError::NoDocId { row })?;
            match self.documents.last_mut() {
                Some(document) if document.doc_id == doc_id => document.n_rows += 1,
                _ => {
                    if !self.seen.insert(doc_id) {
                        return Err(IndexError::DocumentReturns { doc_id, row }.into());
                    }
                    self.documents.push(Document { doc_id, first_row: row, n_rows: 1 });
                    starts.push((row - first_row) as u32);
                }
            }
        }
        let starts = UInt32Array::from(starts);
        for mut constant in std::mem::take(&mut self.constant) {
            if constant.push(rows, &starts).map_err(|error| at(&self.path, error))? {
                self.constant.push(constant);
            }
        }
        Ok(())
    }

    /// Writes the file; `dictionaries` has the strings of each column.
    pub(super) fn finish(self, dictionaries: &[Option<ArrayRef>]) -> Result<Vec<Document>> {
        let documents = &self.documents;
        let mut fields = vec![
            Arc::new(Field::new("doc_id", DataType::Int64, false)),
            Arc::new(Field::new("first_row", DataType::UInt64, false)),
            Arc::new(Field::new("n_rows", DataType::UInt32, false)),
        ];
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(documents.iter().map(|document| document.doc_id))),
            Arc::new(UInt64Array::from_iter_values(documents.iter().map(|document| document.first_row))),
            Arc::new(UInt32Array::from_iter_values(documents.iter().map(|document| document.n_rows))),
        ];
        for constant in &self.constant {
            let values: Vec<&dyn Array> = constant.firsts.iter().map(AsRef::as_ref).collect();
            let values = concat(&values)
                .and_then(|values| with_dictionary(&values, dictionaries[constant.column].as_ref()));
            columns.push(values.map_err(|error| at(&self.path, error))?);
            fields.push(constant.field.clone());
        }
        let mut table = TableWriter::create(self.path.clone(), Arc::new(Schema::new(fields)))?;
        let batch = RecordBatch::try_new(table.schema().clone(), columns);
        table.write(&batch.map_err(|error| at(&self.path, error))?)?;
        table.finish()?;
        Ok(self.documents)
    }
}

impl Constant {
    /// Adds rows; says whether the column changed only where documents start.
    fn push(&mut self, rows: &RecordBatch, starts: &UInt32Array) -> Result<bool, ArrowError> {
        let column = rows.column(self.column);
        let n = column.len();
        let before = self.last.take().unwrap_or_else(|| column.slice(0, 1));
        let all = concat(&[&before, column])?;
        let changes = distinct(&all.slice(0, n), &all.slice(1, n))?;
        self.last = Some(column.slice(n - 1, 1));
        self.firsts.push(take(column, starts, None)?);
        Ok(changes.values().set_indices().all(|row| starts.values().binary_search(&(row as u32)).is_ok()))
    }
}
