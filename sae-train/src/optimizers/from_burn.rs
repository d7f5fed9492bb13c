//! The optimizers that burn has, as ours.

use super::{Memory, Optimizer, StepSize, Weight, digits, from_digits};
use crate::{Result, ops};
use burn::optim::{RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt};

/// The keys of `[optim]` that one of burn's optimizers is made from.
pub(super) trait Keys: fmt::Debug + Send + DeserializeOwned {
    /// burn's optimizer.
    type Burn: burn::optim::Optimizer;

    /// See [`Optimizer::usual_lr`].
    const USUAL_LR: f64;

    /// See [`Optimizer::check`].
    fn check(&self) -> Result<()>;

    /// The optimizer of matrices or of vectors, which have no weight decay.
    fn build(&self, matrices: bool) -> Self::Burn;
}

/// One of burn's optimizers with what it remembers of every weight.
#[derive(Debug, Deserialize)]
#[serde(bound = "K: Keys")]
pub(super) struct FromBurn<K: Keys> {
    #[serde(flatten)]
    keys: K,
    /// By weight.
    #[serde(skip)]
    kept: BTreeMap<String, Kept<K>>,
}

type StateOf<K, const D: usize> = <<K as Keys>::Burn as burn::optim::Optimizer>::State<D>;

/// burn's state of a weight, whose type depends on the rank.
enum Kept<K: Keys> {
    Vector(StateOf<K, 1>),
    Matrix(StateOf<K, 2>),
}

impl<K: Keys> fmt::Debug for Kept<K> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if matches!(self, Self::Matrix(_)) { "Matrix" } else { "Vector" };
        out.debug_tuple(kind).finish_non_exhaustive()
    }
}

impl<K: Keys> Kept<K> {
    /// Its tensors and counts, named `name.…`.
    fn parts(&self, name: &str) -> StateSink {
        let mut parts = StateSink::default();
        match self {
            Self::Vector(state) => state.state_flatten(name, &mut parts),
            Self::Matrix(state) => state.state_flatten(name, &mut parts),
        }
        parts
    }

    /// The state of the parts named `name.…`.
    fn of_parts(name: &str, matrix: bool, parts: &mut StateSource, device: &Device) -> Option<Self> {
        Some(match matrix {
            true => Self::Matrix(RecordState::state_unflatten(name, parts, device)?),
            false => Self::Vector(RecordState::state_unflatten(name, parts, device)?),
        })
    }
}

impl<K: Keys> Optimizer for FromBurn<K> {
    fn check(&self) -> Result<()> {
        self.keys.check()
    }

    fn usual_lr(&self) -> f64 {
        K::USUAL_LR
    }

    fn step(&mut self, weight: Weight, step: &StepSize) -> Tensor<1> {
        let optimizer = self.keys.build(weight.is_matrix());
        let past = self.kept.remove(weight.name);
        let matrix = weight.is_matrix();
        let Weight { name, values, grad, shape, unit_rows } = weight;
        let dims = values.dims();
        let grad = if step.grad_scale == 1.0 { grad } else { grad.mul_scalar(step.grad_scale) };
        let (values, kept) = if matrix {
            let past = past.and_then(|kept| if let Kept::Matrix(state) = kept { Some(state) } else { None });
            let (values, state) =
                step_of(&optimizer, step.lr, values.reshape(shape), grad.reshape(shape), past);
            (values.reshape(dims), state.map(Kept::Matrix))
        } else {
            let past = past.and_then(|kept| if let Kept::Vector(state) = kept { Some(state) } else { None });
            let (values, state) = step_of(&optimizer, step.lr, values, grad, past);
            (values, state.map(Kept::Vector))
        };
        self.kept.extend(kept.map(|kept| (name.to_owned(), kept)));
        if unit_rows { ops::normalize_rows(values, shape[1]) } else { values }
    }

    fn forget_rows(&mut self, name: &str, rows: &[u32], width: usize, values: &Tensor<1>) {
        let Some(kept) = self.kept.remove(name) else { return };
        let n_rows = values.dims()[0] / width;
        let StateSink { mut tensors, scalars } = kept.parts(name);
        // A tensor has a value or several for each row, or belongs to all of them.
        for (_, data) in tensors.iter_mut().filter(|(_, data)| data.shape()[0] == n_rows) {
            let width = data.num_elements() / n_rows;
            let values = data.as_mut_slice::<f32>().expect("as the weights are");
            rows.iter().for_each(|&row| values[row as usize * width..][..width].fill(0.0));
        }
        let mut parts = StateSource::new(scalars.into_iter().collect());
        tensors.into_iter().for_each(|(path, data)| parts.insert_tensor(path, data));
        let matrix = matches!(kept, Kept::Matrix(_));
        let kept = Kept::of_parts(name, matrix, &mut parts, &values.device());
        self.kept.extend(kept.map(|kept| (name.to_owned(), kept)));
    }

    fn memory(&self) -> Memory {
        let mut memory = Memory::new();
        for (name, kept) in &self.kept {
            let StateSink { tensors, scalars } = kept.parts(name);
            for (path, data) in tensors {
                let shape = data.shape().iter().flat_map(|&size| digits(size as u64)).collect();
                memory.insert(format!("{SHAPE}{path}"), shape);
                memory.insert(format!("{TENSOR}{path}"), data.try_into_vec().expect("as the weights are"));
            }
            for (path, count) in scalars {
                let count = u64::try_from(count).expect("burn's optimizers count steps");
                memory.insert(format!("{COUNT}{path}"), digits(count).into());
            }
        }
        memory
    }

    fn remember(&mut self, memory: Memory, device: &Device) {
        let of = |prefix: &'static str| {
            let with_prefix = memory.iter().map(move |(key, floats)| (key.strip_prefix(prefix), floats));
            with_prefix.filter_map(|(path, floats)| Some((path?.to_owned(), floats)))
        };
        let counts = of(COUNT).map(|(path, digits)| (path, from_digits(digits).into()));
        let mut parts = StateSource::new(counts.collect());
        let mut ranks = BTreeMap::new();
        for ((path, floats), (_, shape)) in of(TENSOR).zip(of(SHAPE)) {
            let shape: Vec<usize> = shape.chunks(4).map(|digits| from_digits(digits) as usize).collect();
            let name = path.split('.').next().unwrap_or_default();
            ranks.insert(name.to_owned(), shape.len());
            parts.insert_tensor(path, TensorData::new(floats.clone(), shape));
        }
        for (name, rank) in ranks {
            let kept = Kept::of_parts(&name, rank == 2, &mut parts, device);
            self.kept.extend(kept.map(|kept| (name, kept)));
        }
    }
}

const TENSOR: &str = "tensor.";
const SHAPE: &str = "shape.";
const COUNT: &str = "count.";

type Stepped<O, const D: usize> = (Tensor<D>, Option<<O as burn::optim::Optimizer>::State<D>>);

fn step_of<O: burn::optim::Optimizer, const D: usize>(
    optimizer: &O,
    lr: f64,
    values: Tensor<D>,
    grad: Tensor<D>,
    past: Option<O::State<D>>,
) -> Stepped<O, D> {
    optimizer.step(lr, values, grad, past)
}
