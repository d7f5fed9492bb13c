//! Writing a dump: shards in a directory of a temporary name, which is renamed at the end.

use super::{DumpError, DumpInfo, Shard, info};
use crate::{Result, atomic::NewDir};
use arrow::{
    array::{ArrayRef, FixedSizeListArray, Float16Array, Float32Array, RecordBatch},
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};
use half::{f16, slice::HalfFloatSliceExt};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding, ZstdLevel},
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};
use sha2::{Digest, Sha256};
use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Name of the column of activations in a dump written here.
const ACTIVATION: &str = "activation";
/// A row group is what a reader can begin at; it is held in memory while it is written.
const ROW_GROUP_ROWS: usize = 65_536;
const ROW_GROUP_BYTES: usize = 256 << 20;

/// Type of the activations on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dtype {
    /// 16 bits: about three decimal digits, up to 65504.
    #[default]
    F16,
    /// 32 bits.
    F32,
}

impl Dtype {
    fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::F32 => "f32",
        }
    }

    fn arrow(self) -> DataType {
        match self {
            Self::F16 => DataType::Float16,
            Self::F32 => DataType::Float32,
        }
    }
}

/// How to write a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpWriterOptions {
    /// Type of the activations on disk.
    pub dtype: Dtype,
    /// zstd, level 3, over byte-stream-split activations; or nothing.
    pub compress: bool,
    /// Rows of a file at most.
    pub rows_per_file: u64,
}

impl Default for DumpWriterOptions {
    fn default() -> Self {
        Self { dtype: Dtype::F16, compress: true, rows_per_file: 4 * ROW_GROUP_ROWS as u64 }
    }
}

/// Writes a dump as a directory that is there only when it is complete.
///
/// Dropped without [`DumpWriter::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct DumpWriter {
    target: PathBuf,
    staging: NewDir,
    d_in: usize,
    options: DumpWriterOptions,
    info: DumpInfo,
    schema: Option<SchemaRef>,
    shard: Option<OpenShard>,
    shards: Vec<Shard>,
}

#[derive(Debug)]
struct OpenShard {
    name: String,
    rows: u64,
    parquet: ArrowWriter<Hashed<fs_err::File>>,
}

impl DumpWriter {
    /// Begins a dump that will stand at `directory`. Of `info`, `format_version`, `d_in`, `dtype`,
    /// `n_rows` and `shards` are filled in; the rest is written as given.
    ///
    /// # Errors
    /// If there is something at `directory`, `d_in` is 0, or its parent cannot be written.
    pub fn create(directory: &Path, d_in: usize, options: DumpWriterOptions, info: DumpInfo) -> Result<Self> {
        let target = directory.to_owned();
        if fs_err::symlink_metadata(&target).is_ok() {
            return Err(DumpError::Exists { path: target }.into());
        }
        let unwritable =
            |reason: &str| DumpError::Unwritable { path: target.clone(), reason: reason.to_owned() };
        if d_in == 0 || i32::try_from(d_in).is_err() {
            return Err(unwritable(&format!("expected a width from 1 to {}, found {d_in}", i32::MAX)).into());
        }
        if options.rows_per_file == 0 {
            return Err(unwritable("expected at least 1 row per file, found 0").into());
        }
        if target.file_name().is_none() {
            return Err(unwritable("expected a path that ends in a name").into());
        }
        let staging = NewDir::create(&target)?;
        Ok(Self { target, staging, d_in, options, info, schema: None, shard: None, shards: Vec::new() })
    }

    /// Appends rows: `activations` is `[n_rows, d_in]`, `others` has the columns beside them.
    ///
    /// # Errors
    /// If a value is not finite or beyond the range of the dtype, if the shapes do not fit, if the
    /// columns differ from those of the first call, or if the disk refuses.
    pub fn write(&mut self, activations: &[f32], others: Option<&RecordBatch>) -> Result<()> {
        let n_rows = activations.len() / self.d_in;
        if !activations.len().is_multiple_of(self.d_in) {
            let reason = format!("expected rows of {} values, found {} values", self.d_in, activations.len());
            return Err(self.unwritable(reason).into());
        }
        if let Some(found) = others.map(RecordBatch::num_rows).filter(|found| *found != n_rows) {
            let reason = format!("expected {n_rows} rows in the other columns, found {found}");
            return Err(self.unwritable(reason).into());
        }
        let schema = self.schema_with(others)?;
        let mut columns = vec![self.lists(activations)?];
        columns.extend(others.into_iter().flat_map(RecordBatch::columns).cloned());
        let batch = RecordBatch::try_new(schema, columns).map_err(|error| self.arrow(&error))?;

        let mut written = 0;
        while written < n_rows {
            let mut shard = match self.shard.take() {
                Some(shard) => shard,
                None => self.begin_shard(batch.schema())?,
            };
            let room = usize::try_from(self.options.rows_per_file - shard.rows).unwrap_or(usize::MAX);
            let rows = room.min(n_rows - written);
            shard.parquet.write(&batch.slice(written, rows)).map_err(|error| self.parquet(error))?;
            shard.rows += rows as u64;
            written += rows;
            if shard.rows == self.options.rows_per_file {
                self.end_shard(shard)?;
            } else {
                self.shard = Some(shard);
            }
        }
        Ok(())
    }

    /// Completes the dump: its directory appears, with `dump.json`, all at once.
    ///
    /// # Errors
    /// If no row was written, something stands at the directory by now, or the disk refuses.
    pub fn finish(mut self) -> Result<()> {
        if let Some(shard) = self.shard.take() {
            self.end_shard(shard)?;
        }
        if self.shards.is_empty() {
            return Err(self.unwritable("expected rows to write, found none".to_owned()).into());
        }
        let info = DumpInfo {
            format_version: Some(info::FORMAT_VERSION),
            d_in: Some(self.d_in as u64),
            dtype: Some(self.options.dtype.name().to_owned()),
            n_rows: Some(self.shards.iter().filter_map(|shard| shard.rows).sum()),
            shards: std::mem::take(&mut self.shards),
            ..self.info
        };
        let mut json = serde_json::to_vec_pretty(&info).map_err(std::io::Error::from)?;
        json.push(b'\n');
        fs_err::write(self.staging.path().join(info::FILE_NAME), json)?;
        // Committing would replace what has come to stand there since.
        if fs_err::symlink_metadata(&self.target).is_ok() {
            return Err(DumpError::Exists { path: self.target }.into());
        }
        Ok(self.staging.commit()?)
    }

    /// The schema of the first call, to which later ones are held.
    fn schema_with(&mut self, others: Option<&RecordBatch>) -> Result<SchemaRef> {
        let item = Arc::new(Field::new_list_field(self.options.dtype.arrow(), false));
        let activation = Field::new_fixed_size_list(ACTIVATION, item, self.d_in as i32, false);
        let given = others.map(|others| others.schema());
        let mut fields = vec![Arc::new(activation)];
        fields.extend(given.iter().flat_map(|schema| schema.fields()).map(|field| {
            // A batch may say that it has no nulls where a later one has some.
            Arc::new(field.as_ref().clone().with_nullable(true))
        }));
        if fields.iter().skip(1).any(|field| field.name() == ACTIVATION) {
            return Err(self
                .unwritable("expected no `activation` among the other columns, found one".to_owned())
                .into());
        }
        let schema = Arc::new(Schema::new(fields));
        let first = self.schema.get_or_insert_with(|| schema.clone()).clone();
        if first != schema {
            let reason = format!("expected the columns of the first rows, {first}; found {schema}");
            return Err(self.unwritable(reason).into());
        }
        Ok(first)
    }

    fn lists(&self, activations: &[f32]) -> Result<ArrayRef> {
        let refuse = |i: usize, expected: &str| {
            let (row, dim, value) = (i / self.d_in, i % self.d_in, activations[i]);
            self.unwritable(format!(
                "expected {expected}, found {value} as value {dim} of row {row} of a batch"
            ))
        };
        if let Some(i) = activations.iter().position(|value| !value.is_finite()) {
            return Err(refuse(i, "finite numbers").into());
        }
        let values: ArrayRef = match self.options.dtype {
            Dtype::F32 => Arc::new(Float32Array::from(activations.to_vec())),
            Dtype::F16 => {
                let mut narrow = vec![f16::ZERO; activations.len()];
                narrow.convert_from_f32_slice(activations);
                if let Some(i) = narrow.iter().position(|value| !value.is_finite()) {
                    return Err(
                        refuse(i, "numbers within the range of f16 (up to 65504; f32 holds more)").into()
                    );
                }
                Arc::new(Float16Array::from(narrow))
            }
        };
        let item = Arc::new(Field::new_list_field(self.options.dtype.arrow(), false));
        let lists = FixedSizeListArray::try_new(item, self.d_in as i32, values, None)
            .map_err(|error| self.arrow(&error))?;
        Ok(Arc::new(lists))
    }

    fn begin_shard(&self, schema: SchemaRef) -> Result<OpenShard> {
        let name = format!("{:05}.parquet", self.shards.len());
        let file = fs_err::File::create_new(self.staging.path().join(&name))?;
        let properties = properties(&self.options, self.d_in);
        let parquet = ArrowWriter::try_new(Hashed::new(file), schema, Some(properties))
            .map_err(|error| self.parquet(error))?;
        Ok(OpenShard { name, rows: 0, parquet })
    }

    fn end_shard(&mut self, shard: OpenShard) -> Result<()> {
        let hashed = shard.parquet.into_inner().map_err(|error| self.parquet(error))?;
        hashed.inner.sync_all()?;
        let sha256 = format!("{:x}", hashed.hash.finalize());
        self.shards.push(Shard { file: shard.name, rows: Some(shard.rows), sha256: Some(sha256) });
        Ok(())
    }

    fn unwritable(&self, reason: String) -> DumpError {
        DumpError::Unwritable { path: self.target.clone(), reason }
    }

    fn arrow(&self, error: &ArrowError) -> DumpError {
        self.unwritable(format!("expected columns that fit together, found otherwise: {error}"))
    }

    fn parquet(&self, error: ParquetError) -> crate::Error {
        match error {
            ParquetError::External(source) if source.is::<std::io::Error>() => source
                .downcast::<std::io::Error>()
                .map_or_else(|other| self.unwritable(other.to_string()).into(), |io| (*io).into()),
            other => self
                .unwritable(format!("expected columns that Parquet can hold, found otherwise: {other}"))
                .into(),
        }
    }
}

fn properties(options: &DumpWriterOptions, d_in: usize) -> WriterProperties {
    let values = ColumnPath::from(vec![ACTIVATION.to_owned(), "list".to_owned(), "item".to_owned()]);
    let rows = (ROW_GROUP_BYTES / (4 * d_in)).clamp(1, ROW_GROUP_ROWS);
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(rows))
        // Activations do not repeat: a dictionary or statistics of them are only weight.
        .set_column_dictionary_enabled(values.clone(), false)
        .set_column_statistics_enabled(values.clone(), EnabledStatistics::None);
    if options.compress {
        let zstd = Compression::ZSTD(ZstdLevel::try_new(3).unwrap_or_default());
        properties.set_compression(zstd).set_column_encoding(values, Encoding::BYTE_STREAM_SPLIT).build()
    } else {
        properties
            .set_compression(Compression::UNCOMPRESSED)
            .set_column_encoding(values, Encoding::PLAIN)
            .build()
    }
}

/// Hashes what is written, so that the file need not be read again for it.
#[derive(Debug)]
struct Hashed<W> {
    inner: W,
    hash: Sha256,
}

impl<W> Hashed<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new() }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}
