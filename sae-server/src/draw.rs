//! Draws that anybody can repeat: they depend on the SAE's name, the latent and the seed alone.
//!
//! The generator is SplitMix64 (Steele, Lea, Flood 2014). Its state starts from the seed and takes
//! in the name's bytes and the numbers one after the other. `draw` is the start of a shuffle of
//! `0..n` (Fisher–Yates, of which only the moved places are kept): the first of a longer draw are
//! the shorter draw, so asking for more adds examples and exchanges none.

use std::collections::BTreeMap;

/// A source of random numbers with a documented sequence.
pub(crate) struct Draws(u64);

impl Draws {
    /// The source for the `stream`-th group of examples of `latent` of the SAE named `sae`.
    pub(crate) fn new(sae: &str, latent: u32, seed: u64, stream: u64) -> Self {
        let numbers = [u64::from(latent), stream];
        let mut draws = Self(seed);
        for number in sae.bytes().map(u64::from).chain(numbers) {
            draws.0 = draws.next() ^ number;
        }
        draws
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`; the bias of this reduction is below `n / 2⁶⁴`.
    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// `min(k, n)` distinct numbers below `n` in the order drawn.
    pub(crate) fn draw(mut self, n: usize, k: usize) -> Vec<usize> {
        let mut moved = BTreeMap::new();
        (0..k.min(n))
            .map(|place| {
                let other = place + self.below(n - place);
                let here = moved.get(&place).copied().unwrap_or(place);
                moved.insert(other, here).unwrap_or(other)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix64_has_the_published_sequence() {
        let mut draws = Draws(1_234_567);
        assert_eq!(draws.next(), 6_457_827_717_110_365_317);
        assert_eq!(draws.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn draws_are_distinct_and_a_longer_one_goes_on() {
        for n in [1, 2, 7, 100] {
            for k in [0, 1, 5, 100, 200] {
                let drawn = Draws::new("a", 3, 0, 1).draw(n, k);
                let mut sorted = drawn.clone();
                sorted.sort_unstable();
                sorted.dedup();
                assert_eq!(sorted.len(), k.min(n));
                assert!(sorted.iter().all(|&number| number < n));
                assert!(Draws::new("a", 3, 0, 1).draw(n, k + 1).starts_with(&drawn));
            }
        }
    }

    #[test]
    fn every_number_is_drawn_about_as_often() {
        let mut counts = [0_u32; 10];
        for seed in 0..3000 {
            for number in Draws::new("sae", 7, seed, 0).draw(10, 3) {
                counts[number] += 1;
            }
        }
        // 900 expected, standard deviation 25.
        assert!(counts.iter().all(|count| (775..1025).contains(count)), "{counts:?}");
    }

    #[test]
    fn everything_given_matters() {
        let one = Draws::new("a", 1, 1, 1).draw(1 << 30, 2);
        for other in [("b", 1, 1, 1), ("a", 2, 1, 1), ("a", 1, 2, 1), ("a", 1, 1, 2)] {
            assert_ne!(one, Draws::new(other.0, other.1, other.2, other.3).draw(1 << 30, 2));
        }
    }
}
