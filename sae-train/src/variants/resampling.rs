//! New weights for dead latents (Bricken et al. 2023, *Towards monosemanticity*).
//!
//! ```text
//! every so many rows, for each latent that did not fire for half as many:
//! draw a row x with probability ∝ ‖x − x̂‖⁴ (the squared loss)
//! u = (x − b_dec) / ‖x − b_dec‖      W_dec,l ← u      W_enc,l ← 0.2 · mean ‖W_enc of living latents‖ · u      b_enc,l ← 0
//! ```
//!
//! The optimizer forgets the past of these rows.

use super::After;
use crate::params::{Params, to_vec};
use burn::tensor::{Tensor, TensorData};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use sae_core::kernels;

/// The length of a new encoder row beside those of the living.
const SHORTER: f32 = 0.2;

/// Resamples if a multiple of `every` rows was just passed; never if it is 0.
pub(super) fn resample(after: &mut After<'_>, every: u64) {
    let batch = after.fired.n_rows() as u64;
    let rows = after.at.step * batch;
    if every == 0 || rows / every == (rows - batch) / every {
        return;
    }
    let silent = |&(_, &since): &(usize, &u64)| since >= every / 2;
    let dead: Vec<u32> =
        after.dead.rows_since_fired.iter().enumerate().filter(silent).map(|(l, _)| l as u32).collect();
    let squares: Vec<f64> = after.errors.iter().map(|&error| f64::from(error).powi(2)).collect();
    let total: f64 = squares.iter().sum();
    if dead.is_empty() || dead.len() == after.dead.rows_since_fired.len() || total <= 0.0 {
        return;
    }
    let [d_in, ..] = after.params.sizes();
    let mut rng = ChaCha8Rng::seed_from_u64(after.at.seed ^ after.at.step);
    let x = to_vec(after.x);
    let (mut w_enc, mut b_enc, mut w_dec, b_dec) = (
        to_vec(&after.params.w_enc),
        to_vec(&after.params.b_enc),
        to_vec(&after.params.w_dec),
        to_vec(&after.params.b_dec),
    );
    let norms = kernels::row_norms(&w_enc, d_in);
    let of_dead: f32 = dead.iter().map(|&latent| norms[latent as usize]).sum();
    let living = (norms.iter().sum::<f32>() - of_dead) / (norms.len() - dead.len()) as f32;
    for &latent in &dead {
        let mut left = rng.random::<f64>() * total;
        let row = squares.iter().position(|square| {
            left -= square;
            left <= 0.0
        });
        let row = &x[row.unwrap_or(squares.len() - 1) * d_in..][..d_in];
        let mut direction: Vec<f32> = row.iter().zip(&b_dec).map(|(x, b)| x - b).collect();
        kernels::normalize_rows(&mut direction, d_in);
        let place = latent as usize * d_in..(latent as usize + 1) * d_in;
        w_dec[place.clone()].copy_from_slice(&direction);
        direction.iter_mut().for_each(|value| *value *= SHORTER * living);
        w_enc[place].copy_from_slice(&direction);
        b_enc[latent as usize] = 0.0;
    }
    let Params { w_enc: old_enc, b_enc: old_bias, w_dec: old_dec, .. } = after.params;
    for (old, new) in [(old_enc, w_enc), (old_dec, w_dec)] {
        *old = Tensor::from_data(TensorData::new(new, old.dims()), &old.device());
    }
    *old_bias = Tensor::from_data(TensorData::new(b_enc, old_bias.dims()), &old_bias.device());
    after.renewed = dead;
}
