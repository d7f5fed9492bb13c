//! The two sparse operations that carry every variant, the squared error, and the optimizer's step.
//!
//! ```text
//! codes = encode(x, b_pre, W_enc, b_enc, rule)     rule(W_enc (x − b_pre) + b_enc), active entries only
//! x̂     = decode(codes, W_dec, b_dec)              Σ value · W_dec[latent] + b_dec
//! ```
//!
//! The `[batch, d_sae]` matrix of pre-activations never exists, and the backward passes touch active
//! latents only. All arithmetic is in [`sae_core::kernels`]; here it is given to burn. A tensor of
//! burn's `flex` lies in main memory and is borrowed; from any other backend it is copied there and
//! back.

#![cfg_attr(
    feature = "ndarray",
    allow(deprecated, reason = "burn 0.22 deprecates ndarray; users ask for it")
)]

mod gradients;
mod host;
mod optimizer;

pub use optimizer::{Moments, adam, project_out_rows, sum_of_squares};

use burn::backend::{
    Backend, Dispatch, ExtensionType, Flex, TensorMetadata, backend_extension, tensor::FloatTensor,
};
use burn::tensor::Tensor;
use host::{OnHost, upload};
use sae_core::{
    Codes, Rule,
    kernels::{self, ByLatent, Encoder},
};
use std::sync::{Arc, OnceLock};

#[cfg(feature = "ndarray")]
use burn::backend::NdArray;
#[cfg(feature = "wgpu")]
use burn::backend::cubecl::CubeBackend;

/// Which latents fire on which rows of a batch, with what their gradients need.
#[derive(Debug)]
pub struct Support {
    codes: Codes,
    d_sae: usize,
    /// `x − b_pre`, `[n_rows, d_in]`
    centred: Vec<f32>,
    by_latent: OnceLock<ByLatent>,
}

impl Support {
    /// The codes as they were encoded.
    pub fn codes(&self) -> &Codes {
        &self.codes
    }

    fn by_latent(&self) -> &ByLatent {
        self.by_latent.get_or_init(|| ByLatent::new(&self.codes, self.d_sae))
    }

    /// The same latents with other values, `[nnz]`.
    fn with_values(&self, values: &[f32]) -> Codes {
        Codes { values: values.to_vec(), ..self.codes.clone() }
    }
}

/// Codes of a batch: values that gradients flow through, on a support that is data.
#[derive(Debug, Clone)]
pub struct SparseCodes {
    /// `[nnz]`, in the order of the support's rows.
    pub values: Tensor<1>,
    /// Where the values stand.
    pub support: Arc<Support>,
}

/// Codes of `x` `[n_rows, d_in]`: `rule(W_enc (x − b_pre) + b_enc)`.
///
/// Shapes: `b_pre` `[d_in]`, `w_enc` `[d_sae, d_in]`, `b_enc` `[d_sae]`. Differentiable in all three
/// at fixed support; `x` is data.
pub fn encode(
    x: Tensor<2>,
    b_pre: Tensor<1>,
    w_enc: Tensor<2>,
    b_enc: Tensor<1>,
    rule: Arc<Rule>,
) -> SparseCodes {
    let (x, b_pre) = (x.into_dispatch(), b_pre.into_dispatch());
    let encoded =
        <Dispatch as SparseOps>::sparse_encode(x, b_pre, w_enc.into_dispatch(), b_enc.into_dispatch(), rule);
    SparseCodes { values: Tensor::from_dispatch(encoded.values), support: encoded.support }
}

/// `x̂ = Σ value · W_dec[latent] + b_dec`, `[n_rows, d_in]`.
///
/// Shapes: `w_dec` `[d_sae, d_in]`, `b_dec` `[d_in]`. Differentiable in the values and both weights.
pub fn decode(codes: &SparseCodes, w_dec: Tensor<2>, b_dec: Tensor<1>) -> Tensor<2> {
    let values = codes.values.clone().into_dispatch();
    let (w_dec, b_dec) = (w_dec.into_dispatch(), b_dec.into_dispatch());
    Tensor::from_dispatch(<Dispatch as SparseOps>::sparse_decode(values, w_dec, b_dec, codes.support.clone()))
}

/// `Σ (x − x̂)²` over all entries of two matrices of one shape; differentiable in `x̂`, `x` is data.
pub fn squared_error(x: Tensor<2>, out: Tensor<2>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as SparseOps>::squared_error(x.into_dispatch(), out.into_dispatch()))
}

/// What [`SparseOps::sparse_encode`] gives.
#[derive(ExtensionType)]
pub struct Encoded<B: Backend> {
    values: FloatTensor<B>,
    support: Arc<Support>,
}

/// The sparse operations on the tensors of a backend.
#[backend_extension(Autodiff, Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"))]
pub trait SparseOps: Backend {
    /// See [`encode`].
    fn sparse_encode(
        x: FloatTensor<Self>,
        b_pre: FloatTensor<Self>,
        w_enc: FloatTensor<Self>,
        b_enc: FloatTensor<Self>,
        rule: Arc<Rule>,
    ) -> Encoded<Self> {
        let device = w_enc.device();
        let (x, b_pre) = (OnHost::new::<Self>(x), OnHost::new::<Self>(b_pre));
        let (w_enc, b_enc) = (OnHost::new::<Self>(w_enc), OnHost::new::<Self>(b_enc));
        let centred = kernels::subtract_from_rows(&x, &b_pre);
        let encoder = Encoder { w_enc: &w_enc, b_enc: &b_enc, selection: rule.selection() };
        let codes = kernels::encode(&encoder, &centred);
        let values = upload::<Self, 1>(codes.values.clone(), [codes.nnz()], &device);
        let support = Support { d_sae: b_enc.len(), codes, centred, by_latent: OnceLock::new() };
        Encoded { values, support: Arc::new(support) }
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
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let device = w_enc.device();
        let (grad, w_enc) = (OnHost::new::<Self>(grad), OnHost::new::<Self>(w_enc));
        let (by_latent, d_sae) = (support.by_latent(), support.d_sae);
        let d_in = w_enc.len() / d_sae;
        let grad_b_enc = by_latent.sums(&grad);
        let grad_b_pre = kernels::weighted_sum_of_rows(&w_enc, d_in, |latent| -grad_b_enc[latent]);
        let grad_w_enc = kernels::grad_weights(by_latent, &grad, &support.centred, d_in);
        (
            upload::<Self, 1>(grad_b_pre, [d_in], &device),
            upload::<Self, 2>(grad_w_enc, [d_sae, d_in], &device),
            upload::<Self, 1>(grad_b_enc, [d_sae], &device),
        )
    }

    /// See [`decode`].
    fn sparse_decode(
        values: FloatTensor<Self>,
        w_dec: FloatTensor<Self>,
        b_dec: FloatTensor<Self>,
        support: Arc<Support>,
    ) -> FloatTensor<Self> {
        let device = w_dec.device();
        let values = OnHost::new::<Self>(values);
        let (w_dec, b_dec) = (OnHost::new::<Self>(w_dec), OnHost::new::<Self>(b_dec));
        let codes = support.with_values(&values);
        let out = kernels::decode(&codes, &w_dec, &b_dec);
        upload::<Self, 2>(out, [codes.n_rows(), b_dec.len()], &device)
    }

    /// The gradients at the values, `W_dec` and `b_dec`, from that at the output.
    ///
    /// ```text
    /// dvalue = ⟨dx̂, W_dec[l]⟩      dW_dec[l] = Σ value · dx̂      db_dec = Σ dx̂
    /// ```
    fn sparse_decode_backward(
        grad: FloatTensor<Self>,
        values: FloatTensor<Self>,
        w_dec: FloatTensor<Self>,
        support: Arc<Support>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let device = w_dec.device();
        let (grad, values) = (OnHost::new::<Self>(grad), OnHost::new::<Self>(values));
        let w_dec = OnHost::new::<Self>(w_dec);
        let d_in = w_dec.len() / support.d_sae;
        let grad_values = kernels::decode_grad_values(&support.codes, &w_dec, &grad);
        let grad_w_dec = kernels::grad_weights(support.by_latent(), &values, &grad, d_in);
        let grad_b_dec = kernels::sum_of_rows(&grad, d_in);
        (
            upload::<Self, 1>(grad_values, [values.len()], &device),
            upload::<Self, 2>(grad_w_dec, [support.d_sae, d_in], &device),
            upload::<Self, 1>(grad_b_dec, [d_in], &device),
        )
    }

    /// See [`squared_error`].
    fn squared_error(x: FloatTensor<Self>, out: FloatTensor<Self>) -> FloatTensor<Self> {
        let device = out.device();
        let sum = kernels::squared_error(&OnHost::new::<Self>(x), &OnHost::new::<Self>(out));
        upload::<Self, 1>(vec![sum as f32], [1], &device)
    }

    /// The gradient at the reconstruction, from that at the sum.
    fn squared_error_backward(
        grad: FloatTensor<Self>,
        x: FloatTensor<Self>,
        out: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (device, shape) = (out.device(), out.shape());
        let (grad, x) = (OnHost::new::<Self>(grad), OnHost::new::<Self>(x));
        let grad = kernels::squared_error_grad(&x, &OnHost::new::<Self>(out), grad[0]);
        upload::<Self, 2>(grad, [shape[0], shape[1]], &device)
    }
}

impl SparseOps for Flex {}

#[cfg(feature = "ndarray")]
impl SparseOps for NdArray {}

#[cfg(feature = "wgpu")]
impl SparseOps for CubeBackend {}
