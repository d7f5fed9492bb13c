//! The fast kernels against the plain definition.

use proptest::prelude::*;
use sae_core::{
    Normalize, Rule, Sae, Target,
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
    let (w_enc, b_enc) = (noise(d_sae * d_in, seed + 1), noise(d_sae, seed + 2));
    let (w_dec, b_dec) = (noise(d_sae * d_in, seed + 3), noise(d_in, seed + 4));
    Sae { apply_b_dec_to_input: seed.is_multiple_of(2), ..Sae::new(rule, w_enc, b_enc, w_dec, b_dec) }
}

fn rules(d_sae: usize, k: usize, seed: u64) -> [Rule; 4] {
    [
        Rule::TopK { k },
        Rule::Standard,
        Rule::JumpRelu { threshold: noise(d_sae, seed + 9) },
        Rule::Gated { r_mag: noise(d_sae, seed + 10), b_mag: noise(d_sae, seed + 11) },
    ]
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
                    let at_threshold = match &sae.rule {
                        Rule::JumpRelu { threshold } => close(*value, threshold[*latent as usize]),
                        Rule::Gated { r_mag, b_mag } => {
                            let l = *latent as usize;
                            close(*value, b_mag[l] - r_mag[l].exp() * sae.b_enc[l])
                        }
                        _ => is_boundary(*value, expected_values),
                    };
                    prop_assert!(found.map_or(*value < 1e-4 || at_threshold, |i| close(*value, expected_values[i])));
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
    fn reconstruct(d_in in 1usize..20, d_out in 1usize..20, d_sae in 1usize..40, n_rows in 0usize..300, seed: u32) {
        let x = noise(n_rows * d_in, seed.into());
        let autoencoder = sae(d_in, d_sae, Rule::Standard, seed.into());
        let transcoder = Sae {
            d_out,
            apply_b_dec_to_input: false,
            w_dec: noise(d_sae * d_out, 7),
            b_dec: noise(d_out, 8),
            ..autoencoder.clone()
        };
        for normalize in [Normalize::None, Normalize::LayerNorm, Normalize::ConstantNorm] {
            let skip = Target::Companion { w_skip: Some(noise(d_out * d_in, 9)) };
            for sae in [
                Sae { normalize, ..autoencoder.clone() },
                Sae { normalize, target: Target::Companion { w_skip: None }, ..transcoder.clone() },
                Sae { normalize, target: skip, ..transcoder.clone() },
            ] {
                let ((codes, out), (_, expected)) = (sae.reconstruct(&x), sae.reconstruct_plain(&x));
                prop_assert_eq!(codes, sae.encode(&x));
                prop_assert_eq!(out.len(), n_rows * sae.d_out);
                // A sum of at most 40 terms, each of at most 20 terms below √20.
                prop_assert!(out.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-4 * (1.0 + a.abs())));
            }
        }
    }

    #[test]
    fn a_gated_sae_is_a_jumprelu_one(d_in in 1usize..20, d_sae in 1usize..60, seed: u32) {
        let [.., rule] = rules(d_sae, 1, seed.into());
        let gated = sae(d_in, d_sae, rule, seed.into());
        let jumprelu = gated.gated_as_jumprelu().expect("it is gated");
        prop_assert_eq!(jumprelu.rule.name(), "jumprelu");
        prop_assert!(jumprelu.gated_as_jumprelu().is_none());
        let x = noise(50 * d_in, 3);
        let (gated, jumprelu) = (gated.encode_plain(&x), jumprelu.encode_plain(&x));
        for r in 0..50 {
            let ((latents, values), (others, other_values)) = (gated.row(r), jumprelu.row(r));
            prop_assert_eq!(latents, others);
            prop_assert!(values.iter().zip(other_values).all(|(a, b)| close(*a, *b)));
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
    let sae = Sae::new(Rule::TopK { k: 3 }, vec![1.0; 100], vec![0.0; 100], vec![1.0; 100], vec![0.0]);
    let codes = sae.encode(&[2.0]);
    assert_eq!(codes.latents, [0, 1, 2]);
    assert_eq!(codes, sae.encode_plain(&[2.0]));
}

#[test]
fn a_gated_latent_fires_where_gate_and_magnitude_are_positive() {
    // Gate x + b_enc; magnitude 2x + b_mag.
    let rule = Rule::Gated { r_mag: vec![2f32.ln(); 2], b_mag: vec![0.5, -1.5] };
    let gated = Sae {
        apply_b_dec_to_input: false,
        ..Sae::new(rule, vec![1.0; 2], vec![-0.5, 0.5], vec![1.0; 2], vec![0.0])
    };
    // Latent 0 opens at x = 0.5 with 1.5 at once: threshold 1.5. Latent 1 has its gate open from −0.5 on, but
    // a positive magnitude only from 0.75 on: threshold −2.5.
    let x = [0.25, 0.6, 1.0];
    let expected = [vec![], vec![(0, 1.7)], vec![(0, 2.5), (1, 0.5)]];
    for sae in [gated.gated_as_jumprelu().expect("it is gated"), gated] {
        for codes in [sae.encode(&x), sae.encode_plain(&x)] {
            for (r, expected) in expected.iter().enumerate() {
                let (latents, values) = codes.row(r);
                assert_eq!(latents, expected.iter().map(|(latent, _)| *latent).collect::<Vec<u32>>());
                assert!(values.iter().zip(expected).all(|(a, (_, b))| close(*a, *b)), "{values:?}");
            }
        }
    }
}

#[test]
fn what_normalising_takes_out_is_put_back() {
    // A linear SAE: two latents per dimension, one for each sign.
    let signs =
        |i: usize| [(i, 1.0), (i, -1.0)].map(|(i, sign)| [0, 1, 2].map(|j| if i == j { sign } else { 0.0 }));
    let w = (0..3).flat_map(signs).flatten().collect::<Vec<f32>>();
    let sae = Sae::new(Rule::Standard, w.clone(), vec![0.0; 6], w, vec![0.5; 3]);
    let x = [1.0, 2.0, 6.0, 0.0, 0.0, 0.0, -3.0, -3.0, -3.0];
    // The first row is coded as (x − 3)/√7 or as x·√(3/41), less b_dec.
    let scale = (3f32 / 41.0).sqrt();
    for (normalize, first) in [
        (Normalize::None, 7.5),
        (Normalize::LayerNorm, 6.0 / 7f32.sqrt() + 0.5),
        (Normalize::ConstantNorm, 7.0 * scale - 0.5),
    ] {
        let (codes, out) = Sae { normalize, ..sae.clone() }.reconstruct(&x);
        assert!(out.iter().zip(x).all(|(a, b)| (a - b).abs() < 2e-5), "{normalize:?}: {out:?}");
        assert!((codes.row(0).1.iter().sum::<f32>() - first).abs() < 1e-4, "{normalize:?}: {codes:?}");
    }
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
