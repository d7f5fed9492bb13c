//! The walk over all pre-activations with a selection for each row.

use super::{
    Codes, Encoder,
    floor::Floor,
    product::Kernel,
    select::{Selected, Selection},
    walk::walk,
};
use std::cell::RefCell;

thread_local! {
    /// Selections of a block's rows, kept between calls for their memory.
    static SELECTED: RefCell<Vec<Selected>> = RefCell::default();
}

/// What a kernel that is precise up to `slack` of a row selects; and the rows, then without codes, whose
/// selection `accept` does not take.
///
/// Rows whose floor was too high are selected again, by the same kernel: which rows that are depends on which
/// thread was faster, and codes must not.
pub(super) fn select(
    kernel: Kernel,
    encoder: &Encoder<'_>,
    x: &[f32],
    floor: &Floor,
    slack: impl Fn(&[f32]) -> f32 + Sync,
    accept: impl Fn(&Selected) -> bool + Sync,
) -> (Codes, Vec<usize>) {
    let Encoder { w_enc, b_enc, selection } = *encoder;
    let d_in = w_enc.len() / b_enc.len();
    let by_rank = matches!(selection, Selection::TopK(_));
    let row = |r: usize| &x[r * d_in..][..d_in];
    let mut blocks = walk(
        kernel,
        (w_enc, b_enc),
        x,
        |rows| {
            let mut selected = SELECTED.take();
            selected.resize_with(selected.len().max(rows.len()), Selected::default);
            for (selected, r) in selected.iter_mut().zip(rows.clone()) {
                selected.clear(slack(row(r)), if by_rank { floor.of(row(r)) } else { 0.0 });
            }
            (selected, rows)
        },
        |(selected, rows), block| {
            let selected = &mut selected[block.first_row - rows.start..];
            for (selected, pre_acts) in selected.iter_mut().zip(block.rows()) {
                selected.offer(selection, block.first_latent, pre_acts);
            }
        },
        |(mut selected, rows)| {
            let (mut codes, mut missed, mut refused) = (Codes::default(), Vec::new(), Vec::new());
            for (selected, r) in selected.iter_mut().zip(rows) {
                selected.finish(selection);
                if by_rank {
                    floor.learn(row(r), selected.bar);
                }
                if !selected.reached_its_floor() {
                    missed.push(r);
                } else if !accept(selected) {
                    refused.push(r);
                } else {
                    codes.push_row(&selected.latents, &selected.values);
                    continue;
                }
                codes.push_row(&[], &[]);
            }
            SELECTED.set(selected);
            (codes, missed, refused)
        },
    );
    let parts: Vec<Codes> = blocks.iter_mut().map(|(codes, _, _)| std::mem::take(codes)).collect();
    let codes = Codes::concatenate(&parts);
    let missed: Vec<usize> = blocks.iter().flat_map(|(_, missed, _)| missed).copied().collect();
    let mut refused: Vec<usize> = blocks.into_iter().flat_map(|(_, _, refused)| refused).collect();
    if missed.is_empty() {
        return (codes, refused);
    }
    let (again, refused_again) =
        select(kernel, encoder, &rows_of(x, d_in, &missed), &Floor::none(), slack, accept);
    refused.extend(refused_again.into_iter().map(|i| missed[i]));
    refused.sort_unstable();
    (with_rows(codes, &missed, again), refused)
}

/// Some rows of `x`.
pub(super) fn rows_of(x: &[f32], d_in: usize, rows: &[usize]) -> Vec<f32> {
    rows.iter().flat_map(|&r| &x[r * d_in..][..d_in]).copied().collect()
}

/// The codes with others in the place of some rows, which increase.
pub(super) fn with_rows(codes: Codes, rows: &[usize], others: Codes) -> Codes {
    if others.n_rows() == codes.n_rows() {
        return others;
    }
    let mut whole = Codes::default();
    let mut rows = rows.iter().enumerate().peekable();
    for r in 0..codes.n_rows() {
        let replaced = rows.next_if(|&(_, &other)| other == r);
        let (latents, values) = replaced.map_or_else(|| codes.row(r), |(i, _)| others.row(i));
        whole.push_row(latents, values);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Precision, encode_with, waves::noise};

    /// Rows with a floor from the others have, bit for bit, the codes that they have alone: also the few that
    /// lie below it, those with fewer than `k` positive pre-activations, and those with about as many
    /// candidates as are allowed.
    #[test]
    fn floors_change_nothing() {
        let (d, n_rows, k) = (32, 4000, 8);
        for (d_sae, differ) in [(256, 0.5), (96, 0.25)] {
            let common = noise(d, 1);
            let mut w = noise(d_sae * d, 2);
            w.iter_mut().enumerate().for_each(|(i, w)| *w = common[i % d] + differ * *w);
            let mut x = noise(n_rows * d, 3);
            for (r, x) in x.chunks_exact_mut(d).enumerate() {
                // Unlike the first ones.
                let towards = match r {
                    2500.. if r % 100 == 0 => -2.0,
                    2500.. if r % 100 == 50 => 0.0,
                    _ => 2.0,
                };
                x.iter_mut()
                    .zip(&common)
                    .for_each(|(x, common)| *x = (r % 9) as f32 * (towards * common + *x));
            }
            let b = vec![0.0; d_sae];
            let encoder = Encoder { w_enc: &w, b_enc: &b, selection: Selection::TopK(k) };
            // With more threads all rows would have begun before any tells something.
            let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
            let (floor, alike) = (Floor::unknown(), &x[..2500 * d]);
            pool.install(|| select(Kernel::detect(), &encoder, alike, &floor, |_| 0.0, |_| true));
            assert!(floor.of(&x[d..2 * d]) > 0.0, "no row would have a floor");
            for precision in [Precision::F32, Precision::Bf16Candidates] {
                let codes = pool.install(|| encode_with(&encoder, &x, precision));
                for (r, x) in x.chunks_exact(d).enumerate() {
                    let alone = encode_with(&encoder, x, precision);
                    assert_eq!(codes.row(r), alone.row(0), "row {r} of {d_sae}, {precision:?}");
                }
            }
        }
    }
}
