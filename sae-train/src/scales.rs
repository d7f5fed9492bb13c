//! Undoing the scaling of inputs, by folding it into the weights: no reader has to know.

use sae_core::{Rule, Sae, Target};

/// By what training divided inputs and, in a transcoder, targets.
#[derive(Debug, Clone, PartialEq)]
pub struct Scales {
    /// One for each activation column.
    pub x: Vec<f64>,
    /// Of the target; without effect unless the SAE is a transcoder.
    pub target: f64,
    /// Widths of the activation columns.
    pub widths: Vec<usize>,
}

impl Scales {
    /// The SAE of inputs as they are in the dump, given that of inputs as training saw them.
    ///
    /// With `x = s · x'` the same latents fire with `s` times the values if biases and thresholds are
    /// multiplied by `s`; the matrices stay (Gemma Scope, arXiv 2408.05147, section 3). A transcoder's
    /// decoder is multiplied by `s_target / s`.
    ///
    /// Several columns have a scale each, so values stay those of training: columns of `W_enc` are
    /// divided, and columns of `W_dec` and `b_dec` multiplied, by the scale of theirs.
    pub fn fold_into(&self, sae: Sae) -> Sae {
        match self.x.as_slice() {
            [scale] => self.fold_one(sae, *scale),
            _ => self.fold_columns(sae),
        }
    }

    fn fold_one(&self, mut sae: Sae, scale: f64) -> Sae {
        let out_scale = if sae.is_transcoder() { self.target } else { scale };
        multiply(&mut sae.b_enc, scale);
        multiply(&mut sae.b_dec, out_scale);
        match &mut sae.rule {
            Rule::JumpRelu { threshold } => multiply(threshold, scale),
            Rule::Gated { b_mag, .. } => multiply(b_mag, scale),
            Rule::Standard | Rule::TopK { .. } => {}
        }
        if out_scale != scale {
            multiply(&mut sae.w_dec, out_scale / scale);
        }
        if let Target::Companion { w_skip: Some(w_skip) } = &mut sae.target {
            multiply(w_skip, out_scale / scale);
        }
        sae
    }

    fn fold_columns(&self, mut sae: Sae) -> Sae {
        let scales: Vec<f64> =
            self.widths.iter().zip(&self.x).flat_map(|(&width, &scale)| vec![scale; width]).collect();
        for row in sae.w_enc.chunks_exact_mut(sae.d_in) {
            row.iter_mut().zip(&scales).for_each(|(w, scale)| *w = (f64::from(*w) / scale) as f32);
        }
        let bias = [sae.b_dec.as_mut_slice()].into_iter();
        for row in sae.w_dec.chunks_exact_mut(sae.d_out).chain(bias) {
            row.iter_mut().zip(&scales).for_each(|(w, scale)| *w = (f64::from(*w) * scale) as f32);
        }
        sae
    }
}

fn multiply(values: &mut [f32], scale: f64) {
    values.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waves(n: usize, phase: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * 0.7 + phase).sin()).collect()
    }

    /// Codes and reconstructions of scaled rows are the scaled codes and reconstructions.
    fn assert_folded(sae: &Sae, scales: &Scales, code_scale: f32, out_scales: &[f32]) {
        let folded = scales.fold_into(sae.clone());
        let x = waves(7 * sae.d_in, 0.3);
        let columns: Vec<f64> =
            scales.widths.iter().zip(&scales.x).flat_map(|(&width, &scale)| vec![scale; width]).collect();
        let raw: Vec<f32> =
            x.iter().enumerate().map(|(i, x)| (f64::from(*x) * columns[i % sae.d_in]) as f32).collect();
        let ((codes, out), (raw_codes, raw_out)) = (sae.reconstruct(&x), folded.reconstruct(&raw));
        assert!(codes.nnz() > 0);
        assert_eq!(codes.latents, raw_codes.latents);
        for (a, b) in codes.values.iter().zip(&raw_codes.values) {
            assert!((a * code_scale - b).abs() < 1e-4, "{a} {b}");
        }
        for (i, (a, b)) in out.iter().zip(&raw_out).enumerate() {
            assert!((a * out_scales[i % sae.d_out] - b).abs() < 1e-4, "{a} {b}");
        }
    }

    fn sae(rule: Rule, d_out: usize) -> Sae {
        Sae::new(rule, waves(20 * 6, 0.0), waves(20, 1.0), waves(20 * d_out, 2.0), waves(d_out, 3.0))
    }

    #[test]
    fn one_scale_goes_into_biases_and_thresholds() {
        let scales = Scales { x: vec![2.5], target: 1.0, widths: vec![6] };
        for rule in [
            Rule::Standard,
            Rule::TopK { k: 4 },
            Rule::JumpRelu { threshold: vec![0.4; 20] },
            Rule::Gated { r_mag: waves(20, 4.0), b_mag: waves(20, 5.0) },
        ] {
            assert_folded(&sae(rule, 6), &scales, 2.5, &[2.5; 6]);
        }
    }

    #[test]
    fn a_transcoder_has_a_scale_for_its_target() {
        let scales = Scales { x: vec![2.5], target: 0.5, widths: vec![6] };
        let target = Target::Companion { w_skip: Some(waves(4 * 6, 6.0)) };
        let sae = Sae { target, apply_b_dec_to_input: false, ..sae(Rule::Standard, 4) };
        assert_folded(&sae, &scales, 2.5, &[0.5; 4]);
    }

    #[test]
    fn several_columns_have_a_scale_each() {
        let scales = Scales { x: vec![2.5, 0.5], target: 1.0, widths: vec![2, 4] };
        let sae = Sae { apply_b_dec_to_input: false, ..sae(Rule::Standard, 6) };
        assert_folded(&sae, &scales, 1.0, &[2.5, 2.5, 0.5, 0.5, 0.5, 0.5]);
    }
}
