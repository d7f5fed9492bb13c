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
    /// `[d_sae, d_out]`
    pub w_dec: Tensor<2>,
    /// `[d_out]`
    pub b_dec: Tensor<1>,
    /// What a method has beyond these, by name: thresholds, gates; matrices row by row.
    pub own: Vec<(&'static str, Tensor<1>)>,
}

/// Something done to every weight in turn.
pub trait Visit {
    /// Does it to one weight.
    fn weight<const D: usize>(&mut self, name: &'static str, tensor: &mut Tensor<D>);
}

impl Params {
    /// Decoder rows uniform on the sphere of radius `length`, the encoder their transpose (tied at the
    /// start, then free) or, where the widths differ, rows of its own on the unit sphere; `b_enc` zero,
    /// `b_dec` as given, `[d_out]`.
    pub fn initial(
        [d_in, d_sae]: [usize; 2],
        b_dec: Vec<f32>,
        length: f32,
        seed: u64,
        device: &Device,
    ) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut rows = |d: usize| {
            let mut rows: Vec<f32> = (0..d_sae * d).map(|_| StandardNormal.sample(&mut rng)).collect();
            kernels::normalize_rows(&mut rows, d);
            rows.iter_mut().for_each(|value| *value *= length);
            rows
        };
        let w_dec = rows(b_dec.len());
        let w_enc = if d_in == b_dec.len() { w_dec.clone() } else { rows(d_in) };
        Self::from_host(w_enc, vec![0.0; d_sae], w_dec, b_dec, device)
    }

    /// Weights from main memory; the shapes follow from the lengths of the biases.
    pub fn from_host(
        w_enc: Vec<f32>,
        b_enc: Vec<f32>,
        w_dec: Vec<f32>,
        b_dec: Vec<f32>,
        device: &Device,
    ) -> Self {
        let (d_sae, d_out) = (b_enc.len(), b_dec.len());
        let d_in = w_enc.len() / d_sae;
        Self {
            w_enc: Tensor::from_data(TensorData::new(w_enc, [d_sae, d_in]), device),
            b_enc: vector(b_enc, device),
            w_dec: Tensor::from_data(TensorData::new(w_dec, [d_sae, d_out]), device),
            b_dec: vector(b_dec, device),
            own: Vec::new(),
        }
    }

    /// With weights of the method's own.
    pub fn with_own(mut self, own: Vec<(&'static str, Vec<f32>)>) -> Self {
        let device = self.b_dec.device();
        self.own = own.into_iter().map(|(name, values)| (name, vector(values, &device))).collect();
        self
    }

    /// One of the method's own weights.
    ///
    /// # Panics
    /// If the method has none of this name.
    pub fn own(&self, name: &str) -> &Tensor<1> {
        let found = self.own.iter().find(|(own, _)| *own == name);
        &found.expect("a method asks for the weights that it names").1
    }

    /// The method's own weight `name`, to be replaced.
    pub(crate) fn own_mut(&mut self, name: &str) -> &mut Tensor<1> {
        let found = self.own.iter_mut().find(|(own, _)| *own == name);
        &mut found.expect("a method asks for the weights that it names").1
    }

    /// `[d_in, d_out, d_sae]`
    pub fn sizes(&self) -> [usize; 3] {
        let [d_sae, d_in] = self.w_enc.dims();
        [d_in, self.b_dec.dims()[0], d_sae]
    }

    /// Goes through all weights in a fixed order: the encoder's last, for with them the next step begins,
    /// and what was touched last is still in cache.
    pub fn visit(&mut self, visitor: &mut impl Visit) {
        visitor.weight("w_dec", &mut self.w_dec);
        visitor.weight("b_dec", &mut self.b_dec);
        for (name, tensor) in &mut self.own {
            visitor.weight(name, tensor);
        }
        visitor.weight("b_enc", &mut self.b_enc);
        visitor.weight("w_enc", &mut self.w_enc);
    }

    /// The same weights, watched by autodiff.
    pub fn tracked(&self) -> Self {
        struct Track;
        impl Visit for Track {
            fn weight<const D: usize>(&mut self, _: &'static str, tensor: &mut Tensor<D>) {
                *tensor = tensor.clone().autodiff().require_grad();
            }
        }
        let mut tracked = self.clone();
        tracked.visit(&mut Track);
        tracked
    }

    /// The SAE that these weights are under a rule, in the units of training.
    pub fn to_sae(&self, rule: Rule, apply_b_dec_to_input: bool) -> Sae {
        let (w_enc, w_dec) = (to_vec(&self.w_enc), to_vec(&self.w_dec));
        let sae = Sae::new(rule, w_enc, to_vec(&self.b_enc), w_dec, to_vec(&self.b_dec));
        Sae { apply_b_dec_to_input, ..sae }
    }
}

/// A vector from main memory.
pub(crate) fn vector(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}

/// The values of a tensor in main memory.
pub fn to_vec<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.clone().into_data().try_into_vec().expect("weights are f32")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initial_weights_are_tied_rows_of_one_length_that_follow_from_the_seed() {
        let initial = |seed, length| Params::initial([9, 40], vec![0.5; 9], length, seed, &Device::flex());
        for length in [1.0, 0.1] {
            let params = initial(3, length);
            let w_dec = to_vec(&params.w_dec);
            assert_eq!(to_vec(&params.w_enc), w_dec);
            assert_eq!(to_vec(&params.b_enc), [0.0; 40]);
            assert_eq!(to_vec(&params.b_dec), [0.5; 9]);
            for norm in kernels::row_norms(&w_dec, 9) {
                assert!((norm - length).abs() < 1e-5);
            }
            assert_eq!(w_dec, to_vec(&initial(3, length).w_dec));
            assert_ne!(w_dec, to_vec(&initial(4, length).w_dec));
        }
    }

    #[test]
    fn the_rows_of_an_encoder_of_another_width_have_the_same_length() {
        let params = Params::initial([5, 40], vec![0.0; 9], 1.0, 3, &Device::flex());
        assert_eq!(params.sizes(), [5, 9, 40]);
        assert!(kernels::row_norms(&to_vec(&params.w_enc), 5).iter().all(|norm| (norm - 1.0).abs() < 1e-5));
    }
}
