//! Encoding: the latents that fire and their values, in f32 or among candidates found by bf16.
//!
//! Rows are independent, so the result does not depend on the number of threads.

use super::{
    Codes,
    bf16::Bound,
    dots,
    floor::Floor,
    product::Kernel,
    select::{Selected, Selection},
    selections::{rows_of, select, with_rows},
};
use rayon::prelude::*;

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

/// How precisely the product is computed from which latents are selected. The codes are those of f32
/// either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// All pre-activations in f32.
    #[default]
    F32,
    /// Candidates by a product of numbers rounded to bf16, about twice as fast where the processor has
    /// AVX512-BF16; elsewhere as [`Precision::F32`].
    ///
    /// What rounding can change is bounded for each row, and the pre-activations of all latents that the
    /// bound does not exclude are computed in f32. So the selection differs from that of
    /// [`Precision::F32`] only where pre-activations are equal but for the order of summation. Rows with
    /// so many candidates that this is slower, and numbers too large for a bound, are encoded in f32.
    Bf16Candidates,
}

/// Codes of `x` `[n_rows, d_in]`, on all threads of the current rayon pool.
///
/// # Panics
/// If the length of `x` is not a multiple of `d_in = w_enc.len() / b_enc.len()`.
pub fn encode(encoder: &Encoder<'_>, x: &[f32]) -> Codes {
    encode_with(encoder, x, Precision::F32)
}

/// [`encode`] with the given precision.
///
/// # Panics
/// As [`encode`].
pub fn encode_with(encoder: &Encoder<'_>, x: &[f32], precision: Precision) -> Codes {
    let Encoder { w_enc, b_enc, .. } = *encoder;
    let d_in = w_enc.len() / b_enc.len();
    let kernel = Kernel::detect_bf16().filter(|_| precision == Precision::Bf16Candidates);
    let bounded = kernel.and_then(|kernel| Some((kernel, Bound::new(w_enc, b_enc, d_in)?)));
    let Some((kernel, bound)) = bounded.filter(|_| !is_dense(encoder, x, d_in)) else {
        return in_f32(encoder, x);
    };
    let most = b_enc.len() / MOST_CANDIDATES;
    let few = |row: &Selected| row.slack.is_finite() && row.latents.len() <= most;
    let (candidates, refused) = select(kernel, encoder, x, &Floor::unknown(), |x| bound.at(x), few);
    let codes = among(&candidates, encoder, x);
    if refused.is_empty() {
        return codes;
    }
    let again = in_f32(encoder, &rows_of(x, d_in, &refused));
    with_rows(codes, &refused, again)
}

fn in_f32(encoder: &Encoder<'_>, x: &[f32]) -> Codes {
    select(Kernel::detect(), encoder, x, &Floor::unknown(), |_| 0.0, |_| true).0
}

/// The codes of rows among whose candidates are all their latents.
///
/// For all rows together and not while the candidates are found: the rows of `W_enc` then stay in cache
/// until they are needed again.
fn among(candidates: &Codes, encoder: &Encoder<'_>, x: &[f32]) -> Codes {
    const BLOCK_ROWS: usize = 32;
    let Encoder { w_enc, b_enc, selection } = *encoder;
    let d_in = w_enc.len() / b_enc.len();
    let block = |first: usize| {
        let (mut codes, mut selected) = (Codes::default(), Selected::default());
        for r in first..candidates.n_rows().min(first + BLOCK_ROWS) {
            let (latents, at_most) = candidates.row(r);
            selected.restart(latents, at_most);
            dots(&x[r * d_in..][..d_in], latents, w_enc, &mut selected.values);
            selected.finish_exactly(selection, b_enc);
            codes.push_row(&selected.latents, &selected.values);
        }
        codes
    };
    let blocks: Vec<Codes> =
        (0..candidates.n_rows()).into_par_iter().step_by(BLOCK_ROWS).map(block).collect();
    Codes::concatenate(&blocks)
}

/// From one candidate in so many latents on, computing a row again by the product is no slower.
const MOST_CANDIDATES: usize = 8;

/// Rows of which a sample tells whether the others have too many candidates.
const SAMPLED: usize = 16;

/// Whether a sample of many rows has so many latents above their thresholds that looking for candidates
/// first would be wasted, as at the beginning of a training without `k`.
fn is_dense(encoder: &Encoder<'_>, x: &[f32], d_in: usize) -> bool {
    let n_rows = x.len() / d_in;
    if matches!(encoder.selection, Selection::TopK(_)) || n_rows < 16 * SAMPLED {
        return false;
    }
    let sample: Vec<f32> =
        (0..SAMPLED).flat_map(|i| &x[i * n_rows / SAMPLED * d_in..][..d_in]).copied().collect();
    // Candidates are more than the latents that fire.
    encode(encoder, &sample).nnz() * MOST_CANDIDATES * 2 > SAMPLED * encoder.b_enc.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::waves::noise;
    use proptest::prelude::*;

    /// At the size of real batches: 131,072 selections, of which at most one in 10⁵ may differ, and then
    /// only by what rounding decides.
    #[test]
    fn candidates_hardly_ever_differ() {
        let (d, d_sae, n_rows, k) = (384, 3072, 4096, 32);
        let (w, x) = (noise(d_sae * d, 5), noise(n_rows * d, 6));
        let b = vec![0.0; d_sae];
        let encoder = Encoder { w_enc: &w, b_enc: &b, selection: Selection::TopK(k) };
        let (exact, codes) = (encode(&encoder, &x), encode_with(&encoder, &x, Precision::Bf16Candidates));
        let differ = |r: usize| codes.row(r).0.iter().filter(|&l| !exact.row(r).0.contains(l)).count();
        assert_eq!(exact.nnz(), n_rows * k);
        let differing: usize = (0..n_rows).map(differ).sum();
        assert!(differing <= exact.nnz() / 100_000, "{differing} of {} selections differ", exact.nnz());
        for (a, b) in codes.values.iter().zip(&exact.values) {
            assert!((a - b).abs() <= 1e-5 * b.abs(), "{a} and {b}");
        }
    }

    /// Half of the latents are above 0: candidates would be of no use.
    #[test]
    fn dense_rows_are_encoded_in_f32() {
        let (d, d_sae, n_rows) = (32, 256, 16 * SAMPLED);
        let (w, x) = (noise(d_sae * d, 5), noise(n_rows * d, 6));
        let (b, dense, sparse) = (vec![0.0; d_sae], vec![0.0; d_sae], vec![6.0; d_sae]);
        let with = |threshold| Encoder { w_enc: &w, b_enc: &b, selection: Selection::Over(threshold) };
        assert!(is_dense(&with(&dense), &x, d));
        assert!(!is_dense(&with(&sparse), &x, d));
        let codes = encode_with(&with(&dense), &x, Precision::Bf16Candidates);
        assert_eq!(codes, encode(&with(&dense), &x));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        /// Weights that differ by less than bf16 can tell, so that rounding alone would select others.
        #[test]
        fn candidates_by_bf16_give_the_codes_of_f32(
            d in 1usize..200, d_sae in 1usize..900, n_rows in 1usize..50, k in 1usize..40,
            alike in 0.0005f32..0.5, size in -40i32..40, bias in 0f32..0.1, seed: u32,
        ) {
            let common = noise(d, seed);
            let scale = 2.0f32.powi(size);
            let w: Vec<f32> =
                noise(d_sae * d, seed ^ 1).iter().enumerate().map(|(i, a)| (common[i % d] + alike * a) / scale).collect();
            let x: Vec<f32> =
                noise(n_rows * d, seed ^ 2).iter().enumerate().map(|(i, a)| (common[i % d] + a) * scale).collect();
            let b: Vec<f32> = noise(d_sae, seed ^ 3).iter().map(|b| b * bias).collect();
            // Some rows are rounded without loss, some have no bound.
            let mut x = x;
            x[..d].fill(0.0);
            if seed.is_multiple_of(3) {
                x[(n_rows - 1) * d] = f32::INFINITY;
            }
            let threshold: Vec<f32> = noise(d_sae, seed ^ 4).iter().map(|t| t * d as f32 * 0.5).collect();
            for selection in [
                Selection::TopK(k.min(d_sae)),
                Selection::Above(&threshold),
                Selection::Over(&threshold),
                Selection::Positive,
            ] {
                let encoder = Encoder { w_enc: &w, b_enc: &b, selection };
                let exact = encode(&encoder, &x);
                let codes = encode_with(&encoder, &x, Precision::Bf16Candidates);
                prop_assert_eq!(codes.n_rows(), n_rows);
                for r in 0..n_rows {
                    let ((latents, values), (expected, expected_values)) = (codes.row(r), exact.row(r));
                    // What two orders of summation may differ by.
                    let close = |a: f32, b: f32| (a - b).abs() <= 1e-6 * d as f32 * (1.0 + a.abs()) || a == b;
                    prop_assert!(latents.is_sorted_by(|a, b| a < b));
                    let smallest = expected_values.iter().copied().fold(f32::INFINITY, f32::min);
                    let one_way = latents.iter().zip(values).filter(|(l, _)| !expected.contains(l));
                    let other_way = expected.iter().zip(expected_values).filter(|(l, _)| !latents.contains(l));
                    for (&latent, &value) in one_way.chain(other_way) {
                        let edge = match selection {
                            Selection::TopK(_) => smallest,
                            Selection::Above(threshold) => threshold[latent as usize].max(0.0),
                            Selection::Over(threshold) => threshold[latent as usize],
                            Selection::Positive => 0.0,
                        };
                        prop_assert!(close(value, edge) || close(value, 0.0), "{value} at {edge}");
                    }
                    for (latent, &value) in latents.iter().zip(values) {
                        if let Ok(i) = expected.binary_search(latent) {
                            prop_assert!(close(value, expected_values[i]) || value.is_nan());
                        }
                    }
                }
            }
        }
    }
}
