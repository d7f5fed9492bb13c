//! How well and how sparsely an SAE reconstructs.

use super::DescriptionLength;
use crate::Codes;
use serde::{Deserialize, Serialize};

/// Metrics of an SAE over `N` rows `x`, with reconstructions `x̂` and activations `a`; for a transcoder `x`
/// is what it reconstructs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// `N`
    pub n_rows: u64,
    /// Mean over rows of the number of latents with `a > 0`.
    pub l0_mean: f64,
    /// Median over rows of it: the value of rank `ceil(N / 2)`.
    pub l0_median: u32,
    /// The value of rank `ceil(0.95 N)`.
    pub l0_p95: u32,
    /// Fraction of variance unexplained: `Σ‖x − x̂‖² / Σ‖x − mean x‖²`, the mean per dimension and over
    /// all rows; 0 if both are 0.
    pub fvu: f64,
    /// `1 − fvu`
    pub explained_variance: f64,
    /// Mean over rows of `‖x − x̂‖²`.
    pub mean_squared_error: f64,
    /// Mean over rows of the cosine of `x` and `x̂`; 0 where either is 0.
    pub cosine: f64,
    /// `Σ‖x̂‖² / Σ⟨x, x̂⟩`: below 1, reconstructions are too short (Rajamanoharan et al. 2024,
    /// arXiv 2404.16014); 1 if both are 0.
    pub relative_reconstruction_bias: f64,
    /// Fraction of latents that never fire.
    pub dead_fraction: f64,
    /// Fraction of latents that fire on more than a tenth of the rows.
    pub dense_fraction: f64,
    /// Bits that the codes of a row take, see [`DescriptionLength`].
    pub description_length: f64,
}

/// Gathers [`Metrics`] batch by batch.
#[derive(Debug, Clone)]
pub struct Reconstruction {
    d_out: usize,
    /// Subtracted before summing, so that nothing cancels where the mean is far from 0.
    shift: Vec<f32>,
    sum: Vec<f64>,
    shifted_squares: f64,
    error: f64,
    cosine: f64,
    out_squares: f64,
    products: f64,
    /// How many rows have each number of active latents.
    l0_counts: Vec<u64>,
    firings: Vec<u64>,
    description_length: DescriptionLength,
    n_rows: u64,
}

impl Reconstruction {
    /// Nothing gathered yet.
    pub fn new(d_out: usize, d_sae: usize) -> Self {
        Self {
            d_out,
            shift: Vec::new(),
            sum: vec![0.0; d_out],
            shifted_squares: 0.0,
            error: 0.0,
            cosine: 0.0,
            out_squares: 0.0,
            products: 0.0,
            l0_counts: Vec::new(),
            firings: vec![0; d_sae],
            description_length: DescriptionLength::new(d_sae),
            n_rows: 0,
        }
    }

    /// Takes note of rows `x`, their codes and reconstructions `out`; both matrices `[n_rows, d_out]`.
    pub fn add(&mut self, x: &[f32], codes: &Codes, out: &[f32]) {
        for (r, (x, out)) in x.chunks_exact(self.d_out).zip(out.chunks_exact(self.d_out)).enumerate() {
            self.add_row(x, out);
            let l0 = codes.row(r).0.len();
            if self.l0_counts.len() <= l0 {
                self.l0_counts.resize(l0 + 1, 0);
            }
            self.l0_counts[l0] += 1;
        }
        for &latent in &codes.latents {
            self.firings[latent as usize] += 1;
        }
        self.description_length.add(codes);
    }

    fn add_row(&mut self, x: &[f32], out: &[f32]) {
        if self.n_rows == 0 {
            self.shift = x.to_vec();
        }
        self.n_rows += 1;
        let (mut xx, mut oo, mut xo, mut error, mut shifted_squares) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (((&x, &out), &shift), sum) in x.iter().zip(out).zip(&self.shift).zip(&mut self.sum) {
            let (x, out) = (f64::from(x), f64::from(out));
            let shifted = x - f64::from(shift);
            *sum += shifted;
            shifted_squares += shifted * shifted;
            error += (x - out).powi(2);
            xx += x * x;
            oo += out * out;
            xo += x * out;
        }
        self.shifted_squares += shifted_squares;
        self.error += error;
        self.out_squares += oo;
        self.products += xo;
        if xx > 0.0 && oo > 0.0 {
            self.cosine += xo / (xx * oo).sqrt();
        }
    }

    /// The metrics of all rows given; none if there were none.
    pub fn finish(&self) -> Option<Metrics> {
        if self.n_rows == 0 {
            return None;
        }
        let n = self.n_rows as f64;
        let mean_squares: f64 = self.sum.iter().map(|sum| sum * sum / n).sum();
        let fvu = ratio(self.error, self.shifted_squares - mean_squares, 0.0);
        let l0_sum: f64 = self.l0_counts.iter().enumerate().map(|(l0, &rows)| l0 as f64 * rows as f64).sum();
        let fraction = |condition: &dyn Fn(f64) -> bool| {
            self.firings.iter().filter(|&&firings| condition(firings as f64)).count() as f64
                / self.firings.len() as f64
        };
        Some(Metrics {
            n_rows: self.n_rows,
            l0_mean: l0_sum / n,
            l0_median: self.l0_of_rank(self.n_rows.div_ceil(2)),
            l0_p95: self.l0_of_rank((0.95 * n).ceil() as u64),
            fvu,
            explained_variance: 1.0 - fvu,
            mean_squared_error: self.error / n,
            cosine: self.cosine / n,
            relative_reconstruction_bias: ratio(self.out_squares, self.products, 1.0),
            dead_fraction: fraction(&|firings| firings == 0.0),
            dense_fraction: fraction(&|firings| firings > 0.1 * n),
            description_length: self.description_length.bits_per_row(),
        })
    }

    /// The `rank`-th smallest number of active latents, counted from 1.
    fn l0_of_rank(&self, rank: u64) -> u32 {
        let mut seen = 0;
        let found = self.l0_counts.iter().position(|&rows| {
            seen += rows;
            seen >= rank
        });
        found.unwrap_or(0) as u32
    }
}

fn ratio(numerator: f64, denominator: f64, both_zero: f64) -> f64 {
    if numerator == 0.0 && denominator == 0.0 { both_zero } else { numerator / denominator }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(x: &[f32], out: &[f32], d_in: usize) -> Metrics {
        let codes = Codes { offsets: vec![0; x.len() / d_in + 1], ..Codes::default() };
        let mut gathered = Reconstruction::new(d_in, 1);
        gathered.add(x, &codes, out);
        gathered.finish().unwrap()
    }

    #[test]
    fn explained_variance_is_about_the_mean_of_each_dimension() {
        let x = [2.0, 0.0, 0.0, 4.0];
        assert!((metrics(&x, &[2.0, 1.0, 0.0, 3.0], 2).explained_variance - 0.8).abs() < 1e-12);
        assert!(metrics(&x, &[1.0, 2.0, 1.0, 2.0], 2).explained_variance.abs() < 1e-12);
    }

    #[test]
    fn a_constant_offset_is_an_error() {
        let x = [1.0, 2.0, 3.0];
        assert!((metrics(&x, &[2.0, 3.0, 4.0], 1).fvu - 1.5).abs() < 1e-12);
    }

    #[test]
    fn the_bias_of_a_scaled_copy_is_its_scale() {
        let x = [1.0, -2.0, 0.5, 3.0];
        let out = x.map(|x| 0.7 * x);
        assert!((metrics(&x, &out, 2).relative_reconstruction_bias - 0.7).abs() < 1e-6);
    }

    #[test]
    fn ranks_and_fractions_of_latents() {
        let mut gathered = Reconstruction::new(1, 4);
        // 20 rows: latent 0 on all, latent 1 on two, latent 2 on three, latent 3 never.
        let rows: Vec<Vec<u32>> = (0..20)
            .map(|r| [Some(0), (r < 2).then_some(1), (r < 3).then_some(2)].into_iter().flatten().collect())
            .collect();
        let mut codes = Codes::default();
        for row in &rows {
            codes.latents.extend(row);
            codes.values.extend(row.iter().map(|_| 1.0));
            codes.offsets.push(codes.latents.len() as u32);
        }
        gathered.add(&[1.0; 20], &codes, &[1.0; 20]);
        let metrics = gathered.finish().unwrap();
        assert_eq!((metrics.l0_median, metrics.l0_p95), (1, 3));
        assert_eq!((metrics.dead_fraction, metrics.dense_fraction), (0.25, 0.5));
        assert_eq!((metrics.l0_mean, metrics.fvu), (1.25, 0.0));
        let h2 = |p: f64| -p * p.log2() - (1.0 - p) * (1.0 - p).log2();
        assert!((metrics.description_length - h2(0.1) - h2(0.15)).abs() < 1e-12);
        assert!(Reconstruction::new(1, 1).finish().is_none());
    }
}
