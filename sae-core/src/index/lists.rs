//! Lists of (number, value) pairs as two Arrow list columns: the shape of codes and of postings.

use super::table::{Mapped, Table};
use crate::Result;
use arrow::{
    array::{Array, AsArray, LargeListArray, PrimitiveArray, RecordBatch},
    buffer::{OffsetBuffer, ScalarBuffer},
    datatypes::{ArrowPrimitiveType, DataType, Field, Float32Type, Schema, SchemaRef, UInt32Type},
    error::ArrowError,
};
use std::{ops::Range, sync::Arc};

/// The lists of one record batch, without copying.
#[derive(Debug)]
pub(super) struct Lists {
    offsets: OffsetBuffer<i64>,
    numbers: ScalarBuffer<u32>,
    values: ScalarBuffer<f32>,
}

impl Lists {
    /// The columns: `numbers` by its own name, and `value`.
    ///
    /// Offsets have 64 bits, so that no number of firings is too large for a batch.
    pub(super) fn schema(numbers: &str) -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new(numbers, DataType::LargeList(item(DataType::UInt32)), false),
            Field::new("value", DataType::LargeList(item(DataType::Float32)), false),
        ]))
    }

    /// The lists of every batch of a file whose columns have been checked.
    pub(super) fn of(table: &Table) -> Result<Vec<Self>> {
        let lists = table.batches.iter().map(|batch| {
            let (numbers, values) = (batch.column(0).as_list::<i64>(), batch.column(1).as_list::<i64>());
            let has_nulls = |list: &LargeListArray| list.null_count() + list.values().null_count() > 0;
            if numbers.offsets() != values.offsets() || has_nulls(numbers) || has_nulls(values) {
                return Err(table.corrupt("two lists of one length in every row", "other lists"));
            }
            Ok(Self {
                offsets: numbers.offsets().clone(),
                numbers: numbers.values().as_primitive::<UInt32Type>().values().clone(),
                values: values.values().as_primitive::<Float32Type>().values().clone(),
            })
        });
        lists.collect()
    }

    /// Number of lists.
    pub(super) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// List `i`.
    pub(super) fn get(&self, i: usize) -> (&[u32], &[f32]) {
        let range = self.offsets[i] as usize..self.offsets[i + 1] as usize;
        (&self.numbers[range.clone()], &self.values[range])
    }

    /// The value beside `number` in each of some lists of increasing numbers, or 0; read from the file that
    /// the lists lie in.
    pub(super) fn find(&self, number: u32, lists: Range<usize>, file: &Mapped) -> Vec<f32> {
        let offsets = &self.offsets[lists.start..=lists.end];
        let start = offsets[0] as usize;
        let numbers = file.copy(&self.numbers[start..offsets[lists.len()] as usize]);
        let value = |ends: &[i64]| {
            let first = ends[0] as usize;
            let found = numbers[first - start..ends[1] as usize - start].binary_search(&number);
            found.map_or(0.0, |i| file.copy(&self.values[first + i..=first + i])[0])
        };
        offsets.windows(2).map(value).collect()
    }
}

/// Lists that are being put together.
#[derive(Debug)]
pub(super) struct ListsBuilder {
    offsets: Vec<i64>,
    numbers: Vec<u32>,
    values: Vec<f32>,
}

impl Default for ListsBuilder {
    fn default() -> Self {
        Self { offsets: vec![0], numbers: Vec::new(), values: Vec::new() }
    }
}

impl ListsBuilder {
    pub(super) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Adds lists of these lengths, which stand one after the other in `numbers` and `values`.
    pub(super) fn extend(&mut self, lengths: impl Iterator<Item = usize>, numbers: &[u32], values: &[f32]) {
        let mut end = self.numbers.len();
        self.offsets.extend(lengths.map(|length| {
            end += length;
            end as i64
        }));
        self.numbers.extend_from_slice(numbers);
        self.values.extend_from_slice(values);
    }

    /// The lists as a record batch; what is left is empty.
    pub(super) fn take(&mut self, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        let Self { offsets, numbers, values } = std::mem::take(self);
        // The next lists are likely to be as many.
        self.numbers.reserve(numbers.len());
        self.values.reserve(values.len());
        lists(schema, offsets, numbers, values)
    }
}

/// Lists as a record batch: list `i` is the range from `offsets[i]` to `offsets[i + 1]`.
pub(super) fn lists(
    schema: &SchemaRef,
    offsets: Vec<i64>,
    numbers: Vec<u32>,
    values: Vec<f32>,
) -> Result<RecordBatch, ArrowError> {
    let offsets = OffsetBuffer::new(offsets.into());
    let numbers = list::<UInt32Type>(offsets.clone(), numbers.into())?;
    let values = list::<Float32Type>(offsets, values.into())?;
    RecordBatch::try_new(schema.clone(), vec![Arc::new(numbers), Arc::new(values)])
}

fn item(data_type: DataType) -> Arc<Field> {
    Arc::new(Field::new("item", data_type, false))
}

fn list<T: ArrowPrimitiveType>(
    offsets: OffsetBuffer<i64>,
    items: ScalarBuffer<T::Native>,
) -> Result<LargeListArray, ArrowError> {
    LargeListArray::try_new(
        item(T::DATA_TYPE),
        offsets,
        Arc::new(PrimitiveArray::<T>::new(items, None)),
        None,
    )
}
