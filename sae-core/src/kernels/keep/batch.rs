//! The largest pre-activations of a whole batch (Bussmann et al. 2024, *BatchTopK*, arXiv 2412.06410).

use super::{Codes, Encoder, Precision, Selection, encode as encode_rows, encode_with, nth_largest, retain};

/// Rows whose largest pre-activations tell where the bar will stand.
const SAMPLE: usize = 64;

/// The `n` largest positive pre-activations of the batch.
///
/// A sample of the rows gives a bar that somewhat more than `n` should pass; only those are collected,
/// and the choice among them is exact. Should too few pass, the bar is lowered and the rows encoded again.
pub(super) fn encode(w_enc: &[f32], b_enc: &[f32], x: &[f32], n: usize, precision: Precision) -> Codes {
    let d_in = w_enc.len() / b_enc.len();
    let n_rows = x.len() / d_in;
    let above = |bar: f32| {
        let threshold = vec![bar; b_enc.len()];
        encode_with(&Encoder { w_enc, b_enc, selection: Selection::Above(&threshold) }, x, precision)
    };
    let mut aim = 1.25;
    let codes = loop {
        let bar = bar(w_enc, b_enc, x, aim * n as f64 / n_rows.max(1) as f64);
        let codes = above(bar);
        if codes.nnz() >= n || bar == 0.0 {
            break codes;
        }
        aim *= 2.0;
    };
    largest(codes, n)
}

/// A bar that about `per_row` pre-activations of a row pass, by a sample of evenly spaced rows; 0 if all
/// positive ones are wanted.
fn bar(w_enc: &[f32], b_enc: &[f32], x: &[f32], per_row: f64) -> f32 {
    let d_in = w_enc.len() / b_enc.len();
    let n_rows = x.len() / d_in;
    let sampled = SAMPLE.min(n_rows);
    let wanted = (per_row * sampled as f64).ceil() as usize;
    if sampled == 0 || per_row * 8.0 >= b_enc.len() as f64 {
        return 0.0;
    }
    let row = |i: usize| &x[i * n_rows / sampled * d_in..][..d_in];
    let sample: Vec<f32> = (0..sampled).flat_map(row).copied().collect();
    // Few rows have more than eight times the mean.
    let k = (8.0 * per_row).ceil() as usize;
    let values = encode_rows(&Encoder { w_enc, b_enc, selection: Selection::TopK(k) }, &sample).values;
    // The number before it, so that equal ones pass.
    if wanted == 0 || values.len() < wanted {
        0.0
    } else {
        f32::from_bits(nth_largest(&values, wanted).to_bits().saturating_sub(1))
    }
}

/// The `n` largest entries; of equal ones the earlier row, then the lower latent.
pub(super) fn largest(codes: Codes, n: usize) -> Codes {
    if codes.nnz() <= n {
        return codes;
    }
    if n == 0 {
        return retain(&codes, |_, _| false);
    }
    let smallest = nth_largest(&codes.values, n);
    let mut room = n - codes.values.iter().filter(|&&value| value > smallest).count();
    retain(&codes, |_, position| {
        let value = codes.values[position];
        let tie = value == smallest && room > 0;
        room -= usize::from(tie);
        value > smallest || tie
    })
}
