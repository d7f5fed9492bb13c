//! SAEs written by this project or by SAELens 6.54.12, as SAELens runs them.
//!
//! `golden/saelens/sae` was trained on the sample; `reference.safetensors` holds the first 64 rows `x`
//! of the sample with SAELens's `acts` and `recon` (`check_saelens.py`). `golden/saelens/kinds` has a small
//! SAE of every kind, each with a `ref.safetensors` of the same form (`make_kinds.py`), `golden/saelens/exports`
//! one that this project trained by every method (`check_exports.py --keep`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sae_core::{
    Normalize, Rule, Sae, Target,
    formats::saelens::{self, Origin},
};
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/saelens")
}

fn reference(path: &Path) -> [Vec<f32>; 3] {
    let bytes = fs_err::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    ["x", "acts", "recon"].map(|name| bytemuck::pod_collect_to_vec(tensors.tensor(name).unwrap().data()))
}

/// The largest difference over the largest value.
fn error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0f32, f32::max);
    largest(&mut found.iter().zip(expected).map(|(a, b)| (a - b).abs()))
        / largest(&mut expected.iter().map(|value| value.abs()))
}

fn dense(sae: &Sae, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (codes, recon) = sae.reconstruct(x);
    let mut acts = vec![0.0; codes.n_rows() * sae.d_sae];
    for r in 0..codes.n_rows() {
        let (latents, values) = codes.row(r);
        for (&latent, &value) in latents.iter().zip(values) {
            acts[r * sae.d_sae + latent as usize] = value;
        }
    }
    (acts, recon)
}

/// Fails unless the SAE in `dir` does what SAELens does with it.
fn check(dir: &Path, reference_path: &Path) {
    let sae = saelens::read(dir).unwrap();
    let [x, expected_acts, expected_recon] = reference(reference_path);
    let (acts, recon) = dense(&sae, &x);
    let (acts_error, recon_error) = (error(&acts, &expected_acts), error(&recon, &expected_recon));
    assert!(acts_error < 1e-5 && recon_error < 1e-5, "{}: {acts_error} {recon_error}", dir.display());
    for (act, expected) in acts.iter().zip(&expected_acts) {
        assert!((*act == 0.0) == (*expected == 0.0) || act.max(*expected) < 1e-6, "{}", dir.display());
    }
}

#[test]
fn activations_and_reconstructions_are_those_of_saelens() {
    let sae = saelens::read(&golden().join("sae")).unwrap();
    assert_eq!((sae.d_in, sae.d_sae, sae.rule.name()), (384, 64, "topk"));
    check(&golden().join("sae"), &golden().join("reference.safetensors"));
}

/// The kinds in `golden/saelens/kinds`: the name is an architecture and perhaps what is special.
const KINDS: [(&str, &str, Normalize); 14] = [
    ("standard", "standard", Normalize::None),
    ("standard_no_b_dec", "standard", Normalize::None),
    ("standard_layer_norm", "standard", Normalize::LayerNorm),
    ("standard_constant_norm_rescale", "standard", Normalize::ConstantNorm),
    ("standard_expected_average_only_in", "standard", Normalize::None),
    ("topk", "topk", Normalize::None),
    ("topk_rescaled", "topk", Normalize::None),
    ("jumprelu", "jumprelu", Normalize::None),
    ("gated", "gated", Normalize::None),
    ("transcoder", "transcoder", Normalize::None),
    ("skip_transcoder", "skip_transcoder", Normalize::None),
    ("jumprelu_transcoder", "jumprelu_transcoder", Normalize::None),
    ("jumprelu_transcoder_layer_norm", "jumprelu_transcoder", Normalize::LayerNorm),
    ("jumprelu_skip_transcoder", "jumprelu_skip_transcoder", Normalize::None),
];

#[test]
fn every_kind_that_saelens_saves_does_what_it_does_there_and_is_written_back() {
    let folder = tempfile::tempdir().unwrap();
    for (name, architecture, normalize) in KINDS {
        let (saved, written) = (golden().join("kinds").join(name), folder.path().join(name));
        check(&saved, &saved.join("ref.safetensors"));
        let (sae, origin) = (saelens::read(&saved).unwrap(), saelens::read_origin(&saved).unwrap());
        assert_eq!((saelens::architecture(&sae), sae.normalize), (Some(architecture), normalize));
        assert_eq!(sae.is_transcoder(), name.contains("transcoder"));
        assert_eq!((sae.d_in, sae.d_out), (12, if sae.is_transcoder() { 9 } else { 12 }));
        assert_eq!(origin.training_architecture.as_deref(), Some("batchtopk"));

        saelens::write(&written, &sae, &origin).unwrap();
        assert_eq!(saelens::read(&written).unwrap(), sae, "{name}");
        assert_eq!(saelens::read_origin(&written).unwrap(), origin);
        assert_eq!(outline(&written), outline(&saved), "{name}");
    }
}

#[test]
fn what_every_method_exports_does_the_same_in_saelens() {
    let exports = fs_err::read_dir(golden().join("exports")).unwrap();
    for dir in exports.map(|entry| entry.unwrap().path()) {
        check(&dir, &dir.join("ref.safetensors"));
    }
}

/// What SAELens looks at when it opens an SAE: the tensors with their shapes, and the settings.
fn outline(dir: &Path) -> (Vec<(String, Vec<usize>)>, serde_json::Value) {
    let bytes = fs_err::read(dir.join("sae_weights.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
    let mut shapes: Vec<_> =
        tensors.into_iter().map(|(name, tensor)| (name, tensor.shape().to_vec())).collect();
    shapes.sort();
    let text = fs_err::read_to_string(dir.join("cfg.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    let settings = config.as_object_mut().unwrap();
    // What it tells of its origin differs, and so does what reading folds into the weights.
    settings.remove("metadata");
    settings.insert("rescale_acts_by_decoder_norm".into(), false.into());
    if settings["normalize_activations"] == "expected_average_only_in" {
        settings.insert("normalize_activations".into(), "none".into());
    }
    (shapes, config)
}

#[test]
fn a_decoder_row_of_zeros_never_fires_where_norms_rescale() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("sae");
    let mut sae = Sae::new(Rule::TopK { k: 1 }, vec![2.0, 1.0], vec![0.0; 2], vec![0.0, 3.0], vec![0.0]);
    saelens::write(&dir, &sae, &Origin::default()).unwrap();
    let text = fs_err::read_to_string(dir.join("cfg.json")).unwrap();
    fs_err::write(dir.join("cfg.json"), text.replace("norm\": false", "norm\": true")).unwrap();
    sae.w_enc = vec![0.0, 3.0];
    sae.w_dec = vec![0.0, 1.0];
    assert_eq!(saelens::read(&dir).unwrap(), sae);
    assert_eq!(sae.reconstruct(&[1.0]).1, [3.0]);
}

#[test]
fn a_transcoder_that_saelens_has_no_form_for_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let topk = Sae {
        apply_b_dec_to_input: false,
        target: Target::Companion { w_skip: None },
        ..Sae::new(Rule::TopK { k: 1 }, vec![1.0; 2], vec![0.0; 2], vec![1.0; 2], vec![0.0])
    };
    let pre_bias = Sae { rule: Rule::Standard, apply_b_dec_to_input: true, ..topk.clone() };
    assert_eq!(saelens::architecture(&topk), None);
    for (sae, said) in [(topk, "the rule topk"), (pre_bias, "fold it into b_enc")] {
        let dir = folder.path().join("sae");
        let message = saelens::write(&dir, &sae, &Origin::default()).unwrap_err().to_string();
        assert!(message.contains(said) && message.contains(text(&dir)), "{message}");
        assert!(!dir.exists());
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
        (&config("\"topk\"", "\"temporal\"") as &dyn Fn(&Path), "found temporal"),
        (&config("\"topk\"", "\"gated\""), "a tensor r_mag [64]"),
        (&config("\"topk\"", "\"transcoder\""), "positive integer as d_out"),
        (
            &config("\"architecture\": \"topk\"", "\"d_out\": 384, \"architecture\": \"transcoder\""),
            "apply_b_dec_to_input false",
        ),
        (&config("\"d_sae\": 64", "\"d_sae\": 63"), "W_enc [384, 63]"),
        (&config("\"k\": 40", "\"k\": 0"), "positive integer as k"),
        (
            &config(
                "\"normalize_activations\": \"none\"",
                "\"normalize_activations\": \"covariance_whitening\"",
            ),
            "covariance_whitening",
        ),
        (
            &config("\"reshape_activations\": \"none\"", "\"reshape_activations\": \"hook_z\""),
            "found \"hook_z\"",
        ),
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
