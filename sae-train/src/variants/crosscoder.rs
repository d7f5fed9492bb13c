//! Crosscoders: one code for several places or models (Lindsey et al. 2024, *Sparse crosscoders*).
//!
//! ```text
//! x    = [x_1, …, x_M], the dump's activation columns side by side
//! acts = ReLU(Σ_m W_enc,m x_m + b_enc)      x̂_m = W_dec,mᵀ acts + b_dec,m
//! loss = mean Σ_m ‖x_m − x̂_m‖² + λ(t) mean Σ_l acts_l Σ_m ‖W_dec,l,m‖        λ(t) = l1 · min(t / ⌊l1_warmup · T⌋, 1)
//! ```
//!
//! The penalty takes the sum of the lengths of a latent's decoder vectors, not the length of all together:
//! so a latent that serves one place pays for one. Its SAE reads and reconstructs the columns side by side.

use super::{Form, Forward, Sizes, Step, Variant, relu::check_l1, require};
use crate::{Result, ops, params::Params, state::State};
use burn::tensor::Tensor;
use sae_core::{Rule, kernels::Keep};
use serde::Deserialize;

/// The variant's keys of `[variant]`; see `crosscoder.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Crosscoder {
    l1: f64,
    l1_warmup: f64,
}

impl Variant for Crosscoder {
    fn check(&self) -> Result<()> {
        check_l1(self.l1, self.l1_warmup)
    }

    fn fit(&self, sizes: &Sizes) -> Result<()> {
        let expected = "used with two or more columns in data.activation_column, such as [\"a\", \"b\"]";
        require(sizes.widths.len() > 1, "name", expected, "crosscoder with a single column")
    }

    fn form(&self) -> Form {
        Form { pre_bias: false, unit_rows: false, initial_length: 0.1, ..Form::default() }
    }

    fn forward(&self, step: &Step<'_>) -> Forward {
        let codes = step.encode(Keep::Positive);
        let errors = step.reconstruct(&codes).errors;
        let w_dec = &step.params.w_dec;
        let mut start = 0;
        let mut lengths: Option<Tensor<1>> = None;
        for &width in step.widths {
            let part = ops::row_norms(w_dec.clone().slice([0..step.d_sae(), start..start + width]));
            lengths = Some(lengths.map_or_else(|| part.clone(), |lengths| lengths + part.clone()));
            start += width;
        }
        let lengths = lengths.expect("there is at least one column");
        let weighted = codes.values.clone() * ops::at_entries(lengths, &codes.support);
        let sparsity = step.mean_sum(weighted) * (self.l1 * step.at.rising(self.l1_warmup));
        Forward::reconstructing(&codes, errors).and([("sparsity", sparsity)])
    }

    fn rule(&self, _: &Params, _: &State) -> Rule {
        Rule::Standard
    }
}
