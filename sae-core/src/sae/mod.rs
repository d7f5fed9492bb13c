//! What an SAE is: weights, an activation rule, and the plain loops that define both.
//!
//! ```text
//! pre_acts = W_enc (x − a·b_dec) + b_enc        a = 1 if apply_b_dec_to_input, else 0
//! acts     = rule(pre_acts)                     see Rule
//! x̂        = W_decᵀ acts + b_dec
//! ```
//!
//! Both matrices are stored one latent per row, `[d_sae, d_in]`, so that a latent's encoder and
//! decoder vectors are contiguous. File formats transpose as they must.

mod plain;

use crate::kernels::{self, Codes, Encoder, Selection};

/// What becomes of the pre-activations at inference.
///
/// Training methods are many, inference rules are few: every method exports as one of these.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// `acts = ReLU(pre_acts)`.
    Standard,
    /// `acts = ReLU(TopK_k(pre_acts))`; of equal pre-activations the lower latent wins
    /// (Gao et al. 2024, arXiv 2406.04093).
    TopK {
        /// How many latents may fire on one input.
        k: usize,
    },
    /// `acts_i = ReLU(pre_acts_i)` where `pre_acts_i > threshold_i`, else 0
    /// (Rajamanoharan et al. 2024, arXiv 2407.14435).
    JumpRelu {
        /// `[d_sae]`, in the units of the input's activations.
        threshold: Vec<f32>,
    },
}

impl Rule {
    /// The name that formats and pages use: `standard`, `topk`, `jumprelu`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::TopK { .. } => "topk",
            Self::JumpRelu { .. } => "jumprelu",
        }
    }

    /// The rule as the kernels take it.
    pub fn selection(&self) -> Selection<'_> {
        match self {
            Self::Standard => Selection::Positive,
            Self::TopK { k } => Selection::TopK(*k),
            Self::JumpRelu { threshold } => Selection::Above(threshold),
        }
    }
}

/// A sparse autoencoder ready to encode and decode.
#[derive(Debug, Clone, PartialEq)]
pub struct Sae {
    /// Width of the input.
    pub d_in: usize,
    /// Number of latents.
    pub d_sae: usize,
    /// How pre-activations become activations.
    pub rule: Rule,
    /// Whether `b_dec` is subtracted from the input before encoding.
    pub apply_b_dec_to_input: bool,
    /// `[d_sae, d_in]`
    pub w_enc: Vec<f32>,
    /// `[d_sae]`
    pub b_enc: Vec<f32>,
    /// `[d_sae, d_in]`
    pub w_dec: Vec<f32>,
    /// `[d_in]`
    pub b_dec: Vec<f32>,
}

impl Sae {
    /// Encodes `x` `[n_rows, d_in]` with the fast kernels on all threads of the current rayon pool.
    ///
    /// # Panics
    /// If the length of `x` is not a multiple of `d_in`.
    pub fn encode(&self, x: &[f32]) -> Codes {
        let encoder = Encoder { w_enc: &self.w_enc, b_enc: &self.b_enc, selection: self.rule.selection() };
        if self.apply_b_dec_to_input {
            kernels::encode(&encoder, &kernels::subtract_from_rows(x, &self.b_dec))
        } else {
            kernels::encode(&encoder, x)
        }
    }

    /// Decodes to `[n_rows, d_in]`: `x̂ = W_decᵀ acts + b_dec`.
    pub fn decode(&self, codes: &Codes) -> Vec<f32> {
        kernels::decode(codes, &self.w_dec, &self.b_dec)
    }
}
