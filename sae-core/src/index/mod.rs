//! The index of a dump under an SAE. (Interface; to be filled in.)

/// Why an index cannot be built or opened.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {}
