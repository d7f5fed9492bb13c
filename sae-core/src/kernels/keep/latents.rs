//! The largest pre-activations of each latent over the rows (Ayonrinde 2024, *Feature Choice*, arXiv
//! 2411.02124).

use super::{Codes, Encoder, Precision, Selection, batch, encode_with};

/// For each latent the `budgets[l]` largest positive pre-activations over the rows.
///
/// This is the choice per row with inputs and latents in each other's place: `W_enc` is encoded with the
/// rows as weights, the bias as one more dimension whose weight is 1. Latents of similar budgets are
/// encoded together, and each then keeps its own number.
pub(super) fn encode(
    w_enc: &[f32],
    b_enc: &[f32],
    x: &[f32],
    budgets: &[u32],
    precision: Precision,
) -> Codes {
    let (d_sae, d_in) = (b_enc.len(), w_enc.len() / b_enc.len());
    let n_rows = x.len() / d_in;
    let mut rows = Vec::with_capacity(n_rows * (d_in + 1));
    x.chunks_exact(d_in).for_each(|x| rows.extend(x.iter().copied().chain([1.0])));
    let no_bias = vec![0.0; n_rows];
    let mut entries = Entries::default();
    for class in 0..=budgets.iter().filter_map(|budget| budget.checked_ilog2()).max().unwrap_or(0) {
        let in_class = |&l: &usize| budgets[l] > 0 && budgets[l].ilog2() == class;
        let latents: Vec<usize> = (0..d_sae).filter(in_class).collect();
        let Some(k) = latents.iter().map(|&l| budgets[l]).max() else { continue };
        let weights: Vec<f32> = latents
            .iter()
            .flat_map(|&l| w_enc[l * d_in..][..d_in].iter().chain([&b_enc[l]]))
            .copied()
            .collect();
        let selection = Selection::TopK((k as usize).min(n_rows));
        let encoder = Encoder { w_enc: &rows, b_enc: &no_bias, selection };
        let turned = encode_with(&encoder, &weights, precision);
        for (i, &latent) in latents.iter().enumerate() {
            let (rows, values) = turned.row(i);
            let one = Codes {
                offsets: vec![0, rows.len() as u32],
                latents: rows.to_vec(),
                values: values.to_vec(),
            };
            let kept = batch::largest(one, budgets[latent] as usize);
            entries.add(latent as u32, &kept.latents, &kept.values);
        }
    }
    entries.by_row(n_rows)
}

/// `(row, latent, value)` in any order.
#[derive(Default)]
struct Entries(Vec<(u32, u32, f32)>);

impl Entries {
    fn add(&mut self, latent: u32, rows: &[u32], values: &[f32]) {
        self.0.extend(rows.iter().zip(values).map(|(&row, &value)| (row, latent, value)));
    }

    fn by_row(mut self, n_rows: usize) -> Codes {
        self.0.sort_unstable_by_key(|&(row, latent, _)| (row, latent));
        let mut codes = Codes { offsets: vec![0; n_rows + 1], ..Codes::default() };
        for &(row, latent, value) in &self.0 {
            codes.offsets[row as usize + 1] += 1;
            codes.latents.push(latent);
            codes.values.push(value);
        }
        for r in 0..n_rows {
            codes.offsets[r + 1] += codes.offsets[r];
        }
        codes
    }
}
