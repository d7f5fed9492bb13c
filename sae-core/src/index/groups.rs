//! Grouping columns: metadata with few distinct values.

use super::{
    Group, GroupValue,
    rows::{OWN_COLUMNS, is_text},
};
use arrow::{
    array::{ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Schema},
    error::ArrowError,
};
use std::collections::HashMap;

/// The most distinct values that a grouping column may have, nulls included.
const MAX_VALUES: usize = 64;

/// A column that groups rows, as long as its values are few: its values and a key per row.
#[derive(Debug)]
pub(super) struct Grouping {
    column: usize,
    numbers: HashMap<String, u8>,
    pub(super) group: Group,
    /// `[n_rows]`: which of the group's values the row has.
    pub(super) keys: Vec<u8>,
}

/// The columns that may group rows.
pub(super) fn groupings(others: &Schema) -> Vec<Grouping> {
    let columns = others.fields().iter().enumerate().filter(|(_, field)| {
        let data_type = field.data_type();
        let has_values = is_text(data_type) || data_type.is_integer() || data_type == &DataType::Boolean;
        has_values && !OWN_COLUMNS.contains(&field.name().as_str())
    });
    let grouping = |(column, field): (usize, &std::sync::Arc<arrow::datatypes::Field>)| Grouping {
        column,
        numbers: HashMap::new(),
        group: Group { column: field.name().clone(), values: Vec::new() },
        keys: Vec::new(),
    };
    columns.map(grouping).collect()
}

impl Grouping {
    /// Adds rows; says whether the values are still few.
    pub(super) fn push(&mut self, others: &RecordBatch) -> Result<bool, ArrowError> {
        let values: ArrayRef = cast(others.column(self.column), &DataType::Utf8)?;
        for value in values.as_string::<i32>() {
            let value = value.unwrap_or("(none)");
            let key = match self.numbers.get(value) {
                Some(&key) => key,
                None if self.numbers.len() == MAX_VALUES => return Ok(false),
                None => {
                    let key = self.numbers.len() as u8;
                    self.numbers.insert(value.to_owned(), key);
                    self.group.values.push(GroupValue { value: value.to_owned(), rows: 0 });
                    key
                }
            };
            self.group.values[usize::from(key)].rows += 1;
            self.keys.push(key);
        }
        Ok(true)
    }

    /// Of `rows`, how many have each value.
    pub(super) fn count(&self, rows: impl Iterator<Item = u32>) -> Vec<u64> {
        let mut counts = vec![0; self.group.values.len()];
        for row in rows {
            counts[usize::from(self.keys[row as usize])] += 1;
        }
        counts
    }
}
