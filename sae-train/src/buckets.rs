//! Where the rows that are being shuffled lie: in main memory, or in nameless temporary files.

use crate::Result;
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
};

/// A dump that does not fit is thrown into at most so many buckets: each needs an open file.
const MAX_BUCKETS: u64 = 512;

/// How much main memory shuffling takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// A dump up to this size stays in memory.
    pub whole: u64,
    /// Of a larger one, a bucket of about this size, as long as these are few enough.
    pub bucket: u64,
}

impl Memory {
    /// A quarter of what may be used for each bucket, up to 64 MiB: while one is visited the batches
    /// of the one before still wait.
    pub fn up_to(bytes: u64) -> Self {
        Self { whole: bytes, bucket: (bytes / 4).clamp(1, 64 << 20) }
    }

    /// Buckets for so many bytes: one in main memory if they fit, else many in files.
    pub(crate) fn buckets(self, bytes: u64, scratch: &Path) -> Result<Vec<Bucket>> {
        if bytes <= self.whole {
            let values = Vec::with_capacity(bytes as usize / 4);
            return Ok(vec![Bucket { rows: 0, store: Store::Memory(values) }]);
        }
        let n = bytes.div_ceil(self.bucket).min(MAX_BUCKETS);
        (0..n).map(|_| Bucket::in_file(scratch)).collect()
    }
}

/// Some of the rows, in the order in which they were read.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) rows: usize,
    store: Store,
}

#[derive(Debug)]
enum Store {
    Memory(Vec<f32>),
    File { file: File, unwritten: Vec<u8> },
}

impl Bucket {
    fn in_file(scratch: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(scratch).map_err(|error| {
            std::io::Error::new(error.kind(), format!("no temporary file in {}: {error}", scratch.display()))
        })?;
        Ok(Self { rows: 0, store: Store::File { file, unwritten: Vec::new() } })
    }

    /// Appends a row, given in two parts.
    pub(crate) fn push(&mut self, x: &[f32], companion: &[f32]) -> Result<()> {
        const BUFFER: usize = 1 << 17;
        self.rows += 1;
        match &mut self.store {
            Store::Memory(values) => {
                values.extend_from_slice(x);
                values.extend_from_slice(companion);
            }
            Store::File { unwritten, .. } => {
                unwritten.extend_from_slice(bytemuck::cast_slice(x));
                unwritten.extend_from_slice(bytemuck::cast_slice(companion));
                if unwritten.len() >= BUFFER {
                    self.flush()?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        if let Store::File { file, unwritten } = &mut self.store {
            file.write_all(unwritten).map_err(|error| {
                let advice = "the temporary files for shuffling take 4 bytes per value of the dump";
                std::io::Error::new(error.kind(), format!("{error}; {advice}"))
            })?;
            unwritten.clear();
        }
        Ok(())
    }

    /// The bucket's rows of `d` values into `out`.
    pub(crate) fn load(&mut self, out: &mut Vec<f32>, d: usize) -> Result<()> {
        match &mut self.store {
            // The only bucket: it stays where it is loaded.
            Store::Memory(values) => std::mem::swap(values, out),
            Store::File { file, .. } => {
                out.resize(self.rows * d, 0.0);
                file.seek(SeekFrom::Start(0))?;
                file.read_exact(bytemuck::cast_slice_mut(out))?;
            }
        }
        Ok(())
    }
}
