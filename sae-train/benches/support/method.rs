//! Any method at the sparsity of trained SAEs.
//!
//! Methods whose L0 is not a setting begin with many active latents and end with few; here their biases are
//! lowered until about `k` latents fire on a row, and the learning rate is 0, so that it stays so.

use burn::tensor::{Device, Tensor};
use sae_core::kernels::{Keep, Precision, encode_keeping, subtract_from_rows};
use sae_train::{
    Config,
    median::geometric_median,
    params::{Params, to_vec},
    trainer::{Setup, Trainer},
    variants::Sizes,
};

/// Which method, and how large.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Method<'a> {
    pub(crate) name: &'a str,
    /// More settings of `[variant]`, as `sae train --set` takes them.
    pub(crate) settings: &'a [&'a str],
    pub(crate) d_in: usize,
    pub(crate) d_sae: usize,
    /// Latents that fire on a row, about.
    pub(crate) k: usize,
    pub(crate) precision: Precision,
}

impl Method<'_> {
    /// Before its first step, with biases set by `x`, some rows.
    pub(crate) fn trainer(&self, x: &[f32]) -> Trainer {
        let &Self { name, settings, d_in, d_sae, k, precision } = self;
        let mut sets = vec![format!("variant.name={name}")];
        sets.extend(settings.iter().map(|setting| format!("variant.{setting}")));
        match name {
            // Its last level, of eight times as many, is what the others have.
            "matryoshka_k" => sets.push(format!("variant.k={}", k / 8)),
            _ if self.has_k() => sets.push(format!("variant.k={k}")),
            _ => (),
        }
        let config = Config::load(None, &sets).expect("the settings are right");
        let sizes = Sizes { d_in, d_out: d_in, d_sae, widths: vec![d_in / 2; 2] };
        let device = Device::flex();
        let form = config.variant.form();
        let b_dec = if form.pre_bias { geometric_median(x, d_in) } else { vec![0.0; d_in] };
        let centred = subtract_from_rows(x, &b_dec);
        let mut params = Params::initial([d_in, d_sae], b_dec, form.initial_length, 0, &device)
            .with_own(config.variant.own_weights(&sizes));
        if !self.has_k() {
            let threshold = if name == "jump_relu" { 0.05 } else { 0.0 };
            let bias = self.bias(&to_vec(&params.w_enc), &centred) + threshold;
            params.b_enc = Tensor::full([d_sae], bias, &device);
        }
        let setup = Setup {
            variant: config.variant.clone(),
            optimizer: config.optimizer().expect("the settings are right"),
            clip: config.shared.optim.clip,
            widths: sizes.widths,
            steps: 1 << 40,
            // Nothing dies: the auxiliary loss is no part of the bound's work.
            dead_after: u64::MAX,
            seed: 0,
            precision,
        };
        Trainer::new(setup, params)
    }

    /// Whether its L0 is a setting.
    pub(crate) fn has_k(&self) -> bool {
        !["relu", "gated", "crosscoder", "jump_relu"].contains(&self.name)
    }

    /// A bias under which about `k` pre-activations of a row are positive.
    fn bias(&self, w_enc: &[f32], x: &[f32]) -> f32 {
        let kept = self.k * x.len() / self.d_in;
        let codes = encode_keeping(w_enc, &vec![0.0; self.d_sae], x, &Keep::OfBatch(kept).into());
        -codes.values.iter().copied().fold(f32::INFINITY, f32::min)
    }
}
