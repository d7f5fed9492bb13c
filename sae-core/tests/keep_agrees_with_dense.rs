//! What training methods keep of a batch, against the choice from all pre-activations.

use proptest::prelude::*;
use sae_core::kernels::{Choice, Keep, Precision, Scores, dot, encode_keeping};
use std::{collections::BTreeMap, sync::Arc};

/// A batch and the weights that it is encoded with.
#[derive(Debug, Clone)]
struct Case {
    d_in: usize,
    w_enc: Vec<f32>,
    b_enc: Vec<f32>,
    x: Vec<f32>,
    precision: Precision,
}

fn case() -> impl Strategy<Value = Case> {
    (1usize..40, 1usize..400, 1usize..90, any::<u32>(), any::<bool>()).prop_map(
        |(d_in, d_sae, n_rows, seed, f32)| {
            let mut state = u64::from(seed) | 1;
            let mut noise = |n: usize, scale: f32| -> Vec<f32> {
                (0..n)
                    .map(|_| {
                        state ^= state << 13;
                        state ^= state >> 7;
                        state ^= state << 17;
                        ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * scale
                    })
                    .collect()
            };
            let precision = if f32 { Precision::F32 } else { Precision::Bf16Candidates };
            let (w_enc, b_enc) = (noise(d_sae * d_in, 1.0), noise(d_sae, 0.5));
            Case { d_in, w_enc, b_enc, x: noise(n_rows * d_in, 1.0), precision }
        },
    )
}

impl Case {
    fn d_sae(&self) -> usize {
        self.b_enc.len()
    }

    fn n_rows(&self) -> usize {
        self.x.len() / self.d_in
    }

    /// `[n_rows][d_sae]`
    fn pre_acts(&self) -> Vec<Vec<f32>> {
        let row = |x: &[f32]| {
            let weights = self.w_enc.chunks_exact(self.d_in).zip(&self.b_enc);
            weights.map(|(w, b)| w.iter().zip(x).map(|(w, x)| w * x).sum::<f32>() + b).collect()
        };
        self.x.chunks_exact(self.d_in).map(row).collect()
    }

    /// Values by row and latent.
    fn kept(&self, keep: &Keep) -> BTreeMap<(usize, usize), f32> {
        let choice = Choice { keep: keep.clone(), precision: self.precision };
        let codes = encode_keeping(&self.w_enc, &self.b_enc, &self.x, &choice);
        assert_eq!(codes.n_rows(), self.n_rows());
        (0..codes.n_rows())
            .flat_map(|r| {
                let (latents, values) = codes.row(r);
                assert!(latents.is_sorted_by(|a, b| a < b), "latents increase within a row");
                latents.iter().zip(values).map(move |(&l, &v)| ((r, l as usize), v)).collect::<Vec<_>>()
            })
            .collect()
    }
}

/// Everything kept has its pre-activation as value, and no entry that was left out is clearly ahead, by
/// `score`, of one that was kept in the same group.
fn assert_best(
    case: &Case,
    kept: &BTreeMap<(usize, usize), f32>,
    group: impl Fn(usize, usize) -> usize,
    n_in_group: impl Fn(usize) -> usize,
    score: impl Fn(usize, usize, f32) -> Option<f32>,
) {
    let pre_acts = case.pre_acts();
    let mut groups: BTreeMap<usize, (Vec<f32>, Vec<f32>)> = BTreeMap::new();
    for (r, row) in pre_acts.iter().enumerate() {
        for (l, &z) in row.iter().enumerate() {
            let (ins, outs) = groups.entry(group(r, l)).or_default();
            match (kept.get(&(r, l)), score(r, l, z)) {
                (Some(&value), Some(score)) => {
                    assert!((value - z).abs() < 1e-4, "{value} is not {z}");
                    ins.push(score);
                }
                (Some(&value), None) => assert!(value.abs() < 1e-4, "{value} may not be kept"),
                (None, Some(score)) => outs.push(score),
                (None, None) => {}
            }
        }
    }
    for (group, (ins, outs)) in groups {
        let n = n_in_group(group);
        assert!(ins.len() <= n, "{} of at most {n} kept", ins.len());
        // Those within rounding of 0 may be taken for positive or not.
        let clear = outs.iter().filter(|&&score| score > 1e-4).count();
        assert!(ins.len() == n || clear == 0, "{} of {n} kept, {clear} left out", ins.len());
        let worst = ins.iter().copied().fold(f32::INFINITY, f32::min);
        assert!(outs.iter().all(|&out| out <= worst + 1e-4), "one left out is ahead of {worst}");
    }
}

fn positive(_: usize, _: usize, z: f32) -> Option<f32> {
    (z > 0.0).then_some(z)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn of_a_batch(case in case(), part in 0f64..1.2) {
        let n = (part * (case.n_rows() * case.d_sae()) as f64) as usize;
        assert_best(&case, &case.kept(&Keep::OfBatch(n)), |_, _| 0, |_| n, positive);
    }

    #[test]
    fn of_latents(case in case(), most in 1u32..60) {
        let budgets: Vec<u32> = (0..case.d_sae() as u32).map(|l| l.wrapping_mul(2_654_435_761) % most).collect();
        let kept = case.kept(&Keep::OfLatents(budgets.clone().into()));
        assert_best(&case, &kept, |_, l| l, |l| budgets[l] as usize, positive);
    }

    #[test]
    fn largest_whatever_their_sign(case in case(), k in 1usize..80) {
        let n = k.min(case.d_sae());
        assert_best(&case, &case.kept(&Keep::Largest(k)), |r, _| r, |_| n, |_, _, z| Some(z + 100.0));
    }

    #[test]
    fn over_thresholds_whatever_their_sign(case in case(), threshold in -2f32..2.0) {
        let kept = case.kept(&Keep::Over(vec![threshold; case.d_sae()].into()));
        let all = case.n_rows() * case.d_sae();
        let over = |_: usize, _: usize, z: f32| (z > threshold).then_some(z - threshold);
        assert_best(&case, &kept, |_, _| 0, |_| all, over);
    }

    #[test]
    fn by_scores(case in case(), k in 1usize..20, boost in 0f32..4.0) {
        let gradient: Vec<f32> = case.x.iter().map(|x| (x * 9.0).sin()).collect();
        let scores = Arc::new(Scores { boost, candidates: 0, gradient: gradient.clone(), w: case.w_enc.clone() });
        let kept = case.kept(&Keep::Scored(k, scores));
        let score = |r: usize, l: usize, z: f32| {
            let (w, g) = (&case.w_enc[l * case.d_in..][..case.d_in], &gradient[r * case.d_in..][..case.d_in]);
            (z > 0.0).then(|| z * (1.0 + boost * dot(w, g).abs()))
        };
        let pre_acts = case.pre_acts();
        // Scores of different rows do not compare, so each row is a group; of ties any may be kept.
        let n = |r: usize| k.min(pre_acts[r].iter().filter(|&&z| z > 1e-4).count().max(kept.range((r, 0)..(r + 1, 0)).count()));
        assert_best(&case, &kept, |r, _| r, n, score);
    }
}

/// Without a boost the choice is that of TopK, bit for bit.
#[test]
fn scores_without_boost_choose_as_topk() {
    let case = Case {
        d_in: 8,
        w_enc: (0..8 * 200).map(|i| (i as f32 * 0.7).sin()).collect(),
        b_enc: vec![0.0; 200],
        x: (0..8 * 50).map(|i| (i as f32 * 1.3).cos()).collect(),
        precision: Precision::F32,
    };
    let scores =
        Arc::new(Scores { boost: 0.0, candidates: 72, gradient: case.x.clone(), w: case.w_enc.clone() });
    assert_eq!(case.kept(&Keep::Scored(9, scores)), case.kept(&Keep::TopK(9)));
}

/// Eight candidates for each one kept hold what would be chosen of all, on rows and gradients without structure.
#[test]
fn of_few_candidates_scores_choose_as_of_all() {
    let wave = |n: usize, step: f32| -> Vec<f32> {
        (0..n).map(|i| ((i as f32 * step).sin() * 43_758.547).fract()).collect()
    };
    let (d, d_sae, n_rows, k) = (64, 2000, 200, 16);
    let (w_enc, x, mut gradient) =
        (wave(d_sae * d, 12.9898), wave(n_rows * d, 78.233), wave(n_rows * d, 37.719));
    let mut w = w_enc.clone();
    for rows in [&mut w, &mut gradient] {
        sae_core::kernels::normalize_rows(rows, d);
    }
    let choose = |candidates| {
        let scores = Scores { boost: 1.0, candidates, gradient: gradient.clone(), w: w.clone() };
        encode_keeping(&w_enc, &vec![0.0; d_sae], &x, &Keep::Scored(k, Arc::new(scores)).into())
    };
    let (few, all) = (choose(8 * k), choose(0));
    assert_eq!(few.latents, all.latents);
    // They are not simply the largest.
    assert_ne!(all.latents, encode_keeping(&w_enc, &vec![0.0; d_sae], &x, &Keep::TopK(k).into()).latents);
}

/// Of equal pre-activations the earlier row is kept, then the lower latent.
#[test]
fn ties_go_to_the_earlier_row_and_lower_latent() {
    let (w_enc, b_enc, x) = (vec![1.0; 4], vec![0.0; 4], vec![1.0; 3]);
    let of_batch = encode_keeping(&w_enc, &b_enc, &x, &Keep::OfBatch(5).into());
    assert_eq!((of_batch.offsets, of_batch.latents), (vec![0, 4, 5, 5], vec![0, 1, 2, 3, 0]));
    let of_latents = encode_keeping(&w_enc, &b_enc, &x, &Keep::OfLatents(vec![1, 0, 2, 3].into()).into());
    assert_eq!((of_latents.offsets, of_latents.latents), (vec![0, 3, 5, 6], vec![0, 2, 3, 2, 3, 3]));
}
