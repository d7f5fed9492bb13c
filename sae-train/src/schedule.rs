//! The learning rate over a run.

/// Rises linearly from 0, stays, falls linearly to 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// The rate between the two.
    pub peak: f64,
    /// Steps in all.
    pub steps: u64,
    /// Fraction of the steps over which it rises.
    pub warmup: f64,
    /// Fraction of the steps over which it falls.
    pub decay: f64,
}

impl Schedule {
    /// The rate of step `step`, counted from 1 to `steps`.
    pub fn rate(&self, step: u64) -> f64 {
        let (step, steps) = (step as f64, self.steps as f64);
        let (warmup, decay) = ((self.warmup * steps).floor(), (self.decay * steps).floor());
        let rising = if warmup > 0.0 { step / warmup } else { 1.0 };
        let falling = if decay > 0.0 { (steps - step + 1.0) / decay } else { 1.0 };
        self.peak * rising.min(falling).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_stays_and_falls() {
        let schedule = Schedule { peak: 2.0, steps: 100, warmup: 0.1, decay: 0.2 };
        let rates: Vec<f64> = [1, 5, 10, 50, 80, 81, 91, 100].map(|step| schedule.rate(step)).into();
        assert_eq!(rates, [0.2, 1.0, 2.0, 2.0, 2.0, 2.0, 1.0, 0.1]);
        let flat = Schedule { peak: 2.0, steps: 3, warmup: 0.05, decay: 0.0 };
        assert_eq!([1, 2, 3].map(|step| flat.rate(step)), [2.0; 3]);
    }
}
