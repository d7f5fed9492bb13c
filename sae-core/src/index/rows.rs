//! The columns of a dump beside its activations, row by row.

use super::{Meta, table::Table, tokens::Tokens};
use crate::Result;
use arrow::{
    array::{Array, ArrayAccessor, DictionaryArray, RecordBatch, StringArray, downcast_integer_array},
    datatypes::{DataType, Schema, UInt32Type},
    util::display::{ArrayFormatter, FormatOptions},
};
use serde_json::Value;

/// Columns with a fixed meaning; every other one is metadata.
pub(super) const OWN_COLUMNS: [&str; 4] = ["doc_id", "pos", "token_id", "token"];

/// `rows.arrow`.
#[derive(Debug)]
pub(super) struct Rows {
    table: Table,
    batch_rows: usize,
    n_rows: u64,
    tokens: Option<Tokens>,
    pos: Option<usize>,
}

impl Rows {
    pub(super) fn new(table: Table, meta: &Meta) -> Result<Self> {
        table.expect_rows(meta.n_rows, meta.batch_rows)?;
        let found = columns(&table.schema);
        if found != meta.columns {
            let names = |columns: &[super::Column]| {
                let columns = columns.iter().map(|column| format!("{}: {}", column.name, column.data_type));
                columns.collect::<Vec<_>>().join(", ")
            };
            return Err(table.corrupt(format!("columns {}", names(&meta.columns)), names(&found)));
        }
        let tokens = match &meta.token_column {
            None => None,
            Some(name) => {
                let index = table.schema.index_of(name).ok();
                let is_text = |index: &usize| table.schema.field(*index).data_type() == &text_type();
                let index = index.filter(is_text);
                let index = index.ok_or_else(|| table.corrupt(format!("tokens in column {name}"), "none"))?;
                Tokens::of(&table, index, meta.batch_rows)
            }
        };
        let pos = table.schema.index_of("pos").ok();
        Ok(Self { batch_rows: meta.batch_rows, n_rows: meta.n_rows, tokens, pos, table })
    }

    /// See [`Mapped::forget`](super::table::Mapped::forget).
    pub(super) fn forget(&self) {
        self.table.file.forget();
    }

    fn locate(&self, row: u64) -> Option<(usize, usize)> {
        let row = (row < self.n_rows).then_some(row as usize)?;
        Some((row / self.batch_rows, row % self.batch_rows))
    }

    /// The tokens as text, if the dump has them.
    pub(super) fn tokens(&self) -> Option<&Tokens> {
        self.tokens.as_ref()
    }

    /// The row's position in its document.
    pub(super) fn pos(&self, row: u64) -> Option<i64> {
        let (batch, i) = self.locate(row)?;
        let pos = self.table.batches[batch].column(self.pos?);
        downcast_integer_array!(
            pos => pos.is_valid(i).then(|| i64::try_from(i128::from(pos.value(i))).ok()).flatten(),
            _ => None
        )
    }

    /// The row's metadata.
    pub(super) fn metadata(&self, row: u64) -> Vec<(String, Value)> {
        match self.locate(row) {
            None => Vec::new(),
            Some((batch, i)) => values(&self.table.batches[batch], i, &OWN_COLUMNS),
        }
    }
}

/// How strings are stored.
pub(super) fn text_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8))
}

/// Whether a column holds strings, in whatever way.
pub(super) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// The columns of `rows.arrow` as `meta.json` lists them.
pub(super) fn columns(schema: &Schema) -> Vec<super::Column> {
    let columns = schema.fields().iter().map(|field| {
        let data_type = if is_text(field.data_type()) { &DataType::Utf8 } else { field.data_type() };
        super::Column { name: field.name().clone(), data_type: data_type.to_string() }
    });
    columns.collect()
}

/// Row `i` of every column but those named.
pub(super) fn values(batch: &RecordBatch, i: usize, except: &[&str]) -> Vec<(String, Value)> {
    let schema = batch.schema_ref();
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.filter(|(field, _)| !except.contains(&field.name().as_str()));
    columns.map(|(field, column)| (field.name().clone(), json(column, i))).collect()
}

/// One value of a column: numbers and booleans as themselves, everything else as Arrow shows it.
fn json(column: &dyn Array, i: usize) -> Value {
    if column.is_null(i) {
        return Value::Null;
    }
    let data_type = column.data_type();
    if let Some(texts) = column.as_any().downcast_ref::<DictionaryArray<UInt32Type>>() {
        let texts = texts.downcast_dict::<StringArray>();
        return texts.map_or(Value::Null, |texts| Value::String(ArrayAccessor::value(&texts, i).to_owned()));
    }
    let options = FormatOptions::default();
    let text = match ArrayFormatter::try_new(column, &options) {
        Ok(formatter) => formatter.value(i).to_string(),
        Err(_) => return Value::Null,
    };
    if data_type == &DataType::Boolean || data_type.is_numeric() {
        // NaN and infinity are no JSON, nor are decimals numbers of ours.
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    } else {
        Value::String(text)
    }
}
