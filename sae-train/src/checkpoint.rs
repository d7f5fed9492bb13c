//! Everything that a run needs to go on bit for bit where it stopped.
//!
//! `checkpoints/<step>/state.safetensors` holds the weights (`w_enc`, …), the optimizer's memory
//! (`optim.…`), the method's (`state.…`), the dead-latent counters and the sums of the event in the making;
//! `state.json` the place in the data. The order of rows follows from the seed and this place.

use crate::{Result, TrainError, state::State};
use sae_core::{atomic::NewDir, run::RunDir};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

const TENSORS: &str = "state.safetensors";
const PLACE: &str = "state.json";
const OPTIM: &str = "optim.";
const STATE: &str = "state.";
const WEIGHT: &str = "weight.";
const ROWS_SINCE_FIRED: &str = "rows_since_fired";
const WINDOW: &str = "window";

/// Where in the run a checkpoint was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Steps done.
    pub step: u64,
    /// Rows seen.
    pub tokens_seen: u64,
    /// [`sae_core::dump::Dump::content_hash`] of the dump.
    pub dump_hash: String,
    /// Names of the numbers in the tensor `window`.
    pub window: Vec<String>,
}

/// The state of a run at some step.
#[derive(Debug)]
pub struct Checkpoint {
    /// Where.
    pub place: Place,
    /// Values of the weights, by name.
    pub weights: BTreeMap<String, Vec<f32>>,
    /// See [`crate::optimizers::Optimizer::memory`].
    pub optimizer: crate::optimizers::Memory,
    /// The method's.
    pub state: State,
    /// See [`crate::dead::DeadLatents`].
    pub rows_since_fired: Vec<u64>,
    /// The numbers named in [`Place::window`].
    pub window: Vec<f64>,
}

impl Checkpoint {
    /// Writes the checkpoint into the run, then removes all but the newest `keep`.
    ///
    /// # Errors
    /// If the run directory cannot be written.
    pub fn write(&self, run: &RunDir, keep: usize) -> Result<()> {
        let new = NewDir::create(&run.checkpoints().join(self.place.step.to_string()))?;
        let mut arrays: Vec<(String, Dtype, &[u8])> = Vec::new();
        for (prefix, of) in [(WEIGHT, &self.weights), (OPTIM, &self.optimizer)] {
            let named = of.iter().map(|(name, values)| (format!("{prefix}{name}"), values));
            arrays.extend(named.map(|(name, values)| (name, Dtype::F32, bytemuck::cast_slice(values))));
        }
        let state = self.state.iter().map(|(name, numbers)| (format!("{STATE}{name}"), numbers));
        arrays.extend(state.map(|(name, numbers)| (name, Dtype::F64, bytemuck::cast_slice(numbers))));
        arrays.push((ROWS_SINCE_FIRED.into(), Dtype::U64, bytemuck::cast_slice(&self.rows_since_fired)));
        arrays.push((WINDOW.into(), Dtype::F64, bytemuck::cast_slice(&self.window)));
        let views = arrays.into_iter().map(|(name, dtype, bytes)| {
            let size = if dtype == Dtype::F32 { 4 } else { 8 };
            let view = TensorView::new(dtype, vec![bytes.len() / size], bytes);
            (name, view.expect("the shape is that of the values"))
        });
        safetensors::serialize_to_file(views, None, &new.path().join(TENSORS))
            .map_err(|error| std::io::Error::other(format!("{}: {error}", new.path().display())))?;
        let place = serde_json::to_string_pretty(&self.place).expect("a place serialises");
        fs_err::write(new.path().join(PLACE), place + "\n")?;
        new.commit()?;
        let steps = saved_steps(run)?;
        for step in &steps[..steps.len().saturating_sub(keep)] {
            fs_err::remove_dir_all(run.checkpoints().join(step.to_string()))?;
        }
        Ok(())
    }

    /// The newest checkpoint of a run, if it has one.
    ///
    /// # Errors
    /// If it cannot be read or is not whole.
    pub fn read_newest(run: &RunDir) -> Result<Option<Self>> {
        match saved_steps(run)?.last() {
            Some(step) => Self::read(&run.checkpoints().join(step.to_string())).map(Some),
            None => Ok(None),
        }
    }

    fn read(dir: &Path) -> Result<Self> {
        let damaged = |file: &str, problem: String| damaged(dir, file, &problem);
        let place: Place = serde_json::from_str(&fs_err::read_to_string(dir.join(PLACE))?)
            .map_err(|error| damaged(PLACE, error.to_string()))?;
        let bytes = fs_err::read(dir.join(TENSORS))?;
        let tensors =
            SafeTensors::deserialize(&bytes).map_err(|error| damaged(TENSORS, error.to_string()))?;
        let (mut weights, mut optimizer, mut state) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for (name, view) in tensors.iter() {
            if let Some(name) = name.strip_prefix(WEIGHT) {
                weights.insert(name.to_owned(), bytemuck::pod_collect_to_vec(view.data()));
            } else if let Some(name) = name.strip_prefix(OPTIM) {
                optimizer.insert(name.to_owned(), bytemuck::pod_collect_to_vec(view.data()));
            } else if let Some(name) = name.strip_prefix(STATE) {
                state.push((name.to_owned(), bytemuck::pod_collect_to_vec(view.data())));
            }
        }
        let tensor = |name: &str| tensors.tensor(name).map_err(|error| damaged(TENSORS, error.to_string()));
        let rows_since_fired = bytemuck::pod_collect_to_vec(tensor(ROWS_SINCE_FIRED)?.data());
        let window = bytemuck::pod_collect_to_vec(tensor(WINDOW)?.data());
        let state = state.into_iter().collect();
        Ok(Self { place, weights, optimizer, state, rows_since_fired, window })
    }
}

/// The error of a checkpoint that is not whole.
pub(crate) fn damaged(dir: &Path, file: &str, problem: &str) -> TrainError {
    TrainError::Run {
        path: dir.join(file),
        problem: format!("{problem}. Remove {} to go on from an older checkpoint", dir.display()),
    }
}

/// The steps that have a checkpoint, increasing.
fn saved_steps(run: &RunDir) -> Result<Vec<u64>> {
    let entries = match fs_err::read_dir(run.checkpoints()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut steps = Vec::new();
    for entry in entries {
        steps.extend(entry?.file_name().to_string_lossy().parse::<u64>());
    }
    steps.sort_unstable();
    Ok(steps)
}
