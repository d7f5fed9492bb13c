//! The tokens of a dump as text: the distinct texts, and which of them each row has.

use super::table::Table;
use arrow::{
    array::{Array, AsArray, DictionaryArray, StringArray, UInt32Array},
    datatypes::UInt32Type,
};

/// The column of tokens, its type told once: a page asks for the tokens of a thousand rows.
#[derive(Debug)]
pub(super) struct Tokens {
    texts: StringArray,
    /// By batch.
    keys: Vec<UInt32Array>,
    batch_rows: usize,
}

impl Tokens {
    /// The tokens in a column of `rows.arrow` that has been checked; none if there are no rows.
    pub(super) fn of(table: &Table, column: usize, batch_rows: usize) -> Option<Self> {
        let columns: Vec<&DictionaryArray<UInt32Type>> =
            table.batches.iter().map(|batch| batch.column(column).as_dictionary()).collect();
        Some(Self {
            texts: columns.first()?.values().as_string().clone(),
            keys: columns.iter().map(|column| column.keys().clone()).collect(),
            batch_rows,
        })
    }

    /// The key of the row's token; none where it is null, and beyond the last row.
    pub(super) fn key(&self, row: u64) -> Option<u32> {
        let (batch, i) = (row as usize / self.batch_rows, row as usize % self.batch_rows);
        let keys = self.keys.get(batch)?;
        let key = *keys.values().get(i)?;
        keys.is_valid(i).then_some(key)
    }

    /// The token that a key stands for.
    ///
    /// # Panics
    /// If it is no row's key.
    pub(super) fn text(&self, key: u32) -> &str {
        self.texts.value(key as usize)
    }
}
