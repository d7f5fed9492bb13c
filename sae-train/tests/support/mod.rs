//! What several tests of whole methods share: data with known features, trainers.

#![allow(dead_code, reason = "every test binary uses a part")]

use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use rand_distr::{Distribution, StandardNormal};
use sae_core::kernels::Precision;
use sae_train::{
    Config,
    params::Params,
    shuffle::Batch,
    state::State,
    trainer::{Setup, Trainer},
    variants::{At, Companion, Forward, Sizes, Step, VariantConfig},
};

/// Sizes of a small SAE.
pub(crate) const D_IN: usize = 24;
pub(crate) const D_SAE: usize = 160;
pub(crate) const ROWS: usize = 256;

/// A method with its settings and sizes.
pub(crate) struct Method {
    pub(crate) config: Config,
    pub(crate) sizes: Sizes,
    pub(crate) steps: u64,
}

impl Method {
    /// The method of this name; `sets` go over its defaults.
    pub(crate) fn new(name: &str, sets: &[&str], steps: u64) -> Self {
        let sets: Vec<String> = [format!("variant.name={name}")]
            .into_iter()
            .chain(sets.iter().map(ToString::to_string))
            .collect();
        let config = Config::load(None, &sets).unwrap();
        let mut sizes = Sizes { d_in: D_IN, d_out: D_IN, d_sae: D_SAE, widths: vec![D_IN] };
        if config.variant.fit(&sizes).is_err() {
            // A method of several columns.
            sizes.widths = vec![D_IN / 3, D_IN - D_IN / 3];
        }
        config.variant.fit(&sizes).unwrap();
        Self { config, sizes, steps }
    }

    pub(crate) fn variant(&self) -> &VariantConfig {
        &self.config.variant
    }

    pub(crate) fn trainer(&self, params: Params) -> Trainer {
        let setup = Setup {
            variant: self.variant().clone(),
            optimizer: self.config.optimizer().unwrap(),
            clip: self.config.shared.optim.clip,
            widths: self.sizes.widths.clone(),
            steps: self.steps,
            dead_after: 4 * ROWS as u64,
            seed: 1,
            precision: self.config.shared.train.precision.into(),
        };
        Trainer::new(setup, params.with_own(self.variant().own_weights(&self.sizes)))
    }

    /// A trainer with the initial weights that a run has.
    pub(crate) fn fresh(&self) -> Trainer {
        self.fresh_on(&Device::flex())
    }

    /// The same on some device.
    pub(crate) fn fresh_on(&self, device: &Device) -> Trainer {
        let Sizes { d_in, d_out, d_sae, .. } = self.sizes;
        let length = self.variant().form().initial_length;
        self.trainer(Params::initial([d_in, d_sae], vec![0.0; d_out], length, 7, device))
    }

    pub(crate) fn batch(&self, seed: u64) -> Batch {
        let x = features(self.sizes.d_in, seed);
        let companion = match self.variant().form().companion {
            None => Vec::new(),
            Some(Companion::Target) => x.iter().map(|x| 0.5 * x + 0.1).collect(),
            Some(Companion::Gradient) => normal(x.len(), seed ^ 99),
        };
        Batch { x, companion }
    }

    /// What the method makes of a batch with the weights of a trainer.
    pub(crate) fn forward(&self, trainer: &Trainer, batch: &Batch) -> Forward {
        let tracked = trainer.params().tracked();
        let state = trainer.state().clone();
        forward(self.variant(), &tracked, &state, batch, &self.sizes.widths, self.steps)
    }
}

/// What a method makes of a batch at the last step.
pub(crate) fn forward(
    variant: &VariantConfig,
    tracked: &Params,
    state: &State,
    batch: &Batch,
    widths: &[usize],
    steps: u64,
) -> Forward {
    let n_rows = batch.x.len() / widths.iter().sum::<usize>();
    variant.forward(&Step {
        x: matrix(&batch.x, n_rows),
        companion: (!batch.companion.is_empty()).then(|| matrix(&batch.companion, n_rows)),
        params: tracked,
        pre_bias: variant.form().pre_bias,
        precision: Precision::F32,
        dead: &[],
        state,
        widths,
        at: At { step: steps, steps, seed: 1 },
    })
}

pub(crate) fn matrix(values: &[f32], n_rows: usize) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [n_rows, values.len() / n_rows]), &Device::flex())
}

pub(crate) fn normal(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| StandardNormal.sample(&mut rng)).collect()
}

/// Rows made of a few of 60 fixed directions each, of mean squared norm about 1.
pub(crate) fn features(d: usize, seed: u64) -> Vec<f32> {
    const FEATURES: usize = 60;
    let mut directions = normal(FEATURES * d, 5);
    sae_core::kernels::normalize_rows(&mut directions, d);
    let mut rng = ChaCha8Rng::seed_from_u64(1000 + seed);
    let mut x = vec![0.0f32; ROWS * d];
    for row in x.chunks_exact_mut(d) {
        for _ in 0..4 {
            let feature = rng.random_range(0..FEATURES);
            let size = 0.3 + 0.4 * rng.random::<f32>();
            row.iter_mut().zip(&directions[feature * d..]).for_each(|(x, w)| *x += size * w);
        }
    }
    x
}
