//! The definition of an SAE in short f32 loops. The kernels must agree with it; nothing else uses it.

use super::{Rule, Sae};
use crate::kernels::Codes;

impl Sae {
    /// [`Sae::encode`] by definition: every pre-activation, then the rule, row by row.
    pub fn encode_plain(&self, x: &[f32]) -> Codes {
        let mut codes = Codes::default();
        for row in x.chunks_exact(self.d_in) {
            let pre_acts = self.pre_acts_plain(row);
            for (latent, value) in self.activate_plain(&pre_acts).into_iter().enumerate() {
                if value > 0.0 {
                    codes.latents.push(latent as u32);
                    codes.values.push(value);
                }
            }
            codes.offsets.push(codes.latents.len() as u32);
        }
        codes
    }

    /// [`Sae::decode`] by definition.
    pub fn decode_plain(&self, codes: &Codes) -> Vec<f32> {
        let mut out = Vec::with_capacity(codes.n_rows() * self.d_in);
        for r in 0..codes.n_rows() {
            let (latents, values) = codes.row(r);
            for i in 0..self.d_in {
                let mut sum = self.b_dec[i];
                for (&latent, &value) in latents.iter().zip(values) {
                    sum += value * self.w_dec[latent as usize * self.d_in + i];
                }
                out.push(sum);
            }
        }
        out
    }

    fn pre_acts_plain(&self, x: &[f32]) -> Vec<f32> {
        let pre_bias = |i: usize| if self.apply_b_dec_to_input { self.b_dec[i] } else { 0.0 };
        let weights = self.w_enc.chunks_exact(self.d_in);
        let dot = |w: &[f32]| w.iter().enumerate().map(|(i, w)| w * (x[i] - pre_bias(i))).sum::<f32>();
        weights.zip(&self.b_enc).map(|(w, b)| dot(w) + b).collect()
    }

    fn activate_plain(&self, pre_acts: &[f32]) -> Vec<f32> {
        let relu = |v: f32| v.max(0.0);
        match &self.rule {
            Rule::Standard => pre_acts.iter().map(|&v| relu(v)).collect(),
            Rule::JumpRelu { threshold } => {
                let jump = |(&v, &t): (&f32, &f32)| if v > t { relu(v) } else { 0.0 };
                pre_acts.iter().zip(threshold).map(jump).collect()
            }
            Rule::TopK { k } => {
                let mut order: Vec<usize> = (0..pre_acts.len()).collect();
                order.sort_by(|&a, &b| pre_acts[b].total_cmp(&pre_acts[a]).then(a.cmp(&b)));
                let mut acts = vec![0.0; pre_acts.len()];
                for &i in order.iter().take(*k) {
                    acts[i] = relu(pre_acts[i]);
                }
                acts
            }
        }
    }
}
