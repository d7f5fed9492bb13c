//! SAEs on disk, one file per ecosystem.

pub mod saelens;

use std::path::PathBuf;

/// Why an SAE on disk cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// A file is missing, or holds something else than its format.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// What the format asks for.
        expected: String,
        /// What is there.
        found: String,
    },
}
