use crate::error::ApiError;
use sae_core::run::RunDir;
use serde::Deserialize;
use std::{fmt::Display, io::ErrorKind, path::Path};
use toml_edit::DocumentMut;

/// What `sae/cfg.json` says, or `config.toml` while there is no SAE yet.
#[derive(Default, Deserialize)]
pub(super) struct About {
    pub(super) architecture: Option<String>,
    pub(super) d_in: Option<usize>,
    pub(super) d_sae: Option<usize>,
    pub(super) k: Option<usize>,
    #[serde(default)]
    pub(super) metadata: Origin,
}

/// Where an SAE comes from, as far as its `cfg.json` tells.
#[derive(Default, Deserialize)]
pub(super) struct Origin {
    pub(super) model_name: Option<String>,
    pub(super) hook_name: Option<String>,
    pub(super) training_architecture: Option<String>,
}

impl About {
    /// Reads what there is; nothing is known of a run without either file.
    pub(super) fn read(run: &RunDir) -> Result<Self, ApiError> {
        let path = run.sae().join("cfg.json");
        if let Some(text) = if_there(fs_err::read_to_string(&path))? {
            return serde_json::from_str(&text)
                .map_err(|error| malformed(&path, "train or import it again", error));
        }
        let path = run.config();
        let Some(text) = if_there(fs_err::read_to_string(&path))? else { return Ok(Self::default()) };
        let config: DocumentMut =
            text.parse().map_err(|error| malformed(&path, "correct it, or train again", error))?;
        let value = |section: &str, key: &str| config.get(section)?.get(key);
        let number = |section, key| value(section, key)?.as_integer()?.try_into().ok();
        Ok(Self {
            architecture: value("variant", "name").and_then(|name| Some(name.as_str()?.to_owned())),
            d_in: None,
            d_sae: number("sae", "d_sae"),
            k: number("variant", "k"),
            metadata: Origin::default(),
        })
    }
}

/// What was read, none if the file is not there.
pub(super) fn if_there<T>(read: std::io::Result<T>) -> Result<Option<T>, ApiError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The error for a file that is there, but is not what it must be.
pub(super) fn malformed(path: &Path, next_step: &str, reason: impl Display) -> ApiError {
    ApiError::internal("unreadable", format!("{}: cannot be read: {reason}; {next_step}", path.display()))
}
