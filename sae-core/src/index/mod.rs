//! The index of a dump under an SAE: *which rows fire this latent, which latents fire on this row?*
//!
//! `docs/index.md` is the format. One pass over the dump writes it, and [`Index`] reads it as memory maps.
//!
//! | file | does |
//! |---|---|
//! | `reader` | queries |
//! | `meta`, `latents`, `documents`, `rows` | what the files hold |
//! | `table`, `lists` | Arrow files, and the lists of codes and postings in them |

mod documents;
mod error;
mod latents;
mod lists;
mod meta;
mod reader;
mod rows;
mod table;

pub use documents::Document;
pub use error::IndexError;
pub use latents::{LatentStats, TopToken};
pub use meta::{Column, FORMAT_VERSION, FileSize, Group, GroupValue, Meta};
pub use reader::{Index, Postings};

/// Bins of [`LatentStats::histogram`].
pub const HISTOGRAM_BINS: usize = 50;

/// The probabilities of [`LatentStats::quantiles`], in percent.
pub const QUANTILE_PERCENTS: [u64; 9] = [0, 1, 5, 25, 50, 75, 95, 99, 100];

/// How many of a latent's tokens are kept.
pub const TOP_TOKENS: usize = 10;
