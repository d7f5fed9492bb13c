//! The definition of an SAE in short f32 loops. The kernels must agree with it; nothing else uses it.

use super::{Rule, Sae, Target, put_back};
use crate::kernels::Codes;

impl Sae {
    /// [`Sae::encode`] by definition: every pre-activation, then the rule, row by row.
    pub fn encode_plain(&self, x: &[f32]) -> Codes {
        let mut codes = Codes::default();
        for row in self.normalize.rows(x, self.d_in).0.chunks_exact(self.d_in) {
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
        let mut out = Vec::with_capacity(codes.n_rows() * self.d_out);
        for r in 0..codes.n_rows() {
            let (latents, values) = codes.row(r);
            for i in 0..self.d_out {
                let mut sum = self.b_dec[i];
                for (&latent, &value) in latents.iter().zip(values) {
                    sum += value * self.w_dec[latent as usize * self.d_out + i];
                }
                out.push(sum);
            }
        }
        out
    }

    /// [`Sae::reconstruct`] by definition.
    pub fn reconstruct_plain(&self, x: &[f32]) -> (Codes, Vec<f32>) {
        let codes = self.encode_plain(x);
        let mut out = self.decode_plain(&codes);
        match &self.target {
            Target::Input => put_back(&self.normalize.rows(x, self.d_in).1, &mut out),
            Target::Companion { w_skip } => {
                let rows = x.chunks_exact(self.d_in).zip(out.chunks_exact_mut(self.d_out));
                for (x, out) in rows {
                    let skips = w_skip.iter().flat_map(|w_skip| w_skip.chunks_exact(self.d_in));
                    out.iter_mut().zip(skips).for_each(|(out, w)| *out += dot(w, x));
                }
            }
        }
        (codes, out)
    }

    fn pre_acts_plain(&self, x: &[f32]) -> Vec<f32> {
        let pre_bias = |i: usize| if self.apply_b_dec_to_input { self.b_dec[i] } else { 0.0 };
        let x: Vec<f32> = x.iter().enumerate().map(|(i, x)| x - pre_bias(i)).collect();
        self.w_enc.chunks_exact(self.d_in).zip(&self.b_enc).map(|(w, b)| dot(w, &x) + b).collect()
    }

    fn activate_plain(&self, pre_acts: &[f32]) -> Vec<f32> {
        let relu = |v: f32| v.max(0.0);
        match &self.rule {
            Rule::Standard => pre_acts.iter().map(|&v| relu(v)).collect(),
            Rule::JumpRelu { threshold } => {
                let jump = |(&v, &t): (&f32, &f32)| if v > t { relu(v) } else { 0.0 };
                pre_acts.iter().zip(threshold).map(jump).collect()
            }
            Rule::Gated { r_mag, b_mag } => {
                let magnitude = |i: usize| relu(r_mag[i].exp() * (pre_acts[i] - self.b_enc[i]) + b_mag[i]);
                let gated = |i: usize| if pre_acts[i] > 0.0 { magnitude(i) } else { 0.0 };
                (0..self.d_sae).map(gated).collect()
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

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
