use std::borrow::Cow;

/// What is taken out of each row before encoding, and put back after decoding.
///
/// Scales that are the same for all rows are folded into the weights instead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Normalize {
    /// Nothing.
    #[default]
    None,
    /// In: `(x − μ) / (σ + 1e-5)`; out: `x̂·σ + μ`. `μ` is the mean over the row, `σ` its standard
    /// deviation with divisor `d_in − 1`. SAELens' `layer_norm`.
    LayerNorm,
    /// In: `x·√d_in / ‖x‖`; out: `x̂·‖x‖ / √d_in`; a row of zeros stays one. SAELens'
    /// `constant_norm_rescale`.
    ConstantNorm,
}

/// What was taken out of a row: `x̂·scale + shift` puts it back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Taken {
    scale: f32,
    shift: f32,
}

impl Taken {
    pub(super) fn put_back(self, out: &mut [f32]) {
        out.iter_mut().for_each(|value| *value = *value * self.scale + self.shift);
    }
}

impl Normalize {
    /// The name that SAELens has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::LayerNorm => "layer_norm",
            Self::ConstantNorm => "constant_norm_rescale",
        }
    }

    /// The rows of `x` `[n_rows, d_in]` as they are encoded, and what was taken out of each: nothing for
    /// [`Normalize::None`].
    pub(super) fn rows(self, x: &[f32], d_in: usize) -> (Cow<'_, [f32]>, Vec<Taken>) {
        if self == Self::None {
            return (x.into(), Vec::new());
        }
        let mut x = x.to_vec();
        let taken = x.chunks_exact_mut(d_in).map(|row| self.row(row)).collect();
        (x.into(), taken)
    }

    /// Normalises a row in place; sums are in f64.
    fn row(self, row: &mut [f32]) -> Taken {
        let d = row.len() as f64;
        let sum_of_squares =
            |row: &[f32], mean: f64| row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>();
        let (mean, divisor, scale) = match self {
            Self::None => (0.0, 1.0, 1.0),
            Self::LayerNorm => {
                let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / d;
                let std = (sum_of_squares(row, mean) / (d - 1.0).max(1.0)).sqrt();
                (mean, std + 1e-5, std)
            }
            Self::ConstantNorm => {
                let scale = (sum_of_squares(row, 0.0) / d).sqrt();
                (0.0, if scale > 0.0 { scale } else { 1.0 }, scale)
            }
        };
        row.iter_mut().for_each(|x| *x = ((f64::from(*x) - mean) / divisor) as f32);
        Taken { scale: scale as f32, shift: mean as f32 }
    }
}
