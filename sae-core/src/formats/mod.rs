//! SAEs on disk, one file per ecosystem.

/// Why an SAE on disk cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {}
