use std::path::PathBuf;

/// Why an index cannot be built or opened.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// There is no index in the directory.
    #[error("{}: expected an index, found no meta.json in it; make one with `sae index`", path.display())]
    NoIndex {
        /// The directory.
        path: PathBuf,
    },
    /// A file of the index is not there.
    #[error("{}: expected a file of the index, found none; build the index again with `sae index`", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Another version of this program wrote the index.
    #[error(
        "{}: expected format_version {expected}, found {found}; build the index again with this version of `sae index`",
        path.display()
    )]
    Version {
        /// `meta.json`.
        path: PathBuf,
        /// The version that this program reads.
        expected: u32,
        /// The version of the file.
        found: u64,
    },
    /// `meta.json` does not say what it must.
    #[error("{}: expected the description of an index, found: {reason}; build the index again with `sae index`", path.display())]
    Meta {
        /// `meta.json`.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file is longer or shorter than when it was written.
    #[error(
        "{}: expected {expected} bytes, found {found}: the copy is not complete; copy the index again, or build it with `sae index`",
        path.display()
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// What `meta.json` says.
        expected: u64,
        /// What is on disk.
        found: u64,
    },
    /// The inside of a file is not as it was written.
    #[error("{}: expected {expected}, found {found}; build the index again with `sae index`", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What must be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The place of the index holds something else.
    #[error(
        "{}: expected an index, an empty directory or nothing, found other files; remove them or choose another place",
        path.display()
    )]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
    /// The dump has no rows.
    #[error("expected a dump with at least one row, found none; check the path of the dump and its filters")]
    Empty,
    /// The dump has more rows than row numbers.
    #[error("expected at most {} rows in a dump, found more; index it in parts", u32::MAX)]
    TooManyRows,
    /// The activations are not those that the SAE was trained on.
    #[error(
        "row {row}: expected activations of width {expected}, found {found} numbers for {rows} rows; index the dump that this SAE was trained on"
    )]
    Width {
        /// First row of the batch.
        row: u64,
        /// `d_in` of the SAE.
        expected: usize,
        /// Numbers in the batch.
        found: usize,
        /// Rows in the batch.
        rows: usize,
    },
    /// The companions of the activations are not what the transcoder reconstructs.
    #[error(
        "row {row}: expected a target of width {expected} beside each activation, found {found} numbers for {rows} rows; read the dump with the column that this transcoder was trained to reconstruct"
    )]
    Target {
        /// First row of the batch.
        row: u64,
        /// `d_out` of the transcoder.
        expected: usize,
        /// Numbers in the batch.
        found: usize,
        /// Rows in the batch.
        rows: usize,
    },
    /// A batch does not follow the one before.
    #[error(
        "expected the batch that starts at row {expected}, found one that starts at row {found}; push batches in the dump's order"
    )]
    NotConsecutive {
        /// The next row.
        expected: u64,
        /// The row of the batch.
        found: u64,
    },
    /// A batch has other columns than the first.
    #[error(
        "row {row}: expected the columns {expected}, found {found}; all files of a dump must have the same columns"
    )]
    Columns {
        /// First row of the batch.
        row: u64,
        /// The columns given at the start.
        expected: String,
        /// The columns of the batch.
        found: String,
    },
    /// A column with a fixed meaning has a type that cannot carry it.
    #[error("column `{column}`: expected {expected}, found {found}; rename it or convert it")]
    ColumnType {
        /// The column.
        column: String,
        /// What it must be.
        expected: &'static str,
        /// Its Arrow type.
        found: String,
    },
    /// A row belongs to no document.
    #[error(
        "row {row}: expected a doc_id that fits into 64 bits with sign, found none; give every row one, or leave the column out"
    )]
    NoDocId {
        /// The row.
        row: u64,
    },
    /// The rows of a document are not together.
    #[error(
        "row {row}: expected the rows of document {doc_id} to stand together, found it again after other rows; sort the dump by doc_id, pos"
    )]
    DocumentReturns {
        /// The document.
        doc_id: i64,
        /// The row where it comes back.
        row: u64,
    },
    /// A latent's value is infinite.
    #[error(
        "row {row}: expected finite activations, found latent {latent} at {value}; check the dump and the SAE for very large numbers"
    )]
    NotFinite {
        /// The row.
        row: u64,
        /// The latent.
        latent: u32,
        /// Its value.
        value: f32,
    },
    /// The distinct strings of a column do not fit into one dictionary.
    #[error(
        "column `{column}`: expected at most 2 GiB of distinct strings, found more; leave the column out of the dump"
    )]
    Dictionary {
        /// The column.
        column: String,
    },
    /// Arrow refused something.
    #[error("{}: {source}", path.display())]
    Arrow {
        /// The file.
        path: PathBuf,
        /// What Arrow says.
        source: arrow::error::ArrowError,
    },
}
