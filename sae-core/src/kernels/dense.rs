//! Sparse operations as dense products, for codes that are not sparse: a ReLU SAE begins its training
//! with half of its latents active on every row.
//!
//! Reading a row of weights for each active latent costs more than multiplying it with the zeros of a few
//! others. Codes are spread out into blocks, never as a whole `[n_rows, d_sae]` matrix.

use super::{ByLatent, Codes, build, build_beside};
use rayon::prelude::*;
use std::{cell::RefCell, ops::Range};

/// Floats of a block that is spread out, 8 MiB of them; a block has at most [`MOST`] rows.
const BLOCK: usize = 2 << 20;
/// Beyond this a product gains nothing from having more rows.
const MOST: usize = 256;

/// Rows of a block that is spread out, each of `d`.
fn block_rows(d: usize) -> usize {
    (BLOCK / d.max(1)).clamp(16, MOST)
}

thread_local! {
    /// A block spread out, kept between calls.
    static SCRATCH: RefCell<Vec<f32>> = RefCell::default();
}

fn with_scratch<T>(len: usize, use_it: impl FnOnce(&mut [f32]) -> T) -> T {
    // Taken out: what runs inside may be another block, if this thread waits in it.
    let mut scratch = SCRATCH.take();
    scratch.resize(scratch.len().max(len), 0.0);
    let result = use_it(&mut scratch[..len]);
    SCRATCH.set(scratch);
    result
}

/// See [`super::decode()`].
pub(super) fn decode(codes: &Codes, values: &[f32], w_dec: &[f32], bias: &[f32]) -> Vec<f32> {
    let (d, d_sae) = (bias.len(), w_dec.len() / bias.len());
    let block_rows = block_rows(d_sae);
    build(codes.n_rows() * d, block_rows * d, 1, |block, out| {
        let (first, n_rows) = (block * block_rows, out.len() / d);
        with_scratch(n_rows * d_sae, |acts| {
            acts.fill(0.0);
            for (r, acts) in acts.chunks_exact_mut(d_sae).enumerate() {
                let entries = codes.entries(first + r);
                for (&latent, &value) in codes.latents[entries.clone()].iter().zip(&values[entries]) {
                    acts[latent as usize] = value;
                }
            }
            out.chunks_exact_mut(d).for_each(|out| out.copy_from_slice(bias));
            multiply_add(acts, w_dec, d_sae, out);
        });
    })
}

/// See [`super::decode_grad_values`]; fills `out` `[nnz]` of the rows from `first` on.
pub(super) fn decode_grad_values(codes: &Codes, w_dec: &[f32], grad: &[f32], out: &mut [f32]) {
    let d = grad.len() / codes.n_rows();
    let d_sae = w_dec.len() / d;
    codes.split_rows(out, block_rows(d_sae)).into_par_iter().for_each(|(rows, out)| {
        with_scratch(rows.len() * d_sae, |all| {
            all.fill(0.0);
            multiply_rows_add(&grad[rows.start * d..rows.end * d], w_dec, d, all);
            let mut out = out.iter_mut();
            for (r, all) in rows.zip(all.chunks_exact(d_sae)) {
                for (&latent, out) in codes.row(r).0.iter().zip(&mut out) {
                    *out = all[latent as usize];
                }
            }
        });
    });
}

/// See [`super::decode::grad_weights_and_sums`]; `weights` gives those of a range of `by_latent`'s entries.
pub(super) fn grad_weights(
    by_latent: &ByLatent,
    weights: impl Fn(Range<usize>, &mut Vec<f32>) + Sync,
    matrix: &[f32],
    d: usize,
) -> (Vec<f32>, Vec<f32>) {
    let n_rows = matrix.len() / d;
    let block_latents = block_rows(n_rows);
    let mut sums = vec![0.0; by_latent.d_sae()];
    let beside = sums.chunks_mut(block_latents).enumerate().collect();
    let len = by_latent.d_sae() * d;
    let grad = build_beside(len, block_latents * d, beside, |out, (block, sums): (usize, &mut [f32])| {
        let first = block * block_latents;
        with_scratch(out.len() / d * n_rows, |acts| {
            acts.fill(0.0);
            let mut of_latent = Vec::new();
            for (l, (acts, sum)) in acts.chunks_exact_mut(n_rows).zip(sums).enumerate() {
                let entries = by_latent.entries(first + l);
                weights(entries.clone(), &mut of_latent);
                *sum = of_latent.iter().sum();
                for (&row, &weight) in by_latent.rows()[entries].iter().zip(&of_latent) {
                    acts[row as usize] = weight;
                }
            }
            multiply_add(acts, matrix, n_rows, out);
        });
    });
    (grad, sums)
}

/// `out[r, c] += Σ_i a[r, i] · b[i, c]` on one thread, `a` `[_, n]`, `b` `[n, _]`.
fn multiply_add(a: &[f32], b: &[f32], n: usize, out: &mut [f32]) {
    let columns = b.len() / n;
    assert!(b.len() == n * columns && a.len() * columns == out.len() * n);
    // SAFETY: as the assertion says, the strides describe all of three initialised buffers, and `out`,
    // borrowed mutably, overlaps neither input.
    unsafe { product(a.len() / n, columns, n, out, a, (b, columns as isize, 1)) };
}

/// `out[r, c] += Σ_i a[r, i] · b[c, i]` on one thread, `a` `[_, n]`, `b` `[_, n]`.
pub(super) fn multiply_rows_add(a: &[f32], b: &[f32], n: usize, out: &mut [f32]) {
    let columns = b.len() / n;
    assert!(b.len() == n * columns && a.len() * columns == out.len() * n);
    // SAFETY: as above.
    unsafe { product(a.len() / n, columns, n, out, a, (b, 1, n as isize)) };
}

/// # Safety
/// `out` must hold `[rows, columns]`, `a` `[rows, n]` and `b`, with the strides of its dimensions given,
/// `[n, columns]`.
unsafe fn product(
    rows: usize,
    columns: usize,
    n: usize,
    out: &mut [f32],
    a: &[f32],
    (b, b_row, b_column): (&[f32], isize, isize),
) {
    // SAFETY: as the caller says.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            n,
            out.as_mut_ptr(),
            1,
            columns as isize,
            true,
            a.as_ptr(),
            1,
            n as isize,
            b.as_ptr(),
            b_column,
            b_row,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
