//! Everything that a run needs to go on bit for bit where it stopped.
//!
//! `checkpoints/<step>/state.safetensors` holds the weights, Adam's moments (`adam.m.…`, `adam.v.…`),
//! the dead-latent counters and the sums of the event in the making; `state.json` the place in the
//! data. The order of rows follows from the seed and this place.

use crate::{
    Result, TrainError,
    ops::Moments,
    params::{Params, to_vec},
};
use burn::tensor::{Device, Tensor, TensorData};
use sae_core::{atomic::NewDir, run::RunDir};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::path::Path;

const TENSORS: &str = "state.safetensors";
const PLACE: &str = "state.json";

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

/// The moments of all weights.
#[derive(Debug, Clone)]
pub struct Optimizer {
    /// Of `w_enc`.
    pub w_enc: Moments<2>,
    /// Of `b_enc`.
    pub b_enc: Moments<1>,
    /// Of `w_dec`.
    pub w_dec: Moments<2>,
    /// Of `b_dec`.
    pub b_dec: Moments<1>,
}

impl Optimizer {
    /// Zero moments.
    pub fn new(params: &Params) -> Self {
        fn zeros<const D: usize>(like: &Tensor<D>) -> Moments<D> {
            Moments { m: like.zeros_like(), v: like.zeros_like() }
        }
        Self {
            w_enc: zeros(&params.w_enc),
            b_enc: zeros(&params.b_enc),
            w_dec: zeros(&params.w_dec),
            b_dec: zeros(&params.b_dec),
        }
    }
}

/// The state of a run at some step.
#[derive(Debug)]
pub struct Checkpoint {
    /// Where.
    pub place: Place,
    /// The weights.
    pub params: Params,
    /// Adam's moments.
    pub optimizer: Optimizer,
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
        let [d_sae, d_in] = self.params.w_enc.dims();
        let (matrix, optimizer) = (vec![d_sae, d_in], &self.optimizer);
        let mut tensors: Vec<(&str, Vec<usize>, Vec<f32>)> = Vec::new();
        for (name, tensor) in [
            ("w_enc", &self.params.w_enc),
            ("w_dec", &self.params.w_dec),
            ("adam.m.w_enc", &optimizer.w_enc.m),
            ("adam.v.w_enc", &optimizer.w_enc.v),
            ("adam.m.w_dec", &optimizer.w_dec.m),
            ("adam.v.w_dec", &optimizer.w_dec.v),
        ] {
            tensors.push((name, matrix.clone(), to_vec(tensor)));
        }
        for (name, tensor) in [
            ("b_enc", &self.params.b_enc),
            ("b_dec", &self.params.b_dec),
            ("adam.m.b_enc", &optimizer.b_enc.m),
            ("adam.v.b_enc", &optimizer.b_enc.v),
            ("adam.m.b_dec", &optimizer.b_dec.m),
            ("adam.v.b_dec", &optimizer.b_dec.v),
        ] {
            tensors.push((name, vec![tensor.dims()[0]], to_vec(tensor)));
        }
        let view = |dtype, shape: Vec<usize>, bytes| {
            TensorView::new(dtype, shape, bytes).expect("the shape is that of the values")
        };
        let mut views: Vec<(&str, TensorView<'_>)> = tensors
            .iter()
            .map(|(name, shape, values)| {
                (*name, view(Dtype::F32, shape.clone(), bytemuck::cast_slice(values)))
            })
            .collect();
        let counts = bytemuck::cast_slice(&self.rows_since_fired);
        views.push(("rows_since_fired", view(Dtype::U64, vec![self.rows_since_fired.len()], counts)));
        views.push(("window", view(Dtype::F64, vec![self.window.len()], bytemuck::cast_slice(&self.window))));
        let bytes = safetensors::serialize(views, None).expect("tensor names are distinct");
        fs_err::write(new.path().join(TENSORS), bytes)?;
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
    pub fn read_newest(run: &RunDir, device: &Device) -> Result<Option<Self>> {
        match saved_steps(run)?.last() {
            Some(step) => Self::read(&run.checkpoints().join(step.to_string()), device).map(Some),
            None => Ok(None),
        }
    }

    fn read(dir: &Path, device: &Device) -> Result<Self> {
        let damaged = |file: &str, problem: String| TrainError::Run {
            path: dir.join(file),
            problem: format!("{problem}. Remove {} to go on from an older checkpoint", dir.display()),
        };
        let place: Place = serde_json::from_str(&fs_err::read_to_string(dir.join(PLACE))?)
            .map_err(|error| damaged(PLACE, error.to_string()))?;
        let bytes = fs_err::read(dir.join(TENSORS))?;
        let tensors =
            SafeTensors::deserialize(&bytes).map_err(|error| damaged(TENSORS, error.to_string()))?;
        let tensor = |name: &str| tensors.tensor(name).map_err(|error| damaged(TENSORS, error.to_string()));
        let matrix = |name: &str| -> Result<Tensor<2>> {
            let view = tensor(name)?;
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
            Ok(Tensor::from_data(TensorData::new(values, view.shape().to_vec()), device))
        };
        let vector = |name: &str| -> Result<Tensor<1>> {
            let view = tensor(name)?;
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
            Ok(Tensor::from_data(TensorData::new(values, view.shape().to_vec()), device))
        };
        let params = Params {
            w_enc: matrix("w_enc")?,
            b_enc: vector("b_enc")?,
            w_dec: matrix("w_dec")?,
            b_dec: vector("b_dec")?,
        };
        let optimizer = Optimizer {
            w_enc: Moments { m: matrix("adam.m.w_enc")?, v: matrix("adam.v.w_enc")? },
            b_enc: Moments { m: vector("adam.m.b_enc")?, v: vector("adam.v.b_enc")? },
            w_dec: Moments { m: matrix("adam.m.w_dec")?, v: matrix("adam.v.w_dec")? },
            b_dec: Moments { m: vector("adam.m.b_dec")?, v: vector("adam.v.b_dec")? },
        };
        let rows_since_fired = bytemuck::pod_collect_to_vec(tensor("rows_since_fired")?.data());
        let window = bytemuck::pod_collect_to_vec(tensor("window")?.data());
        Ok(Self { place, params, optimizer, rows_since_fired, window })
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
