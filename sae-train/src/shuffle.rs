//! A uniformly random order of a dump's training rows, in bounded memory.
//!
//! Every row is thrown into one of many buckets at random while the dump is read once. An epoch visits
//! the buckets in random order and each bucket's rows in random order: every order of the rows is as
//! likely as any other, and only one bucket is in memory at a time. A dump that fits is one bucket.
//! Buckets lie in nameless temporary files: whatever happens, nothing is left behind.

use crate::{
    Result, TrainError,
    split::{Split, mix},
};
use rand::{SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};
use sae_core::dump::Dump;
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
}

/// The training rows of a dump, ready to be visited in random order any number of times.
#[derive(Debug)]
pub struct Shuffled {
    d_in: usize,
    n_rows: u64,
    seed: u64,
    buckets: Vec<Bucket>,
    /// `√ mean ‖x‖²` over the training rows.
    pub scale: f64,
    /// `mean ‖x − mean‖²` over the training rows.
    pub total_variance: f64,
    /// Rows left out because they were bad.
    pub skipped: u64,
}

#[derive(Debug)]
struct Bucket {
    rows: usize,
    store: Store,
}

#[derive(Debug)]
enum Store {
    Memory(Vec<f32>),
    File { file: File, unwritten: Vec<u8> },
}

impl Shuffled {
    /// Reads the training rows of a dump. `scratch` is where temporary files may lie.
    ///
    /// # Errors
    /// If the dump cannot be read, holds nothing to train on, or the scratch space is full.
    pub fn read(
        dump: &Dump,
        split: &Split,
        seed: u64,
        memory: Memory,
        scratch: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self> {
        let d_in = dump.d_in();
        let bytes = dump.n_rows() * d_in as u64 * 4;
        let mut buckets = if bytes <= memory.whole {
            vec![Bucket { rows: 0, store: Store::Memory(Vec::with_capacity(bytes as usize / 4)) }]
        } else {
            let n = bytes.div_ceil(memory.bucket).min(MAX_BUCKETS);
            (0..n).map(|_| Bucket::in_file(scratch)).collect::<Result<Vec<_>>>()?
        };
        let mut moments = Moments::new(d_in);
        let mut reader = dump.read(split.columns());
        for batch in reader.by_ref() {
            let batch = batch?;
            let rows = batch.activations.chunks_exact(d_in);
            let held_out = split.held_out(batch.first_row, rows.len(), &batch.others)?;
            for ((row, x), _) in (batch.first_row..).zip(rows).zip(held_out).filter(|(_, held_out)| !held_out)
            {
                moments.add(x);
                let bucket = mix(seed ^ mix(row)) % buckets.len() as u64;
                buckets[bucket as usize].push(x)?;
            }
            progress(batch.first_row + (batch.activations.len() / d_in) as u64);
        }
        for bucket in &mut buckets {
            bucket.flush()?;
        }
        let n_rows = buckets.iter().map(|bucket| bucket.rows as u64).sum();
        if n_rows == 0 {
            return Err(TrainError::Data(format!(
                "the dump has no row to train on ({} rows in all). Expected at least one outside the held-out split; lower data.eval_fraction",
                dump.n_rows()
            )));
        }
        let (scale, total_variance) = moments.finish(n_rows);
        if scale == 0.0 {
            return Err(TrainError::Data(
                "every activation of the dump is zero: there is nothing to learn".into(),
            ));
        }
        Ok(Self { d_in, n_rows, seed, buckets, scale, total_variance, skipped: reader.skipped() })
    }

    /// Rows of an epoch.
    pub fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// Width of a row.
    pub fn d_in(&self) -> usize {
        self.d_in
    }
}

impl Bucket {
    fn in_file(scratch: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(scratch).map_err(|error| {
            std::io::Error::new(error.kind(), format!("no temporary file in {}: {error}", scratch.display()))
        })?;
        Ok(Self { rows: 0, store: Store::File { file, unwritten: Vec::new() } })
    }

    fn push(&mut self, x: &[f32]) -> Result<()> {
        const BUFFER: usize = 1 << 17;
        self.rows += 1;
        match &mut self.store {
            Store::Memory(values) => values.extend_from_slice(x),
            Store::File { unwritten, .. } => {
                unwritten.extend_from_slice(bytemuck::cast_slice(x));
                if unwritten.len() >= BUFFER {
                    self.flush()?;
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if let Store::File { file, unwritten } = &mut self.store {
            file.write_all(unwritten).map_err(|error| {
                let advice = "the temporary files for shuffling take 4 bytes per value of the dump";
                std::io::Error::new(error.kind(), format!("{error}; {advice}"))
            })?;
            unwritten.clear();
        }
        Ok(())
    }

    /// The bucket's values into `out`.
    fn load(&mut self, out: &mut Vec<f32>, d_in: usize) -> Result<()> {
        match &mut self.store {
            // The only bucket: it stays where it is loaded.
            Store::Memory(values) => std::mem::swap(values, out),
            Store::File { file, .. } => {
                out.resize(self.rows * d_in, 0.0);
                file.seek(SeekFrom::Start(0))?;
                file.read_exact(bytemuck::cast_slice_mut(out))?;
            }
        }
        Ok(())
    }
}

/// Rows in random order without end, epoch after epoch; each divided by [`Shuffled::scale`].
#[derive(Debug)]
pub struct Rows {
    shuffled: Shuffled,
    epoch: u64,
    /// The buckets that the epoch has yet to visit, last first.
    at: Vec<usize>,
    /// The order of the rows of the bucket being visited.
    order: Vec<u32>,
    values: Vec<f32>,
    next: usize,
}

impl Rows {
    /// From the first row on.
    pub fn new(shuffled: Shuffled) -> Self {
        let mut rows =
            Self { shuffled, epoch: 0, at: Vec::new(), order: Vec::new(), values: Vec::new(), next: 0 };
        rows.seek(0);
        rows
    }

    /// Goes to the `start`-th row of the endless order.
    pub fn seek(&mut self, start: u64) {
        self.epoch = start / self.shuffled.n_rows;
        self.order.clear();
        self.at = self.bucket_order();
        let mut skip = start % self.shuffled.n_rows;
        while let Some(&bucket) = self.at.last() {
            let rows = self.shuffled.buckets[bucket].rows as u64;
            if skip < rows {
                break;
            }
            skip -= rows;
            self.at.pop();
        }
        self.next = skip as usize;
    }

    /// Last first, so that the next is popped.
    fn bucket_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.shuffled.buckets.len()).collect();
        order.shuffle(&mut self.rng(u64::MAX));
        order
    }

    fn rng(&self, bucket: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(mix(self.shuffled.seed ^ mix(self.epoch ^ mix(bucket))))
    }

    /// The next `n` rows, `[n, d_in]`, across buckets and epochs.
    ///
    /// # Errors
    /// If a temporary file cannot be read.
    pub fn take(&mut self, n: usize) -> Result<Vec<f32>> {
        let d_in = self.shuffled.d_in;
        let mut out = Vec::with_capacity(n * d_in);
        let scale = (1.0 / self.shuffled.scale) as f32;
        while out.len() < n * d_in {
            if self.order.is_empty() {
                self.open_bucket()?;
            }
            let wanted = n - out.len() / d_in;
            let rows = &self.order[self.next..self.order.len().min(self.next + wanted)];
            for &row in rows {
                let start = row as usize * d_in;
                out.extend(self.values[start..start + d_in].iter().map(|value| value * scale));
            }
            self.next += rows.len();
            if self.next == self.order.len() {
                self.order.clear();
                self.next = 0;
                self.at.pop();
            }
        }
        Ok(out)
    }

    fn open_bucket(&mut self) -> Result<()> {
        if self.at.is_empty() {
            self.epoch += 1;
            self.at = self.bucket_order();
        }
        while let Some(&bucket) = self.at.last() {
            let rows = self.shuffled.buckets[bucket].rows;
            if rows > 0 {
                self.order = (0..rows as u32).collect();
                let mut rng = self.rng(bucket as u64);
                self.order.shuffle(&mut rng);
                // The only bucket stays loaded from epoch to epoch.
                if self.values.is_empty() || self.shuffled.buckets.len() > 1 {
                    self.shuffled.buckets[bucket].load(&mut self.values, self.shuffled.d_in)?;
                }
                return Ok(());
            }
            self.at.pop();
        }
        // All buckets left in this epoch were empty.
        self.open_bucket()
    }
}

/// Sums for the scale and the variance, shifted by the first row so that nothing cancels.
struct Moments {
    shift: Vec<f32>,
    sum: Vec<f64>,
    squares: f64,
    norm: f64,
}

impl Moments {
    fn new(d_in: usize) -> Self {
        Self { shift: Vec::new(), sum: vec![0.0; d_in], squares: 0.0, norm: 0.0 }
    }

    fn add(&mut self, x: &[f32]) {
        if self.shift.is_empty() {
            self.shift = x.to_vec();
        }
        let mut squares = 0.0;
        let mut norm = 0.0;
        for ((&x, &shift), sum) in x.iter().zip(&self.shift).zip(&mut self.sum) {
            let (x, shifted) = (f64::from(x), f64::from(x) - f64::from(shift));
            *sum += shifted;
            squares += shifted * shifted;
            norm += x * x;
        }
        self.squares += squares;
        self.norm += norm;
    }

    /// `√ mean ‖x‖²` and `mean ‖x − mean‖²`.
    fn finish(&self, n_rows: u64) -> (f64, f64) {
        let n = n_rows as f64;
        let mean_square: f64 = self.sum.iter().map(|sum| (sum / n).powi(2)).sum();
        ((self.norm / n).sqrt(), (self.squares / n - mean_square).max(0.0))
    }
}
