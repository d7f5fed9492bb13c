use super::{
    FORMAT_VERSION, FileSize, IndexError, Meta,
    documents_writer::DocumentsWriter,
    fvu::Fvu,
    groups::{Grouping, groupings},
    latents,
    lists::{Lists, ListsBuilder},
    postings::{self, BatchSizes},
    rows::{self, Rows, is_text},
    rows_writer::RowsWriter,
    statistics::Context,
    table::{Table, TableWriter, at, describe},
};
use crate::{Codes, Result, Sae, atomic::NewDir, dump::DumpBatch, kernels::Precision};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use std::{path::Path, sync::Arc};

/// The files beside `meta.json`.
const FILES: [&str; 5] = ["rows.arrow", "documents.arrow", "codes.arrow", "postings.arrow", "latents.arrow"];

/// What an index says of its origin, and how it is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexOptions {
    /// Bytes for sorting postings. One record batch of postings is held in any case, and so are a
    /// batch of codes, the distinct strings, 1 byte per row and grouping column, and the documents.
    pub memory_budget: usize,
    /// How codes are computed.
    pub precision: Precision,
    /// The program that builds the index.
    pub created_by: String,
    /// Hash of the SAE's weights.
    pub sae_hash: Option<String>,
    /// Path of the dump.
    pub dump_path: String,
    /// Hash of the dump.
    pub dump_hash: Option<String>,
    /// The model that the activations come from.
    pub model_name: Option<String>,
    /// Where in the model they come from.
    pub hook_name: Option<String>,
}

impl Default for IndexOptions {
    fn default() -> Self {
        Self {
            memory_budget: 512 << 20,
            precision: Precision::F32,
            created_by: concat!("sae ", env!("CARGO_PKG_VERSION")).to_owned(),
            sae_hash: None,
            dump_path: String::new(),
            dump_hash: None,
            model_name: None,
            hook_name: None,
        }
    }
}

/// Builds an index in one pass over a dump: [`IndexBuilder::push`] every batch, then [`IndexBuilder::finish`].
///
/// Until it is finished there is nothing under the index's name; dropped before, it leaves nothing behind.
pub struct IndexBuilder<'a> {
    sae: &'a Sae,
    options: IndexOptions,
    sizes: BatchSizes,
    staging: NewDir,
    others: SchemaRef,
    n_rows: u64,
    /// `[d_sae]`
    firings: Vec<u64>,
    fvu: Fvu,
    codes: TableWriter,
    pending: ListsBuilder,
    rows: RowsWriter,
    documents: DocumentsWriter,
    groupings: Vec<Grouping>,
}

impl<'a> IndexBuilder<'a> {
    /// Starts an index at `dir`; an index that is there already is replaced at the end. `others` are the columns of every batch beside the activations.
    ///
    /// # Errors
    /// If `dir` holds something else, its parent cannot be written, or a column with a fixed meaning
    /// has a type that cannot carry it.
    pub fn create(dir: &Path, sae: &'a Sae, others: &Schema, options: IndexOptions) -> Result<Self> {
        Self::with_batch_sizes(dir, sae, others, options, BatchSizes::default())
    }

    pub(super) fn with_batch_sizes(
        dir: &Path,
        sae: &'a Sae,
        others: &Schema,
        options: IndexOptions,
        sizes: BatchSizes,
    ) -> Result<Self> {
        check_columns(others)?;
        refuse_other_contents(dir)?;
        let staging = NewDir::create(dir)?;
        let rows = RowsWriter::create(&staging, others, sizes.rows)?;
        Ok(Self {
            codes: TableWriter::create(staging.path().join("codes.arrow"), Lists::schema("latent"))?,
            documents: DocumentsWriter::new(&staging, rows.schema()),
            rows,
            sae,
            options,
            sizes,
            staging,
            others: Arc::new(others.clone()),
            n_rows: 0,
            firings: vec![0; sae.d_sae],
            fvu: Fvu::new(sae.d_out),
            pending: ListsBuilder::default(),
            groupings: groupings(others),
        })
    }

    /// Adds the next rows of the dump.
    ///
    /// # Errors
    /// If the batch does not follow the one before or has another width or other columns, if a
    /// document comes back, or if the disk is full.
    pub fn push(&mut self, batch: &DumpBatch) -> Result<()> {
        let n_rows = self.check(batch)?;
        if n_rows == 0 {
            return Ok(());
        }
        let (codes, reconstruction) = self.sae.reconstruct_with(&batch.activations, self.options.precision);
        self.fvu.add(self.target(batch, n_rows)?, &reconstruction);
        self.push_codes(&codes)?;
        let rows = self.rows.push(&batch.others, n_rows)?;
        self.documents.push(self.n_rows, &rows)?;
        for mut grouping in std::mem::take(&mut self.groupings) {
            if grouping
                .push(&batch.others)
                .map_err(|error| at(&self.staging.path().join("rows.arrow"), error))?
            {
                self.groupings.push(grouping);
            }
        }
        self.n_rows += n_rows as u64;
        Ok(())
    }

    fn check(&self, batch: &DumpBatch) -> Result<usize> {
        let (row, d_in) = (self.n_rows, self.sae.d_in);
        if batch.first_row != row {
            return Err(IndexError::NotConsecutive { expected: row, found: batch.first_row }.into());
        }
        let types = |schema: &Schema| -> Vec<(String, DataType)> {
            schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
        };
        if types(batch.others.schema_ref()) != types(&self.others) {
            let (expected, found) = (describe(&self.others), describe(batch.others.schema_ref()));
            return Err(IndexError::Columns { row, expected, found }.into());
        }
        let found = batch.activations.len();
        // A batch without other columns may not know how many rows it has.
        let rows = if self.others.fields().is_empty() { found / d_in } else { batch.others.num_rows() };
        if found != rows * d_in {
            return Err(IndexError::Width { row, expected: d_in, found, rows }.into());
        }
        if row + rows as u64 > u64::from(u32::MAX) {
            return Err(IndexError::TooManyRows.into());
        }
        Ok(rows)
    }

    /// What the reconstruction of a batch is held against, `[n_rows, d_out]`.
    fn target<'b>(&self, batch: &'b DumpBatch, n_rows: usize) -> Result<&'b [f32]> {
        let target = self.sae.target_of(&batch.activations, &batch.companion);
        let (expected, found) = (self.sae.d_out, target.len());
        if found != n_rows * expected {
            return Err(IndexError::Target { row: self.n_rows, expected, found, rows: n_rows }.into());
        }
        Ok(target)
    }

    fn push_codes(&mut self, codes: &Codes) -> Result<()> {
        if let Some(i) = codes.values.iter().position(|value| !value.is_finite()) {
            let row = codes.offsets.partition_point(|&offset| offset as usize <= i) as u64 - 1;
            let (row, latent, value) = (self.n_rows + row, codes.latents[i], codes.values[i]);
            return Err(IndexError::NotFinite { row, latent, value }.into());
        }
        for &latent in &codes.latents {
            self.firings[latent as usize] += 1;
        }
        let mut rows = 0..codes.n_rows();
        while !rows.is_empty() {
            let next = rows.start..rows.end.min(rows.start + self.sizes.rows - self.pending.len());
            rows.start = next.end;
            let offsets = &codes.offsets[next.start..=next.end];
            let entries = offsets[0] as usize..offsets[next.len()] as usize;
            let lengths = offsets.windows(2).map(|ends| (ends[1] - ends[0]) as usize);
            self.pending.extend(lengths, &codes.latents[entries.clone()], &codes.values[entries]);
            if self.pending.len() == self.sizes.rows {
                self.codes.write_with(|schema| self.pending.take(schema))?;
            }
        }
        Ok(())
    }

    /// Turns the codes around, computes the statistics and puts the index into its place.
    ///
    /// # Errors
    /// If there were no rows, or the disk is full.
    pub fn finish(mut self) -> Result<Meta> {
        if self.n_rows == 0 {
            return Err(IndexError::Empty.into());
        }
        if self.pending.len() > 0 {
            self.codes.write_with(|schema| self.pending.take(schema))?;
        }
        let codes = Table::open(&self.codes.finish()?)?;
        let columns = rows::columns(self.rows.schema());
        let dictionaries = self.rows.finish()?;
        let documents = self.documents.finish(&dictionaries)?;
        let n_firings: u64 = self.firings.iter().sum();
        let has = |name: &str| columns.iter().any(|column| column.name == name);
        let mut meta = Meta {
            format_version: FORMAT_VERSION,
            created_by: self.options.created_by,
            n_rows: self.n_rows,
            n_firings,
            n_documents: documents.len() as u64,
            d_in: self.sae.d_in,
            d_sae: self.sae.d_sae,
            n_dead: self.firings.iter().filter(|&&firings| firings == 0).count() as u64,
            latents_per_batch: self.sizes.latents_per_batch(&self.firings),
            batch_rows: self.sizes.rows,
            has_documents: has("doc_id"),
            token_column: has("token").then(|| "token".to_owned()),
            sae_hash: self.options.sae_hash,
            dump_hash: self.options.dump_hash,
            dump_path: self.options.dump_path,
            model_name: self.options.model_name,
            hook_name: self.options.hook_name,
            columns,
            groups: self.groupings.iter().map(|grouping| grouping.group.clone()).collect(),
            l0_mean: n_firings as f64 / self.n_rows as f64,
            fvu: self.fvu.value(),
            files: Vec::new(),
        };
        let rows = Rows::new(Table::open(&self.staging.path().join("rows.arrow"))?, &meta)?;
        let context = Context {
            sae: self.sae,
            n_rows: self.n_rows,
            documents: &documents,
            rows: &rows,
            groupings: &self.groupings,
        };
        let postings = TableWriter::create(self.staging.path().join("postings.arrow"), Lists::schema("row"))?;
        let latents =
            TableWriter::create(self.staging.path().join("latents.arrow"), latents::schema(&meta.groups))?;
        postings::Writer {
            codes: &Lists::of(&codes)?,
            codes_table: &codes,
            firings: &self.firings,
            latents_per_batch: meta.latents_per_batch,
            memory_budget: self.options.memory_budget,
            context: &context,
        }
        .write(postings, latents)?;
        for name in FILES {
            let bytes = fs_err::metadata(self.staging.path().join(name))?.len();
            meta.files.push(FileSize { name: name.to_owned(), bytes });
        }
        meta.write(&self.staging.path().join("meta.json"))?;
        self.staging.commit()?;
        Ok(meta)
    }
}

/// An index may be replaced; anything else at its place is somebody's.
fn refuse_other_contents(dir: &Path) -> Result<()> {
    let mut entries = match fs_err::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if entries.next().is_some() && !dir.join("meta.json").is_file() {
        return Err(IndexError::Occupied { path: dir.to_owned() }.into());
    }
    Ok(())
}

/// Columns with a fixed meaning must be able to carry it.
fn check_columns(others: &Schema) -> Result<()> {
    for field in others.fields() {
        let data_type = field.data_type();
        let (expected, fits) = match field.name().as_str() {
            "doc_id" | "pos" | "token_id" => ("integers", data_type.is_integer()),
            "token" => ("strings", is_text(data_type)),
            _ => continue,
        };
        if !fits {
            let (column, found) = (field.name().clone(), data_type.to_string());
            return Err(IndexError::ColumnType { column, expected, found }.into());
        }
    }
    Ok(())
}
