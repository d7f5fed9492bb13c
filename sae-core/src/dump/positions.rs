//! The positions of a record batch: its rows, or in a nested dump the entries of its rows.

use super::{
    Flaw,
    layout::{Layout, Other, Source},
    lists::Lists,
    vectors::Vectors,
};
use arrow::{
    array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, UInt32Array},
    compute::{cast, take},
    datatypes::Int64Type,
    error::ArrowError,
};
use std::{ops::Range, sync::Arc};

/// A record batch whose rows are read position by position.
#[derive(Debug)]
pub(super) struct Positions {
    batch: RecordBatch,
    nested: bool,
    /// Of each position: its row in the batch.
    row: Vec<u32>,
    /// Of each position: its number within the row.
    inner: Vec<u32>,
    /// Rows without positions; of each, the column that is to blame, and why.
    pub(super) flaws: Vec<(u32, String, Flaw)>,
}

impl Positions {
    /// `others` are the columns that will be gathered.
    pub(super) fn of(batch: RecordBatch, layout: &Layout, others: &[Other]) -> Self {
        let n_rows = batch.num_rows() as u32;
        if !layout.nested {
            let (row, inner) = ((0..n_rows).collect(), vec![0; n_rows as usize]);
            return Self { batch, nested: false, row, inner, flaws: Vec::new() };
        }
        let mut all = Self { batch, nested: true, row: Vec::new(), inner: Vec::new(), flaws: Vec::new() };
        for row in 0..n_rows {
            match positions_of_row(&all.batch, layout, others, row as usize) {
                Ok(ctx) => {
                    all.row.extend((0..ctx).map(|_| row));
                    all.inner.extend(0..ctx as u32);
                }
                Err((column, flaw)) => all.flaws.push((row, column.to_owned(), flaw)),
            }
        }
        all
    }

    /// Number of positions.
    pub(super) fn len(&self) -> usize {
        self.row.len()
    }

    /// The lists of floats of a column, and which of them belong to a range of positions.
    pub(super) fn lists(&self, vectors: &Vectors, range: Range<usize>) -> Option<(Lists<'_>, Vec<u32>)> {
        let lists = Lists::of(self.batch.column_by_name(&vectors.column)?)?;
        let rows = &self.row[range.clone()];
        if !self.nested {
            return Some((lists, rows.to_vec()));
        }
        let first = |row: u32| lists.range(row as usize).start as u32;
        let numbers = rows.iter().zip(&self.inner[range]).map(|(row, inner)| first(*row) + inner).collect();
        Some((Lists::of(lists.values())?, numbers))
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
            Source::Entries => {
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

/// The number of positions of a nested row, if all that belongs to them has as many entries.
fn positions_of_row<'a>(
    batch: &RecordBatch,
    layout: &'a Layout,
    others: &'a [Other],
    row: usize,
) -> Result<usize, (&'a str, Flaw)> {
    let length = |column: &str| {
        let lists = Lists::of(batch.column_by_name(column)?)?;
        (!lists.is_null(row)).then(|| lists.range(row).len())
    };
    let mut ctx = None;
    for Vectors { column, .. } in layout.vectors() {
        let found = length(column).ok_or((column.as_str(), Flaw::Null))?;
        let expected = *ctx.get_or_insert(found);
        if found != expected {
            return Err((column, Flaw::Entries { expected, found }));
        }
    }
    let expected = ctx.unwrap_or_default();
    for other in others.iter().filter(|other| other.source == Source::Entries) {
        let found = length(other.field.name()).unwrap_or(0);
        if found != expected {
            return Err((other.field.name(), Flaw::Entries { expected, found }));
        }
    }
    Ok(expected)
}

/// Integers of any type as i64, None where null.
pub(super) fn integers(column: &ArrayRef) -> Result<Vec<Option<i64>>, ArrowError> {
    let column = cast(column, &arrow::datatypes::DataType::Int64)?;
    Ok(column.as_primitive::<Int64Type>().iter().collect())
}
