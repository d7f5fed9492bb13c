//! The index of a dump under an SAE: *which rows fire this latent, which latents fire on this row?*
//!
//! `docs/index.md` is the format. One pass over the dump writes it, and [`Index`] reads it as memory maps.
//!
//! ```
//! use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
//! use sae_core::{Rule, Sae, dump::DumpBatch, index::{Index, IndexBuilder, IndexOptions}};
//! use std::sync::Arc;
//!
//! // Two latents that pass on one dimension each.
//! let identity = vec![1.0, 0.0, 0.0, 1.0];
//! let sae = Sae::new(Rule::Standard, identity.clone(), vec![0.0; 2], identity, vec![0.0; 2]);
//! let doc_ids: ArrayRef = Arc::new(Int64Array::from(vec![7, 7, 8]));
//! let tokens: ArrayRef = Arc::new(StringArray::from(vec!["a", " cat", " sat"]));
//! let others = RecordBatch::try_from_iter([("doc_id", doc_ids), ("token", tokens)])?;
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("index");
//!
//! let mut builder = IndexBuilder::create(&path, &sae, &others.schema(), IndexOptions::default())?;
//! builder.push(&DumpBatch { first_row: 0, activations: vec![0.5, 0.0, 2.0, 0.0, 0.0, 3.0], companion: vec![], others })?;
//! builder.finish()?;
//!
//! let index = Index::open(&path)?;
//! assert_eq!(index.postings(0).rows, [1, 0]);
//! assert_eq!(index.postings(0).values, [2.0, 0.5]);
//! assert_eq!(index.codes(2), (&[1][..], &[3.0][..]));
//! assert_eq!(index.top_tokens(0)[0].token, " cat");
//! assert_eq!(index.documents()[index.document_of(2).expect("rows have documents")].doc_id, 8);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | file | does |
//! |---|---|
//! | `builder` | one pass over a dump, then everything that follows from it |
//! | `reader` | queries |
//! | `windows` | the values of a latent around its examples, from whichever file tells them sooner |
//! | `meta`, `latents`, `documents`, `rows`, `tokens` | what the files hold |
//! | `rows_writer`, `documents_writer`, `groups`, `fvu` | what is gathered from row to row |
//! | `postings`, `statistics` | codes turned around, and what is known of a latent then |
//! | `table`, `lists` | Arrow files, and the lists of codes and postings in them |

mod builder;
mod documents;
mod documents_writer;
mod error;
mod fvu;
mod groups;
mod latents;
mod lists;
mod meta;
mod postings;
mod reader;
mod rows;
mod rows_writer;
mod statistics;
mod table;
mod tokens;
mod windows;

pub use builder::{IndexBuilder, IndexOptions};
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

#[cfg(test)]
mod tests;
