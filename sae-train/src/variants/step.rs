//! What a method sees of a training step, and what it makes of it.

use crate::{dead::DeadLatents, ops, params::Params, state::State};
use burn::tensor::Tensor;
use sae_core::{
    Codes,
    kernels::{Choice, Keep, Precision},
};
use std::sync::Arc;

/// Where in the run a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// Counted from 1.
    pub step: u64,
    /// Steps of the run.
    pub steps: u64,
    /// For what is drawn at random.
    pub seed: u64,
}

impl At {
    /// The last step of the first `fraction` of the run.
    pub fn end_of(&self, fraction: f64) -> u64 {
        (fraction * self.steps as f64).floor() as u64
    }

    /// Rises from 0 to 1 over the first `fraction` of the run, then stays.
    pub fn rising(&self, fraction: f64) -> f64 {
        match self.end_of(fraction) {
            0 => 1.0,
            end => (self.step as f64 / end as f64).min(1.0),
        }
    }
}

/// What a method sees of a training step.
#[derive(Debug)]
pub struct Step<'a> {
    /// `[n_rows, d_in]`, normalised.
    pub x: Tensor<2>,
    /// The second vector of each row, `[n_rows, d]`, if the method's form asks for one.
    pub companion: Option<Tensor<2>>,
    /// Tracked by autodiff.
    pub params: &'a Params,
    /// Whether `b_dec` is subtracted from the input.
    pub pre_bias: bool,
    /// How precisely latents are chosen.
    pub precision: Precision,
    /// Latents that have not fired for the dead-latent window, increasing.
    pub dead: &'a [u32],
    /// What the method remembers.
    pub state: &'a State,
    /// Widths of the activation columns.
    pub widths: &'a [usize],
    /// Where in the run.
    pub at: At,
}

impl Step<'_> {
    /// Width of the input.
    pub fn d_in(&self) -> usize {
        self.x.dims()[1]
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.x.dims()[0]
    }

    /// Number of latents.
    pub fn d_sae(&self) -> usize {
        self.params.b_enc.dims()[0]
    }

    /// What the encoder subtracts from the input: `b_dec`, or nothing.
    pub fn bias_before(&self) -> Tensor<1> {
        if self.pre_bias { self.params.b_dec.clone() } else { Tensor::zeros([self.d_in()], &self.x.device()) }
    }

    /// Codes of the batch.
    pub fn encode(&self, keep: Keep) -> ops::SparseCodes {
        let params = self.params;
        let (w_enc, b_enc) = (params.w_enc.clone(), params.b_enc.clone());
        ops::encode(
            self.x.clone(),
            self.bias_before(),
            w_enc,
            b_enc,
            Choice { keep, precision: self.precision },
        )
    }

    /// How well codes reconstruct the batch.
    pub fn reconstruct(&self, codes: &ops::SparseCodes) -> ops::Reconstruction {
        self.reconstruct_as(self.x.clone(), codes)
    }

    /// How well codes reconstruct other vectors, `[n_rows, d_out]`.
    pub fn reconstruct_as(&self, target: Tensor<2>, codes: &ops::SparseCodes) -> ops::Reconstruction {
        ops::reconstruct(target, codes, self.params.w_dec.clone(), self.params.b_dec.clone())
    }

    /// The mean over the rows of the sum of values of codes, such as their L1 norm.
    pub fn mean_sum(&self, values: Tensor<1>) -> Tensor<1> {
        // Of no values there is no sum that gradients could flow to.
        if values.dims()[0] == 0 {
            return Tensor::zeros([1], &self.x.device());
        }
        values.sum() / self.n_rows() as f64
    }
}

/// What a method makes of a batch.
#[derive(Debug)]
pub struct Forward {
    /// Which latents fired, and with which values.
    pub fired: Arc<ops::Support>,
    /// The terms whose sum is minimised, by name, with their coefficients.
    pub terms: Vec<(&'static str, Tensor<1>)>,
    /// The squared error of each row's full reconstruction, `[n_rows]`.
    pub errors: Tensor<1>,
    /// The activations as a penalty weighs them, for a method that goes by them after the step.
    pub weighted: Option<Tensor<1>>,
}

impl Forward {
    /// The loss that nearly every method begins with: the mean squared error of the reconstruction.
    pub fn reconstructing(codes: &ops::SparseCodes, errors: Tensor<1>) -> Self {
        let terms = vec![("reconstruction", errors.clone().mean())];
        Self { fired: codes.support.clone(), terms, errors, weighted: None }
    }

    /// With one more term, if there is one.
    pub fn and(mut self, term: impl IntoIterator<Item = (&'static str, Tensor<1>)>) -> Self {
        self.terms.extend(term);
        self
    }
}

/// What a method sees once the optimizer has stepped.
#[derive(Debug)]
pub struct After<'a> {
    /// The new weights.
    pub params: &'a mut Params,
    /// What the method remembers.
    pub state: &'a mut State,
    /// The codes that fired.
    pub fired: &'a Codes,
    /// Of all latents, with this batch.
    pub dead: &'a DeadLatents,
    /// `[n_rows]`, squared errors.
    pub errors: &'a [f32],
    /// [`Forward::weighted`]
    pub weighted: Option<&'a [f32]>,
    /// `[n_rows, d_in]`
    pub x: &'a Tensor<2>,
    /// Where in the run.
    pub at: At,
    /// Latents that the method gave new weights to: the optimizer forgets their past.
    pub renewed: Vec<u32>,
}
