//! Bringing inputs to a common size, so that learning rates and coefficients carry over between models.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Rows that a thread takes at once. Fixed, so that sums do not depend on the number of threads.
const CHUNK: usize = 512;
/// Sums of a row are kept in so many parts, so that they vectorise.
const LANES: usize = 8;
/// Added to the standard deviation, so that a constant row becomes zero.
const EPS: f64 = 1e-5;

/// How inputs `x` `[d]` are scaled before training. Several columns are scaled each by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// Not at all.
    None,
    /// `x / √(mean ‖x‖²)`
    #[default]
    UnitMeanSquare,
    /// `x · √d / mean ‖x‖`, so that the mean norm is `√d`; what SAELens calls `expected_average_only_in`.
    SqrtD,
    /// Each row by itself: `(x − mean x) / (std x + 1e-5)` over its `d` values, with the unbiased
    /// standard deviation.
    LayerNorm,
}

impl Normalize {
    /// What columns with such moments are divided by. Layer norm has been applied to them already.
    pub(crate) fn scale(self, moments: &Moments, n_rows: u64) -> f64 {
        let n = n_rows as f64;
        match self {
            Self::None | Self::LayerNorm => 1.0,
            Self::UnitMeanSquare => (moments.norm_squares / n).sqrt(),
            Self::SqrtD => moments.norms / n / (moments.sum.len() as f64).sqrt(),
        }
    }
}

/// [`Normalize::LayerNorm`] in place, of each row of `x` `[n_rows, Σ widths]` column by column.
pub fn layer_norm(x: &mut [f32], widths: &[usize]) {
    let d = widths.iter().sum();
    x.par_chunks_mut(CHUNK * d).for_each(|rows| {
        for mut row in rows.chunks_exact_mut(d) {
            for width in widths {
                let (column, rest) = row.split_at_mut(*width);
                layer_norm_row(column);
                row = rest;
            }
        }
    });
}

fn layer_norm_row(x: &mut [f32]) {
    let mean = sum(x, |value| value) / x.len() as f64;
    let squares = sum(x, |value| (value - mean) * (value - mean));
    let factor = 1.0 / ((squares / (x.len() - 1).max(1) as f64).sqrt() + EPS);
    for value in x {
        *value = ((f64::from(*value) - mean) * factor) as f32;
    }
}

fn sum(x: &[f32], term: impl Fn(f64) -> f64) -> f64 {
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += term(f64::from(*value));
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|value| term(f64::from(*value))).sum::<f64>()
}

/// Sums over the rows of a column, for its scale and its variance.
#[derive(Debug, Clone)]
pub(crate) struct Moments {
    /// Where the column begins in a row.
    start: usize,
    /// The first row: what is summed is shifted by it, so that nothing cancels.
    shift: Vec<f64>,
    sum: Vec<f64>,
    squares: f64,
    norms: f64,
    norm_squares: f64,
}

impl Moments {
    /// Of the column that takes up `width` values from `start` on.
    pub(crate) fn new(start: usize, width: usize) -> Self {
        let sum = vec![0.0; width];
        Self { start, shift: Vec::new(), sum, squares: 0.0, norms: 0.0, norm_squares: 0.0 }
    }

    /// Of several columns side by side.
    pub(crate) fn side_by_side(widths: &[usize]) -> Vec<Self> {
        let starts = widths.iter().scan(0, |start, width| {
            *start += width;
            Some(*start - width)
        });
        starts.zip(widths).map(|(start, width)| Self::new(start, *width)).collect()
    }

    /// Adds some rows of `x` `[n_rows, d]`.
    pub(crate) fn add(&mut self, x: &[f32], d: usize, rows: &[usize]) {
        let (start, width) = (self.start, self.sum.len());
        let column = |row: usize| &x[row * d + start..][..width];
        if self.shift.is_empty()
            && let Some(&first) = rows.first()
        {
            self.shift = column(first).iter().map(|value| f64::from(*value)).collect();
        }
        let shift = &self.shift;
        let parts: Vec<Self> = rows
            .par_chunks(CHUNK)
            .map(|rows| {
                let mut part = Self::new(start, width);
                for &row in rows {
                    part.add_row(column(row), shift);
                }
                part
            })
            .collect();
        for part in parts {
            for (sum, more) in self.sum.iter_mut().zip(part.sum) {
                *sum += more;
            }
            self.squares += part.squares;
            self.norms += part.norms;
            self.norm_squares += part.norm_squares;
        }
    }

    fn add_row(&mut self, x: &[f32], shift: &[f64]) {
        let (mut squares, mut norm) = ([0.0; LANES], [0.0; LANES]);
        let mut add = |i: usize, x: f32, shift: f64, sum: &mut f64| {
            let x = f64::from(x);
            let shifted = x - shift;
            *sum += shifted;
            squares[i] += shifted * shifted;
            norm[i] += x * x;
        };
        let (x, x_rest) = x.as_chunks::<LANES>();
        let (shift, shift_rest) = shift.as_chunks::<LANES>();
        let (sum, sum_rest) = self.sum.as_chunks_mut::<LANES>();
        for ((x, shift), sum) in x.iter().zip(shift).zip(sum) {
            for i in 0..LANES {
                add(i, x[i], shift[i], &mut sum[i]);
            }
        }
        for (i, ((x, shift), sum)) in x_rest.iter().zip(shift_rest).zip(sum_rest).enumerate() {
            add(i, *x, *shift, sum);
        }
        let norm: f64 = norm.iter().sum();
        self.squares += squares.iter().sum::<f64>();
        self.norms += norm.sqrt();
        self.norm_squares += norm;
    }

    /// Whether every value was zero.
    pub(crate) fn is_zero(&self) -> bool {
        self.norm_squares == 0.0
    }

    /// `mean ‖x − mean‖²`
    pub(crate) fn variance(&self, n_rows: u64) -> f64 {
        let n = n_rows as f64;
        let mean_square: f64 = self.sum.iter().map(|sum| (sum / n).powi(2)).sum();
        (self.squares / n - mean_square).max(0.0)
    }
}
