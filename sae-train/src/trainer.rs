//! One training step: forward → losses → backward → project → clip → Adam → unit rows.

use crate::{
    Result, TrainError,
    checkpoint::{Checkpoint, Optimizer, Place},
    config::Optim,
    dead::DeadLatents,
    events::Window,
    ops,
    params::Params,
    variants::{Step, VariantConfig},
};
use burn::tensor::{Device, Tensor, TensorData};
use sae_core::kernels::AdamStep;

/// An SAE in training.
#[derive(Debug)]
pub struct Trainer {
    variant: VariantConfig,
    optim: Optim,
    device: Device,
    params: Params,
    optimizer: Optimizer,
    dead: DeadLatents,
    window: Window,
    step: u64,
    tokens_seen: u64,
}

/// The gradients of all weights.
struct Gradients {
    w_enc: Tensor<2>,
    b_enc: Tensor<1>,
    w_dec: Tensor<2>,
    b_dec: Tensor<1>,
}

impl Trainer {
    /// Starts from initial weights. `dead_after` is the dead-latent window in rows.
    pub fn new(variant: VariantConfig, optim: Optim, params: Params, dead_after: u64) -> Self {
        let device = params.w_enc.device();
        let (optimizer, dead) =
            (Optimizer::new(&params), DeadLatents::new(params.b_enc.dims()[0], dead_after));
        let window = Window::default();
        Self { variant, optim, device, params, optimizer, dead, window, step: 0, tokens_seen: 0 }
    }

    /// Goes on from a checkpoint.
    pub fn resume(variant: VariantConfig, optim: Optim, from: Checkpoint, dead_after: u64) -> Self {
        let device = from.params.w_enc.device();
        Self {
            variant,
            optim,
            device,
            params: from.params,
            optimizer: from.optimizer,
            dead: DeadLatents::resume(from.rows_since_fired, dead_after),
            window: Window::from_pairs(from.place.window.into_iter().zip(from.window)),
            step: from.place.step,
            tokens_seen: from.place.tokens_seen,
        }
    }

    /// Learns from a batch `x` `[n_rows, d_in]`, scaled to a mean squared norm of 1.
    ///
    /// # Errors
    /// If the loss is not finite; the weights are then as they were before.
    pub fn step(&mut self, x: Vec<f32>, lr: f64) -> Result<()> {
        let d_in = self.params.b_dec.dims()[0];
        let n_rows = x.len() / d_in;
        let x = Tensor::from_data(TensorData::new(x, [n_rows, d_in]), &self.device);
        let tracked = self.params.tracked();
        let dead = self.dead.latents();
        let forward = self.variant.forward(&Step { x, params: &tracked, dead: &dead });

        let values: Vec<(&'static str, f64)> = forward
            .terms
            .iter()
            .map(|(name, term)| (*name, f64::from(term.clone().into_scalar::<f32>())))
            .collect();
        let loss: f64 = values.iter().map(|(_, value)| value).sum();
        if !loss.is_finite() {
            return Err(TrainError::Diverged { step: self.step + 1, loss, lr: self.optim.lr.or_else(|| lr) });
        }
        let total = forward.terms.into_iter().map(|(_, term)| term).reduce(|a, b| a + b);
        let mut grads = total.expect("every variant has a reconstruction term").backward();
        let take = "every weight takes part in the reconstruction";
        let grads = Gradients {
            w_enc: tracked.w_enc.grad_remove(&mut grads).expect(take),
            b_enc: tracked.b_enc.grad_remove(&mut grads).expect(take),
            w_dec: tracked.w_dec.grad_remove(&mut grads).expect(take),
            b_dec: tracked.b_dec.grad_remove(&mut grads).expect(take),
        };
        // The update is in place only where nothing else refers to the weights.
        drop(tracked);
        let grad_norm = self.update(grads, lr);

        self.step += 1;
        self.tokens_seen += n_rows as u64;
        let codes = forward.support.codes();
        self.dead.observe(codes);
        self.window.add(&values, codes.nnz() as f64 / n_rows as f64, grad_norm);
        Ok(())
    }

    /// Applies the gradients and gives their norm before clipping.
    fn update(&mut self, mut grads: Gradients, lr: f64) -> f64 {
        let Optim { beta1, beta2, eps, clip, .. } = self.optim;
        grads.w_dec = ops::project_out_rows(grads.w_dec, self.params.w_dec.clone());
        let squares = ops::sum_of_squares(&grads.w_enc)
            + ops::sum_of_squares(&grads.b_enc)
            + ops::sum_of_squares(&grads.w_dec)
            + ops::sum_of_squares(&grads.b_dec);
        let norm = squares.sqrt();
        let grad_scale = if norm > clip { clip / norm } else { 1.0 };
        let adam = AdamStep { t: self.step + 1, lr, beta1, beta2, eps, grad_scale };
        let (params, moments) = (&mut self.params, &mut self.optimizer);
        update(&mut params.w_enc, &mut moments.w_enc, grads.w_enc, adam, false);
        update(&mut params.b_enc, &mut moments.b_enc, grads.b_enc, adam, false);
        update(&mut params.w_dec, &mut moments.w_dec, grads.w_dec, adam, true);
        update(&mut params.b_dec, &mut moments.b_dec, grads.b_dec, adam, false);
        norm
    }

    /// The weights.
    pub fn params(&self) -> &Params {
        &self.params
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
        Checkpoint {
            place: Place { step: self.step, tokens_seen: self.tokens_seen, dump_hash, window: names },
            params: self.params.clone(),
            optimizer: self.optimizer.clone(),
            rows_since_fired: self.dead.rows_since_fired.clone(),
            window,
        }
    }
}

fn update<const D: usize>(
    param: &mut Tensor<D>,
    moments: &mut ops::Moments<D>,
    grad: Tensor<D>,
    adam: AdamStep,
    unit_rows: bool,
) {
    // Tensors are handles: what is left in their place for a moment must not refer to their memory.
    let nothing = || Tensor::empty([0; D], &grad.device());
    let taken = (
        std::mem::replace(param, nothing()),
        ops::Moments {
            m: std::mem::replace(&mut moments.m, nothing()),
            v: std::mem::replace(&mut moments.v, nothing()),
        },
    );
    (*param, *moments) = ops::adam(taken.0, taken.1, grad, adam, unit_rows);
}
