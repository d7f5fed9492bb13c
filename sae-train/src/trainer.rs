//! One training step: forward → losses → backward → project → clip → optimizer → unit rows → after the step.

use crate::{
    Result, TrainError,
    checkpoint::{Checkpoint, Place, damaged},
    dead::DeadLatents,
    events::Window,
    optimizers::{Optimizer, StepSize},
    params::{Params, to_vec},
    passes::{Averaged, Restore, Take, Update, Weights},
    shuffle::Batch,
    state::State,
    variants::{After, At, Form, Step, VariantConfig},
};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use sae_core::{Sae, kernels::Precision};
use std::{collections::BTreeMap, path::Path};

/// What a run trains with.
#[derive(Debug)]
pub struct Setup {
    /// The method.
    pub variant: VariantConfig,
    /// The optimizer, which has seen nothing yet.
    pub optimizer: Box<dyn Optimizer>,
    /// Largest norm of all gradients together.
    pub clip: f64,
    /// Widths of the activation columns, whose sum is `d_in`.
    pub widths: Vec<usize>,
    /// Steps of the run.
    pub steps: u64,
    /// Rows without firing after which a latent is dead.
    pub dead_after: u64,
    /// For what a method draws at random.
    pub seed: u64,
    /// How precisely latents are chosen.
    pub precision: Precision,
}

/// An SAE in training.
#[derive(Debug)]
pub struct Trainer {
    setup: Setup,
    form: Form,
    device: Device,
    params: Params,
    state: State,
    dead: DeadLatents,
    window: Window,
    step: u64,
    tokens_seen: u64,
}

impl Trainer {
    /// Starts from initial weights.
    pub fn new(setup: Setup, params: Params) -> Self {
        let [.., d_sae] = params.sizes();
        Self {
            form: setup.variant.form(),
            device: params.b_dec.device(),
            dead: DeadLatents::new(d_sae, setup.dead_after),
            setup,
            params,
            state: State::default(),
            window: Window::default(),
            step: 0,
            tokens_seen: 0,
        }
    }

    /// Goes on from a checkpoint, which `dir` held.
    ///
    /// # Errors
    /// If it lacks a weight or has one of another size.
    pub fn resume(mut self, from: Checkpoint, dir: &Path) -> Result<Self> {
        let mut restore = Restore { weights: from.weights, device: self.device.clone(), problem: None };
        self.params.visit(&mut restore);
        if let Some(problem) = restore.problem {
            return Err(damaged(dir, "state.safetensors", &problem));
        }
        self.setup.optimizer.remember(from.optimizer, &self.device);
        self.state = from.state;
        self.dead = DeadLatents::resume(from.rows_since_fired, self.setup.dead_after);
        self.window = Window::from_pairs(from.place.window.into_iter().zip(from.window));
        (self.step, self.tokens_seen) = (from.place.step, from.place.tokens_seen);
        Ok(self)
    }

    /// Learns from a batch of rows as the shuffle gives them.
    ///
    /// # Errors
    /// If the loss is not finite; the weights are then as they were before.
    pub fn step(&mut self, batch: Batch, lr: f64) -> Result<()> {
        let [d_in, ..] = self.params.sizes();
        let n_rows = batch.x.len() / d_in;
        let matrix = |values: Vec<f32>| {
            let d = values.len() / n_rows;
            Tensor::<2>::from_data(TensorData::new(values, [n_rows, d]), &self.device)
        };
        let x = matrix(batch.x);
        let companion = (!batch.companion.is_empty()).then(|| matrix(batch.companion));
        let at = At { step: self.step + 1, steps: self.setup.steps, seed: self.setup.seed };
        let tracked = self.params.tracked();
        let dead = self.dead.latents();
        let forward = self.setup.variant.forward(&Step {
            x: x.clone(),
            companion,
            params: &tracked,
            pre_bias: self.form.pre_bias,
            precision: self.setup.precision,
            dead: &dead,
            state: &self.state,
            widths: &self.setup.widths,
            at,
        });
        let values: Vec<(&'static str, f64)> = forward
            .terms
            .iter()
            .map(|(name, term)| (*name, f64::from(term.clone().into_scalar::<f32>())))
            .collect();
        let loss: f64 = values.iter().map(|(_, value)| value).sum();
        if !loss.is_finite() {
            return Err(TrainError::Diverged { step: at.step, loss, lr });
        }
        let total = forward.terms.into_iter().map(|(_, term)| term).reduce(|a, b| a + b);
        let grads = total.expect("every method has a term").backward();
        let errors = to_vec(&forward.errors.inner());
        let weighted = forward.weighted.map(|weighted| to_vec(&weighted));
        let grad_norm = self.update(tracked, grads, lr);

        self.step += 1;
        self.tokens_seen += n_rows as u64;
        let fired = forward.fired.codes();
        self.dead.observe(n_rows, forward.fired.active_latents());
        let mut after = After {
            params: &mut self.params,
            state: &mut self.state,
            fired,
            dead: &self.dead,
            errors: &errors,
            weighted: weighted.as_deref(),
            x: &x,
            at,
            renewed: Vec::new(),
        };
        self.setup.variant.after_step(&mut after);
        let (renewed, optimizer) = (after.renewed, &mut self.setup.optimizer);
        for latent in &renewed {
            self.dead.rows_since_fired[*latent as usize] = 0;
        }
        if !renewed.is_empty() {
            let Params { w_enc, b_enc, w_dec, .. } = &self.params;
            let [d_in, d_out, d_sae] = self.params.sizes();
            optimizer.forget_rows("w_enc", &renewed, d_in, &w_enc.clone().reshape([d_sae * d_in]));
            optimizer.forget_rows("b_enc", &renewed, 1, b_enc);
            optimizer.forget_rows("w_dec", &renewed, d_out, &w_dec.clone().reshape([d_sae * d_out]));
        }
        let error = errors.iter().map(|&error| f64::from(error)).sum::<f64>() / n_rows as f64;
        self.window.add(&values, error, fired.nnz() as f64 / n_rows as f64, grad_norm);
        Ok(())
    }

    /// Applies the gradients and gives their norm before clipping.
    fn update(&mut self, tracked: Params, mut grads: Gradients, lr: f64) -> f64 {
        let project = self.form.unit_rows.then(|| self.params.w_dec.clone());
        let mut taken = Take { grads: &mut grads, project, by_name: BTreeMap::new(), squares: 0.0 };
        // The update is in place only where nothing else refers to the weights: the copies go first.
        { tracked }.visit(&mut taken);
        let norm = taken.squares.sqrt();
        let grad_scale = if norm > self.setup.clip { self.setup.clip / norm } else { 1.0 };
        let mut update = Update {
            grads: taken.by_name,
            optimizer: self.setup.optimizer.as_mut(),
            step: StepSize { lr, grad_scale },
            d_in: self.params.sizes()[0],
            unit_rows: self.form.unit_rows,
        };
        self.params.visit(&mut update);
        norm
    }

    /// The SAE of what was learned so far, in the units of training.
    pub fn sae(&self) -> Sae {
        let mut params = self.params.clone();
        let optimizer = self.setup.optimizer.as_ref();
        params.visit(&mut Averaged { optimizer, unit_rows: self.form.unit_rows });
        self.setup.variant.export(&params, &self.state)
    }

    /// The weights as they are trained.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// What the method remembers.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Steps done.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// Rows seen.
    pub fn tokens_seen(&self) -> u64 {
        self.tokens_seen
    }

    /// Number of dead latents.
    pub fn n_dead(&self) -> u64 {
        self.dead.latents().len() as u64
    }

    /// What happened since this was last asked.
    pub fn take_window(&mut self) -> Window {
        std::mem::take(&mut self.window)
    }

    /// Everything that is needed to go on from here.
    pub fn checkpoint(&self, dump_hash: String) -> Checkpoint {
        let (names, window) = self.window.to_pairs().into_iter().unzip();
        let mut weights = Weights::default();
        self.params.clone().visit(&mut weights);
        Checkpoint {
            place: Place { step: self.step, tokens_seen: self.tokens_seen, dump_hash, window: names },
            weights: weights.0,
            optimizer: self.setup.optimizer.memory(),
            state: self.state.clone(),
            rows_since_fired: self.dead.rows_since_fired.clone(),
            window,
        }
    }
}
