//! The auxiliary loss that brings dead latents back (Gao et al. 2024, arXiv 2406.04093, A.2).
//!
//! ```text
//! e   = target − x̂, detached
//! ê   = W_decᵀ ReLU(TopK_k_aux(pre_acts of the given latents)), without b_dec: e is about it already
//! aux = Σ ‖e − ê‖² / Σ ‖e − mean e‖²; 0 where the residual has no variance
//! ```
//!
//! Gradients reach encoder and decoder rows of those latents that were picked. The latents are the dead
//! ones, or all that fire too seldom: the aux-Zipf loss (Ayonrinde 2024, arXiv 2411.02124) is this one with
//! another list.

use crate::{ops, variants::Step};
use burn::tensor::{Int, Tensor, TensorData};
use sae_core::kernels::Keep;

/// The loss of some latents, given the detached residual `[n_rows, d_out]` and how many of them may fire
/// on a row. There must be at least one.
pub fn aux_k(step: &Step<'_>, residual: Tensor<2>, latents: &[u32], k_aux: usize) -> Tensor<1> {
    let device = step.x.device();
    let n_latents = latents.len();
    let latents: Vec<i32> = latents.iter().map(|&latent| latent as i32).collect();
    let latents = Tensor::<1, Int>::from_data(TensorData::new(latents, [n_latents]), &device);
    let params = step.params;
    let codes = ops::encode(
        step.x.clone(),
        step.bias_before(),
        params.w_enc.clone().select(0, latents.clone()),
        params.b_enc.clone().select(0, latents.clone()),
        Keep::TopK(k_aux.min(n_latents)),
    );
    let no_bias = Tensor::zeros([residual.dims()[1]], &device);
    let w_dec = params.w_dec.clone().select(0, latents);
    let centred = residual.clone() - residual.clone().mean_dim(0);
    let variance = centred.powi_scalar(2).sum();
    let error = ops::reconstruct(residual, &codes, w_dec, no_bias).errors.sum();
    // 0 · (∞ or NaN) would still be NaN: where there is no variance the divisor is replaced first.
    let none = variance.clone().equal_elem(0.0);
    (error / variance.mask_fill(none.clone(), 1.0)).mask_fill(none, 0.0)
}
