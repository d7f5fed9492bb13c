//! Activation dumps in Parquet. (Interface; to be filled in.)

use arrow::array::RecordBatch;

/// Why a dump cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {}

/// Consecutive rows of a dump.
#[derive(Debug, Clone)]
pub struct DumpBatch {
    /// Number of the first row, counted over the whole dump (after flattening and skipping).
    pub first_row: u64,
    /// `[n_rows, d_in]`
    pub activations: Vec<f32>,
    /// The other columns that were asked for, one row per position.
    pub others: RecordBatch,
}
