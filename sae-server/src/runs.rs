//! Which runs stand below the served folder, and under which names.

use crate::error::{ApiError, ServeError};
use sae_core::run::RunDir;
use std::path::{Component, Path, PathBuf};

/// How many folders deep a run may stand below the served one.
const DEPTH: usize = 4;

/// The served folder.
pub(crate) struct Runs {
    root: PathBuf,
    /// The name of the root if it is itself a run.
    single: Option<String>,
}

/// A run and its name: its path below the served folder with `/` between parts.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) dir: RunDir,
}

impl Runs {
    /// Takes the folder at `root`, which is a run or holds runs, now or later.
    pub(crate) fn new(root: &Path) -> Result<Self, ServeError> {
        let wrong = |found: &str| ServeError::Root { path: root.to_owned(), found: found.to_owned() };
        let root = fs_err::canonicalize(root).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => wrong("nothing"),
            _ => wrong(&error.to_string()),
        })?;
        if !root.is_dir() {
            return Err(wrong("a file"));
        }
        let name = root.file_name().map_or("run".into(), |name| name.to_string_lossy().into_owned());
        let single = RunDir::new(&root).exists().then_some(name);
        Ok(Self { root, single })
    }

    /// All runs, by name. Folders that start with a dot, folders inside runs and folders that
    /// cannot be read are passed over.
    pub(crate) fn list(&self) -> Vec<Run> {
        let mut runs = Vec::new();
        match &self.single {
            Some(id) => runs.push(Run { id: id.clone(), dir: RunDir::new(&self.root) }),
            None => collect(&self.root, "", DEPTH, &mut runs),
        }
        runs.sort_by(|a, b| a.id.cmp(&b.id));
        runs
    }

    /// The run named `id`.
    pub(crate) fn find(&self, id: &str) -> Result<Run, ApiError> {
        let dir = match &self.single {
            Some(name) => (name == id).then(|| RunDir::new(&self.root)),
            // Only plain names: `..` or an absolute path would lead out of the served folder.
            None => Path::new(id)
                .components()
                .all(|part| matches!(part, Component::Normal(_)))
                .then(|| RunDir::new(self.root.join(id))),
        };
        match dir {
            Some(dir) if !id.is_empty() && dir.exists() => Ok(Run { id: id.to_owned(), dir }),
            _ => Err(ApiError::not_found(format!(
                "there is no run `{id}` in the served folder; /api/v1/saes lists those there are \
                 (write `/` inside a name as %2F)"
            ))),
        }
    }
}

fn collect(folder: &Path, prefix: &str, depth: usize, runs: &mut Vec<Run>) {
    let Ok(entries) = fs_err::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let dir = RunDir::new(entry.path());
        let id = format!("{prefix}{name}");
        if dir.exists() {
            runs.push(Run { id, dir });
        } else if depth > 1 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // A link to a run is a run, but links to other folders are not followed: they may go round.
            collect(dir.root(), &format!("{id}/"), depth - 1, runs);
        }
    }
}
