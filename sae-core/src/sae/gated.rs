//! Gated SAEs: the values of the latents whose gate is open, and the same SAE as a JumpReLU one.

use super::{Rule, Sae};
use crate::kernels::Codes;

/// Turns positive gate pre-activations into activations, `ReLU(exp(r_mag)·(pre_acts − b_enc) + b_mag)`,
/// and leaves out those of 0.
pub(super) fn magnitudes(mut codes: Codes, b_enc: &[f32], r_mag: &[f32], b_mag: &[f32]) -> Codes {
    let scales: Vec<f32> = r_mag.iter().map(|r| r.exp()).collect();
    let (mut from, mut kept) = (0, 0);
    for offset in &mut codes.offsets[1..] {
        let to = *offset as usize;
        for entry in from..to {
            let latent = codes.latents[entry] as usize;
            let value = scales[latent] * (codes.values[entry] - b_enc[latent]) + b_mag[latent];
            codes.latents[kept] = latent as u32;
            codes.values[kept] = value;
            kept += usize::from(value > 0.0);
        }
        from = to;
        *offset = kept as u32;
    }
    codes.latents.truncate(kept);
    codes.values.truncate(kept);
    codes
}

impl Sae {
    /// A gated SAE as the JumpReLU one that fires on the same inputs with the same values
    /// (arXiv 2404.16014, section 3.2); none if the rule is another.
    ///
    /// ```text
    /// W = exp(r_mag)·W_enc      b = b_mag      threshold = b_mag − exp(r_mag)·b_enc
    /// ```
    ///
    /// A threshold may be negative: the gate then opens before the magnitude is positive, and the
    /// latent fires where both rules ask for more than 0.
    pub fn gated_as_jumprelu(&self) -> Option<Self> {
        let Rule::Gated { r_mag, b_mag } = &self.rule else { return None };
        let scales: Vec<f32> = r_mag.iter().map(|r| r.exp()).collect();
        let threshold =
            b_mag.iter().zip(&scales).zip(&self.b_enc).map(|((b_mag, scale), b)| b_mag - scale * b);
        let rows = self.w_enc.chunks_exact(self.d_in).zip(&scales);
        Some(Self {
            rule: Rule::JumpRelu { threshold: threshold.collect() },
            w_enc: rows.flat_map(|(row, scale)| row.iter().map(move |w| scale * w)).collect(),
            b_enc: b_mag.clone(),
            ..self.clone()
        })
    }
}
