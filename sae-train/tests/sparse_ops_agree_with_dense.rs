//! The sparse operations against the same mathematics in plain, dense burn: values and every gradient.

use burn::tensor::{Device, Distribution, IndexingUpdateOp, Tensor, activation::relu};
use sae_core::kernels::Keep;
use sae_train::ops;

/// Largest difference over the largest value.
const TOLERANCE: f32 = 1e-5;

struct Case {
    rows: usize,
    d_in: usize,
    d_sae: usize,
    k: usize,
}

const CASES: [Case; 4] = [
    Case { rows: 1, d_in: 3, d_sae: 5, k: 1 },
    Case { rows: 17, d_in: 24, d_sae: 70, k: 4 },
    Case { rows: 300, d_in: 64, d_sae: 1500, k: 16 },
    // k of every latent: negative pre-activations must not fire.
    Case { rows: 9, d_in: 16, d_sae: 12, k: 12 },
];

fn devices() -> Vec<Device> {
    let mut devices = vec![Device::flex()];
    if cfg!(feature = "ndarray") {
        #[allow(deprecated, reason = "burn 0.22 deprecates ndarray; users ask for it")]
        devices.push(Device::ndarray());
    }
    if cfg!(feature = "wgpu") {
        devices.push(
            sae_train::device::open("wgpu").expect("a driver, or Mesa's in software (mesa-vulkan-drivers)"),
        );
    }
    devices
}

#[derive(Clone)]
struct Weights {
    w_enc: Tensor<2>,
    b_enc: Tensor<1>,
    w_dec: Tensor<2>,
    b_dec: Tensor<1>,
}

impl Weights {
    fn random(case: &Case, device: &Device) -> Self {
        let random = |scale| Distribution::Normal(0.0, scale);
        Self {
            w_enc: Tensor::random([case.d_sae, case.d_in], random(0.3), device),
            b_enc: Tensor::random([case.d_sae], random(0.1), device),
            w_dec: Tensor::random([case.d_sae, case.d_in], random(0.3), device),
            b_dec: Tensor::random([case.d_in], random(0.1), device),
        }
    }

    fn tracked(&self) -> Self {
        let Self { w_enc, b_enc, w_dec, b_dec } = self.clone();
        Self {
            w_enc: w_enc.autodiff().require_grad(),
            b_enc: b_enc.autodiff().require_grad(),
            w_dec: w_dec.autodiff().require_grad(),
            b_dec: b_dec.autodiff().require_grad(),
        }
    }
}

fn encode(x: Tensor<2>, w: &Weights, keep: Keep) -> ops::SparseCodes {
    ops::encode(x, w.b_dec.clone(), w.w_enc.clone(), w.b_enc.clone(), keep)
}

fn sparse(x: Tensor<2>, w: &Weights, k: usize) -> Tensor<2> {
    let codes = encode(x, w, Keep::TopK(k));
    ops::decode(&codes, w.w_dec.clone(), w.b_dec.clone())
}

fn dense(x: Tensor<2>, w: &Weights, k: usize) -> Tensor<2> {
    let pre_acts =
        (x - w.b_dec.clone().unsqueeze()).matmul(w.w_enc.clone().transpose()) + w.b_enc.clone().unsqueeze();
    let (values, latents) = pre_acts.clone().topk_with_indices(k, 1);
    let acts = Tensor::zeros(pre_acts.dims(), &pre_acts.device()).scatter(
        1,
        latents,
        relu(values),
        IndexingUpdateOp::Add,
    );
    acts.matmul(w.w_dec.clone()) + w.b_dec.clone().unsqueeze()
}

fn assert_close<const D: usize>(name: &str, found: Tensor<D>, expected: Tensor<D>) {
    let largest = expected.clone().abs().max().into_scalar::<f32>();
    let error = (found - expected).abs().max().into_scalar::<f32>();
    // Where nothing fires both are 0.
    assert!(error <= TOLERANCE * largest, "{name}: error {error:e}, largest {largest:e}");
}

#[test]
fn values_and_gradients() {
    for device in devices() {
        for case in &CASES {
            let weights = Weights::random(case, &device);
            let x = Tensor::<2>::random([case.rows, case.d_in], Distribution::Normal(0.0, 1.0), &device);
            let target = Tensor::<2>::random([case.rows, case.d_in], Distribution::Normal(0.0, 1.0), &device)
                .autodiff();
            let run = |forward: fn(Tensor<2>, &Weights, usize) -> Tensor<2>| {
                let tracked = weights.tracked();
                let out = forward(x.clone().autodiff(), &tracked, case.k);
                let mut grads = (out.clone() - target.clone()).powi_scalar(2).sum().backward();
                let grads = Weights {
                    w_enc: tracked.w_enc.grad_remove(&mut grads).expect("a gradient"),
                    b_enc: tracked.b_enc.grad_remove(&mut grads).expect("a gradient"),
                    w_dec: tracked.w_dec.grad_remove(&mut grads).expect("a gradient"),
                    b_dec: tracked.b_dec.grad_remove(&mut grads).expect("a gradient"),
                };
                (out.inner(), grads)
            };
            let (found, found_grads) = run(sparse);
            let (expected, expected_grads) = run(dense);
            assert_close("x̂", found, expected);
            assert_close("dW_enc", found_grads.w_enc, expected_grads.w_enc);
            assert_close("db_enc", found_grads.b_enc, expected_grads.b_enc);
            assert_close("dW_dec", found_grads.w_dec, expected_grads.w_dec);
            assert_close("db_dec", found_grads.b_dec, expected_grads.b_dec);
        }
    }
}

/// The sum of a function of the output, by the sparse operations and densely: values and all gradients.
fn compare(
    case: &Case,
    device: &Device,
    sparse: &dyn Fn(Tensor<2>, &Weights) -> Tensor<1>,
    dense: &dyn Fn(Tensor<2>, &Weights) -> Tensor<1>,
) {
    let weights = Weights::random(case, device);
    let x = Tensor::<2>::random([case.rows, case.d_in], Distribution::Normal(0.0, 1.0), device);
    let run = |forward: &dyn Fn(Tensor<2>, &Weights) -> Tensor<1>| {
        let tracked = weights.tracked();
        let out = forward(x.clone(), &tracked);
        let mut grads = out.clone().backward();
        let zeros = |grad: Option<Tensor<2>>, like: &Tensor<2>| grad.unwrap_or_else(|| like.zeros_like());
        let of_vector = |grad: Option<Tensor<1>>, like: &Tensor<1>| grad.unwrap_or_else(|| like.zeros_like());
        let grads = Weights {
            w_enc: zeros(tracked.w_enc.grad_remove(&mut grads), &weights.w_enc),
            b_enc: of_vector(tracked.b_enc.grad_remove(&mut grads), &weights.b_enc),
            w_dec: zeros(tracked.w_dec.grad_remove(&mut grads), &weights.w_dec),
            b_dec: of_vector(tracked.b_dec.grad_remove(&mut grads), &weights.b_dec),
        };
        (out.inner(), grads)
    };
    let ((found, found_grads), (expected, grads)) = (run(sparse), run(dense));
    assert_close("value", found, expected);
    assert_close("dW_enc", found_grads.w_enc, grads.w_enc);
    assert_close("db_enc", found_grads.b_enc, grads.b_enc);
    assert_close("dW_dec", found_grads.w_dec, grads.w_dec);
    assert_close("db_dec", found_grads.b_dec, grads.b_dec);
}

fn pre_acts(x: Tensor<2>, w: &Weights) -> Tensor<2> {
    (x.autodiff() - w.b_dec.clone().unsqueeze()).matmul(w.w_enc.clone().transpose())
        + w.b_enc.clone().unsqueeze()
}

/// `‖target − x̂‖²` of each row of `x`, with all positive pre-activations.
fn dense_errors(target: Tensor<2>, x: Tensor<2>, w: &Weights) -> Tensor<1> {
    let out = relu(pre_acts(x, w)).matmul(w.w_dec.clone()) + w.b_dec.clone().unsqueeze();
    (target - out).powi_scalar(2).sum_dim(1).flatten(0, 1)
}

/// Weights of the rows' errors, so that no two count alike.
fn row_weights(n: usize, device: &Device) -> Tensor<1> {
    let weights: Vec<f32> = (0..n).map(|r| 0.5 + (r as f32 * 0.37).sin().abs()).collect();
    Tensor::from_floats(weights.as_slice(), device)
}

#[test]
fn errors_of_rows() {
    for device in devices() {
        for case in &CASES {
            let weights = row_weights(case.rows, &device);
            let w = weights.clone();
            compare(
                case,
                &device,
                &move |x, params| {
                    let codes = encode(x.clone(), params, Keep::Positive);
                    let out = ops::decode(&codes, params.w_dec.clone(), params.b_dec.clone());
                    (ops::row_errors(x, out) * weights.clone()).sum()
                },
                &move |x, params| (dense_errors(x.clone().autodiff(), x, params) * w.clone()).sum(),
            );
        }
    }
}

/// In one operation, of targets that gradients flow to.
#[test]
fn errors_of_reconstructions() {
    for device in devices() {
        for case in &CASES {
            let weights = row_weights(case.rows, &device);
            let w = weights.clone();
            let target = |x: Tensor<2>, params: &Weights| x.autodiff() * params.b_dec.clone().unsqueeze();
            compare(
                case,
                &device,
                &move |x, params| {
                    let codes = encode(x.clone(), params, Keep::Positive);
                    let (w_dec, b_dec) = (params.w_dec.clone(), params.b_dec.clone());
                    let found = ops::reconstruct(target(x.clone(), params), &codes, w_dec, b_dec.clone());
                    let out = ops::decode(&codes, params.w_dec.clone(), b_dec).inner();
                    let residual = target(x, params).inner() - out;
                    assert_close("residual", found.residual(), residual);
                    (found.errors * weights.clone()).sum()
                },
                &move |x, params| (dense_errors(target(x.clone(), params), x, params) * w.clone()).sum(),
            );
        }
    }
}

/// `Σ acts · ‖W_dec‖`, the penalty of SAEs with free decoder rows.
#[test]
fn penalties_by_the_lengths_of_rows() {
    for device in devices() {
        for case in &CASES {
            compare(
                case,
                &device,
                &|x, params| {
                    let codes = encode(x, params, Keep::Positive);
                    let norms = ops::row_norms(params.w_dec.clone());
                    (codes.values.clone() * ops::at_entries(norms, &codes.support)).sum()
                },
                &|x, params| {
                    let norms = params.w_dec.clone().powi_scalar(2).sum_dim(1).sqrt().transpose();
                    (relu(pre_acts(x, params)) * norms).sum()
                },
            );
        }
    }
}

/// Reconstructions by prefixes of the latents, each with a weight of its own.
#[test]
fn nested_reconstructions() {
    for device in devices() {
        for case in CASES.iter().filter(|case| case.d_sae >= 8) {
            let prefixes = [case.d_sae / 4, case.d_sae / 2, case.d_sae];
            for detached in [false, true] {
                let weights = row_weights(case.rows * 3, &device);
                let w = weights.clone();
                compare(
                    case,
                    &device,
                    &move |x, params| {
                        let split = encode(x.clone(), params, Keep::Positive).split_at_prefixes(&prefixes);
                        let (w_dec, b_dec) = (params.w_dec.clone(), params.b_dec.clone());
                        let out = ops::decode_levels(&split, 3, detached, w_dec, b_dec);
                        (ops::row_errors(x, out) * weights.clone()).sum()
                    },
                    &move |x, params| {
                        let acts = relu(pre_acts(x.clone(), params));
                        let (rows, d_in) = (x.dims()[0], x.dims()[1]);
                        let mut out = params.b_dec.clone().unsqueeze::<2>().repeat_dim(0, rows);
                        let (mut from, mut errors) = (0, Vec::new());
                        for to in prefixes {
                            let part = acts.clone().slice([0..rows, from..to]);
                            let part = part.matmul(params.w_dec.clone().slice([from..to, 0..d_in]));
                            let below = if detached && from > 0 { out.detach() } else { out };
                            out = below + part;
                            errors.push((x.clone().autodiff() - out.clone()).powi_scalar(2).sum_dim(1));
                            from = to;
                        }
                        let errors = Tensor::cat(errors, 1).reshape([rows * 3]);
                        (errors * w.clone()).sum()
                    },
                );
            }
        }
    }
}

/// The entries of each rank, with values that gradients flow through.
#[test]
fn codes_split_by_rank() {
    for device in devices() {
        let case = &CASES[1];
        compare(
            case,
            &device,
            &|x, params| {
                let codes = encode(x.clone(), params, Keep::TopK(6));
                let split = codes.split_by_rank(&[2, 6]);
                let out = ops::decode_levels(&split, 2, false, params.w_dec.clone(), params.b_dec.clone());
                ops::row_errors(x, out).sum()
            },
            &|x, params| {
                ops::row_errors(x.clone(), dense(x.clone().autodiff(), params, 2)).sum()
                    + ops::row_errors(x.clone(), dense(x.autodiff(), params, 6)).sum()
            },
        );
    }
}

#[test]
fn a_batch_on_which_nothing_fires() {
    for device in devices() {
        let case = Case { rows: 4, d_in: 3, d_sae: 5, k: 2 };
        let mut weights = Weights::random(&case, &device);
        weights.b_enc = Tensor::full([case.d_sae], -100.0, &device);
        let tracked = weights.tracked();
        let x = Tensor::<2>::ones([case.rows, case.d_in], &device).autodiff();
        let out = sparse(x, &tracked, case.k);
        assert_close(
            "x̂",
            out.clone().inner(),
            weights.b_dec.clone().unsqueeze::<2>().repeat_dim(0, case.rows),
        );
        let mut grads = out.sum().backward();
        let w_enc = tracked.w_enc.grad_remove(&mut grads).expect("a gradient");
        assert_eq!(w_enc.abs().max().into_scalar::<f32>(), 0.0);
    }
}

#[test]
fn the_optimizer_is_the_same_on_every_device() {
    let step = sae_core::kernels::AdamStep {
        t: 1,
        lr: 0.1,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
        grad_scale: 1.0,
    };
    let data: Vec<f32> = (0..60).map(|i| (i as f32).sin()).collect();
    let results: Vec<Vec<f32>> = devices()
        .iter()
        .map(|device| {
            let tensor = || Tensor::<1>::from_floats(data.as_slice(), device).reshape([12, 5]);
            let moments = ops::Moments { m: tensor().zeros_like(), v: tensor().zeros_like() };
            let (grad, _) = ops::project_out_rows(tensor() * 2.0 + 0.5, tensor());
            let (param, _) = ops::adam(tensor(), moments, grad, step, Some(5));
            param.into_data().try_into_vec().expect("f32")
        })
        .collect();
    for row in results[0].chunks(5) {
        assert!((row.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5);
    }
    assert!(results.iter().all(|result| *result == results[0]));
}
