//! What can be wrong with a row, and how one is told where it is.

use std::{fmt, path::PathBuf};

/// A row of a dump, or a position in a nested row. All numbers count from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The file.
    pub file: PathBuf,
    /// Its row group.
    pub row_group: usize,
    /// The row in that row group.
    pub row: u64,
    /// The position in a nested row.
    pub position: Option<u32>,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: row group {}, row {}", self.file.display(), self.row_group, self.row)?;
        match self.position {
            Some(position) => write!(f, ", position {position}"),
            None => Ok(()),
        }
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Flaw {
    /// There is no vector.
    Null,
    /// One of its values is null.
    NullValue {
        /// Which of the column's.
        dim: usize,
    },
    /// It has the wrong number of values.
    Width {
        /// Width of the column.
        expected: usize,
        /// Values there are.
        found: usize,
    },
    /// One of its values is NaN or infinite, or an f64 beyond the range of f32.
    NotFinite {
        /// Which of the column's.
        dim: usize,
        /// The value as f32.
        value: f32,
    },
    /// A list that goes with the activations of a nested row has another length.
    Entries {
        /// Positions of the row.
        expected: usize,
        /// Entries of the list.
        found: usize,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => write!(f, "expected a vector, found null"),
            Self::NullValue { dim } => write!(f, "expected numbers, found null as value {dim}"),
            Self::Width { expected, found } => {
                write!(f, "expected a vector of width {expected}, found {found}")
            }
            Self::NotFinite { dim, value } => {
                write!(f, "expected finite numbers within the range of f32, found {value} as value {dim}")
            }
            Self::Entries { expected, found } => {
                write!(f, "expected {expected} entries, one for each activation of the row, found {found}")
            }
        }
    }
}
