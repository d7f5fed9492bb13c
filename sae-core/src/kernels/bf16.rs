//! Rounding to bf16, and how far a product of rounded vectors can be from the exact one.
//!
//! A bf16 is the upper half of an f32: 8 bits of precision. Processors multiply pairs of them at twice
//! the rate of f32, into sums of f32.

use super::{dot, simd::multiversion};
use rayon::prelude::*;

/// `a` rounded to the nearest bf16, of two equally near ones the even one, as the bits of an f32.
#[inline(always)]
fn round(a: f32) -> u32 {
    let bits = a.to_bits();
    bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000
}

multiversion! {
    /// The halves of a row, rounded and side by side: `pairs[i]` holds the bits of `row[i]` and of
    /// `row[i + n]`, `n = pairs.len()`, or 0 if the row has no such value.
    pub(super) fn pair_halves(row: &[f32], pairs: &mut [f32]) = pair_halves_body
}

#[inline(always)]
fn pair_halves_body<const FMA: bool>(row: &[f32], pairs: &mut [f32]) {
    let (first, second) = row.split_at(pairs.len());
    for ((pair, &a), &b) in pairs.iter_mut().zip(first).zip(second) {
        *pair = f32::from_bits(round(a) >> 16 | round(b));
    }
    if second.len() < first.len() {
        pairs[second.len()] = f32::from_bits(round(first[second.len()]) >> 16);
    }
}

/// Lengths of a vector and of what rounding takes from it, neither too short.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    whole: f32,
    rest: f32,
}

impl Lengths {
    fn of(row: &[f32]) -> Self {
        let length = |squares: f32| {
            // What underflows, here or in the product, and the rounding of the sum itself.
            (squares + row.len() as f32 * f32::MIN_POSITIVE).sqrt() * (1.0 + 1.0 / 512.0)
        };
        Self { whole: length(dot(row, row)), rest: length(squares_of_rests(row)) }
    }
}

multiversion! {
    /// `Σ (a − round(a))²`; the differences are exact.
    fn squares_of_rests(row: &[f32]) -> f32 = squares_of_rests_body
}

#[inline(always)]
fn squares_of_rests_body<const FMA: bool>(row: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let (chunks, tail) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            sums[i] += (chunk[i] - f32::from_bits(round(chunk[i]))).powi(2);
        }
    }
    for (sum, &a) in sums.iter_mut().zip(tail) {
        *sum += (a - f32::from_bits(round(a))).powi(2);
    }
    sums.iter().sum()
}

/// How far pre-activations of rounded inputs and weights can be from those computed in f32.
///
/// With `ã = a − δa` for what is rounded, `w·x − w̃·x̃ = w̃·δx + δw·x`, so by Cauchy and Schwarz
///
/// ```text
/// |w·x − w̃·x̃| ≤ ‖w̃‖ ‖δx‖ + ‖δw‖ ‖x‖
/// ```
///
/// with lengths that are computed, not assumed: a fifth of what `‖w‖ ‖x‖` and the precision of bf16
/// alone would give. To this comes the rounding of both sums in f32: at most `2⁻²³ ‖w‖ ‖x‖` for each of
/// their terms, and of the bias's addition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    /// The longest of all weight rows.
    weights: Lengths,
    bias: f32,
    d: usize,
}

impl Bound {
    /// For weights `w` `[_, d]`; none if they are not finite.
    pub(super) fn new(w: &[f32], b: &[f32], d: usize) -> Option<Self> {
        let longer =
            |a: Lengths, b: Lengths| Lengths { whole: a.whole.max(b.whole), rest: a.rest.max(b.rest) };
        let finite = |a: &Lengths| a.whole.is_finite() && a.rest.is_finite();
        let lengths: Vec<Lengths> = w.par_chunks_exact(d).with_min_len(16).map(Lengths::of).collect();
        let bias = b.iter().fold(0.0f32, |most, b| most.max(b.abs()));
        if !lengths.iter().all(finite) || !b.iter().all(|b| b.is_finite()) {
            return None;
        }
        let weights = lengths.into_iter().reduce(longer)?;
        Some(Self { weights, bias, d })
    }

    /// For all latents at an input; not finite if the input is not or its pre-activations might not be.
    pub(super) fn at(&self, x: &[f32]) -> f32 {
        let (w, x) = (self.weights, Lengths::of(x));
        let summing = (self.d + 8) as f32 * 2.0f32.powi(-22);
        let far = (w.whole + w.rest) * (x.rest + summing * x.whole) + w.rest * x.whole;
        (far + 2.0f32.powi(-21) * self.bias) * (1.0 + 1.0 / 512.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rounding_is_to_the_nearest(a in -1e30f32..1e30) {
            prop_assert_eq!(f32::from_bits(round(a)), half::bf16::from_f32(a).to_f32());
        }

        #[test]
        fn products_of_rounded_vectors_are_within_the_bound(d in 1usize..300, size in -30i32..30, step in 0.01f32..3.0) {
            let scale = 2.0f32.powi(size);
            let x: Vec<f32> = (0..d).map(|i| (i as f32 * step).sin() * scale).collect();
            let w: Vec<f32> = (0..d).map(|i| (i as f32 * step + 0.1).sin() / scale).collect();
            let product = |f: fn(f32) -> f32| -> f64 {
                x.iter().zip(&w).map(|(&x, &w)| f64::from(f(x)) * f64::from(f(w))).sum()
            };
            let far = (product(|a| a) - product(|a| f32::from_bits(round(a)))).abs();
            let bound = f64::from(Bound::new(&w, &[0.0], d).expect("finite").at(&x));
            prop_assert!(far <= bound, "{far} is more than {bound}");
            // And no more than rounding to 8 bits explains.
            prop_assert!(bound <= (0.01 + d as f64 * 1e-6) * d as f64);
        }
    }
}
