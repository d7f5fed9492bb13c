//! The weights in training: initial values, copies that gradients flow to, the SAE they become.

use burn::tensor::{Device, Tensor, TensorData};
use rand::{SeedableRng, rngs::ChaCha8Rng};
use rand_distr::{Distribution, StandardNormal};
use sae_core::{Rule, Sae, kernels};

/// The weights of an SAE as tensors.
#[derive(Debug, Clone)]
pub struct Params {
    /// `[d_sae, d_in]`
    pub w_enc: Tensor<2>,
    /// `[d_sae]`
    pub b_enc: Tensor<1>,
    /// `[d_sae, d_in]`, rows of unit length.
    pub w_dec: Tensor<2>,
    /// `[d_in]`
    pub b_dec: Tensor<1>,
}

impl Params {
    /// Decoder rows uniform on the unit sphere, the encoder their transpose (tied at the start, then
    /// free), `b_enc` zero, `b_dec` as given, `[d_in]`.
    pub fn initial(d_sae: usize, b_dec: Vec<f32>, seed: u64, device: &Device) -> Self {
        let d_in = b_dec.len();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut rows: Vec<f32> = (0..d_sae * d_in).map(|_| StandardNormal.sample(&mut rng)).collect();
        kernels::normalize_rows(&mut rows, d_in);
        Self::from_host(rows.clone(), vec![0.0; d_sae], rows, b_dec, device)
    }

    /// Weights from main memory; the shapes follow from the lengths of the biases.
    pub(crate) fn from_host(
        w_enc: Vec<f32>,
        b_enc: Vec<f32>,
        w_dec: Vec<f32>,
        b_dec: Vec<f32>,
        device: &Device,
    ) -> Self {
        let shape = [b_enc.len(), b_dec.len()];
        Self {
            w_enc: Tensor::from_data(TensorData::new(w_enc, shape), device),
            b_enc: Tensor::from_data(TensorData::new(b_enc, [shape[0]]), device),
            w_dec: Tensor::from_data(TensorData::new(w_dec, shape), device),
            b_dec: Tensor::from_data(TensorData::new(b_dec, [shape[1]]), device),
        }
    }

    /// The same weights, watched by autodiff.
    pub fn tracked(&self) -> Self {
        Self {
            w_enc: self.w_enc.clone().autodiff().require_grad(),
            b_enc: self.b_enc.clone().autodiff().require_grad(),
            w_dec: self.w_dec.clone().autodiff().require_grad(),
            b_dec: self.b_dec.clone().autodiff().require_grad(),
        }
    }

    /// The SAE of inputs as they are in the dump, where training saw them divided by `scale`.
    ///
    /// With `x = scale · x'` the same latents fire with `scale` times the values if both biases are
    /// multiplied by it; the matrices stay (Gemma Scope, arXiv 2408.05147, section 3).
    pub fn to_sae(&self, rule: Rule, scale: f32) -> Sae {
        let scaled = |tensor: &Tensor<1>| to_vec(tensor).into_iter().map(|value| value * scale).collect();
        let [d_sae, d_in] = self.w_enc.dims();
        Sae {
            d_in,
            d_sae,
            rule,
            apply_b_dec_to_input: true,
            w_enc: to_vec(&self.w_enc),
            b_enc: scaled(&self.b_enc),
            w_dec: to_vec(&self.w_dec),
            b_dec: scaled(&self.b_dec),
        }
    }
}

pub(crate) fn to_vec<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.clone().into_data().try_into_vec().expect("weights are f32")
}

/// The point with the least sum of distances to the rows of `x` `[n_rows, d]`, by Weiszfeld's
/// iteration from the mean: `m ← Σ (x_r / ‖x_r − m‖) / Σ (1 / ‖x_r − m‖)`.
///
/// Unlike the mean, a few rows of huge norm do not move it far.
pub fn geometric_median(x: &[f32], d: usize) -> Vec<f32> {
    const ITERATIONS: usize = 100;
    const TOLERANCE: f64 = 1e-5;
    let rows = x.len() / d;
    let weighted_mean = |weights: &[f32]| -> Vec<f32> {
        let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        let sum = kernels::weighted_sum_of_rows(x, d, |r| weights[r]);
        sum.into_iter().map(|value| (f64::from(value) / total) as f32).collect()
    };
    let mut median = weighted_mean(&vec![1.0; rows]);
    for _ in 0..ITERATIONS {
        let differences = kernels::subtract_from_rows(x, &median);
        let norms: Vec<f32> = differences.chunks_exact(d).map(|row| kernels::dot(row, row).sqrt()).collect();
        // A row on the median itself would have infinite weight.
        let weights: Vec<f32> = norms.iter().map(|norm| norm.max(1e-8).recip()).collect();
        let next = weighted_mean(&weights);
        let square = |a: &[f32]| a.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
        let moved: Vec<f32> = next.iter().zip(&median).map(|(a, b)| a - b).collect();
        median = next;
        if square(&moved).sqrt() <= TOLERANCE * square(&median).sqrt() {
            break;
        }
    }
    median
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_geometric_median_of_a_triangle_sees_its_sides_at_120_degrees() {
        // The Fermat point of (0,0), (1,0), (0,1): both coordinates (3 − √3) / 6.
        let median = geometric_median(&[0.0, 0.0, 1.0, 0.0, 0.0, 1.0], 2);
        let expected = (3.0 - 3f32.sqrt()) / 6.0;
        assert!(median.iter().all(|m| (m - expected).abs() < 1e-4), "{median:?}");
    }

    #[test]
    fn initial_weights_are_tied_unit_rows_that_follow_from_the_seed() {
        let initial = |seed| Params::initial(40, vec![0.5; 9], seed, &Device::flex());
        let params = initial(3);
        let w_dec = to_vec(&params.w_dec);
        assert_eq!(to_vec(&params.w_enc), w_dec);
        assert_eq!(to_vec(&params.b_enc), [0.0; 40]);
        assert_eq!(to_vec(&params.b_dec), [0.5; 9]);
        for row in w_dec.chunks(9) {
            assert!((kernels::dot(row, row) - 1.0).abs() < 1e-5);
        }
        assert_eq!(w_dec, to_vec(&initial(3).w_dec));
        assert_ne!(w_dec, to_vec(&initial(4).w_dec));
    }

    #[test]
    fn the_scale_is_folded_into_the_biases() {
        let device = Device::flex();
        let (d_in, d_sae, scale) = (6, 20, 2.5);
        let mut params = Params::initial(d_sae, vec![0.1; d_in], 1, &device);
        params.b_enc = Tensor::full([d_sae], 0.05, &device);
        let x: Vec<f32> = (0..5 * d_in).map(|i| (i as f32).sin()).collect();
        let scaled: Vec<f32> = x.iter().map(|x| x / scale).collect();
        let (in_training, saved) =
            (params.to_sae(Rule::TopK { k: 4 }, 1.0), params.to_sae(Rule::TopK { k: 4 }, scale));
        let (expected, found) = (in_training.encode(&scaled), saved.encode(&x));
        assert_eq!(expected.latents, found.latents);
        for (expected, found) in expected.values.iter().zip(&found.values) {
            assert!((expected * scale - found).abs() < 1e-5);
        }
        let (expected, found) = (in_training.decode(&expected), saved.decode(&found));
        for (expected, found) in expected.iter().zip(&found) {
            assert!((expected * scale - found).abs() < 1e-5);
        }
    }
}
