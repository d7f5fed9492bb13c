//! An SAE written by this project, opened and run by SAELens 6.54.12 (`golden/saelens/check_saelens.py`).
//!
//! `golden/saelens/sae` was trained on the sample; `reference.safetensors` holds the first 64 rows `x`
//! of the sample with SAELens's `acts` and `recon`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sae_core::{Rule, Sae, formats::saelens};
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/saelens")
}

fn reference(name: &str) -> Vec<f32> {
    let bytes = fs_err::read(golden().join("reference.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    bytemuck::pod_collect_to_vec(tensors.tensor(name).unwrap().data())
}

/// The largest difference over the largest value.
fn error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0f32, f32::max);
    largest(&mut found.iter().zip(expected).map(|(a, b)| (a - b).abs()))
        / largest(&mut expected.iter().map(|value| value.abs()))
}

fn dense(sae: &Sae, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let codes = sae.encode(x);
    let mut acts = vec![0.0; codes.n_rows() * sae.d_sae];
    for r in 0..codes.n_rows() {
        let (latents, values) = codes.row(r);
        for (&latent, &value) in latents.iter().zip(values) {
            acts[r * sae.d_sae + latent as usize] = value;
        }
    }
    (acts, sae.decode(&codes))
}

#[test]
fn activations_and_reconstructions_are_those_of_saelens() {
    let sae = saelens::read(&golden().join("sae")).unwrap();
    assert_eq!((sae.d_in, sae.d_sae, sae.rule.name()), (384, 64, "topk"));
    let (acts, recon) = dense(&sae, &reference("x"));
    assert!(error(&acts, &reference("acts")) < 1e-5);
    assert!(error(&recon, &reference("recon")) < 1e-5);
}

#[test]
fn what_is_written_reads_back_for_every_rule() {
    let folder = tempfile::tempdir().unwrap();
    let topk = saelens::read(&golden().join("sae")).unwrap();
    let origin = saelens::Origin { model_name: Some("model".into()), ..saelens::Origin::default() };
    let threshold: Vec<f32> = (0..topk.d_sae).map(|i| i as f32 / 100.0).collect();
    for rule in [Rule::Standard, Rule::TopK { k: 3 }, Rule::JumpRelu { threshold }] {
        let sae = Sae { rule, apply_b_dec_to_input: false, ..topk.clone() };
        let dir = folder.path().join(sae.rule.name());
        saelens::write(&dir, &sae, &origin).unwrap();
        assert_eq!(saelens::read(&dir).unwrap(), sae);
        assert_eq!(saelens::read_origin(&dir).unwrap(), origin);
    }
}

#[test]
fn what_cannot_be_read_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("sae");
    let broken = |change: &dyn Fn(&Path)| {
        let _ = fs_err::remove_dir_all(&dir);
        fs_err::create_dir(&dir).unwrap();
        for name in ["cfg.json", "sae_weights.safetensors"] {
            fs_err::copy(golden().join("sae").join(name), dir.join(name)).unwrap();
        }
        change(&dir);
        saelens::read(&dir).unwrap_err().to_string()
    };
    let config = |from: &'static str, to: &'static str| {
        move |dir: &Path| {
            let text = fs_err::read_to_string(dir.join("cfg.json")).unwrap();
            assert!(text.contains(from));
            fs_err::write(dir.join("cfg.json"), text.replace(from, to)).unwrap();
        }
    };
    for (change, said) in [
        (&config("\"topk\"", "\"gated\"") as &dyn Fn(&Path), "topk or jumprelu"),
        (&config("\"d_sae\": 64", "\"d_sae\": 63"), "W_enc [384, 63]"),
        (&config("\"k\": 40", "\"k\": 0"), "positive integer as k"),
        (
            &config("\"normalize_activations\": \"none\"", "\"normalize_activations\": \"layer_norm\""),
            "layer_norm",
        ),
        (&config("norm\": false", "norm\": true"), "save_inference_model"),
        (&|dir| fs_err::write(dir.join("cfg.json"), "{").unwrap(), "expected JSON"),
        (&|dir| fs_err::write(dir.join("sae_weights.safetensors"), "no").unwrap(), "a safetensors file"),
        (&|dir| fs_err::remove_file(dir.join("sae_weights.safetensors")).unwrap(), "sae_weights.safetensors"),
    ] {
        let message = broken(change);
        assert!(message.contains(said) && message.contains(text(&dir)), "{said:?} is not in: {message}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
