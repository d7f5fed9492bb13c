use crate::{
    cache::{Cache, Stamp},
    error::{ApiError, ServeError},
    pool::Pool,
    runs::{Run, Runs},
};
use sae_core::{
    Sae,
    index::Index,
    run::{Event, RunDir},
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Answers after which the memory of what an index has read is given back: all pages of latents together
/// touch the whole of its postings. Of a file that was just written, each touch may bring in much more than
/// is read: 3 MB for a page of a latent.
const FORGET_AFTER: usize = 16;

/// What all requests share: the served folder, and what was read from it.
///
/// Everything is read when it is first asked for, and again when its file changed.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

struct Shared {
    runs: Runs,
    indexes: Cache<Index>,
    /// How often an index was used.
    uses: AtomicUsize,
    saes: Cache<Sae>,
    last_events: Cache<Option<Event>>,
    pages: Pool,
}

impl AppState {
    /// Serves `root`: a folder of runs, or one run.
    ///
    /// # Errors
    /// If there is no such directory, or no thread can be started.
    pub fn new(root: &Path) -> Result<Self, ServeError> {
        Ok(Self(Arc::new(Shared {
            runs: Runs::new(root)?,
            // An index is mapped, not read: many may stay open. Weights are held whole.
            indexes: Cache::new(256),
            uses: AtomicUsize::new(0),
            saes: Cache::new(2),
            last_events: Cache::new(4096),
            pages: Pool::new()?,
        })))
    }

    /// The threads that make pages of latents.
    pub(crate) fn pages(&self) -> &Pool {
        &self.0.pages
    }

    /// All runs there are now.
    pub(crate) fn runs(&self) -> Vec<Run> {
        self.0.runs.list()
    }

    /// The run named `id`.
    pub(crate) fn run(&self, id: &str) -> Result<Run, ApiError> {
        self.0.runs.find(id)
    }

    /// The index of a run, none if it has none yet.
    pub(crate) fn index_of(&self, run: &RunDir) -> Result<Option<Arc<Index>>, ApiError> {
        let dir = run.index();
        match Stamp::of(&dir.join("meta.json")) {
            Ok(stamp) => {
                let index = self.0.indexes.get(&dir, stamp, || Index::open(&dir))?;
                if self.0.uses.fetch_add(1, Ordering::Relaxed).is_multiple_of(FORGET_AFTER) {
                    index.forget();
                }
                Ok(Some(index))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The index of the run named `id`.
    pub(crate) fn index(&self, id: &str) -> Result<Arc<Index>, ApiError> {
        self.index_of(&self.run(id)?.dir)?.ok_or_else(|| {
            ApiError::not_ready(
                "no_index",
                format!("the run `{id}` has no index yet; build one with `sae index`"),
            )
        })
    }

    /// The weights of the run named `id`.
    pub(crate) fn sae(&self, id: &str) -> Result<Arc<Sae>, ApiError> {
        let dir = self.run(id)?.dir.sae();
        match Stamp::of(&dir.join("sae_weights.safetensors")) {
            Ok(stamp) => Ok(self.0.saes.get(&dir, stamp, || sae_core::formats::saelens::read(&dir))?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let message = format!("the run `{id}` has no SAE yet; wait until training has saved it");
                Err(ApiError::not_ready("no_sae", message))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The last event of a run, none if it has none.
    pub(crate) fn last_event(&self, run: &RunDir) -> Result<Arc<Option<Event>>, ApiError> {
        let path = run.events();
        match Stamp::of(&path) {
            Ok(stamp) => {
                Ok(self.0.last_events.get(&path, stamp, || run.read_events().map(|mut all| all.pop()))?)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Arc::new(None)),
            Err(error) => Err(error.into()),
        }
    }
}
