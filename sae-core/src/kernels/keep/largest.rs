//! The largest pre-activations of each row whatever their sign (Makhzani & Frey 2013, *k-Sparse
//! Autoencoders*, arXiv 1312.5663).

use super::{Codes, Encoder, Precision, Selection, encode_with};
use crate::kernels::dot;

/// The `k` largest pre-activations of each row, for an encoder that keeps the `k` largest positive ones.
///
/// A row nearly always has `k` positive ones. Where it has fewer, all pre-activations of that row are
/// computed.
pub(super) fn encode(encoder: &Encoder<'_>, x: &[f32], precision: Precision) -> Codes {
    let Encoder { w_enc, b_enc, .. } = *encoder;
    let Selection::TopK(k) = encoder.selection else { unreachable!("as `encode_keeping` calls it") };
    let (d_in, k) = (w_enc.len() / b_enc.len(), k.min(b_enc.len()));
    let positive = encode_with(encoder, x, precision);
    if positive.nnz() == k * positive.n_rows() {
        return positive;
    }
    let mut codes = Codes::default();
    for (r, x) in x.chunks_exact(d_in).enumerate() {
        let (latents, values) = positive.row(r);
        if latents.len() == k {
            codes.push_row(latents, values);
        } else {
            let (latents, values) = largest_of_row(w_enc, b_enc, x, k);
            codes.push_row(&latents, &values);
        }
    }
    codes
}

fn largest_of_row(w_enc: &[f32], b_enc: &[f32], x: &[f32], k: usize) -> (Vec<u32>, Vec<f32>) {
    let pre_acts: Vec<f32> = w_enc.chunks_exact(x.len()).zip(b_enc).map(|(w, b)| dot(w, x) + b).collect();
    let mut order: Vec<u32> = (0..b_enc.len() as u32).collect();
    order.sort_by(|&a, &b| pre_acts[b as usize].total_cmp(&pre_acts[a as usize]).then(a.cmp(&b)));
    order.truncate(k);
    order.sort_unstable();
    let values = order.iter().map(|&latent| pre_acts[latent as usize]).collect();
    (order, values)
}
