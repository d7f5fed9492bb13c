use crate::kernels::multiversion;
use rayon::prelude::*;

/// Dimensions that a thread sums at once.
const BLOCK: usize = 64;
/// Rows whose errors a thread takes at once at least.
const MIN_ROWS: usize = 64;

/// Fraction of variance unexplained over all rows, `Σ‖x − x̂‖² / Σ‖x − mean‖²`, in one pass in f64.
///
/// Sums run in the order of rows, so that neither batches nor threads change the result.
#[derive(Debug)]
pub(super) struct Fvu {
    n_rows: u64,
    /// The first row: sums of squares about a point among the data do not cancel.
    shift: Vec<f64>,
    /// `[d_in]`: `Σ(x − shift)`
    sums: Vec<f64>,
    /// `[d_in]`: `Σ(x − shift)²`
    squares: Vec<f64>,
    /// `Σ‖x − x̂‖²`
    residual: f64,
}

impl Fvu {
    pub(super) fn new(d_in: usize) -> Self {
        Self {
            n_rows: 0,
            shift: vec![0.0; d_in],
            sums: vec![0.0; d_in],
            squares: vec![0.0; d_in],
            residual: 0.0,
        }
    }

    /// Adds rows `x` and their reconstructions, both `[n_rows, d_in]`.
    pub(super) fn add(&mut self, x: &[f32], x_hat: &[f32]) {
        let d_in = self.shift.len();
        if self.n_rows == 0 {
            self.shift = x[..d_in].iter().map(|&x| f64::from(x)).collect();
        }
        self.n_rows += (x.len() / d_in) as u64;
        let sums = self.sums.par_chunks_mut(BLOCK).zip(self.squares.par_chunks_mut(BLOCK));
        sums.zip(self.shift.par_chunks(BLOCK)).enumerate().for_each(|(block, ((sums, squares), shift))| {
            add_centred(&x[block * BLOCK..], d_in, shift, sums, squares);
        });
        let rows = x.par_chunks_exact(d_in).zip(x_hat.par_chunks_exact(d_in)).with_min_len(MIN_ROWS);
        let errors: Vec<f64> = rows.map(|(x, x_hat)| squared_distance(x, x_hat)).collect();
        for error in errors {
            self.residual += error;
        }
    }

    /// None if all rows are alike, for then there is nothing to explain.
    pub(super) fn value(&self) -> Option<f64> {
        let n = self.n_rows as f64;
        let variance: f64 =
            self.sums.iter().zip(&self.squares).map(|(sum, square)| square - sum * sum / n).sum();
        (variance > 0.0).then(|| self.residual / variance)
    }
}

multiversion! {
    /// Adds `x − shift` of rows that are `stride` apart to `sums`, and its square to `squares`.
    fn add_centred(x: &[f32], stride: usize, shift: &[f64], sums: &mut [f64], squares: &mut [f64])
        = add_centred_body
}

#[inline(always)]
fn add_centred_body<const FMA: bool>(
    x: &[f32],
    stride: usize,
    shift: &[f64],
    sums: &mut [f64],
    squares: &mut [f64],
) {
    for row in x.chunks(stride) {
        for (((x, shift), sum), square) in row.iter().zip(shift).zip(&mut *sums).zip(&mut *squares) {
            let centred = f64::from(*x) - shift;
            *sum += centred;
            *square += centred * centred;
        }
    }
}

multiversion! {
    fn squared_distance(a: &[f32], b: &[f32]) -> f64 = squared_distance_body
}

#[inline(always)]
fn squared_distance_body<const FMA: bool>(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 16;
    let square = |a: f32, b: f32| (f64::from(a) - f64::from(b)).powi(2);
    let mut sums = [0.0; LANES];
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            sums[i] += square(a[i], b[i]);
        }
    }
    let tail: f64 = a_tail.iter().zip(b_tail).map(|(&a, &b)| square(a, b)).sum();
    tail + sums.iter().sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_offset_does_not_cancel() {
        let noise = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 64.0;
        let x: Vec<f32> = (0..900).map(|i| 4096.0 + noise(i)).collect();
        let x_hat: Vec<f32> = (0..900).map(|i| 4096.0 + noise(i) * 0.5).collect();
        let mut whole = Fvu::new(3);
        whole.add(&x, &x_hat);
        let mut parts = Fvu::new(3);
        parts.add(&x[..30], &x_hat[..30]);
        parts.add(&x[30..], &x_hat[30..]);
        assert_eq!(whole.value(), parts.value());

        let means: Vec<f64> =
            (0..3).map(|i| x.iter().skip(i).step_by(3).map(|&x| f64::from(x)).sum::<f64>() / 300.0).collect();
        let variance: f64 = x.iter().enumerate().map(|(i, &x)| (f64::from(x) - means[i % 3]).powi(2)).sum();
        let residual: f64 = x.iter().zip(&x_hat).map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2)).sum();
        let fvu = whole.value().expect("rows differ");
        assert!((fvu - residual / variance).abs() < 1e-12, "{fvu} {}", residual / variance);
    }

    #[test]
    fn rows_alike_have_no_variance_to_explain() {
        let mut fvu = Fvu::new(2);
        fvu.add(&[0.1, 0.7, 0.1, 0.7, 0.1, 0.7], &[0.0; 6]);
        assert_eq!(fvu.value(), None);
    }
}
