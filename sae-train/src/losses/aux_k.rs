//! The auxiliary loss that brings dead latents back (Gao et al. 2024, arXiv 2406.04093, A.2).
//!
//! ```text
//! e   = x − x̂, detached
//! ê   = W_decᵀ ReLU(TopK_k_aux(pre_acts of dead latents)), without b_dec: e is about it already
//! aux = Σ ‖e − ê‖² / Σ ‖e − mean e‖²; 0 where the residual has no variance
//! ```
//!
//! Gradients reach encoder and decoder rows of the dead latents that were picked.

use crate::{ops, variants::Step};
use burn::tensor::{Int, Tensor, TensorData};
use sae_core::Rule;
use std::sync::Arc;

/// The loss of the dead latents, given the detached residual `[n_rows, d_in]` and how many of them
/// may fire on a row. There must be at least one.
pub fn aux_k(step: &Step<'_>, residual: Tensor<2>, k_aux: usize) -> Tensor<1> {
    let device = step.x.device();
    let dead: Vec<i32> = step.dead.iter().map(|&latent| latent as i32).collect();
    let n_dead = dead.len();
    let dead = Tensor::<1, Int>::from_data(TensorData::new(dead, [n_dead]), &device);
    let params = step.params;
    let rule = Arc::new(Rule::TopK { k: k_aux.min(n_dead) });
    let codes = ops::encode(
        step.x.clone(),
        params.b_dec.clone(),
        params.w_enc.clone().select(0, dead.clone()),
        params.b_enc.clone().select(0, dead.clone()),
        rule,
    );
    let no_bias = Tensor::zeros([step.d_in()], &device);
    let explained = ops::decode(&codes, params.w_dec.clone().select(0, dead), no_bias);
    let centred = residual.clone() - residual.clone().mean_dim(0);
    let variance = centred.powi_scalar(2).sum();
    let error = (residual - explained).powi_scalar(2).sum();
    // 0 · (∞ or NaN) would still be NaN: where there is no variance the divisor is replaced first.
    let none = variance.clone().equal_elem(0.0);
    (error / variance.mask_fill(none.clone(), 1.0)).mask_fill(none, 0.0)
}
