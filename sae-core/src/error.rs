use crate::{dump::DumpError, formats::FormatError, index::IndexError};

/// Everything that can go wrong in this crate because of what a user gave it.
///
/// Each message names the file, what was expected, what was found and the next step.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A dump cannot be read.
    #[error(transparent)]
    Dump(#[from] DumpError),
    /// An SAE on disk cannot be read or written.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// An index cannot be built or opened.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The system refused to read or write; `fs_err` puts the path into the message.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// The result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
