use super::IndexError;
use crate::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The version of the format that this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// `meta.json`: what an index is of, and the counts that a reader needs first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The program that wrote it.
    pub created_by: String,
    /// Rows of the dump, `N`.
    pub n_rows: u64,
    /// Firings over all rows and latents.
    pub n_firings: u64,
    /// Documents of the dump.
    pub n_documents: u64,
    /// Width of the activations.
    pub d_in: usize,
    /// Number of latents.
    pub d_sae: usize,
    /// Latents that never fire.
    pub n_dead: u64,
    /// Latents in a record batch of `postings.arrow` and `latents.arrow`.
    pub latents_per_batch: usize,
    /// Rows in a record batch of `codes.arrow` and `rows.arrow`.
    pub batch_rows: usize,
    /// Whether the dump has a `doc_id`.
    pub has_documents: bool,
    /// The column of tokens as text, if the dump has one.
    pub token_column: Option<String>,
    /// Hash of the SAE's weights, as given.
    pub sae_hash: Option<String>,
    /// Hash of the dump, as given.
    pub dump_hash: Option<String>,
    /// Path of the dump, as given.
    pub dump_path: String,
    /// The model that the activations come from.
    pub model_name: Option<String>,
    /// Where in the model they come from.
    pub hook_name: Option<String>,
    /// The columns of `rows.arrow`.
    pub columns: Vec<Column>,
    /// The grouping columns.
    pub groups: Vec<Group>,
    /// Mean number of latents that fire on a row.
    pub l0_mean: f64,
    /// `Σ‖x − x̂‖² / Σ‖x − mean‖²` over all rows; none if all rows are alike.
    pub fvu: Option<f64>,
    /// The other files and their sizes, so that an incomplete copy is noticed.
    pub files: Vec<FileSize>,
}

/// A column of `rows.arrow`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name in the dump.
    pub name: String,
    /// Its Arrow type, that of the values where it has a dictionary.
    #[serde(rename = "type")]
    pub data_type: String,
}

/// A metadata column with few distinct values, by which firings are counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The column.
    pub column: String,
    /// Its values in order of their first row.
    pub values: Vec<GroupValue>,
}

/// A value of a grouping column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupValue {
    /// The value as text; `(none)` for nulls.
    pub value: String,
    /// Rows that have it.
    pub rows: u64,
}

/// How long a file was when it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSize {
    /// Its name in the directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

impl Meta {
    /// Reads `meta.json` of the index in `dir`.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("meta.json");
        let text = match fs_err::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(IndexError::NoIndex { path: dir.to_owned() }.into());
            }
            Err(error) => return Err(error.into()),
        };
        // The version first: another version may have other fields.
        #[derive(Deserialize)]
        struct Version {
            format_version: u64,
        }
        let wrong =
            |reason: serde_json::Error| IndexError::Meta { path: path.clone(), reason: reason.to_string() };
        let Version { format_version: found } = serde_json::from_str(&text).map_err(wrong)?;
        if found != u64::from(FORMAT_VERSION) {
            return Err(IndexError::Version { path, expected: FORMAT_VERSION, found }.into());
        }
        let meta: Self = serde_json::from_str(&text).map_err(wrong)?;
        if meta.batch_rows == 0 || meta.latents_per_batch == 0 {
            let reason = "batches of no rows".to_owned();
            return Err(IndexError::Meta { path, reason }.into());
        }
        Ok(meta)
    }

    /// Writes the file, onto the disk.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let mut file = fs_err::File::create(path)?;
        serde_json::to_writer_pretty(&mut file, self).map_err(std::io::Error::from)?;
        Ok(file.sync_all()?)
    }
}
