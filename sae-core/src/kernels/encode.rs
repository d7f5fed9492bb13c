//! Encoding: the one dense product, in blocks that stay in cache, with the selection inside.
//!
//! The `[n_rows, d_sae]` matrix of pre-activations never exists: a thread takes a block of rows and
//! walks over blocks of latents; each product of the two is offered to the rows' selections while it
//! is still in cache. Rows are independent, so the result does not depend on the number of threads.

use super::{
    Codes,
    select::{Selected, Selection},
};
use rayon::prelude::*;
use std::cell::RefCell;

/// Most rows of a block: enough that packing the weights, once per block, costs little beside the
/// product.
const MOST_ROWS: usize = 1024;
/// Least rows of a block, unless there are fewer.
const LEAST_ROWS: usize = 64;
/// Latents of a block: the products of a block, at most 1024 × 512 floats, stay near.
const BLOCK_LATENTS: usize = 512;

/// What encoding needs: `pre_acts = W_enc x + b_enc`, then a selection.
#[derive(Debug, Clone, Copy)]
pub struct Encoder<'a> {
    /// `[d_sae, d_in]`
    pub w_enc: &'a [f32],
    /// `[d_sae]`
    pub b_enc: &'a [f32],
    /// Which latents fire.
    pub selection: Selection<'a>,
}

/// Codes of `x` `[n_rows, d_in]`, on all threads of the current rayon pool.
///
/// # Panics
/// If the length of `x` is not a multiple of `d_in = w_enc.len() / b_enc.len()`.
pub fn encode(encoder: &Encoder<'_>, x: &[f32]) -> Codes {
    let d_in = encoder.w_enc.len() / encoder.b_enc.len();
    assert_eq!(x.len() % d_in, 0, "x has {} values, not a multiple of d_in = {d_in}. This is a bug", x.len());
    // Every thread gets a block; what a row comes to does not depend on its block.
    let block_rows = (x.len() / d_in).div_ceil(rayon::current_num_threads()).clamp(LEAST_ROWS, MOST_ROWS);
    let blocks: Vec<Codes> =
        x.par_chunks(block_rows * d_in).map(|x| encode_block(encoder, d_in, x)).collect();
    Codes::concatenate(&blocks)
}

#[derive(Default)]
struct Scratch {
    products: Vec<f32>,
    rows: Vec<Selected>,
}

thread_local! {
    /// Kept between calls: a training step encodes in every millisecond, and fresh pages cost more
    /// than the selection.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

fn encode_block(encoder: &Encoder<'_>, d_in: usize, x: &[f32]) -> Codes {
    SCRATCH.with_borrow_mut(|Scratch { products, rows }| {
        let n_rows = x.len() / d_in;
        products.resize(products.len().max(n_rows * BLOCK_LATENTS), 0.0);
        rows.resize_with(rows.len().max(n_rows), Selected::default);
        let rows = &mut rows[..n_rows];
        rows.iter_mut().for_each(Selected::clear);
        let biases = encoder.b_enc.chunks(BLOCK_LATENTS);
        for (block, (w_enc, b_enc)) in encoder.w_enc.chunks(BLOCK_LATENTS * d_in).zip(biases).enumerate() {
            multiply_transposed(x, w_enc, d_in, products);
            for (row, products) in rows.iter_mut().zip(products.chunks_exact(b_enc.len())) {
                row.offer(encoder.selection, block * BLOCK_LATENTS, products, b_enc);
            }
        }
        let mut codes = Codes::default();
        for row in rows {
            row.finish(encoder.selection);
            codes.push_row(&row.latents, &row.values);
        }
        codes
    })
}

/// `out[r, l] = Σ_i x[r, i] · w[l, i]` on one thread, `out` with rows of `w.len() / d_in`.
fn multiply_transposed(x: &[f32], w: &[f32], d_in: usize, out: &mut [f32]) {
    let (rows, latents) = (x.len() / d_in, w.len() / d_in);
    assert!(out.len() >= rows * latents);
    // SAFETY: the strides describe `out` as [rows, latents], `x` as [rows, d_in] and `w` transposed,
    // [d_in, latents]; all three are initialised and long enough, and `out` overlaps neither input.
    unsafe {
        gemm::gemm(
            rows,
            latents,
            d_in,
            out.as_mut_ptr(),
            1,
            latents as isize,
            false,
            x.as_ptr(),
            1,
            d_in as isize,
            w.as_ptr(),
            d_in as isize,
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
