//! The page of a latent: one file per panel, each from the index to what the page shows.

pub(crate) mod examples;
pub(crate) mod groups;
pub(crate) mod histogram;
pub(crate) mod statistics;
pub(crate) mod top_tokens;

pub(crate) use examples::{ExampleGroup, ExamplesQuery};
pub(crate) use groups::GroupRates;
pub(crate) use histogram::Histogram;
pub(crate) use statistics::Statistics;
pub(crate) use top_tokens::TopToken;
