use std::path::PathBuf;

/// Why a run cannot start, go on or end.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The configuration is not one.
    #[error("{0}")]
    Config(String),
    /// The run directory is in use, or there is nothing to go on with.
    #[error("{}: {problem}", path.display())]
    Run {
        /// The run directory.
        path: PathBuf,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The dump has too little for training.
    #[error("{0}")]
    Data(String),
    /// The device is not there or not compiled in.
    #[error("{0}")]
    Device(String),
    /// Training diverged.
    #[error(
        "the loss is {loss} at step {step}. Expected a finite number; lower optim.lr (now {lr:e}) or raise schedule.warmup"
    )]
    Diverged {
        /// The step.
        step: u64,
        /// Its loss.
        loss: f64,
        /// The learning rate of the run.
        lr: f64,
    },
    /// A dump or an SAE cannot be read or written.
    #[error(transparent)]
    Core(#[from] sae_core::Error),
    /// The system refused to read or write; `fs_err` puts the path into the message.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// The result of every fallible function of this crate.
pub type Result<T, E = TrainError> = std::result::Result<T, E>;
