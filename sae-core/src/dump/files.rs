//! Which Parquet files a dump consists of, and their footers.

use super::DumpError;
use crate::Result;
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{
        ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
    },
};
use sha2::{Digest, Sha256};
use std::{
    any::Any,
    io::{Read, Seek, SeekFrom},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

const MAGIC: &[u8; 4] = b"PAR1";

/// A file of a dump, its footer read.
#[derive(Debug, Clone)]
pub(super) struct ParquetFile {
    pub(super) path: PathBuf,
    pub(super) footer: ArrowReaderMetadata,
}

/// The files at `path`: itself, the `*.parquet` in it by name, or what the glob matches by name.
pub(super) fn find(path: &str) -> Result<Vec<PathBuf>> {
    let found = |found| DumpError::NoFiles { path: path.to_owned(), found };
    let as_path = Path::new(path);
    let mut files = Vec::new();
    if as_path.is_file() {
        files.push(as_path.to_owned());
    } else if as_path.is_dir() {
        for entry in fs_err::read_dir(as_path)? {
            let file = entry?.path();
            if is_parquet(&file) && file.is_file() {
                files.push(file);
            }
        }
        if files.is_empty() {
            return Err(found("a directory without any").into());
        }
    } else if path.contains(['*', '?', '[']) {
        let bad = |error: glob::PatternError| DumpError::BadGlob {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        for file in glob::glob(path).map_err(bad)? {
            let file = file.map_err(std::io::Error::from)?;
            if file.is_file() {
                files.push(file);
            }
        }
        if files.is_empty() {
            return Err(found("no file that matches").into());
        }
    } else {
        return Err(DumpError::NotFound { path: path.to_owned() }.into());
    }
    files.sort();
    Ok(files)
}

/// Hidden files are left out: editors and unfinished downloads leave such beside the real ones.
fn is_parquet(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".parquet") && !name.starts_with('.')
}

impl ParquetFile {
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        let mut file = fs_err::File::open(&path)?;
        let length = file.metadata()?.len();
        let mut head = Vec::new();
        file.by_ref().take(4).read_to_end(&mut head)?;
        if head != MAGIC {
            let found = if length == 0 {
                "an empty file".to_owned()
            } else {
                format!("a file that begins with the bytes {head:02x?}")
            };
            return Err(DumpError::NotParquet { path, found }.into());
        }
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(length.saturating_sub(4)))?;
        file.read_to_end(&mut tail)?;
        if length < 12 || tail != MAGIC {
            return Err(DumpError::Truncated { path }.into());
        }
        match guarded(|| ArrowReaderMetadata::load(file.file(), ArrowReaderOptions::new())) {
            Ok(footer) => Ok(Self { path, footer }),
            Err(reason) => Err(DumpError::BadFooter { path, reason }.into()),
        }
    }

    /// Rows of the file, each perhaps of many positions.
    pub(super) fn n_rows(&self) -> u64 {
        self.row_groups().iter().map(|group| group.num_rows().max(0) as u64).sum()
    }

    pub(super) fn row_groups(&self) -> &[parquet::file::metadata::RowGroupMetaData] {
        self.footer.metadata().row_groups()
    }

    /// Entries of the innermost lists of a column, in each row group; nulls and empty lists count one.
    pub(super) fn leaf_values(&self, column: &str) -> Vec<u64> {
        let group_values = |group: &parquet::file::metadata::RowGroupMetaData| {
            let leaf = group
                .columns()
                .iter()
                .find(|leaf| leaf.column_path().parts().first().is_some_and(|root| root == column));
            leaf.map_or(0, |leaf| leaf.num_values().max(0) as u64)
        };
        self.row_groups().iter().map(group_values).collect()
    }

    /// Bytes of some columns of a row group, not compressed.
    pub(super) fn bytes(&self, row_group: usize, columns: &[String]) -> u64 {
        let leaves = self.row_groups()[row_group].columns().iter();
        let wanted = leaves
            .filter(|leaf| leaf.column_path().parts().first().is_some_and(|root| columns.contains(root)));
        wanted.map(|leaf| leaf.uncompressed_size().max(0) as u64).sum()
    }

    /// A reader of some columns of a row group, `rows` rows at a time.
    pub(super) fn arrow(
        &self,
        row_group: usize,
        columns: &[String],
        rows: usize,
    ) -> Result<ParquetRecordBatchReader> {
        let (file, _) = fs_err::File::open(&self.path)?.into_parts();
        let fields = self.footer.schema().fields().iter().enumerate();
        let roots = fields.filter(|(_, field)| columns.contains(field.name())).map(|(root, _)| root);
        let mask = ProjectionMask::roots(self.footer.parquet_schema(), roots);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.footer.clone())
            .with_row_groups(vec![row_group])
            .with_projection(mask)
            .with_batch_size(rows);
        guarded(|| builder.build()).map_err(|reason| self.bad_pages(row_group, reason).into())
    }

    pub(super) fn bad_pages(&self, row_group: usize, reason: impl ToString) -> DumpError {
        DumpError::BadPages { path: self.path.clone(), row_group, reason: reason.to_string() }
    }

    /// Adds this file's name, length and footer to a hash.
    pub(super) fn hash_into(&self, hash: &mut Sha256) -> Result<()> {
        let mut file = fs_err::File::open(&self.path)?;
        let length = file.metadata()?.len();
        let mut tail = [0; 8];
        file.seek(SeekFrom::Start(length.saturating_sub(8)))?;
        file.read_exact(&mut tail)?;
        let [a, b, c, d, ..] = tail;
        let footer_length = u64::from(u32::from_le_bytes([a, b, c, d])) + 8;
        file.seek(SeekFrom::Start(length.saturating_sub(footer_length)))?;
        let mut footer = Vec::new();
        file.read_to_end(&mut footer)?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        // Lengths first: no two different lists of files feed the same bytes to the hash.
        for part in [name.as_bytes(), &length.to_le_bytes(), &footer] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Ok(())
    }
}

/// Runs the decoder, which panics on some corrupt pages where it should give an error.
pub(super) fn guarded<T, E: ToString>(decode: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    let message = |panic: Box<dyn Any + Send>| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref().cloned()).unwrap_or_default()
    };
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(decoded) => decoded.map_err(|error| error.to_string()),
        Err(panic) => Err(message(panic)),
    }
}
