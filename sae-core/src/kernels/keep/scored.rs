//! The pre-activations of each row with the largest scores, where a score is the pre-activation raised
//! by the latent's effect on a loss (Olmo et al. 2024, *gradient SAEs*, arXiv 2411.10397).

use super::{Codes, Encoder, Precision, Scores, Selection, encode_with};
use crate::kernels::dots;
use rayon::prelude::*;

/// The `k` pre-activations of each row with the largest positive scores among its `scores.candidates`
/// largest pre-activations.
pub(super) fn encode(
    w_enc: &[f32],
    b_enc: &[f32],
    x: &[f32],
    k: usize,
    scores: &Scores,
    precision: Precision,
) -> Codes {
    let selection = match scores.candidates {
        0 => Selection::Positive,
        n => Selection::TopK(n.max(k)),
    };
    let candidates = encode_with(&Encoder { w_enc, b_enc, selection }, x, precision);
    let d = scores.w.len() / b_enc.len();
    let rows: Vec<Vec<usize>> = (0..candidates.n_rows())
        .into_par_iter()
        .with_min_len(32)
        .map(|r| {
            let (latents, values) = candidates.row(r);
            let mut of_row = vec![0.0; latents.len()];
            dots(&scores.gradient[r * d..][..d], latents, &scores.w, &mut of_row);
            for (score, value) in of_row.iter_mut().zip(values) {
                *score = value * (1.0 + scores.boost * score.abs());
            }
            largest(&of_row, k)
        })
        .collect();
    let mut codes = Codes::default();
    for (r, kept) in rows.into_iter().enumerate() {
        let (latents, values) = candidates.row(r);
        let kept: (Vec<u32>, Vec<f32>) = kept.into_iter().map(|i| (latents[i], values[i])).unzip();
        codes.push_row(&kept.0, &kept.1);
    }
    codes
}

/// The places of the `k` largest, in increasing order; of equal ones the earlier.
fn largest(scores: &[f32], k: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..scores.len()).collect();
    if k < places.len() {
        places.select_nth_unstable_by(k, |&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        places.truncate(k);
        places.sort_unstable();
    }
    places
}
