use crate::kernels::Selection;

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
    /// `acts_i = ReLU(exp(r_mag_i)·(pre_acts_i − b_enc_i) + b_mag_i)` where `pre_acts_i > 0`, else 0:
    /// one product decides whether a latent fires and, with a scale and a bias of its own, how strongly
    /// (Rajamanoharan et al. 2024, arXiv 2404.16014). `b_enc` is the paper's `b_gate`.
    Gated {
        /// `[d_sae]`
        r_mag: Vec<f32>,
        /// `[d_sae]`, in the units of the input's activations.
        b_mag: Vec<f32>,
    },
}

impl Rule {
    /// The name that formats and pages use: `standard`, `topk`, `jumprelu`, `gated`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::TopK { .. } => "topk",
            Self::JumpRelu { .. } => "jumprelu",
            Self::Gated { .. } => "gated",
        }
    }

    /// Which latents the kernels select; [`Rule::Gated`] then makes its own values of theirs.
    pub fn selection(&self) -> Selection<'_> {
        match self {
            Self::Standard | Self::Gated { .. } => Selection::Positive,
            Self::TopK { k } => Selection::TopK(*k),
            Self::JumpRelu { threshold } => Selection::Above(threshold),
        }
    }
}
