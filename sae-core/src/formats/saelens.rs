//! SAELens 6: `cfg.json` and `sae_weights.safetensors` in a directory.
//!
//! | tensor | shape | |
//! |---|---|---|
//! | `W_enc` | `[d_in, d_sae]` | ours is `[d_sae, d_in]` |
//! | `b_enc` | `[d_sae]` | |
//! | `W_dec` | `[d_sae, d_in]` | |
//! | `b_dec` | `[d_in]` | |
//! | `threshold` | `[d_sae]` | `jumprelu` only |
//!
//! Architectures: `standard`, `topk`, `jumprelu`. Activations must not be normalised or reshaped and,
//! for `topk`, not rescaled by decoder norms: SAELens folds these when it saves for inference.

use super::FormatError;
use crate::{Result, Rule, Sae, atomic::NewDir};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};
use std::path::Path;

const CONFIG: &str = "cfg.json";
const WEIGHTS: &str = "sae_weights.safetensors";

/// What `cfg.json` tells about where an SAE comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The model whose activations it was trained on.
    pub model_name: Option<String>,
    /// The place in the model.
    pub hook_name: Option<String>,
    /// The training method, where it differs from the inference rule.
    pub training_architecture: Option<String>,
}

/// Reads an SAE from a directory.
///
/// # Errors
/// If a file is missing, malformed, or describes an SAE of another kind.
pub fn read(dir: &Path) -> Result<Sae> {
    let config = read_config(dir)?;
    let path = dir.join(WEIGHTS);
    let bytes = fs_err::read(&path)?;
    let tensors = SafeTensors::deserialize(&bytes)
        .map_err(|e| unexpected(&path, "a safetensors file", e.to_string()))?;
    let (d_in, d_sae) = (config.size("d_in")?, config.size("d_sae")?);
    let tensor = |name: &str, shape: &[usize]| read_tensor(&path, &tensors, name, shape);
    let rule = match config.text("architecture")? {
        "standard" => Rule::Standard,
        "topk" => Rule::TopK { k: config.size("k")? },
        "jumprelu" => Rule::JumpRelu { threshold: tensor("threshold", &[d_sae])? },
        other => return Err(config.unexpected("architecture standard, topk or jumprelu", other)),
    };
    config.require("normalize_activations", "none")?;
    config.require("reshape_activations", "none")?;
    if config.flag("rescale_acts_by_decoder_norm") == Some(true) {
        return Err(config.unexpected(
            "rescale_acts_by_decoder_norm false, as SAELens saves for inference",
            "true; save it with SAELens' save_inference_model",
        ));
    }
    Ok(Sae {
        d_in,
        d_sae,
        rule,
        apply_b_dec_to_input: config.flag("apply_b_dec_to_input").unwrap_or(true),
        w_enc: transpose(&tensor("W_enc", &[d_in, d_sae])?, d_in, d_sae),
        b_enc: tensor("b_enc", &[d_sae])?,
        w_dec: tensor("W_dec", &[d_sae, d_in])?,
        b_dec: tensor("b_dec", &[d_in])?,
    })
}

/// Reads the origin of an SAE without its weights.
///
/// # Errors
/// If `cfg.json` is missing or malformed.
pub fn read_origin(dir: &Path) -> Result<Origin> {
    let config = read_config(dir)?;
    let text = |key: &str| config.value["metadata"][key].as_str().map(str::to_owned);
    Ok(Origin {
        model_name: text("model_name"),
        hook_name: text("hook_name"),
        training_architecture: text("training_architecture"),
    })
}

/// Writes an SAE as a directory that `SAE.load_from_disk` of SAELens 6 opens, whole or not at all.
///
/// # Errors
/// If the directory cannot be written.
pub fn write(dir: &Path, sae: &Sae, origin: &Origin) -> Result<()> {
    let new = NewDir::create(dir)?;
    let config = serde_json::to_string_pretty(&config_of(sae, origin)).expect("a JSON value serialises");
    fs_err::write(new.path().join(CONFIG), config + "\n")?;
    let w_enc = transpose(&sae.w_enc, sae.d_sae, sae.d_in);
    let mut tensors = vec![
        ("W_enc", vec![sae.d_in, sae.d_sae], w_enc.as_slice()),
        ("b_enc", vec![sae.d_sae], &sae.b_enc),
        ("W_dec", vec![sae.d_sae, sae.d_in], &sae.w_dec),
        ("b_dec", vec![sae.d_in], &sae.b_dec),
    ];
    if let Rule::JumpRelu { threshold } = &sae.rule {
        tensors.push(("threshold", vec![sae.d_sae], threshold));
    }
    let views = tensors.into_iter().map(|(name, shape, values)| {
        let view = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(values));
        (name, view.expect("weights have the shapes of their SAE"))
    });
    let path = new.path().join(WEIGHTS);
    let bytes = safetensors::serialize(views, None).expect("tensor names are distinct");
    fs_err::write(path, bytes)?;
    Ok(new.commit()?)
}

fn config_of(sae: &Sae, origin: &Origin) -> Value {
    let mut config = json!({
        "architecture": sae.rule.name(),
        "d_in": sae.d_in,
        "d_sae": sae.d_sae,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": sae.apply_b_dec_to_input,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            // Without a version of 6 or later SAELens takes the file for one of its old ones.
            "sae_lens_version": "6.54.12",
            "sae_lens_training_version": null,
            "model_name": origin.model_name,
            "hook_name": origin.hook_name,
            "hook_head_index": null,
            "training_architecture": origin.training_architecture,
            "created_by": concat!("sae ", env!("CARGO_PKG_VERSION")),
        },
    });
    if let Rule::TopK { k } = sae.rule {
        config["k"] = k.into();
        config["rescale_acts_by_decoder_norm"] = false.into();
    }
    config
}

struct Config {
    path: std::path::PathBuf,
    value: Value,
}

fn read_config(dir: &Path) -> Result<Config> {
    let path = dir.join(CONFIG);
    let text = fs_err::read_to_string(&path)?;
    let value = serde_json::from_str(&text).map_err(|e| unexpected(&path, "JSON", e.to_string()))?;
    Ok(Config { path, value })
}

impl Config {
    fn unexpected(&self, expected: &str, found: &str) -> crate::Error {
        unexpected(&self.path, expected, found.to_owned())
    }

    fn size(&self, key: &str) -> Result<usize> {
        let size =
            self.value[key].as_u64().and_then(|size| usize::try_from(size).ok()).filter(|&size| size > 0);
        size.ok_or_else(|| {
            self.unexpected(&format!("a positive integer as {key}"), &self.value[key].to_string())
        })
    }

    fn text(&self, key: &str) -> Result<&str> {
        self.value[key]
            .as_str()
            .ok_or_else(|| self.unexpected(&format!("a string as {key}"), &self.value[key].to_string()))
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.value[key].as_bool()
    }

    fn require(&self, key: &str, value: &str) -> Result<()> {
        match &self.value[key] {
            Value::Null => Ok(()),
            found if found == value => Ok(()),
            found => Err(self.unexpected(&format!("{key} \"{value}\""), &found.to_string())),
        }
    }
}

fn read_tensor(path: &Path, tensors: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
    let expected = || format!("a tensor {name} {shape:?}");
    let tensor = tensors.tensor(name).map_err(|e| unexpected(path, &expected(), e.to_string()))?;
    if tensor.shape() != shape {
        return Err(unexpected(path, &expected(), format!("{:?}", tensor.shape())));
    }
    let (pairs, quads) = (tensor.data().as_chunks::<2>().0, tensor.data().as_chunks::<4>().0);
    let values: Vec<f32> = match tensor.dtype() {
        Dtype::F32 => quads.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        Dtype::F16 => pairs.iter().map(|&b| half::f16::from_le_bytes(b).to_f32()).collect(),
        Dtype::BF16 => pairs.iter().map(|&b| half::bf16::from_le_bytes(b).to_f32()).collect(),
        other => return Err(unexpected(path, &format!("{name} in F32, F16 or BF16"), format!("{other:?}"))),
    };
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(unexpected(path, &format!("finite numbers in {name}"), value.to_string())),
        None => Ok(values),
    }
}

/// `[rows, columns]` to `[columns, rows]`, in tiles that stay in cache.
fn transpose(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    const TILE: usize = 32;
    let mut out = vec![0.0; matrix.len()];
    for r0 in (0..rows).step_by(TILE) {
        for c0 in (0..columns).step_by(TILE) {
            for r in r0..(r0 + TILE).min(rows) {
                for c in c0..(c0 + TILE).min(columns) {
                    out[c * rows + r] = matrix[r * columns + c];
                }
            }
        }
    }
    out
}

fn unexpected(path: &Path, expected: &str, found: String) -> crate::Error {
    FormatError::Unexpected { path: path.to_owned(), expected: expected.to_owned(), found }.into()
}
