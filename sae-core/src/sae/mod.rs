//! What an SAE is: weights, an activation rule, and the plain loops that define both.
//!
//! ```text
//! x'       = x normalised                        see Normalize; mostly x itself
//! pre_acts = W_enc (x' − a·b_dec) + b_enc        a = 1 if apply_b_dec_to_input, else 0
//! acts     = rule(pre_acts)                      see Rule
//! x̂        = W_decᵀ acts + b_dec                 then what normalising took out is put back
//! ```
//!
//! A transcoder, `ŷ = W_decᵀ acts + b_dec (+ W_skip x)`, is an SAE whose target is another activation
//! than its input; see [`Target`].
//!
//! Both matrices are stored one latent per row, `[d_sae, d_in]` and `[d_sae, d_out]`, so that a latent's
//! encoder and decoder vectors are contiguous. File formats transpose as they must.

mod gated;
mod normalize;
mod plain;
mod rule;

use crate::kernels::{self, Codes, Encoder, Precision};
use std::borrow::Cow;

pub use normalize::Normalize;
use normalize::Taken;
pub use rule::Rule;

/// What an SAE reconstructs.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// Its input.
    Input,
    /// An activation at another place of the model, such as the output of the layer whose input is
    /// encoded: a transcoder (Dunefsky et al. 2024, arXiv 2406.11944).
    Companion {
        /// `[d_out, d_in]`: what the output gets of the input directly, `W_skip x`
        /// (Paulo et al. 2025, arXiv 2501.18823).
        w_skip: Option<Vec<f32>>,
    },
}

/// A sparse autoencoder or transcoder ready to encode and decode.
///
/// [`Sae::new`] gives one with everything but the weights as usual:
///
/// ```
/// use sae_core::{Rule, Sae};
/// let identity = vec![1.0, 0.0, 0.0, 1.0];
/// let sae = Sae {
///     apply_b_dec_to_input: false,
///     ..Sae::new(Rule::TopK { k: 1 }, identity.clone(), vec![0.0; 2], identity, vec![0.5; 2])
/// };
/// let (codes, out) = sae.reconstruct(&[3.0, 2.0]);
/// assert_eq!((codes.row(0), out), ((&[0][..], &[3.0][..]), vec![3.5, 0.5]));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Sae {
    /// Width of the input.
    pub d_in: usize,
    /// Width of what is reconstructed: `d_in` unless the target is a companion.
    pub d_out: usize,
    /// Number of latents.
    pub d_sae: usize,
    /// How pre-activations become activations.
    pub rule: Rule,
    /// What is taken out of each row before encoding.
    pub normalize: Normalize,
    /// Whether `b_dec` is subtracted from the input before encoding; false for a transcoder.
    pub apply_b_dec_to_input: bool,
    /// What it reconstructs.
    pub target: Target,
    /// `[d_sae, d_in]`
    pub w_enc: Vec<f32>,
    /// `[d_sae]`
    pub b_enc: Vec<f32>,
    /// `[d_sae, d_out]`
    pub w_dec: Vec<f32>,
    /// `[d_out]`
    pub b_dec: Vec<f32>,
}

impl Sae {
    /// An autoencoder that subtracts `b_dec` from inputs as they are. Its sizes follow from the lengths
    /// of the weights.
    ///
    /// # Panics
    /// If there are no latents.
    pub fn new(rule: Rule, w_enc: Vec<f32>, b_enc: Vec<f32>, w_dec: Vec<f32>, b_dec: Vec<f32>) -> Self {
        Self {
            d_in: w_enc.len() / b_enc.len(),
            d_out: b_dec.len(),
            d_sae: b_enc.len(),
            rule,
            normalize: Normalize::None,
            apply_b_dec_to_input: true,
            target: Target::Input,
            w_enc,
            b_enc,
            w_dec,
            b_dec,
        }
    }

    /// Whether what it reconstructs is another activation than its input.
    pub fn is_transcoder(&self) -> bool {
        self.target != Target::Input
    }

    /// What reconstructions of the rows `x` are held against: `x` or their companions.
    pub fn target_of<'a>(&self, x: &'a [f32], companion: &'a [f32]) -> &'a [f32] {
        match self.target {
            Target::Input => x,
            Target::Companion { .. } => companion,
        }
    }

    /// Encodes `x` `[n_rows, d_in]` with the fast kernels on all threads of the current rayon pool.
    ///
    /// # Panics
    /// If the length of `x` is not a multiple of `d_in`.
    pub fn encode(&self, x: &[f32]) -> Codes {
        self.encode_normalized(&self.normalize.rows(x, self.d_in).0, Precision::F32)
    }

    /// Decodes to `[n_rows, d_out]`: `W_decᵀ acts + b_dec`.
    ///
    /// Codes alone do not tell what else belongs to a reconstruction where rows are normalised or skip
    /// the latents; [`Sae::reconstruct`] does.
    pub fn decode(&self, codes: &Codes) -> Vec<f32> {
        kernels::decode(codes, &codes.values, &self.w_dec, &self.b_dec)
    }

    /// The codes of `x` `[n_rows, d_in]` and the reconstruction `[n_rows, d_out]`, of `x` itself or of the
    /// companion.
    ///
    /// # Panics
    /// If the length of `x` is not a multiple of `d_in`.
    pub fn reconstruct(&self, x: &[f32]) -> (Codes, Vec<f32>) {
        self.reconstruct_with(x, Precision::F32)
    }

    /// [`Sae::reconstruct`] with codes of the given precision.
    ///
    /// # Panics
    /// As [`Sae::reconstruct`].
    pub fn reconstruct_with(&self, x: &[f32], precision: Precision) -> (Codes, Vec<f32>) {
        let (normalized, taken) = self.normalize.rows(x, self.d_in);
        let codes = self.encode_normalized(&normalized, precision);
        let mut out = self.decode(&codes);
        match &self.target {
            Target::Input => put_back(&taken, &mut out),
            Target::Companion { w_skip: Some(w_skip) } => {
                kernels::add_product(x, w_skip, self.d_in, &mut out)
            }
            Target::Companion { w_skip: None } => {}
        }
        (codes, out)
    }

    fn encode_normalized(&self, x: &[f32], precision: Precision) -> Codes {
        let encoder = Encoder { w_enc: &self.w_enc, b_enc: &self.b_enc, selection: self.rule.selection() };
        let x: Cow<'_, [f32]> = match self.apply_b_dec_to_input {
            true => kernels::subtract_from_rows(x, &self.b_dec).into(),
            false => x.into(),
        };
        let codes = kernels::encode_with(&encoder, &x, precision);
        match &self.rule {
            Rule::Gated { r_mag, b_mag } => gated::magnitudes(codes, &self.b_enc, r_mag, b_mag),
            _ => codes,
        }
    }
}

/// Puts back into each row of `out` what was taken out of the input's.
fn put_back(taken: &[Taken], out: &mut [f32]) {
    if !taken.is_empty() {
        let d_out = out.len() / taken.len();
        taken.iter().zip(out.chunks_exact_mut(d_out)).for_each(|(taken, out)| taken.put_back(out));
    }
}
