//! The auxiliary loss against plain, dense burn, and what it must never do.

use burn::tensor::{Device, Distribution, IndexingUpdateOp, Tensor, activation::relu};
use sae_core::kernels::Precision;
use sae_train::{
    losses,
    params::Params,
    state::State,
    variants::{At, Step},
};

const D_IN: usize = 10;
const D_SAE: usize = 30;
const K_AUX: usize = 3;
const DEAD: [u32; 7] = [0, 3, 8, 9, 20, 28, 29];

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
}

fn params() -> Params {
    Params {
        w_enc: random([D_SAE, D_IN]),
        b_enc: random([D_SAE]),
        w_dec: random([D_SAE, D_IN]),
        b_dec: random([D_IN]),
        own: Vec::new(),
    }
}

/// By definition, with every matrix in full: pre-activations of living latents are pushed below 0.
fn dense(x: Tensor<2>, params: &Params, residual: Tensor<2>) -> Tensor<1> {
    let mut alive = vec![-1e6f32; D_SAE];
    DEAD.iter().for_each(|&latent| alive[latent as usize] = 0.0);
    let alive = Tensor::<1>::from_floats(alive.as_slice(), &Device::flex());
    let pre_acts = (x - params.b_dec.clone().unsqueeze()).matmul(params.w_enc.clone().transpose())
        + params.b_enc.clone().unsqueeze();
    let (values, latents) = (pre_acts.clone() + alive.unsqueeze()).topk_with_indices(K_AUX, 1);
    let acts = Tensor::zeros(pre_acts.dims(), &pre_acts.device()).scatter(
        1,
        latents,
        relu(values),
        IndexingUpdateOp::Add,
    );
    let error = (residual.clone() - acts.matmul(params.w_dec.clone())).powi_scalar(2).sum();
    error / (residual.clone() - residual.mean_dim(0)).powi_scalar(2).sum()
}

fn aux(x: Tensor<2>, params: &Params, residual: Tensor<2>) -> Tensor<1> {
    let step = Step {
        x,
        companion: None,
        params,
        pre_bias: true,
        precision: Precision::F32,
        dead: &DEAD,
        state: &State::default(),
        widths: &[D_IN],
        at: At { step: 1, steps: 1, seed: 0 },
    };
    losses::aux_k(&step, residual, &DEAD, K_AUX)
}

fn close<const D: usize>(found: Option<Tensor<D>>, expected: Option<Tensor<D>>) {
    let (found, expected) = (found.expect("a gradient"), expected.expect("a gradient"));
    let largest = expected.clone().abs().max().into_scalar::<f32>();
    assert!(largest > 0.0);
    assert!((found - expected).abs().max().into_scalar::<f32>() < 1e-5 * largest);
}

#[test]
fn value_and_gradients_are_those_of_the_definition() {
    let (params, x, residual) = (params(), random([40, D_IN]), random([40, D_IN]));
    let sparse = params.tracked();
    let found = aux(x.clone(), &sparse, residual.clone());
    let full = params.tracked();
    let expected = dense(x, &full, residual);
    let (a, b) = (found.clone().into_scalar::<f32>(), expected.clone().into_scalar::<f32>());
    assert!((a - b).abs() < 1e-5 * b, "{a} is not {b}");
    let (mut found, mut expected) = (found.backward(), expected.backward());
    // The gradient at the encoder of a living latent is 0 in the definition, so it is here.
    close(sparse.w_enc.grad_remove(&mut found), full.w_enc.grad_remove(&mut expected));
    close(sparse.b_enc.grad_remove(&mut found), full.b_enc.grad_remove(&mut expected));
    close(sparse.w_dec.grad_remove(&mut found), full.w_dec.grad_remove(&mut expected));
    close(sparse.b_dec.grad_remove(&mut found), full.b_dec.grad_remove(&mut expected));
}

#[test]
fn a_residual_without_variance_gives_zero_and_finite_gradients() {
    let params = params().tracked();
    let residual = Tensor::zeros([5, D_IN], &Device::flex());
    let loss = aux(random([5, D_IN]), &params, residual);
    assert_eq!(loss.clone().into_scalar::<f32>(), 0.0);
    let mut grads = loss.backward();
    let w_enc = params.w_enc.grad_remove(&mut grads).expect("a gradient");
    assert_eq!(w_enc.abs().max().into_scalar::<f32>(), 0.0);
}
