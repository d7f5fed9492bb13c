//! The sparse operations on the tensors of a backend, by the kernels in main memory.

use super::{
    codes::Support,
    host::{OnHost, upload},
};
use burn::backend::{Backend, ExtensionType, Flex, TensorMetadata, backend_extension, tensor::FloatTensor};
use rayon::prelude::*;
use sae_core::kernels::{self, Choice};
use std::sync::Arc;

#[cfg(feature = "wgpu")]
use burn::backend::Cube;
#[cfg(feature = "ndarray")]
use burn::backend::NdArray;

/// What [`SparseOps::sparse_encode`] gives.
#[derive(ExtensionType)]
pub(super) struct Encoded<B: Backend> {
    /// `[nnz]`
    pub(super) values: FloatTensor<B>,
    pub(super) support: Arc<Support>,
    /// `x − b_pre`, `[n_rows, d_in]`, for the gradient of `W_enc`.
    pub(super) centred: Arc<Vec<f32>>,
}

/// What [`SparseOps::sparse_reconstruct`] gives.
#[derive(ExtensionType)]
pub(super) struct Reconstructed<B: Backend> {
    /// `[n_rows]`
    pub(super) errors: FloatTensor<B>,
    pub(super) reconstruction: Arc<kernels::Reconstruction>,
}

/// The operations and their gradients; see the functions of [`crate::ops`].
#[backend_extension(Autodiff, Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"))]
pub(super) trait SparseOps: Backend {
    /// See [`super::encode`].
    fn sparse_encode(
        x: FloatTensor<Self>,
        b_pre: FloatTensor<Self>,
        w_enc: FloatTensor<Self>,
        b_enc: FloatTensor<Self>,
        choice: Arc<Choice>,
    ) -> Encoded<Self> {
        let device = w_enc.device();
        let (x, b_pre) = (OnHost::new::<Self>(x), OnHost::new::<Self>(b_pre));
        let (w_enc, b_enc) = (OnHost::new::<Self>(w_enc), OnHost::new::<Self>(b_enc));
        let centred = kernels::subtract_from_rows(&x, &b_pre);
        let codes = kernels::encode_keeping(&w_enc, &b_enc, &centred, &choice);
        let values = upload::<Self, 1>(codes.values.clone(), [codes.nnz()], &device);
        Encoded { values, support: Arc::new(Support::new(codes, b_enc.len())), centred: Arc::new(centred) }
    }

    /// The gradients at `b_pre`, `W_enc`, `b_enc`, from that at the values.
    ///
    /// ```text
    /// dW_enc[l] = Σ dvalue · (x − b_pre)      db_enc[l] = Σ dvalue      db_pre = −W_encᵀ db_enc
    /// ```
    fn sparse_encode_backward(
        grad: FloatTensor<Self>,
        w_enc: FloatTensor<Self>,
        support: Arc<Support>,
        centred: Arc<Vec<f32>>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let device = w_enc.device();
        let (grad, w_enc) = (OnHost::new::<Self>(grad), OnHost::new::<Self>(w_enc));
        let (by_latent, d_sae) = (support.by_latent(), support.d_sae());
        let d_in = w_enc.len() / d_sae;
        let (grad_w_enc, grad_b_enc) = kernels::grad_weights_and_sums(by_latent, &grad, &centred, d_in);
        let grad_b_pre = kernels::weighted_sum_of_rows(&w_enc, d_in, |latent| -grad_b_enc[latent]);
        (
            upload::<Self, 1>(grad_b_pre, [d_in], &device),
            upload::<Self, 2>(grad_w_enc, [d_sae, d_in], &device),
            upload::<Self, 1>(grad_b_enc, [d_sae], &device),
        )
    }

    /// See [`super::decode`].
    fn sparse_decode(
        values: FloatTensor<Self>,
        w_dec: FloatTensor<Self>,
        b_dec: FloatTensor<Self>,
        support: Arc<Support>,
    ) -> FloatTensor<Self> {
        let device = w_dec.device();
        let values = OnHost::new::<Self>(values);
        let (w_dec, b_dec) = (OnHost::new::<Self>(w_dec), OnHost::new::<Self>(b_dec));
        let out = kernels::decode(support.codes(), &values, &w_dec, &b_dec);
        upload::<Self, 2>(out, [support.codes().n_rows(), b_dec.len()], &device)
    }

    /// The gradient at the values, from that at the output: `dvalue = ⟨dx̂, W_dec[l]⟩`.
    fn sparse_decode_grad_values(
        grad: FloatTensor<Self>,
        w_dec: FloatTensor<Self>,
        support: Arc<Support>,
    ) -> FloatTensor<Self> {
        let device = w_dec.device();
        let (grad, w_dec) = (OnHost::new::<Self>(grad), OnHost::new::<Self>(w_dec));
        let grad_values = kernels::decode_grad_values(support.codes(), &w_dec, &grad);
        let nnz = grad_values.len();
        upload::<Self, 1>(grad_values, [nnz], &device)
    }

    /// The gradient at `W_dec`, from that at the output: `dW_dec[l] = Σ value · dx̂`.
    fn sparse_decode_grad_weights(
        grad: FloatTensor<Self>,
        values: FloatTensor<Self>,
        support: Arc<Support>,
    ) -> FloatTensor<Self> {
        let (device, d) = (values.device(), grad.shape()[1]);
        let (grad, values) = (OnHost::new::<Self>(grad), OnHost::new::<Self>(values));
        let grad_w_dec = kernels::grad_weights(support.by_latent(), &values, &grad, d);
        upload::<Self, 2>(grad_w_dec, [support.d_sae(), d], &device)
    }

    /// See [`super::reconstruct`].
    fn sparse_reconstruct(
        x: FloatTensor<Self>,
        values: FloatTensor<Self>,
        w_dec: FloatTensor<Self>,
        b_dec: FloatTensor<Self>,
        support: Arc<Support>,
    ) -> Reconstructed<Self> {
        let device = w_dec.device();
        let (x, values) = (OnHost::new::<Self>(x), OnHost::new::<Self>(values));
        let (w_dec, b_dec) = (OnHost::new::<Self>(w_dec), OnHost::new::<Self>(b_dec));
        let found = kernels::Reconstruction::new(support.codes(), &values, &w_dec, &b_dec, &x);
        let errors = upload::<Self, 1>(found.errors.clone(), [found.errors.len()], &device);
        Reconstructed { errors, reconstruction: Arc::new(found) }
    }

    /// The gradient at `x`, from that at the errors.
    fn reconstruct_grad_x(
        grad: FloatTensor<Self>,
        reconstruction: Arc<kernels::Reconstruction>,
    ) -> FloatTensor<Self> {
        let device = grad.device();
        let grad = OnHost::new::<Self>(grad);
        let grad_x = reconstruction.grad_target(&grad);
        let shape = [grad.len(), grad_x.len() / grad.len()];
        upload::<Self, 2>(grad_x, shape, &device)
    }

    /// The gradient at the values, from that at the errors.
    fn reconstruct_grad_values(
        grad: FloatTensor<Self>,
        support: Arc<Support>,
        reconstruction: Arc<kernels::Reconstruction>,
    ) -> FloatTensor<Self> {
        let device = grad.device();
        let grad_values = reconstruction.grad_values(support.codes(), &OnHost::new::<Self>(grad));
        let nnz = grad_values.len();
        upload::<Self, 1>(grad_values, [nnz], &device)
    }

    /// The gradient at `W_dec`, from that at the errors.
    fn reconstruct_grad_w_dec(
        grad: FloatTensor<Self>,
        values: FloatTensor<Self>,
        support: Arc<Support>,
        reconstruction: Arc<kernels::Reconstruction>,
    ) -> FloatTensor<Self> {
        let device = grad.device();
        let (grad, values) = (OnHost::new::<Self>(grad), OnHost::new::<Self>(values));
        let grad_w_dec = reconstruction.grad_w_dec(support.by_latent(), &values, &grad);
        let d = grad_w_dec.len() / support.d_sae();
        upload::<Self, 2>(grad_w_dec, [support.d_sae(), d], &device)
    }

    /// The gradient at `b_dec`, from that at the errors.
    fn reconstruct_grad_b_dec(
        grad: FloatTensor<Self>,
        reconstruction: Arc<kernels::Reconstruction>,
    ) -> FloatTensor<Self> {
        let device = grad.device();
        let grad_b_dec = reconstruction.grad_bias(&OnHost::new::<Self>(grad));
        let d = grad_b_dec.len();
        upload::<Self, 1>(grad_b_dec, [d], &device)
    }

    /// The sum of all rows, `[d]`.
    fn sum_of_rows(matrix: FloatTensor<Self>) -> FloatTensor<Self> {
        let (device, d) = (matrix.device(), matrix.shape()[1]);
        upload::<Self, 1>(kernels::sum_of_rows(&OnHost::new::<Self>(matrix), d), [d], &device)
    }

    /// See [`super::row_errors`].
    fn row_errors(x: FloatTensor<Self>, out: FloatTensor<Self>) -> FloatTensor<Self> {
        let (device, [rows, d]) = (out.device(), [out.shape()[0], out.shape()[1]]);
        let levels = rows / x.shape()[0].max(1);
        let errors = kernels::row_errors(&OnHost::new::<Self>(x), &OnHost::new::<Self>(out), d, levels);
        upload::<Self, 1>(errors, [rows], &device)
    }

    /// The gradient at the reconstructions, from that at the errors.
    fn row_errors_backward(
        grad: FloatTensor<Self>,
        x: FloatTensor<Self>,
        out: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (device, [rows, d]) = (out.device(), [out.shape()[0], out.shape()[1]]);
        let levels = rows / x.shape()[0].max(1);
        let (grad, x) = (OnHost::new::<Self>(grad), OnHost::new::<Self>(x));
        let grad = kernels::row_errors_grad(&x, &OnHost::new::<Self>(out), d, levels, &grad);
        upload::<Self, 2>(grad, [rows, d], &device)
    }

    /// See [`super::row_norms`].
    fn row_norms(w: FloatTensor<Self>) -> FloatTensor<Self> {
        let (device, [rows, d]) = (w.device(), [w.shape()[0], w.shape()[1]]);
        upload::<Self, 1>(kernels::row_norms(&OnHost::new::<Self>(w), d), [rows], &device)
    }

    /// The gradient at the matrix, from that at the lengths.
    fn row_norms_backward(grad: FloatTensor<Self>, w: FloatTensor<Self>) -> FloatTensor<Self> {
        let (device, [rows, d]) = (w.device(), [w.shape()[0], w.shape()[1]]);
        let (grad, w) = (OnHost::new::<Self>(grad), OnHost::new::<Self>(w));
        upload::<Self, 2>(kernels::row_norms_grad(&w, d, &grad), [rows, d], &device)
    }

    /// See [`super::at_entries`].
    fn at_entries(of_latents: FloatTensor<Self>, support: Arc<Support>) -> FloatTensor<Self> {
        let device = of_latents.device();
        let of_latents = OnHost::new::<Self>(of_latents);
        // Once, not for every entry.
        let of_latents: &[f32] = &of_latents;
        let latents = support.codes().latents.par_iter().with_min_len(1 << 14);
        let values: Vec<f32> = latents.map(|&latent| of_latents[latent as usize]).collect();
        let nnz = values.len();
        upload::<Self, 1>(values, [nnz], &device)
    }

    /// The gradient at the latents' values: the sums over their entries.
    fn at_entries_backward(grad: FloatTensor<Self>, support: Arc<Support>) -> FloatTensor<Self> {
        let device = grad.device();
        let sums = support.by_latent().sums(&OnHost::new::<Self>(grad));
        upload::<Self, 1>(sums, [support.d_sae()], &device)
    }

    /// See [`super::pick`].
    fn pick(values: FloatTensor<Self>, positions: Arc<Vec<u32>>) -> FloatTensor<Self> {
        let device = values.device();
        let values = OnHost::new::<Self>(values);
        let values: &[f32] = &values;
        let picked: Vec<f32> =
            positions.par_iter().with_min_len(1 << 14).map(|&position| values[position as usize]).collect();
        let n = picked.len();
        upload::<Self, 1>(picked, [n], &device)
    }

    /// The gradient at all `n` values, 0 where nothing was picked.
    fn pick_backward(grad: FloatTensor<Self>, positions: Arc<Vec<u32>>, n: usize) -> FloatTensor<Self> {
        let device = grad.device();
        let mut of_values = vec![0.0; n];
        for (&position, grad) in positions.iter().zip(&*OnHost::new::<Self>(grad)) {
            of_values[position as usize] = *grad;
        }
        upload::<Self, 1>(of_values, [n], &device)
    }

    /// See [`super::decode_levels`].
    fn cumulate(
        parts: FloatTensor<Self>,
        b_dec: FloatTensor<Self>,
        levels: usize,
        _detached: bool,
    ) -> FloatTensor<Self> {
        let (device, shape) = (parts.device(), [parts.shape()[0], parts.shape()[1]]);
        let (parts, b_dec) = (OnHost::new::<Self>(parts), OnHost::new::<Self>(b_dec));
        upload::<Self, 2>(kernels::cumulate(&parts, &b_dec, levels), shape, &device)
    }

    /// The gradients at the parts and `b_dec`. Where what is below each level is detached, a part has the
    /// gradient of its own level alone.
    fn cumulate_backward(
        grad: FloatTensor<Self>,
        levels: usize,
        detached: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (device, shape) = (grad.device(), [grad.shape()[0], grad.shape()[1]]);
        let grad = OnHost::new::<Self>(grad);
        let parts = if detached { grad.to_vec() } else { kernels::cumulate_grad(&grad, shape[1], levels) };
        let b_dec = kernels::sum_of_first_levels(&parts, shape[1], levels);
        (upload::<Self, 2>(parts, shape, &device), upload::<Self, 1>(b_dec, [shape[1]], &device))
    }
}

impl SparseOps for Flex {}

#[cfg(feature = "ndarray")]
impl SparseOps for NdArray {}

#[cfg(feature = "wgpu")]
impl SparseOps for Cube {}
