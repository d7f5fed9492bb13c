//! Which pre-activations of a batch a training method keeps.
//!
//! At inference each row stands alone ([`Selection`]). In training some methods choose over the whole
//! batch, or by more than the pre-activations. All of them are made of the one blocked encoding:
//! candidates above a bar, and an exact choice among them, so that the `[n_rows, d_sae]` matrix never exists
//! here either. But for scores, whose candidates are a setting, the bar is proven low enough.

mod batch;
mod largest;
mod latents;
mod scored;

use super::{Codes, Encoder, Precision, Selection, encode, encode_with};
use std::sync::Arc;

/// What a training method keeps of the pre-activations `W_enc x + b_enc` of a batch. Ties go to the
/// earlier row, then to the lower latent.
#[derive(Debug, Clone)]
pub enum Keep {
    /// Every positive one.
    Positive,
    /// The `k` largest of each row, if positive.
    TopK(usize),
    /// The `k` largest of each row, whatever their sign.
    Largest(usize),
    /// Those above their latent's threshold, `[d_sae]`, whatever their sign.
    Over(Arc<[f32]>),
    /// The `n` largest of the whole batch, if positive.
    OfBatch(usize),
    /// For each latent the given number of largest over the rows, `[d_sae]`, if positive.
    OfLatents(Arc<[u32]>),
    /// The `k` of each row with the largest [`Scores`], if positive.
    Scored(usize, Arc<Scores>),
}

/// What to keep, and how precisely to look for it.
#[derive(Debug, Clone)]
pub struct Choice {
    /// What to keep.
    pub keep: Keep,
    /// How.
    pub precision: Precision,
}

impl From<Keep> for Choice {
    fn from(keep: Keep) -> Self {
        Self { keep, precision: Precision::default() }
    }
}

/// Scores by which [`Keep::Scored`] chooses: `pre_act · (1 + boost · |⟨w[l], gradient[r]⟩|)`.
#[derive(Debug)]
pub struct Scores {
    /// At least 0.
    pub boost: f32,
    /// How many of a row's largest pre-activations are scored; 0: all positive ones.
    pub candidates: usize,
    /// `[n_rows, d]`
    pub gradient: Vec<f32>,
    /// `[d_sae, d]`
    pub w: Vec<f32>,
}

/// The codes of `x` `[n_rows, d_in]` that a training method keeps, for weights `w_enc` `[d_sae, d_in]`
/// and `b_enc` `[d_sae]`.
pub fn encode_keeping(w_enc: &[f32], b_enc: &[f32], x: &[f32], choice: &Choice) -> Codes {
    let (with, precision) = (|selection| Encoder { w_enc, b_enc, selection }, choice.precision);
    match &choice.keep {
        Keep::Positive => encode_with(&with(Selection::Positive), x, precision),
        Keep::TopK(k) => encode_with(&with(Selection::TopK(*k)), x, precision),
        Keep::Over(threshold) => encode_with(&with(Selection::Over(threshold)), x, precision),
        Keep::Largest(k) => largest::encode(&with(Selection::TopK(*k)), x, precision),
        Keep::OfBatch(n) => batch::encode(w_enc, b_enc, x, *n, precision),
        Keep::OfLatents(budgets) => latents::encode(w_enc, b_enc, x, budgets, precision),
        Keep::Scored(k, scores) => scored::encode(w_enc, b_enc, x, *k, scores, precision),
    }
}

/// The value of rank `n`, counted from 1, of positive values in descending order.
fn nth_largest(values: &[f32], n: usize) -> f32 {
    let mut values = values.to_vec();
    *values.select_nth_unstable_by(n - 1, |a, b| b.total_cmp(a)).1
}

/// The codes without the entries for which `keep(row, position)` is false.
fn retain(codes: &Codes, mut keep: impl FnMut(usize, usize) -> bool) -> Codes {
    let mut kept = Codes::default();
    for r in 0..codes.n_rows() {
        for position in codes.offsets[r] as usize..codes.offsets[r + 1] as usize {
            if keep(r, position) {
                kept.latents.push(codes.latents[position]);
                kept.values.push(codes.values[position]);
            }
        }
        kept.offsets.push(kept.latents.len() as u32);
    }
    kept
}
