//! What the trainer does to every weight in turn.

use crate::{
    ops,
    optimizers::{Optimizer, StepSize, Weight},
    params::{Visit, to_vec},
};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use std::collections::BTreeMap;

/// Takes the gradients out of the graph, row by row.
pub(crate) struct Take<'a> {
    pub(crate) grads: &'a mut Gradients,
    /// The decoder, if its rows are kept at unit length.
    pub(crate) project: Option<Tensor<2>>,
    pub(crate) by_name: BTreeMap<&'static str, Tensor<1>>,
    pub(crate) squares: f64,
}

impl Visit for Take<'_> {
    fn weight<const D: usize>(&mut self, name: &'static str, tensor: &mut Tensor<D>) {
        // Some methods do not use every weight.
        if let Some(grad) = tensor.grad_remove(self.grads) {
            let n = grad.shape().num_elements();
            let (grad, squares) = if let Some(w_dec) = self.project.take_if(|_| name == "w_dec") {
                let (grad, squares) = ops::project_out_rows(grad.reshape(w_dec.dims()), w_dec);
                (grad.reshape([n]), squares)
            } else {
                let squares = ops::sum_of_squares(&grad);
                (grad.reshape([n]), squares)
            };
            self.squares += squares;
            self.by_name.insert(name, grad);
        }
        *tensor = nothing(&tensor.device());
    }
}

/// Steps the weights in place.
pub(crate) struct Update<'a> {
    pub(crate) grads: BTreeMap<&'static str, Tensor<1>>,
    pub(crate) optimizer: &'a mut dyn Optimizer,
    pub(crate) step: StepSize,
    pub(crate) d_in: usize,
    pub(crate) unit_rows: bool,
}

impl Visit for Update<'_> {
    fn weight<const D: usize>(&mut self, name: &'static str, tensor: &mut Tensor<D>) {
        let Some(grad) = self.grads.remove(name) else { return };
        let dims = tensor.dims();
        let shape = match D {
            2 => [dims[0], dims[1]],
            // A method's own matrices are given row by row, and take what is encoded.
            _ if name.starts_with("w_") => [dims[0] / self.d_in, self.d_in],
            _ => [1, dims[0]],
        };
        // Tensors are handles: what is left in their place for a moment must not refer to their memory.
        let empty = nothing(&grad.device());
        let values = std::mem::replace(tensor, empty).reshape([shape[0] * shape[1]]);
        let unit_rows = self.unit_rows && name == "w_dec";
        let weight = Weight { name, values, grad, shape, unit_rows };
        *tensor = self.optimizer.step(weight, &self.step).reshape(dims);
    }
}

/// Replaces the weights by those that an SAE is made of.
pub(crate) struct Averaged<'a> {
    pub(crate) optimizer: &'a dyn Optimizer,
    pub(crate) unit_rows: bool,
}

impl Visit for Averaged<'_> {
    fn weight<const D: usize>(&mut self, name: &'static str, tensor: &mut Tensor<D>) {
        let dims = tensor.dims();
        let trained = tensor.clone().reshape([dims.iter().product::<usize>()]);
        if let Some(averaged) = self.optimizer.averaged(name, &trained) {
            let unit_rows = self.unit_rows && name == "w_dec";
            let averaged = if unit_rows { ops::normalize_rows(averaged, dims[D - 1]) } else { averaged };
            *tensor = averaged.reshape(dims);
        }
    }
}

/// Collects the weights' values.
#[derive(Default)]
pub(crate) struct Weights(pub(crate) BTreeMap<String, Vec<f32>>);

impl Visit for Weights {
    fn weight<const D: usize>(&mut self, name: &'static str, tensor: &mut Tensor<D>) {
        self.0.insert(name.to_owned(), to_vec(tensor));
    }
}

/// Puts the values of a checkpoint in the weights' place.
pub(crate) struct Restore {
    pub(crate) weights: BTreeMap<String, Vec<f32>>,
    pub(crate) device: Device,
    pub(crate) problem: Option<String>,
}

impl Visit for Restore {
    fn weight<const D: usize>(&mut self, name: &'static str, tensor: &mut Tensor<D>) {
        let (dims, n) = (tensor.dims(), tensor.shape().num_elements());
        match self.weights.remove(name) {
            Some(values) if values.len() == n => {
                *tensor = Tensor::from_data(TensorData::new(values, dims), &self.device);
            }
            found => {
                let found = found.map_or("none".into(), |values| values.len().to_string());
                self.problem = Some(format!("weight.{name}: expected {n} values, found {found}"));
            }
        }
    }
}

fn nothing<const D: usize>(device: &Device) -> Tensor<D> {
    Tensor::empty([0; D], device)
}
