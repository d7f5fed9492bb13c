//! Which rows are held out for evaluation.
//!
//! Whole documents, where the dump has them: neighbouring rows are alike, and a row whose neighbour
//! was trained on tells little about new text.

use crate::{Result, TrainError};
use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Int64Type},
};
use sae_core::dump::{Columns, Dump};

/// Decides for each row whether it is held out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Split {
    seed: u64,
    /// Hashes below it are held out.
    bound: u64,
    by_document: bool,
}

impl Split {
    /// Holds out about `fraction` of the documents of a dump, of the rows of one without `doc_id`.
    pub fn new(dump: &Dump, fraction: f64, seed: u64) -> Self {
        let by_document = dump.other_columns().index_of("doc_id").is_ok();
        Self { seed, bound: (fraction * 2f64.powi(64)) as u64, by_document }
    }

    /// What must be read beside the activations.
    pub fn columns(&self) -> Columns<'static> {
        if self.by_document { Columns::Named(&["doc_id"]) } else { Columns::Activations }
    }

    /// For each row of a batch whether it is held out.
    ///
    /// # Errors
    /// If `doc_id` is not a column of integers.
    pub fn held_out(&self, first_row: u64, n_rows: usize, others: &RecordBatch) -> Result<Vec<bool>> {
        let held_out = |key: u64| mix(self.seed ^ mix(key)) < self.bound;
        if !self.by_document {
            return Ok((first_row..).take(n_rows).map(held_out).collect());
        }
        let column = others.column_by_name("doc_id").ok_or_else(|| no_integers("no column"))?;
        if !column.data_type().is_integer() {
            return Err(no_integers(&column.data_type().to_string()));
        }
        let ids = cast(column, &DataType::Int64).map_err(|error| no_integers(&error.to_string()))?;
        let ids = ids.as_primitive::<Int64Type>();
        Ok(ids.iter().map(|id| held_out(id.map_or(u64::MAX, |id| id as u64))).collect())
    }
}

fn no_integers(found: &str) -> TrainError {
    TrainError::Data(format!("doc_id: expected integers, found {found}"))
}

/// A bijection of 64 bits in which every bit of the input changes half of the output's
/// (the finaliser of SplitMix64; Steele, Lea & Flood 2014).
pub(crate) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
