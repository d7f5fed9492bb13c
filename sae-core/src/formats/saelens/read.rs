use super::{CONFIG, Origin, WEIGHTS, transpose, unexpected};
use crate::{Normalize, Result, Rule, Sae, Target, kernels};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Reads an SAE from a directory.
///
/// A TopK SAE that rescales by decoder norms, `rescale_acts_by_decoder_norm`, comes back as the one that
/// encodes and decodes the same without.
///
/// # Errors
/// If a file is missing, malformed, or describes an SAE of another kind.
pub fn read(dir: &Path) -> Result<Sae> {
    let config = read_config(dir)?;
    let kind = config.kind()?;
    let path = dir.join(WEIGHTS);
    let bytes = fs_err::read(&path)?;
    let tensors = SafeTensors::deserialize(&bytes)
        .map_err(|e| unexpected(&path, "a safetensors file", e.to_string()))?;
    let tensor = |name: &str, shape: &[usize]| read_tensor(&path, &tensors, name, shape);
    let (d_in, d_sae) = (config.size("d_in")?, config.size("d_sae")?);
    let d_out = if kind.transcoder { config.size("d_out")? } else { d_in };
    let rule = match kind.rule {
        "topk" => Rule::TopK { k: config.size("k")? },
        "jumprelu" => Rule::JumpRelu { threshold: tensor("threshold", &[d_sae])? },
        "gated" => Rule::Gated { r_mag: tensor("r_mag", &[d_sae])?, b_mag: tensor("b_mag", &[d_sae])? },
        _ => Rule::Standard,
    };
    let target = match kind.transcoder {
        true if kind.skip => Target::Companion { w_skip: Some(tensor("W_skip", &[d_out, d_in])?) },
        true => Target::Companion { w_skip: None },
        false => Target::Input,
    };
    let apply_b_dec_to_input = config.flag("apply_b_dec_to_input").unwrap_or(!kind.transcoder);
    if kind.transcoder && apply_b_dec_to_input {
        return Err(config.unexpected("apply_b_dec_to_input false, as a transcoder has it", "true"));
    }
    config.require("reshape_activations", "none")?;
    let w_enc = transpose(&tensor("W_enc", &[d_in, d_sae])?, d_in, d_sae);
    let b_enc = tensor(if kind.rule == "gated" { "b_gate" } else { "b_enc" }, &[d_sae])?;
    let (w_dec, b_dec) = (tensor("W_dec", &[d_sae, d_out])?, tensor("b_dec", &[d_out])?);
    let normalize = config.normalize()?;
    let mut sae =
        Sae { normalize, apply_b_dec_to_input, target, ..Sae::new(rule, w_enc, b_enc, w_dec, b_dec) };
    if kind.rule == "topk" && config.flag("rescale_acts_by_decoder_norm") == Some(true) {
        fold_decoder_norms(&mut sae);
    }
    Ok(sae)
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

/// Rescaling multiplies pre-activations by the norms `n` of the decoder's rows before the largest are
/// chosen, and divides activations by them before decoding. The same is `n·W_enc`, `n·b_enc`,
/// `W_dec / n`: `rule(n·z) / n · W_dec`.
///
/// SAELens sets the flag also where it has folded them, and the norms are 1. A row of zeros decodes to
/// nothing and never fires.
fn fold_decoder_norms(sae: &mut Sae) {
    let encoder = sae.w_enc.chunks_exact_mut(sae.d_in).zip(&mut sae.b_enc);
    for ((w_enc, b_enc), w_dec) in encoder.zip(sae.w_dec.chunks_exact_mut(sae.d_out)) {
        let norm = kernels::dot(w_dec, w_dec).sqrt();
        w_enc.iter_mut().for_each(|w| *w *= norm);
        *b_enc *= norm;
        if norm > 0.0 {
            w_dec.iter_mut().for_each(|w| *w /= norm);
        }
    }
}

/// What an architecture is made of.
struct Kind {
    rule: &'static str,
    transcoder: bool,
    skip: bool,
}

struct Config {
    path: PathBuf,
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

    fn kind(&self) -> Result<Kind> {
        let (rule, transcoder, skip) = match self.text("architecture")? {
            "standard" => ("standard", false, false),
            "topk" => ("topk", false, false),
            "jumprelu" => ("jumprelu", false, false),
            "gated" => ("gated", false, false),
            "transcoder" => ("standard", true, false),
            "skip_transcoder" => ("standard", true, true),
            "jumprelu_transcoder" => ("jumprelu", true, false),
            "jumprelu_skip_transcoder" => ("jumprelu", true, true),
            other => {
                let known = "standard, topk, jumprelu, gated or a transcoder (transcoder, skip_transcoder, jumprelu_transcoder, jumprelu_skip_transcoder)";
                return Err(self.unexpected(&format!("architecture {known}"), other));
            }
        };
        Ok(Kind { rule, transcoder, skip })
    }

    /// SAELens folds the mean norm of `expected_average_only_in` into the weights when training ends, and
    /// does not apply it at inference, folded or not.
    fn normalize(&self) -> Result<Normalize> {
        match &self.value["normalize_activations"] {
            Value::Null => Ok(Normalize::None),
            found => [Normalize::None, Normalize::LayerNorm, Normalize::ConstantNorm]
                .into_iter()
                .find(|normalize| found == normalize.name())
                .or_else(|| (found == "expected_average_only_in").then_some(Normalize::None))
                .ok_or_else(|| {
                    let known = "none, expected_average_only_in, layer_norm or constant_norm_rescale";
                    self.unexpected(&format!("normalize_activations {known}"), &found.to_string())
                }),
        }
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
