//! What the numbers mean. Sums are in f64, over every row given; definitions in `docs/glossary.md`.

mod description_length;
mod reconstruction;

pub use description_length::{BINS as DESCRIPTION_BINS, DescriptionLength};
pub use reconstruction::{Metrics, Reconstruction};
