//! The three list types of Arrow behind one face.

use arrow::{
    array::{Array, ArrayRef, AsArray, FixedSizeListArray, LargeListArray, ListArray},
    datatypes::DataType,
};
use std::ops::Range;

/// A column of lists.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lists<'a> {
    Small(&'a ListArray),
    Large(&'a LargeListArray),
    Fixed(&'a FixedSizeListArray),
}

impl<'a> Lists<'a> {
    /// None if the column holds no lists.
    pub(super) fn of(column: &'a ArrayRef) -> Option<Self> {
        match column.data_type() {
            DataType::List(_) => Some(Self::Small(column.as_list())),
            DataType::LargeList(_) => Some(Self::Large(column.as_list())),
            DataType::FixedSizeList(..) => Some(Self::Fixed(column.as_fixed_size_list())),
            _ => None,
        }
    }

    pub(super) fn is_null(self, row: usize) -> bool {
        match self {
            Self::Small(lists) => lists.is_null(row),
            Self::Large(lists) => lists.is_null(row),
            Self::Fixed(lists) => lists.is_null(row),
        }
    }

    /// The entries of all rows.
    pub(super) fn values(self) -> &'a ArrayRef {
        match self {
            Self::Small(lists) => lists.values(),
            Self::Large(lists) => lists.values(),
            Self::Fixed(lists) => lists.values(),
        }
    }

    /// Which of [`Self::values`] are the entries of `row`. Arrow has checked that offsets grow and
    /// stay within the values.
    pub(super) fn range(self, row: usize) -> Range<usize> {
        match self {
            Self::Small(lists) => {
                let offsets = lists.value_offsets();
                offsets[row] as usize..offsets[row + 1] as usize
            }
            Self::Large(lists) => {
                let offsets = lists.value_offsets();
                offsets[row] as usize..offsets[row + 1] as usize
            }
            Self::Fixed(lists) => {
                let start = lists.value_offset(row) as usize;
                start..start + lists.value_length() as usize
            }
        }
    }
}
