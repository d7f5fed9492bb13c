//! One Arrow IPC file: written batch by batch, read as a memory map without copying.

use super::IndexError;
use crate::{Error, Result};
use arrow::{
    array::RecordBatch,
    buffer::Buffer,
    datatypes::{Schema, SchemaRef},
    error::ArrowError,
    ipc::{
        Block,
        convert::fb_to_schema,
        reader::{FileDecoder, read_footer_length},
        root_as_footer,
        writer::FileWriter,
    },
};
use bytemuck::Pod;
use memmap2::Mmap;
use rayon::prelude::*;
#[cfg(unix)]
use std::os::unix::fs::FileExt;
use std::{
    io::BufWriter,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    ptr::NonNull,
    sync::Arc,
};

/// The batches of a file, in memory that the file backs.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) path: PathBuf,
    pub(super) schema: SchemaRef,
    pub(super) batches: Vec<RecordBatch>,
    pub(super) file: Mapped,
}

/// A file in memory.
#[derive(Debug, Clone)]
pub(super) struct Mapped {
    map: Arc<Mmap>,
    file: Arc<fs_err::File>,
}

impl Mapped {
    /// Gives back the memory of what was read of the file so far; what is read again is loaded again.
    ///
    /// A file that is read once from its beginning to its end would otherwise be in memory as a whole,
    /// and no limit of a build could hold.
    pub(super) fn forget(&self) {
        // SAFETY: nobody writes to the map, so its pages are those of the file whenever they are loaded.
        // That the system keeps them after all is no error.
        #[cfg(unix)]
        let _ = unsafe { self.map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
    }

    /// A copy of some of the map, read from the file: to touch a few numbers in the map would bring the 64 KB
    /// around them into this process's memory, which takes longer and is soon all of the file.
    pub(super) fn copy<T: Pod>(&self, numbers: &[T]) -> Vec<T> {
        #[cfg(unix)]
        if let Some(offset) = (numbers.as_ptr() as usize).checked_sub(self.map.as_ptr() as usize) {
            let mut copy = vec![T::zeroed(); numbers.len()];
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut copy);
            if offset + bytes.len() <= self.map.len()
                && self.file.file().read_exact_at(bytes, offset as u64).is_ok()
            {
                return copy;
            }
        }
        numbers.to_vec()
    }
}

impl Table {
    /// Maps a file and checks all of it that could break a reader: offsets, keys and text.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = match fs_err::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(IndexError::Missing { path: path.to_owned() }.into());
            }
            Err(error) => return Err(error.into()),
        };
        // SAFETY: an index is written under another name and never changed once it has this one;
        // rebuilding renames a new file into its place, which leaves this mapping as it is.
        let map = Arc::new(unsafe { Mmap::map(file.file()) }?);
        let start = NonNull::from(&**map).cast::<u8>();
        // SAFETY: the pointer is valid for the map's length as long as `map` lives, and the buffer owns it.
        let buffer = unsafe { Buffer::from_custom_allocation(start, map.len(), map.clone()) };
        let corrupt = |found: String| IndexError::Corrupt {
            path: path.to_owned(),
            expected: "an Arrow IPC file".to_owned(),
            found,
        };
        // Arrow's reader checks contents, but panics where the description of a batch is nonsense.
        let decoded = catch_unwind(AssertUnwindSafe(|| decode(&buffer)));
        let decoded = decoded.map_err(|_panic| corrupt("a batch that points outside the file".to_owned()))?;
        let (schema, batches) = decoded.map_err(|error| corrupt(error.to_string()))?;
        let file = Mapped { map, file: Arc::new(file) };
        // Checking has read more than most readers will.
        file.forget();
        Ok(Self { path: path.to_owned(), schema, batches, file })
    }

    /// An error about the contents of this file.
    pub(super) fn corrupt(&self, expected: impl Into<String>, found: impl Into<String>) -> Error {
        IndexError::Corrupt { path: self.path.clone(), expected: expected.into(), found: found.into() }.into()
    }

    /// Checks that the columns have these names and types.
    pub(super) fn expect_columns(&self, expected: &Schema) -> Result<()> {
        let (expected, found) = (describe(expected), describe(&self.schema));
        if expected == found { Ok(()) } else { Err(self.corrupt(format!("columns {expected}"), found)) }
    }

    /// Checks that there are `n_rows` rows in batches of `per_batch`, the last of which may be shorter.
    pub(super) fn expect_rows(&self, n_rows: u64, per_batch: usize) -> Result<()> {
        let found: u64 = self.batches.iter().map(|batch| batch.num_rows() as u64).sum();
        if found != n_rows {
            return Err(self.corrupt(format!("{n_rows} rows"), format!("{found}")));
        }
        let full = self.batches.iter().rev().skip(1);
        if full.into_iter().any(|batch| batch.num_rows() != per_batch)
            || self.batches.last().is_some_and(|batch| batch.num_rows() > per_batch)
        {
            return Err(self.corrupt(format!("batches of {per_batch} rows"), "batches of other lengths"));
        }
        Ok(())
    }
}

/// Names and types of columns in one line.
pub(super) fn describe(schema: &Schema) -> String {
    let columns = schema.fields().iter().map(|field| format!("{}: {}", field.name(), field.data_type()));
    format!("({})", columns.collect::<Vec<_>>().join(", "))
}

fn decode(file: &Buffer) -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
    let short = || ArrowError::ParseError("a file without its end".to_owned());
    let (rest, trailer) = file.split_last_chunk::<10>().ok_or_else(short)?;
    let footer = read_footer_length(*trailer)?;
    let footer = rest.len().checked_sub(footer).map(|start| &rest[start..]).ok_or_else(short)?;
    let footer = root_as_footer(footer).map_err(|error| ArrowError::ParseError(error.to_string()))?;
    let schema = Arc::new(fb_to_schema(footer.schema().ok_or_else(short)?));
    let mut decoder = FileDecoder::new(schema.clone(), footer.version()).with_require_alignment(true);
    let bytes = |block: &Block| {
        let len = block.bodyLength() as usize + block.metaDataLength() as usize;
        file.slice_with_length(block.offset() as usize, len)
    };
    for block in footer.dictionaries().iter().flatten() {
        decoder.read_dictionary(block, &bytes(block))?;
    }
    let blocks: Vec<Block> = footer.recordBatches().iter().flatten().copied().collect();
    let batches =
        blocks.par_iter().filter_map(|block| decoder.read_record_batch(block, &bytes(block)).transpose());
    Ok((schema, batches.collect::<Result<_, _>>()?))
}

/// Writes a file batch by batch.
pub(super) struct TableWriter {
    path: PathBuf,
    schema: SchemaRef,
    writer: FileWriter<BufWriter<fs_err::File>>,
}

impl TableWriter {
    pub(super) fn create(path: PathBuf, schema: SchemaRef) -> Result<Self> {
        let file = BufWriter::new(fs_err::File::create(&path)?);
        let writer = FileWriter::try_new(file, &schema).map_err(|error| at(&path, error))?;
        Ok(Self { path, schema, writer })
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(|error| at(&self.path, error))
    }

    /// Writes a batch that is made for this file's columns.
    pub(super) fn write_with(
        &mut self,
        batch: impl FnOnce(&SchemaRef) -> Result<RecordBatch, ArrowError>,
    ) -> Result<()> {
        let batch = batch(&self.schema).map_err(|error| at(&self.path, error))?;
        self.write(&batch)
    }

    /// Ends the file and sees it onto the disk.
    pub(super) fn finish(self) -> Result<PathBuf> {
        let file = self.writer.into_inner().map_err(|error| at(&self.path, error))?;
        let file = file.into_inner().map_err(|error| Error::Io(error.into_error()))?;
        file.sync_all()?;
        Ok(self.path)
    }
}

/// Arrow's error as ours: what the system said is left as `fs_err` told it.
pub(super) fn at(path: &Path, error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, error) => Error::Io(error),
        source => IndexError::Arrow { path: path.to_owned(), source }.into(),
    }
}
