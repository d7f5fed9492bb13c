//! `dump.json`: what a dump says about itself.

use super::{DumpError, DumpFile};
use crate::Result;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

/// The name of the file.
pub(super) const FILE_NAME: &str = "dump.json";
/// The newest `format_version` known here.
pub(super) const FORMAT_VERSION: u64 = 1;

/// What `dump.json` says; see `docs/dump.md`. A dump without the file has the default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DumpInfo {
    /// Version of the format, 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format_version: Option<u64>,
    /// The program that wrote the dump.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// The model whose activations these are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_name: Option<String>,
    /// The place in the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook_name: Option<String>,
    /// Width of an activation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d_in: Option<u64>,
    /// Type of the stored activations, `f16` or `f32`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtype: Option<String>,
    /// Rows of all files, after flattening.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_rows: Option<u64>,
    /// Name of the vocabulary file beside `dump.json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocab: Option<String>,
    /// The files, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<Shard>,
    /// Every other key, kept as it is.
    #[serde(flatten)]
    pub more: BTreeMap<String, serde_json::Value>,
}

/// A file of a dump, as `dump.json` lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shard {
    /// File name.
    pub file: String,
    /// Rows of the file, after flattening.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Hash of the whole file, in hex. Not compared when the dump is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl DumpInfo {
    /// Reads the `dump.json` of a directory, the default if there is none.
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE_NAME);
        let bad = |reason: String| DumpError::BadInfo { path: path.clone(), reason };
        let text = match fs_err::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error.into()),
        };
        let value: serde_json::Value =
            serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        // Before the rest: a newer version may have changed the type of any other field.
        match value.get("format_version").and_then(serde_json::Value::as_u64) {
            Some(found) if found > FORMAT_VERSION => {
                Err(DumpError::NewerFormat { path, expected: FORMAT_VERSION, found }.into())
            }
            _ => Ok(serde_json::from_value(value).map_err(|error| bad(error.to_string()))?),
        }
    }

    /// Holds what is said here to what the files say. `whole` if `files` are all of the directory;
    /// without `d_in` that is not held to anything.
    pub(super) fn check(
        &self,
        directory: &Path,
        files: &[DumpFile],
        d_in: Option<usize>,
        whole: bool,
    ) -> Result<(), DumpError> {
        let hold = |field: String, said: Option<u64>, found: u64| match said {
            Some(said) if said != found => Err(DumpError::InfoDisagrees {
                path: directory.join(FILE_NAME),
                field,
                said: said.to_string(),
                found: found.to_string(),
            }),
            _ => Ok(()),
        };
        if let Some(d_in) = d_in {
            hold("d_in".to_owned(), self.d_in, d_in as u64)?;
        }
        for shard in &self.shards {
            if let Some(file) =
                files.iter().find(|file| file.path.file_name().is_some_and(|name| *name == *shard.file))
            {
                hold(format!("rows of {}", shard.file), shard.rows, file.rows)?;
            }
        }
        if whole {
            hold("n_rows".to_owned(), self.n_rows, files.iter().map(|file| file.rows).sum())
        } else {
            Ok(())
        }
    }
}
