//! A uniformly random order of a dump's training rows, in bounded memory.
//!
//! Every row is thrown into one of many buckets at random while the dump is read once. An epoch visits
//! the buckets in random order and each bucket's rows in random order: every order of the rows is as
//! likely as any other, and only one bucket is in memory at a time. A dump that fits is one bucket.
//! Buckets lie in nameless temporary files: whatever happens, nothing is left behind.

use crate::{
    Result, TrainError,
    buckets::Bucket,
    normalize::{Moments, Normalize, layer_norm},
    split::{Split, mix},
};
use rand::{SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};
use sae_core::dump::Dump;
use std::path::Path;

pub use crate::buckets::Memory;

/// How rows are shuffled and scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShuffleOptions<'a> {
    /// Decides the order.
    pub seed: u64,
    /// What may be used of main memory.
    pub memory: Memory,
    /// Where temporary files may lie.
    pub scratch: &'a Path,
    /// How the activations are scaled.
    pub normalize: Normalize,
    /// Whether the companion is scaled as the activations are, being what is to be reconstructed (a
    /// target), or left as it is (a gradient).
    pub companion_scaled: bool,
}

/// The training rows of a dump, ready to be visited in random order any number of times.
#[derive(Debug)]
pub struct Shuffled {
    widths: Vec<usize>,
    d_companion: usize,
    n_rows: u64,
    seed: u64,
    buckets: Vec<Bucket>,
    /// What each column of the activations is divided by.
    pub scale: Vec<f64>,
    /// What the companion is divided by; 1 if it is not scaled.
    pub companion_scale: f64,
    /// `mean ‖v − mean v‖²` over the training rows, after scaling, where `v` is what is reconstructed:
    /// the companion if it is scaled, else the activations.
    pub total_variance: f64,
    /// Rows left out because they were bad.
    pub skipped: u64,
}

/// Rows to learn from.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[n_rows, d_in]`, scaled.
    pub x: Vec<f32>,
    /// `[n_rows, d_companion]`; empty without a companion.
    pub companion: Vec<f32>,
}

impl Shuffled {
    /// Reads the training rows of a dump, each with its companion if the dump has one.
    ///
    /// # Errors
    /// If the dump cannot be read, holds nothing to train on, or the scratch space is full.
    pub fn read(
        dump: &Dump,
        split: &Split,
        options: &ShuffleOptions<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self> {
        let ShuffleOptions { seed, memory, scratch, normalize, companion_scaled } = *options;
        let (widths, d_in, d_companion) = (dump.widths(), dump.d_in(), dump.d_companion());
        let mut buckets = memory.buckets(dump.n_rows() * (d_in + d_companion) as u64 * 4, scratch)?;
        let mut moments = Moments::side_by_side(&widths);
        let mut of_companion = Moments::new(0, d_companion);
        let mut reader = dump.read(split.columns());
        for batch in reader.by_ref() {
            let mut batch = batch?;
            let n_rows = batch.activations.len() / d_in;
            let held_out = split.held_out(batch.first_row, n_rows, &batch.others)?;
            let rows: Vec<usize> = (0..n_rows).filter(|row| !held_out[*row]).collect();
            if normalize == Normalize::LayerNorm {
                layer_norm(&mut batch.activations, &widths);
                if companion_scaled && d_companion > 0 {
                    layer_norm(&mut batch.companion, &[d_companion]);
                }
            }
            for column in &mut moments {
                column.add(&batch.activations, d_in, &rows);
            }
            of_companion.add(&batch.companion, d_companion, &rows);
            for row in rows {
                let bucket = mix(seed ^ mix(batch.first_row + row as u64)) % buckets.len() as u64;
                let x = &batch.activations[row * d_in..][..d_in];
                let companion = &batch.companion[row * d_companion..][..d_companion];
                buckets[bucket as usize].push(x, companion)?;
            }
            progress(batch.first_row + n_rows as u64);
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
        for (column, moments) in dump.activation_columns().into_iter().zip(&moments) {
            refuse_zero(column, moments)?;
        }
        if let Some(column) = dump.companion_column() {
            refuse_zero(column, &of_companion)?;
        }
        let scale: Vec<f64> = moments.iter().map(|moments| normalize.scale(moments, n_rows)).collect();
        let target = companion_scaled && d_companion > 0;
        let companion_scale = if target { normalize.scale(&of_companion, n_rows) } else { 1.0 };
        let total_variance = if target {
            of_companion.variance(n_rows) / companion_scale.powi(2)
        } else {
            moments.iter().zip(&scale).map(|(moments, scale)| moments.variance(n_rows) / scale.powi(2)).sum()
        };
        let skipped = reader.skipped();
        Ok(Self {
            widths,
            d_companion,
            n_rows,
            seed,
            buckets,
            scale,
            companion_scale,
            total_variance,
            skipped,
        })
    }

    /// Rows of an epoch.
    pub fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// Width of an activation.
    pub fn d_in(&self) -> usize {
        self.widths.iter().sum()
    }

    /// Width of the companion; 0 without one.
    pub fn d_companion(&self) -> usize {
        self.d_companion
    }
}

fn refuse_zero(column: &str, moments: &Moments) -> Result<()> {
    if moments.is_zero() {
        return Err(TrainError::Data(format!(
            "every value of `{column}` is zero: there is nothing to learn. Check how the dump was written, or name another column"
        )));
    }
    Ok(())
}

/// Rows in random order without end, epoch after epoch; each divided by its scale.
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

    /// The next `n` rows, across buckets and epochs.
    ///
    /// # Errors
    /// If a temporary file cannot be read.
    pub fn take(&mut self, n: usize) -> Result<Batch> {
        let (d_in, d_companion) = (self.shuffled.d_in(), self.shuffled.d_companion);
        let d = d_in + d_companion;
        let mut x = Vec::with_capacity(n * d_in);
        let mut companion = Vec::with_capacity(n * d_companion);
        let factors = self.shuffled.scale.iter().map(|scale| (1.0 / scale) as f32);
        let columns: Vec<(usize, f32)> = self.shuffled.widths.iter().copied().zip(factors).collect();
        let companion_factor = (1.0 / self.shuffled.companion_scale) as f32;
        let mut taken = 0;
        while taken < n {
            if self.order.is_empty() {
                self.open_bucket()?;
            }
            let rows = &self.order[self.next..self.order.len().min(self.next + n - taken)];
            for &row in rows {
                let mut rest = &self.values[row as usize * d..][..d];
                for &(width, factor) in &columns {
                    let (column, after) = rest.split_at(width);
                    x.extend(column.iter().map(|value| value * factor));
                    rest = after;
                }
                companion.extend(rest.iter().map(|value| value * companion_factor));
            }
            taken += rows.len();
            self.next += rows.len();
            if self.next == self.order.len() {
                self.order.clear();
                self.next = 0;
                self.at.pop();
            }
        }
        Ok(Batch { x, companion })
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
                    let d = self.shuffled.d_in() + self.shuffled.d_companion;
                    self.shuffled.buckets[bucket].load(&mut self.values, d)?;
                }
                return Ok(());
            }
            self.at.pop();
        }
        // All buckets left in this epoch were empty.
        self.open_bucket()
    }
}
