//! What the numbers mean. Sums are in f64, over every row given; definitions in `docs/glossary.md`.

mod reconstruction;

pub use reconstruction::{Metrics, Reconstruction};
