use super::{
    Document, IndexError, LatentStats, Meta, TopToken, documents, latents,
    lists::Lists,
    rows,
    rows::Rows,
    table::{Mapped, Table},
    windows,
};
use crate::Result;
use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{Float32Type, Float64Type, Int64Type, UInt32Type, UInt64Type},
};
use rayon::prelude::*;
use serde_json::Value;
use std::{ops::Range, path::Path};

/// The columns of `documents.arrow` that every index has.
const DOCUMENT_COLUMNS: [&str; 3] = ["doc_id", "first_row", "n_rows"];

/// An index on disk, mapped into memory: opening reads little, a query touches what it returns.
///
/// Functions that take a `latent` panic if it is not below `meta().d_sae`.
#[derive(Debug)]
pub struct Index {
    meta: Meta,
    codes: Vec<Lists>,
    postings: Vec<Lists>,
    latents: Vec<RecordBatch>,
    rows: Rows,
    documents: Vec<Document>,
    document_columns: Option<RecordBatch>,
    /// Documents in order of their `doc_id`.
    by_doc_id: Vec<u32>,
    firings: Vec<u64>,
    density: Vec<f64>,
    max: Vec<f32>,
    mean: Vec<f64>,
    /// The large files, codes and postings, of which queries read a little here and there.
    files: [Mapped; 2],
}

/// The firings of a latent, by value descending, then by row ascending.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Postings<'a> {
    /// The rows on which it fires.
    pub rows: &'a [u32],
    /// Its values there.
    pub values: &'a [f32],
}

impl Index {
    /// Opens the index in `dir`.
    ///
    /// # Errors
    /// If there is none, another version wrote it, or a file of it is missing, incomplete or altered.
    pub fn open(dir: &Path) -> Result<Self> {
        let meta = Meta::read(dir)?;
        let table = |name: &str| {
            let path = dir.join(name);
            let Some(expected) = meta.files.iter().find(|file| file.name == name) else {
                let reason = format!("no size of {name}");
                return Err(IndexError::Meta { path: dir.join("meta.json"), reason }.into());
            };
            let found = match fs_err::metadata(&path) {
                Ok(metadata) => metadata.len(),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(IndexError::Missing { path }.into());
                }
                Err(error) => return Err(error.into()),
            };
            if found != expected.bytes {
                return Err(IndexError::Size { path, expected: expected.bytes, found }.into());
            }
            Table::open(&path)
        };
        let lists = |name: &str, numbers: &str, n: u64, per_batch: usize| -> Result<_> {
            let table = table(name)?;
            table.expect_columns(&Lists::schema(numbers))?;
            table.expect_rows(n, per_batch)?;
            Ok((Lists::of(&table)?, table.file))
        };
        let (codes, codes_file) = lists("codes.arrow", "latent", meta.n_rows, meta.batch_rows)?;
        let (postings, postings_file) =
            lists("postings.arrow", "row", meta.d_sae as u64, meta.latents_per_batch)?;
        let latents = table("latents.arrow")?;
        latents.expect_columns(&latents::schema(&meta.groups))?;
        latents.expect_rows(meta.d_sae as u64, meta.latents_per_batch)?;
        let documents = table("documents.arrow")?;
        documents.expect_rows(meta.n_documents, usize::MAX)?;
        let rows = Rows::new(table("rows.arrow")?, &meta)?;
        let document_columns = documents.batches.first().cloned();
        let documents = read_documents(&documents)?;
        let mut by_doc_id: Vec<u32> = (0..documents.len() as u32).collect();
        by_doc_id.sort_by_key(|&document| documents[document as usize].doc_id);
        let latents = latents.batches;
        let index = Self {
            firings: latents::concatenate::<UInt64Type>(&latents, "firings"),
            density: latents::concatenate::<Float64Type>(&latents, "density"),
            max: latents::concatenate::<Float32Type>(&latents, "max"),
            mean: latents::concatenate::<Float64Type>(&latents, "mean"),
            meta,
            codes,
            postings,
            latents,
            rows,
            documents,
            document_columns,
            by_doc_id,
            files: [codes_file, postings_file],
        };
        index.forget();
        Ok(index)
    }

    /// Gives back the memory of what queries have read of codes and postings. The system keeps it for as long as nobody else
    /// needs it, so that reading it again is fast; but it is no longer this process's.
    pub fn forget(&self) {
        self.files.iter().for_each(Mapped::forget);
    }

    /// What the index is of.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Everything that is known of a latent.
    pub fn latent(&self, latent: usize) -> LatentStats {
        let (batch, i) = self.locate_latent(latent);
        latents::from_batch(batch, i)
    }

    /// `[d_sae]`: how often each latent fires.
    pub fn firings(&self) -> &[u64] {
        &self.firings
    }

    /// `[d_sae]`: on which part of the rows each latent fires.
    pub fn density(&self) -> &[f64] {
        &self.density
    }

    /// `[d_sae]`: the largest value of each latent, 0 where it never fires.
    pub fn max(&self) -> &[f32] {
        &self.max
    }

    /// `[d_sae]`: the mean value of each latent's firings, 0 where it never fires.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The tokens with the largest sums of the latent's values, largest first.
    pub fn top_tokens(&self, latent: usize) -> Vec<TopToken> {
        let (batch, i) = self.locate_latent(latent);
        latents::top_tokens(batch, i).map(TopToken::from).collect()
    }

    /// The latents one of whose top tokens contains `text`, in either case; in increasing order.
    pub fn latents_with_token(&self, text: &str) -> Vec<u32> {
        let text = text.to_lowercase();
        let has_text = |latent: &u32| {
            let (batch, i) = self.locate_latent(*latent as usize);
            latents::top_tokens(batch, i).any(|top| top.token.to_lowercase().contains(&text))
        };
        (0..self.meta.d_sae as u32).into_par_iter().filter(has_text).collect()
    }

    /// For each grouping column of [`Meta::groups`], the latent's firings in the rows of each value.
    pub fn group_firings(&self, latent: usize) -> Vec<&[u64]> {
        let (batch, i) = self.locate_latent(latent);
        latents::group_firings(batch, i)
    }

    /// Every firing of the latent.
    pub fn postings(&self, latent: usize) -> Postings<'_> {
        let per_batch = self.meta.latents_per_batch;
        let (rows, values) = self.postings[latent / per_batch].get(latent % per_batch);
        Postings { rows, values }
    }

    /// The latents that fire on the row, increasing, and their values.
    ///
    /// # Panics
    /// If `row` is not below `meta().n_rows`.
    pub fn codes(&self, row: u64) -> (&[u32], &[f32]) {
        let row = row as usize;
        self.codes[row / self.meta.batch_rows].get(row % self.meta.batch_rows)
    }

    /// The latent's value on each row of each window, 0 where it does not fire.
    ///
    /// # Panics
    /// If the rows are not all below `meta().n_rows`.
    pub fn values_on(&self, windows: &[Range<u64>], latent: u32) -> Vec<Vec<f32>> {
        let n_rows = self.meta.n_rows;
        assert!(windows.iter().all(|window| window.end <= n_rows), "windows end at {n_rows} rows");
        let postings = self.postings(latent as usize);
        if windows::are_in_postings(postings.rows.len(), windows.len()) {
            windows::from_postings(postings, windows)
        } else {
            windows::from_codes(&self.codes, self.meta.batch_rows, &self.files[0], latent, windows)
        }
    }

    /// The row's token; none without tokens, where it is null, and beyond the last row.
    pub fn token(&self, row: u64) -> Option<&str> {
        let tokens = self.rows.tokens()?;
        Some(tokens.text(tokens.key(row)?))
    }

    /// The row's position in its document; none as for [`Index::token`].
    pub fn pos(&self, row: u64) -> Option<i64> {
        self.rows.pos(row)
    }

    /// The documents in order of their rows; they cover all rows, or there are none.
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// Which of [`Index::documents`] holds the row.
    pub fn document_of(&self, row: u64) -> Option<usize> {
        documents::document_of(&self.documents, row)
    }

    /// Which of [`Index::documents`] has this `doc_id`.
    pub fn find_document(&self, doc_id: i64) -> Option<usize> {
        let key = |&document: &u32| self.documents[document as usize].doc_id;
        let found = self.by_doc_id.binary_search_by_key(&doc_id, key).ok()?;
        Some(self.by_doc_id[found] as usize)
    }

    /// The row's columns other than `doc_id`, `pos`, `token_id` and `token`; none beyond the last row.
    ///
    /// Numbers and booleans are themselves, everything else is text.
    pub fn metadata(&self, row: u64) -> Vec<(String, Value)> {
        self.rows.metadata(row)
    }

    /// The metadata columns that are constant inside every document, for one of [`Index::documents`].
    ///
    /// # Panics
    /// If there is no such document.
    pub fn document_metadata(&self, document: usize) -> Vec<(String, Value)> {
        assert!(document < self.documents.len(), "document {document} of {}", self.documents.len());
        self.document_columns
            .iter()
            .flat_map(|batch| rows::values(batch, document, &DOCUMENT_COLUMNS))
            .collect()
    }

    fn locate_latent(&self, latent: usize) -> (&RecordBatch, usize) {
        let per_batch = self.meta.latents_per_batch;
        (&self.latents[latent / per_batch], latent % per_batch)
    }
}

fn read_documents(table: &Table) -> Result<Vec<Document>> {
    let Some(batch) = table.batches.first() else { return Ok(Vec::new()) };
    let [doc_id, first_row, n_rows] = DOCUMENT_COLUMNS.map(|name| batch.column_by_name(name));
    let columns = (
        doc_id.and_then(|column| column.as_primitive_opt::<Int64Type>()),
        first_row.and_then(|column| column.as_primitive_opt::<UInt64Type>()),
        n_rows.and_then(|column| column.as_primitive_opt::<UInt32Type>()),
    );
    let (Some(doc_id), Some(first_row), Some(n_rows)) = columns else {
        return Err(table.corrupt("columns doc_id: Int64, first_row: UInt64, n_rows: UInt32", "others"));
    };
    let columns = doc_id.values().iter().zip(first_row.values()).zip(n_rows.values());
    Ok(columns.map(|((&doc_id, &first_row), &n_rows)| Document { doc_id, first_row, n_rows }).collect())
}
