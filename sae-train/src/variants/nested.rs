//! Losses of nested reconstructions, which both Matryoshka methods share.

use super::{Forward, Step};
use crate::ops::{self, SparseCodes};
use burn::tensor::{Tensor, TensorData};

/// The reconstructions of a batch by each of its levels; the last level is the whole.
pub(super) struct Nested {
    /// `[n_rows, levels, d_out]`
    reconstructions: Tensor<3>,
    /// `[n_rows, levels]`
    errors: Tensor<2>,
}

impl Nested {
    /// Decodes codes that are split into `levels` rows for each row.
    pub(super) fn decode(step: &Step<'_>, split: &SparseCodes, levels: usize, detached: bool) -> Self {
        let (w_dec, b_dec) = (step.params.w_dec.clone(), step.params.b_dec.clone());
        let out = ops::decode_levels(split, levels, detached, w_dec, b_dec);
        let (n_rows, d_out) = (step.n_rows(), out.dims()[1]);
        Self {
            errors: ops::row_errors(step.x.clone(), out.clone()).reshape([n_rows, levels]),
            reconstructions: out.reshape([n_rows, levels, d_out]),
        }
    }

    /// `x − x̂` of the whole, `[n_rows, d_out]`, as data.
    pub(super) fn residual(&self, step: &Step<'_>) -> Tensor<2> {
        let [n_rows, levels, d_out] = self.reconstructions.dims();
        let whole = self.reconstructions.clone().slice([0..n_rows, levels - 1..levels, 0..d_out]);
        step.x.clone() - whole.reshape([n_rows, d_out]).inner()
    }

    /// The loss `Σ_j weights[j] · mean over rows of errors[·, j] · per_row`, as the term of the whole and
    /// the term, called `name`, of the levels below it.
    pub(super) fn forward(
        self,
        codes: &SparseCodes,
        weights: &[f64],
        per_row: Option<Tensor<1>>,
        name: &'static str,
    ) -> Forward {
        let [n_rows, levels] = self.errors.dims();
        let whole = self.errors.clone().slice([0..n_rows, levels - 1..levels]).reshape([n_rows]);
        let errors = match per_row {
            Some(per_row) => self.errors * per_row.reshape([n_rows, 1]),
            None => self.errors,
        };
        let weights: Vec<f32> = weights.iter().map(|&weight| weight as f32).collect();
        let weights = Tensor::<1>::from_data(TensorData::new(weights, [levels]), &errors.device());
        let weighted = errors.mean_dim(0).reshape([levels]) * weights;
        let below = (levels > 1).then(|| (name, weighted.clone().narrow(0, 0, levels - 1).sum()));
        Forward {
            fired: codes.support.clone(),
            terms: vec![("reconstruction", weighted.narrow(0, levels - 1, 1))],
            errors: whole,
            weighted: None,
        }
        .and(below)
    }
}
