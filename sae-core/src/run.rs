//! Where everything stands in a run directory, and what stands in its small files.
//!
//! ```text
//! runs/<name>/
//!   config.toml          as resolved: every default written out
//!   events.jsonl         an Event per line
//!   checkpoints/<step>/  enough for a bit-exact resume
//!   sae/                 the SAE, as SAELens writes it
//!   eval.json            metrics on the held-out split
//!   index/               what `sae index` built
//! ```

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io::BufRead,
    path::{Path, PathBuf},
};

/// Paths inside a run directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// The run at `root`, whether it exists or not.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// Whether this is a run: it has a resolved configuration, or an SAE as it was imported.
    pub fn exists(&self) -> bool {
        self.config().is_file() || self.sae().join("cfg.json").is_file()
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// `config.toml`, the configuration as resolved.
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// `events.jsonl`, an [`Event`] per line.
    pub fn events(&self) -> PathBuf {
        self.0.join("events.jsonl")
    }

    /// `checkpoints/`, a directory per saved step.
    pub fn checkpoints(&self) -> PathBuf {
        self.0.join("checkpoints")
    }

    /// `sae/`, the trained SAE.
    pub fn sae(&self) -> PathBuf {
        self.0.join("sae")
    }

    /// `eval.json`, metrics on the held-out split.
    pub fn eval(&self) -> PathBuf {
        self.0.join("eval.json")
    }

    /// `index/`, see `docs/index.md`.
    pub fn index(&self) -> PathBuf {
        self.0.join("index")
    }

    /// The lines of `events.jsonl`, none if there is no such file.
    ///
    /// A last line cut short is left out: a run may be writing it.
    ///
    /// # Errors
    /// If the file cannot be read, or a line before the last is no event.
    pub fn read_events(&self) -> std::io::Result<Vec<Event>> {
        let file = match fs_err::File::open(self.events()) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut events = Vec::new();
        let mut lines = std::io::BufReader::new(file).lines().enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            match serde_json::from_str(&line?) {
                Ok(event) => events.push(event),
                Err(_) if lines.peek().is_none() => {}
                Err(error) => {
                    let place = format!("{}: line {}", self.events().display(), number + 1);
                    return Err(std::io::Error::other(format!("{place}: expected an event, found: {error}")));
                }
            }
        }
        Ok(events)
    }
}

/// A line of `events.jsonl`: how training stood after `step` steps.
///
/// Losses and metrics are means over the steps since the event before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Steps done.
    pub step: u64,
    /// Steps that the whole run takes.
    pub steps: u64,
    /// Rows seen, each position of the dump once per epoch.
    pub tokens_seen: u64,
    /// What was minimised: the sum of `terms`.
    pub loss: f64,
    /// Each term of the loss with its coefficient, in the scaled units of training. Every method has
    /// `reconstruction`, `mean over rows of ‖x − x̂‖²`.
    pub terms: BTreeMap<String, f64>,
    /// Mean number of active latents.
    pub l0: f64,
    /// Fraction of variance unexplained on the batches.
    pub fvu: f64,
    /// Latents that have not fired for the dead-latent window.
    pub dead: u64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Norm of the gradient before clipping, mean.
    pub grad_norm: f64,
    /// Rows per second.
    pub tokens_per_s: f64,
}
