//! What a method remembers from step to step beside its weights.

use std::collections::BTreeMap;

/// Named numbers, kept in f64 and saved in every checkpoint: running thresholds, densities, coefficients.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State(BTreeMap<String, Vec<f64>>);

impl State {
    /// The numbers of this name, if there are any yet.
    pub fn get(&self, name: &str) -> Option<&[f64]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// The single number of this name.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.get(name).and_then(|numbers| numbers.first()).copied()
    }

    /// Replaces the numbers of this name.
    pub fn set(&mut self, name: &str, numbers: Vec<f64>) {
        self.0.insert(name.to_owned(), numbers);
    }

    /// A running mean: assigned by its first value, then `mean ← decay · mean + (1 − decay) · value`.
    pub fn average(&mut self, name: &str, decay: f64, value: f64) {
        let mean = self.number(name).map_or(value, |mean| decay * mean + (1.0 - decay) * value);
        self.set(name, vec![mean]);
    }

    /// All of it, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[f64])> {
        self.0.iter().map(|(name, numbers)| (name.as_str(), numbers.as_slice()))
    }
}

impl FromIterator<(String, Vec<f64>)> for State {
    fn from_iter<I: IntoIterator<Item = (String, Vec<f64>)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}
