//! A bar for the selection of a row from what other rows had.
//!
//! Without one a row takes every positive pre-activation at first, half of the first few hundred, to learn
//! where its bar should be: most of the work of a selection. But the k-th largest pre-activation as a share
//! of the input's length hardly differs from row to row: of 65,536 rows of all-MiniLM-L6-v2 and a trained TopK SAE
//! (384 × 6,144, `k` 32) the smallest share was 0.076, the median 0.090.
//!
//! So a row starts with nine tenths of the smallest share so far: 130 of 6,144 pre-activations pass on average. A row
//! with fewer than `k` above its floor, of those one, is selected again without: codes do not depend on floors.

use super::dot;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Of the smallest share so far.
const CAUTION: f32 = 0.9;

/// The smallest share so far, as the bits of a positive float, which order as floats do.
#[derive(Debug)]
pub(super) struct Floor(AtomicU32);

impl Floor {
    /// Nothing is known, and no row has a floor.
    pub(super) fn unknown() -> Self {
        Self(AtomicU32::new(f32::INFINITY.to_bits()))
    }

    /// No row is ever given one.
    pub(super) fn none() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Below the k-th largest pre-activation of the input `x`, most probably; 0 while nothing is known.
    pub(super) fn of(&self, x: &[f32]) -> f32 {
        match f32::from_bits(self.0.load(Relaxed)) {
            // Not 0 times a length that is not finite.
            0.0 | f32::INFINITY => 0.0,
            share => CAUTION * share * dot(x, x).sqrt(),
        }
    }

    /// Takes note of the bar at which the selection of `x` ended: its k-th largest pre-activation, or what
    /// it is at least, or its floor if that was too high.
    pub(super) fn learn(&self, x: &[f32], bar: f32) {
        let share = bar / dot(x, x).sqrt();
        // Those of zeros and of what is not finite tell nothing: NaN.
        if share < f32::from_bits(self.0.load(Relaxed)) {
            self.0.fetch_min(share.to_bits(), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_is_below_the_smallest_share() {
        let floor = Floor::unknown();
        assert_eq!(floor.of(&[3.0, 4.0]), 0.0);
        floor.learn(&[3.0, 4.0], 10.0);
        floor.learn(&[0.0, 1.0], 3.0);
        for nothing in [[0.0, 0.0], [f32::NAN, 1.0]] {
            floor.learn(&nothing, 0.0);
        }
        assert_eq!(floor.of(&[0.0, 2.0]), CAUTION * 4.0);
        assert_eq!(floor.of(&[0.0, 0.0]), 0.0);
        let none = Floor::none();
        none.learn(&[1.0], 5.0);
        assert_eq!(none.of(&[1.0]), 0.0);
        assert_eq!(none.of(&[f32::MAX]), 0.0);
    }
}
