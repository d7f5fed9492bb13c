//! *Here is a Parquet dump, give me its activations.*
//!
//! A dump is Parquet files in which a row is an activation `[d_in]` with whatever is known about
//! where it comes from, perhaps a second vector among it; `docs/dump.md` is its norm.
//!
//! | file | answers |
//! |---|---|
//! | `files` | Which Parquet files is the dump made of? |
//! | `vectors`, `layout` | Which columns hold the activations, and what are the others? |
//! | `info`, `vocab` | What do `dump.json` and the vocabulary beside it say? |
//! | `reader` | The rows in order, in batches: `ahead` reads Parquet, `positions` flattens nested rows, `decode` makes f32. |
//! | `row_group` | How is Parquet read? Vectors by `pages`, whose levels are `runs`; everything else by Arrow. |
//! | `writer` | How is a dump written? |
//!
//! ```no_run
//! use sae_core::dump::{Columns, Dump, DumpOptions};
//! let dump = Dump::open("data/sample/dump", &DumpOptions::default())?;
//! for batch in dump.read(Columns::Named(&["token"])) {
//!     let batch = batch?;
//!     assert_eq!(batch.activations.len(), batch.others.num_rows() * dump.d_in());
//! }
//! # Ok::<(), sae_core::Error>(())
//! ```

mod ahead;
mod decode;
mod error;
mod files;
mod flaw;
mod info;
mod layout;
mod lists;
mod pages;
mod positions;
mod reader;
mod row_group;
mod runs;
mod vectors;
mod vocab;
mod writer;

pub use ahead::DECODER_THREAD;
pub use error::DumpError;
pub use flaw::{At, Flaw};
pub use info::{DumpInfo, Shard};
pub use reader::{Columns, DumpReader};
pub use writer::{Dtype, DumpWriter, DumpWriterOptions};

use crate::Result;
use arrow::{array::RecordBatch, datatypes::Schema};
use files::ParquetFile;
use layout::Layout;
use sha2::{Digest, Sha256};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use vocab::Vocab;

/// Rows of a batch at most.
const BATCH_ROWS: usize = 8192;

/// How to read a dump.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DumpOptions {
    /// The columns of the activations; with several, a row's activation is their vectors one after
    /// the other. If empty, the column named `activation`, or the only one of lists of floats other
    /// than `gradient` and `target`.
    pub activation_columns: Vec<String>,
    /// Another column of lists of floats to be read beside the activations: gradients, targets.
    pub companion: Option<String>,
    /// Leave out rows without a usable vector in each of these columns instead of refusing the dump.
    pub skip_bad_rows: bool,
}

/// Consecutive rows of a dump.
#[derive(Debug, Clone)]
pub struct DumpBatch {
    /// Number of the first row, counted over the whole dump (after flattening and skipping).
    pub first_row: u64,
    /// `[n_rows, d_in]`
    pub activations: Vec<f32>,
    /// `[n_rows, d_companion]`; empty without a companion.
    pub companion: Vec<f32>,
    /// The other columns that were asked for, one row per position.
    pub others: RecordBatch,
}

/// A file of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpFile {
    /// Where it stands.
    pub path: PathBuf,
    /// Its rows, after flattening; an upper bound as [`Dump::n_rows`] is.
    pub rows: u64,
}

/// An opened dump: its footers are read, its rows are not. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Dump(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    path: String,
    skip_bad_rows: bool,
    parquet: Vec<ParquetFile>,
    files: Vec<DumpFile>,
    layout: Layout,
    info: DumpInfo,
    vocab: Option<Vocab>,
}

impl Dump {
    /// Opens a file, a directory of `*.parquet` files (in order of their names), or a glob.
    ///
    /// `dump.json` is taken from the directory of the (first) file.
    ///
    /// # Errors
    /// If there is no such file, a file is no Parquet file or is cut short, the activations cannot
    /// be told from the other columns, a column asked for is not there or holds no vectors, files
    /// differ in width or columns, or `dump.json` is malformed or disagrees with the files.
    pub fn open(path: &str, options: &DumpOptions) -> Result<Self> {
        let parquet: Vec<ParquetFile> =
            files::find(path)?.into_iter().map(ParquetFile::open).collect::<Result<_>>()?;
        let mut layout = Layout::of(&parquet, path, options)?;
        for file in parquet.iter().skip(1) {
            layout.check(&parquet[0], file)?;
        }
        let files: Vec<DumpFile> = parquet
            .iter()
            .map(|file| DumpFile { path: file.path.clone(), rows: layout.positions(file) })
            .collect();
        let directory = files[0].path.parent().unwrap_or(Path::new("."));
        let info = DumpInfo::read(directory)?;
        // With several columns its `d_in` may be the width of any of them.
        let d_in = (layout.activations.len() == 1).then(|| layout.d_in());
        info.check(directory, &files, d_in, Path::new(path).is_dir())?;
        let vocab = match &info.vocab {
            Some(name) if layout.supply_tokens() => Some(Vocab::read(directory, name)?),
            _ => None,
        };
        let (path, skip_bad_rows) = (path.to_owned(), options.skip_bad_rows);
        Ok(Self(Arc::new(Opened { path, skip_bad_rows, parquet, files, layout, info, vocab })))
    }

    /// Width of an activation: the sum of [`Self::widths`].
    pub fn d_in(&self) -> usize {
        self.layout().d_in()
    }

    /// Width of each column of the activations.
    pub fn widths(&self) -> Vec<usize> {
        self.layout().activations.iter().map(|vectors| vectors.width).collect()
    }

    /// Width of the companion; 0 without one.
    pub fn d_companion(&self) -> usize {
        self.layout().companion.as_ref().map_or(0, |vectors| vectors.width)
    }

    /// Rows after flattening, as the footers tell.
    ///
    /// An upper bound where only reading can tell: rows left out with
    /// [`DumpOptions::skip_bad_rows`] are counted, and a nested dump with empty rows may count
    /// one more for every `d_in` of them in a row group.
    pub fn n_rows(&self) -> u64 {
        self.0.files.iter().map(|file| file.rows).sum()
    }

    /// Name of the column that holds the activations; with several, as `a + b`.
    pub fn activation_column(&self) -> &str {
        &self.layout().activation_names
    }

    /// Names of the columns whose vectors, one after the other, are the activations.
    pub fn activation_columns(&self) -> Vec<&str> {
        self.layout().activations.iter().map(|vectors| vectors.column.as_str()).collect()
    }

    /// Name of the column of the companion, if one was asked for.
    pub fn companion_column(&self) -> Option<&str> {
        self.layout().companion.as_ref().map(|vectors| vectors.column.as_str())
    }

    /// What `dump.json` says.
    pub fn info(&self) -> &DumpInfo {
        &self.0.info
    }

    /// The files in the order in which they are read.
    pub fn files(&self) -> &[DumpFile] {
        &self.0.files
    }

    /// The columns beside the activations and their companion, as they are read: strings of every kind as `Utf8`, lists
    /// of a nested dump as their entries, `token` from the vocabulary. All are nullable.
    pub fn other_columns(&self) -> &Schema {
        &self.0.layout.schema
    }

    /// SHA-256, in hex, of every file's name, length and Parquet footer, in order.
    ///
    /// The footers hold the place, size and, where written, statistics of every column chunk. The
    /// pages are not read: a change in place that keeps every size goes unseen. `dump.json` is
    /// left out, and so are directories: a dump can be moved.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn content_hash(&self) -> Result<String> {
        let mut hash = Sha256::new();
        for file in &self.0.parquet {
            file.hash_into(&mut hash)?;
        }
        Ok(format!("{:x}", hash.finalize()))
    }

    /// Reads the dump from the first row, in batches of at most 8192 rows.
    ///
    /// Only the columns asked for are read from disk. A name that is not among
    /// [`Self::other_columns`] is the error of the first batch.
    pub fn read(&self, columns: Columns<'_>) -> DumpReader {
        DumpReader::new(self.clone(), columns)
    }

    fn layout(&self) -> &Layout {
        &self.0.layout
    }

    fn parquet(&self) -> &[ParquetFile] {
        &self.0.parquet
    }

    fn vocab(&self) -> Option<&Vocab> {
        self.0.vocab.as_ref()
    }

    fn path(&self) -> &str {
        &self.0.path
    }

    fn skips_bad_rows(&self) -> bool {
        self.0.skip_bad_rows
    }
}
