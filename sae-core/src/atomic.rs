//! Files and directories that are complete or absent: written under a temporary name beside their
//! own, synced, renamed.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Writes a file, or leaves what was there before.
///
/// # Errors
/// If the folder cannot be written to; the message names it.
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = parent(path);
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| at(folder, &error))?;
    io::Write::write_all(&mut file, bytes)?;
    file.as_file().sync_all()?;
    // tempfile makes files that only their owner can read.
    #[cfg(unix)]
    fs_err::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.persist(path).map_err(|error| at(path, &error.error))?;
    Ok(())
}

/// A directory being written. Dropped before [`NewDir::commit`], it is removed with all it holds.
#[derive(Debug)]
pub struct NewDir {
    /// Private, beside the target so that renaming never copies. What is made inside has the
    /// permissions of everything else.
    outer: tempfile::TempDir,
    target: PathBuf,
}

impl NewDir {
    /// Starts writing what will be `target`; makes the folders above it.
    ///
    /// # Errors
    /// If the folder above cannot be made or written to; the message names it.
    pub fn create(target: &Path) -> io::Result<Self> {
        let folder = parent(target);
        fs_err::create_dir_all(folder)?;
        let prefix = format!(".{}-", target.file_name().unwrap_or_default().to_string_lossy());
        let outer = tempfile::Builder::new().prefix(&prefix).suffix(".tmp").tempdir_in(folder);
        let new = Self { outer: outer.map_err(|error| at(folder, &error))?, target: target.to_owned() };
        fs_err::create_dir(new.path())?;
        Ok(new)
    }

    /// Where to write.
    pub fn path(&self) -> PathBuf {
        self.outer.path().join("new")
    }

    /// The path of a file that is only needed while writing.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.outer.path().join(name)
    }

    /// Syncs every file directly inside, then puts the directory in its place, instead of what was
    /// there.
    ///
    /// # Errors
    /// If syncing or renaming fails; then the directory that was there before is still there.
    pub fn commit(self) -> io::Result<()> {
        for entry in fs_err::read_dir(self.path())? {
            let path = entry?.path();
            if path.is_file() {
                fs_err::File::open(&path)?.sync_all()?;
            }
        }
        sync_dir(&self.path())?;
        let replaced = self.scratch("replaced");
        let replaces = self.target.exists();
        if replaces {
            fs_err::rename(&self.target, &replaced)?;
        }
        if let Err(error) = fs_err::rename(self.path(), &self.target) {
            if replaces {
                fs_err::rename(&replaced, &self.target)?;
            }
            return Err(error);
        }
        sync_dir(parent(&self.target))?;
        self.outer.close()
    }
}

/// Sees the names in a directory onto the disk, where the system has a way to ask for it.
fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) {
        fs_err::File::open(dir)?.sync_all()?;
    }
    Ok(())
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// tempfile's errors name its own random file; the user knows the folder.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write to {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_replaces_the_old_one_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("above").join("target");
        for content in ["one", "two"] {
            let new = NewDir::create(&target).unwrap();
            fs_err::write(new.path().join("file"), content).unwrap();
            new.commit().unwrap();
            assert_eq!(fs_err::read_to_string(target.join("file")).unwrap(), content);
        }
        assert_eq!(fs_err::read_dir(folder.path().join("above")).unwrap().count(), 1);
    }

    #[test]
    fn an_abandoned_directory_disappears() {
        let folder = tempfile::tempdir().unwrap();
        let new = NewDir::create(&folder.path().join("target")).unwrap();
        fs_err::write(new.path().join("file"), "half").unwrap();
        drop(new);
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_file(&path, b"one").unwrap();
        write_file(&path, b"two").unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"two");
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
    }
}
