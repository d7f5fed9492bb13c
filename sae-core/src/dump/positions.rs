//! The positions of a record batch: its rows, or in a nested dump the entries of its rows.

use super::{
    Flaw,
    layout::{Layout, Other, Source},
    lists::Lists,
};
use arrow::{
    array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, UInt32Array},
    compute::{cast, take},
    datatypes::Int64Type,
    error::ArrowError,
};
use std::sync::Arc;

/// A record batch whose rows are read position by position.
#[derive(Debug)]
pub(super) struct Positions {
    batch: RecordBatch,
    nested: bool,
    /// Of each position: its row in the batch.
    row: Vec<u32>,
    /// Of each position: its number within the row.
    inner: Vec<u32>,
    /// Of each position: the number of its list of floats.
    list: Vec<u32>,
    /// Rows without positions, and why.
    pub(super) flaws: Vec<(u32, Flaw)>,
}

impl Positions {
    /// `others` are the columns that will be gathered.
    pub(super) fn of(batch: RecordBatch, layout: &Layout, others: &[Other]) -> Self {
        let n_rows = batch.num_rows() as u32;
        if !layout.nested {
            let (row, inner) = ((0..n_rows).collect(), vec![0; n_rows as usize]);
            return Self { batch, nested: false, list: (0..n_rows).collect(), row, inner, flaws: Vec::new() };
        }
        let mut all = Self {
            nested: true,
            row: Vec::new(),
            inner: Vec::new(),
            list: Vec::new(),
            flaws: Vec::new(),
            batch,
        };
        let Some(contexts) = all.batch.column_by_name(&layout.activation).and_then(Lists::of) else {
            return all;
        };
        for row in 0..n_rows {
            if contexts.is_null(row as usize) {
                all.flaws.push((row, Flaw::Null));
                continue;
            }
            let lists = contexts.range(row as usize);
            if let Some(flaw) = unequal_companion(&all.batch, others, row as usize, lists.len()) {
                all.flaws.push((row, flaw));
                continue;
            }
            all.row.extend(lists.clone().map(|_| row));
            all.inner.extend(0..lists.len() as u32);
            all.list.extend(lists.map(|list| list as u32));
        }
        all
    }

    /// Number of positions.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Of each position, the number of its list among [`Self::lists`].
    pub(super) fn list_numbers(&self) -> &[u32] {
        &self.list
    }

    /// The lists of floats of all positions.
    pub(super) fn lists(&self, activation: &str) -> Option<Lists<'_>> {
        let lists = Lists::of(self.batch.column_by_name(activation)?)?;
        if self.nested { Lists::of(lists.values()) } else { Some(lists) }
    }

    /// The row in the batch, and in a nested dump the number within the row.
    pub(super) fn place(&self, position: usize) -> (u32, Option<u32>) {
        (self.row[position], self.nested.then_some(self.inner[position]))
    }

    /// The values of a column at some positions. The batch begins with the dump's row
    /// `first_row` (before flattening).
    pub(super) fn gather(
        &self,
        other: &Other,
        positions: &[usize],
        first_row: u64,
    ) -> Result<ArrayRef, ArrowError> {
        let rows = || positions.iter().map(|&position| self.row[position]);
        let inner = || positions.iter().map(|&position| self.inner[position]);
        let values: ArrayRef = match other.source {
            Source::RowNumber => {
                Arc::new(rows().map(|row| (first_row + u64::from(row)) as i64).collect::<Int64Array>())
            }
            Source::Position => Arc::new(inner().map(|inner| inner as i32).collect::<Int32Array>()),
            Source::Row => {
                let column = self.column(other)?;
                if positions.len() == column.len() && !self.nested {
                    column.clone()
                } else {
                    take(column, &UInt32Array::from_iter_values(rows()), None)?
                }
            }
            Source::Companion => {
                let lists = Lists::of(self.column(other)?).ok_or_else(|| not_there(other))?;
                let entries =
                    rows().zip(inner()).map(|(row, inner)| lists.range(row as usize).start as u32 + inner);
                take(lists.values(), &UInt32Array::from_iter_values(entries), None)?
            }
            Source::Vocab => return Err(not_there(other)),
        };
        if values.data_type() == other.field.data_type() {
            Ok(values)
        } else {
            cast(&values, other.field.data_type())
        }
    }

    fn column(&self, other: &Other) -> Result<&ArrayRef, ArrowError> {
        self.batch.column_by_name(other.field.name()).ok_or_else(|| not_there(other))
    }
}

fn not_there(other: &Other) -> ArrowError {
    ArrowError::SchemaError(format!("`{}` is not among the columns read", other.field.name()))
}

fn unequal_companion(batch: &RecordBatch, others: &[Other], row: usize, ctx: usize) -> Option<Flaw> {
    others.iter().filter(|other| other.source == Source::Companion).find_map(|other| {
        let lists = Lists::of(batch.column_by_name(other.field.name())?)?;
        let found = if lists.is_null(row) { 0 } else { lists.range(row).len() };
        (found != ctx).then(|| Flaw::Companion { column: other.field.name().clone(), expected: ctx, found })
    })
}

/// Integers of any type as i64, None where null.
pub(super) fn integers(column: &ArrayRef) -> Result<Vec<Option<i64>>, ArrowError> {
    let column = cast(column, &arrow::datatypes::DataType::Int64)?;
    Ok(column.as_primitive::<Int64Type>().iter().collect())
}
