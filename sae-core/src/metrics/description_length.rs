//! How many bits the codes of a row take (Ayonrinde, Pearce & Sharkey 2024, *Interpretability as
//! compression*, arXiv 2410.11179).
//!
//! ```text
//! DL = Σ_i  H2(p_i) + p_i · H(bin | a_i > 0)      bits per row
//! ```
//!
//! `p_i` is the fraction of rows on which latent `i` fires and `H2` the entropy of firing or not; the
//! value is then told by its bin, so zeros take none. Latents count as independent.
//!
//! The bins of a latent are [`BINS`] equal parts of `(0, r]`, each open below and closed above, with `r`
//! the least power of two not below its largest value. A value beyond `r` doubles it, and bins merge in
//! pairs: so one pass suffices, and neither batches nor the order of rows change the result.

use crate::Codes;

/// Bins of a latent's values. Since `r` may be up to twice the largest value, at least half are in use.
pub const BINS: usize = 32;

/// Gathers the description length of codes batch by batch.
#[derive(Debug, Clone)]
pub struct DescriptionLength {
    n_rows: u64,
    /// `[d_sae]`: `log2 r`; meaningless until the latent fires.
    exponents: Vec<i32>,
    /// `[d_sae, BINS]`
    counts: Vec<[u64; BINS]>,
}

impl DescriptionLength {
    /// Nothing gathered yet.
    pub fn new(d_sae: usize) -> Self {
        Self { n_rows: 0, exponents: vec![i32::MIN; d_sae], counts: vec![[0; BINS]; d_sae] }
    }

    /// Takes note of the codes of some rows.
    pub fn add(&mut self, codes: &Codes) {
        self.n_rows += codes.n_rows() as u64;
        for (&latent, &value) in codes.latents.iter().zip(&codes.values) {
            let (range, counts) = (&mut self.exponents[latent as usize], &mut self.counts[latent as usize]);
            let exponent = exponent_of(value);
            if exponent > *range {
                for _ in 0..exponent.saturating_sub(*range).min(BINS.ilog2() as i32) {
                    merge_pairs(counts);
                }
                *range = exponent;
            }
            // Exact: both factors besides the value are powers of two. An infinite value goes to the last bin.
            let place = f64::from(value) * (BINS as f64 * f64::from(-*range).exp2());
            counts[(place.ceil() as usize).clamp(1, BINS) - 1] += 1;
        }
    }

    /// Bits per row over all rows given; 0 if there were none.
    pub fn bits_per_row(&self) -> f64 {
        self.counts.iter().map(|counts| bits(counts, self.n_rows as f64)).sum()
    }
}

/// `H2(p) + p · H(bin | it fires)` of a latent.
fn bits(counts: &[u64; BINS], n_rows: f64) -> f64 {
    let firings = counts.iter().sum::<u64>() as f64;
    if firings == 0.0 {
        return 0.0;
    }
    let term = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
    let p = firings / n_rows;
    term(p) + term(1.0 - p) + p * counts.iter().map(|&count| term(count as f64 / firings)).sum::<f64>()
}

/// The least `e` with `value <= 2^e`, for a positive value; −126 for the smallest.
fn exponent_of(value: f32) -> i32 {
    let (biased, mantissa) = ((value.to_bits() >> 23) as i32, value.to_bits() & 0x7f_ffff);
    (biased - 127 + i32::from(mantissa > 0)).max(-126)
}

/// The bins of twice the range.
fn merge_pairs(counts: &mut [u64; BINS]) {
    for bin in 0..BINS {
        counts[bin] = counts.get(2 * bin..2 * bin + 2).map_or(0, |pair| pair.iter().sum());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Codes of rows in which each latent has the value given, none where it is 0.
    fn codes<const D: usize>(rows: &[[f32; D]]) -> Codes {
        let mut codes = Codes::default();
        for row in rows {
            for (latent, &value) in row.iter().enumerate().filter(|(_, value)| **value > 0.0) {
                codes.latents.push(latent as u32);
                codes.values.push(value);
            }
            codes.offsets.push(codes.latents.len() as u32);
        }
        codes
    }

    fn bits_per_row<const D: usize>(rows: &[[f32; D]]) -> f64 {
        let mut gathered = DescriptionLength::new(D);
        gathered.add(&codes(rows));
        gathered.bits_per_row()
    }

    #[test]
    fn a_coin_takes_one_bit_and_one_with_eight_equally_likely_values_two_and_a_half() {
        assert_eq!(bits_per_row(&[[0.0], [3.0]]), 1.0);
        let eight: Vec<[f32; 1]> = (1..=8).flat_map(|value| [[0.0], [value as f32 * 0.7]]).collect();
        assert_eq!(bits_per_row(&eight), 2.5);
        // Independent latents add up, and one that never or always fires with one value takes none.
        let all: Vec<[f32; 4]> = eight.iter().map(|[value]| [*value, *value, 0.0, 5.0]).collect();
        assert_eq!(bits_per_row(&all), 5.0);
        assert_eq!(DescriptionLength::new(3).bits_per_row(), 0.0);
    }

    #[test]
    fn values_of_one_bin_are_alike() {
        // Of 32 bins of (0, 1], the last is (31/32, 1] and the one before ends with 31/32.
        assert_eq!(bits_per_row(&[[0.97], [1.0]]), 0.0);
        assert_eq!(bits_per_row(&[[31.0 / 32.0], [1.0]]), 1.0);
    }

    #[test]
    fn powers_of_two_are_the_ends_of_their_ranges() {
        for (value, exponent) in [(1.0, 0), (1.1, 1), (2.0, 1), (0.5, -1), (0.6, 0), (f32::MAX, 128)] {
            assert_eq!(exponent_of(value), exponent);
        }
        assert_eq!(exponent_of(f32::from_bits(1)), -126);
        assert_eq!(bits_per_row(&[[f32::MAX], [f32::INFINITY], [f32::MAX]]), 0.0);
    }

    proptest! {
        #[test]
        fn one_pass_is_the_histogram_over_the_final_range(
            values in prop::collection::vec((0u32..4, -20i32..20, 1f32..2.0), 1..60), split in 0usize..60,
        ) {
            let rows: Vec<[f32; 1]> =
                values.iter().map(|&(off, e, m)| [if off == 0 { 0.0 } else { m * (e as f32).exp2() }]).collect();
            let mut gathered = DescriptionLength::new(1);
            let (first, rest) = rows.split_at(split.min(rows.len()));
            gathered.add(&codes(first));
            gathered.add(&codes(rest));

            let max = rows.iter().map(|row| f64::from(row[0])).fold(0.0, f64::max);
            let range = max.log2().ceil().exp2();
            let mut counts = [0; BINS];
            for [value] in rows.iter().filter(|[value]| *value > 0.0) {
                let inside = |bin: &usize| f64::from(*value) <= range * (bin + 1) as f64 / BINS as f64;
                counts[(0..BINS).find(inside).unwrap()] += 1;
            }
            prop_assert_eq!(gathered.counts[0], counts);
            prop_assert_eq!(gathered.bits_per_row(), bits(&counts, rows.len() as f64));
        }
    }
}
