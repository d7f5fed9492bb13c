//! Matryoshka over k (Zaigrajew et al. 2025, *MSAE*, arXiv 2502.20578): one dictionary at several
//! sparsities.
//!
//! ```text
//! acts_j = ReLU(TopK_{k_j}(W_enc (x − b_dec) + b_enc))        x̂_j = W_decᵀ acts_j + b_dec        k_1 < … < k_G
//! loss   = Σ_j α_j L_j / Σ_j α_j
//! uniform  α_j = 1        reverse  α_j = G − j + 1: most weight on the fewest latents
//! mse      L_j = mean ‖x − x̂_j‖²        nmse  L_j = mean ‖x − x̂_j‖² / ‖x − mean x‖²
//! ```
//!
//! Not to be taken for Matryoshka over the width of the dictionary (`matryoshka`). The paper doubles `k` up
//! to `d_sae`, where TopK is ReLU; the default here stops at `8 k`, since a level that lets every latent fire
//! is dense. At inference the last level is what counts.

use super::{Forward, Sizes, Step, Variant, nested::Nested, parts::fit_k, require};
use crate::{Result, config::Auto, params::Params, state::State};
use sae_core::{Rule, kernels::Keep};
use serde::Deserialize;

/// The variant's keys of `[variant]`; see `matryoshka_k.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct MatryoshkaK {
    k: usize,
    levels: Auto<Vec<usize>>,
    weighting: Weighting,
    loss: Loss,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Weighting {
    Uniform,
    Reverse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Loss {
    Mse,
    Nmse,
}

impl MatryoshkaK {
    fn levels(&self, d_sae: usize) -> Vec<usize> {
        self.levels.clone().or_else(|| {
            let mut doubled: Vec<usize> = (0..4).map(|j| (self.k << j).min(d_sae)).collect();
            doubled.dedup();
            doubled
        })
    }

    fn last(&self, d_sae: usize) -> usize {
        *self.levels(d_sae).last().expect("there is at least one level")
    }
}

impl Variant for MatryoshkaK {
    fn check(&self) -> Result<()> {
        require((1..=1 << 24).contains(&self.k), "k", "at least 1", self.k)?;
        let levels = self.levels.clone().or_else(|| vec![self.k]);
        let increase = levels.is_sorted_by(|a, b| a < b) && levels.first().is_some_and(|&first| first > 0);
        require(increase, "levels", "increasing numbers from at least 1", &levels)
    }

    fn fit(&self, sizes: &Sizes) -> Result<()> {
        fit_k("k", self.k, sizes)?;
        fit_k("levels", self.last(sizes.d_sae), sizes)
    }

    fn resolved(&self, sizes: &Sizes) -> Vec<(&'static str, toml_edit::Value)> {
        let levels = self.levels(sizes.d_sae).into_iter().map(|k| k as i64);
        vec![("levels", levels.collect::<toml_edit::Array>().into())]
    }

    fn forward(&self, step: &Step<'_>) -> Forward {
        let levels = self.levels(step.d_sae());
        let n = levels.len();
        let codes = step.encode(Keep::TopK(levels[n - 1]));
        let nested = Nested::decode(step, &codes.split_by_rank(&levels), n, false);
        let alpha = |j: usize| match self.weighting {
            Weighting::Uniform => 1.0,
            Weighting::Reverse => (n - j) as f64,
        };
        let total: f64 = (0..n).map(alpha).sum();
        let weights: Vec<f64> = (0..n).map(|j| alpha(j) / total).collect();
        let per_row = match self.loss {
            Loss::Mse => None,
            Loss::Nmse => {
                let centred = step.x.clone() - step.x.clone().mean_dim(0);
                let variance: burn::tensor::Tensor<1> =
                    centred.powi_scalar(2).sum_dim(1).reshape([step.n_rows()]);
                // A row on the mean has no error to be relative to.
                let none = variance.clone().equal_elem(0.0);
                Some(variance.mask_fill(none.clone(), 1.0).recip().mask_fill(none, 0.0))
            }
        };
        nested.forward(&codes, &weights, per_row, "levels")
    }

    fn rule(&self, params: &Params, _: &State) -> Rule {
        let d_sae = params.b_enc.dims()[0];
        match self.last(d_sae) {
            k if k == d_sae => Rule::Standard,
            k => Rule::TopK { k },
        }
    }
}
