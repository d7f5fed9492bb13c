//! A run whose data is ready: from initial weights, or a checkpoint's, to `run/sae/`.

use crate::{
    Result,
    batches::Batches,
    config::Config,
    events::EventLog,
    median::geometric_median,
    normalize::Normalize,
    params::Params,
    scales::Scales,
    schedules::LearningRate,
    shuffle::Rows,
    train::{Outcome, Watch},
    trainer::{Setup, Trainer},
    variants::{Companion, Sizes},
};
use burn::tensor::Device;
use sae_core::{
    Sae,
    dump::Dump,
    formats::saelens,
    run::{Event, RunDir},
};
use std::time::Instant;

/// The numbers that follow from the configuration and the data.
pub(crate) struct Plan {
    pub(crate) lr: LearningRate,
    pub(crate) dead_after: u64,
    pub(crate) checkpoint_every: u64,
}

/// A run whose data is ready.
pub(crate) struct Running<'a> {
    pub(crate) config: Config,
    pub(crate) run: &'a RunDir,
    pub(crate) dump: Dump,
    pub(crate) dump_hash: String,
    pub(crate) sizes: Sizes,
    pub(crate) plan: Plan,
    pub(crate) scales: Scales,
    /// `mean ‖x − mean‖²` of what is reconstructed, in the units of training.
    pub(crate) variance: f64,
}

impl Running<'_> {
    /// The geometric median of the first rows, where the encoder subtracts it or a target is reconstructed.
    pub(crate) fn initial_bias(&self, rows: &mut Rows, sample_size: usize) -> Result<Vec<f32>> {
        let form = self.config.variant.form();
        let of_target = form.companion == Some(Companion::Target);
        if !form.pre_bias && !of_target {
            return Ok(vec![0.0; self.sizes.d_out]);
        }
        let batch = rows.take(sample_size)?;
        rows.seek(0);
        let reconstructed = if of_target { batch.companion } else { batch.x };
        Ok(geometric_median(&reconstructed, self.sizes.d_out))
    }

    pub(crate) fn trainer(&self, b_dec: Vec<f32>, device: &Device) -> Result<Trainer> {
        let (variant, seed, sizes) = (&self.config.variant, self.config.shared.train.seed, &self.sizes);
        let length = variant.form().initial_length;
        let params = Params::initial([sizes.d_in, sizes.d_sae], b_dec, length, seed, device);
        let setup = Setup {
            variant: variant.clone(),
            optimizer: self.config.optimizer()?,
            clip: self.config.shared.optim.clip,
            widths: sizes.widths.clone(),
            steps: self.plan.lr.steps,
            dead_after: self.plan.dead_after,
            seed,
            precision: self.config.shared.train.precision.into(),
        };
        Ok(Trainer::new(setup, params.with_own(variant.own_weights(sizes))))
    }

    pub(crate) fn run(self, mut trainer: Trainer, rows: Rows, watch: &mut dyn Watch) -> Result<Outcome> {
        let shared = &self.config.shared;
        let (steps, batch_size) = (self.plan.lr.steps, shared.train.batch_size);
        let mut log = EventLog::open(self.run, trainer.steps_done())?;
        let mut batches = Batches::new(rows, batch_size);
        watch.starts(trainer.steps_done(), steps, batch_size as u64);
        let mut since = (Instant::now(), trainer.tokens_seen());
        while trainer.steps_done() < steps {
            let lr = self.plan.lr.at(trainer.steps_done() + 1);
            let batch = batches.next_batch()?;
            // Inside the pool: from outside, each of a step's operations would wake it anew.
            rayon::scope(|_| trainer.step(batch, lr))?;
            let step = trainer.steps_done();
            watch.step(step);
            if step.is_multiple_of(shared.log.every) || step == steps {
                let event = self.event(&mut trainer, lr, since);
                log.write(&event)?;
                watch.event(&event);
                since = (Instant::now(), trainer.tokens_seen());
            }
            let stop = watch.stop() && step < steps;
            if stop || (step.is_multiple_of(self.plan.checkpoint_every) && step < steps) {
                trainer.checkpoint(self.dump_hash.clone()).write(self.run, shared.log.checkpoints_kept)?;
            }
            if stop {
                return Ok(Outcome::Interrupted { step });
            }
        }
        self.save(&trainer)?;
        Ok(Outcome::Finished)
    }

    fn event(&self, trainer: &mut Trainer, lr: f64, since: (Instant, u64)) -> Event {
        let window = trainer.take_window();
        let (terms, loss) = window.terms();
        Event {
            step: trainer.steps_done(),
            steps: self.plan.lr.steps,
            tokens_seen: trainer.tokens_seen(),
            loss,
            fvu: if self.variance > 0.0 { window.error() / self.variance } else { 0.0 },
            terms,
            l0: window.l0(),
            dead: trainer.n_dead(),
            lr,
            grad_norm: window.grad_norm(),
            tokens_per_s: (trainer.tokens_seen() - since.1) as f64 / since.0.elapsed().as_secs_f64(),
        }
    }

    fn save(&self, trainer: &Trainer) -> Result<()> {
        let sae = self.scales.fold_into(trainer.sae());
        let normalize = match self.config.shared.data.normalize {
            Normalize::LayerNorm => sae_core::Normalize::LayerNorm,
            Normalize::None | Normalize::UnitMeanSquare | Normalize::SqrtD => sae_core::Normalize::None,
        };
        let sae = Sae { normalize, ..sae };
        let info = self.dump.info();
        let (method, rule) = (self.config.variant_name(), sae.rule.name());
        let origin = saelens::Origin {
            model_name: info.model_name.clone(),
            hook_name: info.hook_name.clone(),
            training_architecture: (method != rule).then(|| method.to_owned()),
        };
        Ok(saelens::write(&self.run.sae(), &sae, &origin)?)
    }
}
