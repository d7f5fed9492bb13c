//! The fast kernels against the plain definition.

use proptest::prelude::*;
use sae_core::{
    Rule, Sae,
    kernels::{ByLatent, decode_grad_values, grad_weights},
};

/// Numbers that look random and are the same in every run.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn sae(d_in: usize, d_sae: usize, rule: Rule, seed: u64) -> Sae {
    Sae {
        d_in,
        d_sae,
        rule,
        apply_b_dec_to_input: seed.is_multiple_of(2),
        w_enc: noise(d_sae * d_in, seed + 1),
        b_enc: noise(d_sae, seed + 2),
        w_dec: noise(d_sae * d_in, seed + 3),
        b_dec: noise(d_in, seed + 4),
    }
}

fn rules(d_sae: usize, k: usize, seed: u64) -> [Rule; 3] {
    [Rule::TopK { k }, Rule::Standard, Rule::JumpRelu { threshold: noise(d_sae, seed + 9) }]
}

fn close(a: f32, b: f32) -> bool {
    (a - b).abs() <= 1e-5 * (1.0 + a.abs())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn encode_and_decode(d_in in 1usize..90, d_sae in 1usize..2600, n_rows in 0usize..600, k in 0usize..70, seed: u32) {
        // The plain loops take their time: large products are left to the bench.
        let n_rows = n_rows.min(4_000_000 / (d_in * d_sae));
        for rule in rules(d_sae, k.min(d_sae), seed.into()) {
            let sae = sae(d_in, d_sae, rule, seed.into());
            let x = noise(n_rows * d_in, 99 + u64::from(seed));
            let (fast, plain) = (sae.encode(&x), sae.encode_plain(&x));
            prop_assert_eq!(fast.n_rows(), n_rows);
            for r in 0..n_rows {
                let ((latents, values), (expected, expected_values)) = (fast.row(r), plain.row(r));
                prop_assert!(latents.is_sorted_by(|a, b| a < b));
                // A different order of summation may swap two nearly equal latents at the boundary.
                for (latent, value) in latents.iter().zip(values) {
                    let found = expected.iter().position(|l| l == latent);
                    prop_assert!(found.map_or(*value < 1e-4 || is_boundary(*value, expected_values), |i| close(*value, expected_values[i])));
                }
                prop_assert!(latents.len().abs_diff(expected.len()) <= 1);
            }
            let (decoded, expected) = (sae.decode(&plain), sae.decode_plain(&plain));
            for r in 0..n_rows {
                // Weights are below 1, so the terms of each sum add up to less than this.
                let size = 1.0 + plain.row(r).1.iter().sum::<f32>();
                let rows = decoded[r * d_in..][..d_in].iter().zip(&expected[r * d_in..][..d_in]);
                prop_assert!(rows.into_iter().all(|(a, b)| (a - b).abs() <= 1e-6 * size));
            }
        }
    }

    #[test]
    fn gradients(d_in in 1usize..70, d_sae in 1usize..200, n_rows in 1usize..40, k in 1usize..20, seed: u32) {
        let sae = sae(d_in, d_sae, Rule::TopK { k: k.min(d_sae) }, seed.into());
        let codes = sae.encode(&noise(n_rows * d_in, 5));
        let grad = noise(n_rows * d_in, 6);
        let mut expected_w = vec![0.0; d_sae * d_in];
        let mut expected_values = Vec::new();
        for r in 0..n_rows {
            let (latents, values) = codes.row(r);
            for (&l, value) in latents.iter().zip(values) {
                let w = &sae.w_dec[l as usize * d_in..][..d_in];
                let g = &grad[r * d_in..][..d_in];
                expected_values.push(w.iter().zip(g).map(|(w, g)| w * g).sum::<f32>());
                for i in 0..d_in {
                    expected_w[l as usize * d_in + i] += value * g[i];
                }
            }
        }
        let by_latent = ByLatent::new(&codes, d_sae);
        let grad_w = grad_weights(&by_latent, &codes.values, &grad, d_in);
        prop_assert!(grad_w.iter().zip(&expected_w).all(|(a, b)| close(*a, *b)));
        let grad_values = decode_grad_values(&codes, &sae.w_dec, &grad);
        prop_assert_eq!(grad_values.len(), codes.nnz());
        prop_assert!(grad_values.iter().zip(&expected_values).all(|(a, b)| close(*a, *b)));
    }
}

fn is_boundary(value: f32, selected: &[f32]) -> bool {
    selected.iter().any(|other| close(value, *other))
}

#[test]
fn equal_pre_activations_go_to_the_lower_latent() {
    // 100 latents alike: more than the candidates that a selection holds at once.
    let sae = Sae {
        d_in: 1,
        d_sae: 100,
        rule: Rule::TopK { k: 3 },
        apply_b_dec_to_input: false,
        w_enc: vec![1.0; 100],
        b_enc: vec![0.0; 100],
        w_dec: vec![1.0; 100],
        b_dec: vec![0.0],
    };
    let codes = sae.encode(&[2.0]);
    assert_eq!(codes.latents, [0, 1, 2]);
    assert_eq!(codes, sae.encode_plain(&[2.0]));
}

#[test]
fn codes_do_not_depend_on_the_number_of_threads() {
    let sae = sae(48, 3000, Rule::TopK { k: 8 }, 2);
    let x = noise(1000 * 48, 7);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
        pool.install(|| sae.encode(&x))
    };
    assert_eq!(with(1), with(3));
}
