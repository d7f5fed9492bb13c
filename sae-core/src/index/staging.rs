//! A directory that appears complete or not at all.

use super::IndexError;
use crate::Result;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory that is being filled beside its final place; dropped before [`Staging::commit`], it is gone.
#[derive(Debug)]
pub(super) struct Staging {
    /// Beside the target, so that renaming never copies.
    outer: TempDir,
    target: PathBuf,
}

impl Staging {
    /// Prepares for an index at `target`, where there may be an index already.
    pub(super) fn create(target: &Path) -> Result<Self> {
        let occupied = match fs_err::read_dir(target) {
            Ok(mut entries) => entries.next().is_some() && !target.join("meta.json").is_file(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => return Err(error.into()),
        };
        if occupied {
            return Err(IndexError::Occupied { path: target.to_owned() }.into());
        }
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let outer = tempfile::Builder::new().prefix(".index-").tempdir_in(parent)?;
        // The temporary directory is private; what is made inside has the permissions of everything else.
        let staging = Self { outer, target: target.to_owned() };
        fs_err::create_dir(staging.inner())?;
        Ok(staging)
    }

    /// The path of a file of the index.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.inner().join(name)
    }

    /// The path of a file that is only needed while building.
    pub(super) fn scratch(&self, name: &str) -> PathBuf {
        self.outer.path().join(name)
    }

    /// Puts the directory into its place, whose files are on disk already.
    pub(super) fn commit(self) -> Result<()> {
        sync(&self.inner())?;
        let replaced = self.scratch("replaced");
        let replaces = self.target.exists();
        if replaces {
            fs_err::rename(&self.target, &replaced)?;
        }
        if let Err(error) = fs_err::rename(self.inner(), &self.target) {
            if replaces {
                fs_err::rename(&replaced, &self.target)?;
            }
            return Err(error.into());
        }
        if let Some(parent) = self.outer.path().parent() {
            sync(parent)?;
        }
        Ok(self.outer.close()?)
    }

    fn inner(&self) -> PathBuf {
        self.outer.path().join("index")
    }
}

/// Sees the names in a directory onto the disk, where the system has a way to ask for it.
fn sync(dir: &Path) -> Result<()> {
    if cfg!(unix) {
        fs_err::File::open(dir)?.sync_all()?;
    }
    Ok(())
}
