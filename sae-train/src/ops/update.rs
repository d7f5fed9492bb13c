//! What optimizers do to weights, in place where they lie in main memory.

use super::host::{OnHost, update, upload};
use burn::backend::{
    Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension, tensor::FloatTensor,
};
use burn::tensor::{Tensor, TensorData};
use sae_core::kernels::{self, AdamStep};

#[cfg(feature = "wgpu")]
use burn::backend::Cube;
#[cfg(feature = "ndarray")]
use burn::backend::NdArray;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;

/// Adam's running means of a weight's gradient and of its square.
#[derive(Debug, Clone)]
pub struct Moments<const D: usize> {
    /// Mean of gradients.
    pub m: Tensor<D>,
    /// Mean of squared gradients.
    pub v: Tensor<D>,
}

/// One step of Adam; each `unit_rows` values of the weight, a row, are then scaled to unit length.
/// See [`AdamStep`].
pub fn adam<const D: usize>(
    param: Tensor<D>,
    moments: Moments<D>,
    grad: Tensor<D>,
    step: AdamStep,
    unit_rows: Option<usize>,
) -> (Tensor<D>, Moments<D>) {
    let row = unit_rows.unwrap_or(0);
    let (m, v) = (moments.m.into_dispatch(), moments.v.into_dispatch());
    let (param, m, v) =
        <Dispatch as OptimizerOps>::adam(param.into_dispatch(), m, v, grad.into_dispatch(), step, row);
    let moments = Moments { m: Tensor::from_dispatch(m), v: Tensor::from_dispatch(v) };
    (Tensor::from_dispatch(param), moments)
}

/// Takes from each row of `grad` its part along the same row of `w`, whose rows have unit length; gives
/// what is left, and its sum of squares.
pub fn project_out_rows(grad: Tensor<2>, w: Tensor<2>) -> (Tensor<2>, f64) {
    let (grad, squares) = <Dispatch as OptimizerOps>::project_out(grad.into_dispatch(), w.into_dispatch());
    (Tensor::from_dispatch(grad), sum(squares))
}

/// Scales each `row` values of a matrix, given row by row, to unit length; a row of zeros stays one.
pub fn normalize_rows(matrix: Tensor<1>, row: usize) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as OptimizerOps>::normalize(matrix.into_dispatch(), row))
}

/// Sets some rows of a matrix, given row by row, to zero.
pub fn zero_rows(matrix: &mut Tensor<1>, rows: &[u32], width: usize) {
    let mut values = crate::params::to_vec(matrix);
    rows.iter().for_each(|&row| values[row as usize * width..][..width].fill(0.0));
    *matrix = Tensor::from_data(TensorData::new(values, matrix.dims()), &matrix.device());
}

/// `Σ a²` in f64.
pub fn sum_of_squares<const D: usize>(a: &Tensor<D>) -> f64 {
    sum(<Dispatch as OptimizerOps>::squares(a.clone().into_dispatch()))
}

/// The one value of a tensor.
fn sum(of: FloatTensor<Dispatch>) -> f64 {
    Tensor::<1>::from_dispatch(of).into_data().iter::<f64>().sum()
}

/// The optimizer's operations on the tensors of a backend; see the functions of this module.
#[backend_extension(Autodiff, Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"))]
pub(super) trait OptimizerOps: Backend {
    /// See [`adam`]; `row` is the length of the rows to keep at unit length, 0 for none.
    fn adam(
        param: FloatTensor<Self>,
        m: FloatTensor<Self>,
        v: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        step: AdamStep,
        row: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let grad = OnHost::new::<Self>(grad);
        let (mut new_m, mut new_v) = (None, None);
        let param = update::<Self>(param, |param| {
            new_m = Some(update::<Self>(m, |m| {
                new_v = Some(update::<Self>(v, |v| match row {
                    0 => step.apply(param, m, v, &grad),
                    d => step.apply_unit_rows(param, m, v, &grad, d),
                }));
            }));
        });
        (param, new_m.expect("updated inside"), new_v.expect("updated inside"))
    }

    /// See [`project_out_rows`].
    fn project_out(grad: FloatTensor<Self>, w: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (device, d) = (w.device(), w.shape()[1]);
        let w = OnHost::new::<Self>(w);
        let mut squares = 0.0;
        let grad = update::<Self>(grad, |grad| squares = kernels::project_out_rows(grad, &w, d));
        (grad, upload::<Self, 1>(vec![squares as f32], [1], &device))
    }

    /// See [`normalize_rows`].
    fn normalize(matrix: FloatTensor<Self>, row: usize) -> FloatTensor<Self> {
        update::<Self>(matrix, |matrix| kernels::normalize_rows(matrix, row))
    }

    /// The sum of squares as a tensor of one value.
    fn squares(a: FloatTensor<Self>) -> FloatTensor<Self> {
        let device = a.device();
        let sum = kernels::sum_of_squares(&OnHost::new::<Self>(a));
        upload::<Self, 1>(vec![sum as f32], [1], &device)
    }
}

impl OptimizerOps for Flex {}

#[cfg(feature = "ndarray")]
impl OptimizerOps for NdArray {}

#[cfg(feature = "wgpu")]
impl OptimizerOps for Cube {}

// Parameters are updated outside the graph; the trait's bodies read through it.
impl<B: OptimizerOps, C: CheckpointStrategy> OptimizerOps for Autodiff<B, C> {}
