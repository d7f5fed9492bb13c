use super::{CONFIG, Origin, WEIGHTS, architecture, transpose, unexpected};
use crate::{Result, Rule, Sae, Target, atomic::NewDir};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use std::path::Path;

/// Writes an SAE as a directory that `SAE.load_from_disk` of SAELens 6 opens, whole or not at all.
///
/// # Errors
/// If SAELens has no form for SAEs of this kind, or the directory cannot be written.
pub fn write(dir: &Path, sae: &Sae, origin: &Origin) -> Result<()> {
    let config = config_of(dir, sae, origin)?;
    let new = NewDir::create(dir)?;
    let config = serde_json::to_string_pretty(&config).expect("a JSON value serialises");
    fs_err::write(new.path().join(CONFIG), config + "\n")?;
    let &Sae { d_in, d_out, d_sae, .. } = sae;
    let w_enc = transpose(&sae.w_enc, d_sae, d_in);
    let mut tensors: Vec<(&str, Vec<usize>, &[f32])> = vec![
        ("W_enc", vec![d_in, d_sae], &w_enc),
        ("W_dec", vec![d_sae, d_out], &sae.w_dec),
        ("b_dec", vec![d_out], &sae.b_dec),
    ];
    let mut per_latent = |name, values| tensors.push((name, vec![d_sae], values));
    per_latent(if matches!(sae.rule, Rule::Gated { .. }) { "b_gate" } else { "b_enc" }, &sae.b_enc);
    match &sae.rule {
        Rule::Standard | Rule::TopK { .. } => {}
        Rule::JumpRelu { threshold } => per_latent("threshold", threshold),
        Rule::Gated { r_mag, b_mag } => {
            per_latent("r_mag", r_mag);
            per_latent("b_mag", b_mag);
        }
    }
    if let Target::Companion { w_skip: Some(w_skip) } = &sae.target {
        tensors.push(("W_skip", vec![d_out, d_in], w_skip));
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

fn config_of(dir: &Path, sae: &Sae, origin: &Origin) -> Result<Value> {
    let Some(architecture) = architecture(sae) else {
        let expected = "a transcoder with the rule standard or jumprelu, as SAELens has them";
        return Err(unexpected(dir, expected, format!("one with the rule {}", sae.rule.name())));
    };
    if sae.is_transcoder() && sae.apply_b_dec_to_input {
        let expected = "a transcoder that does not subtract b_dec from its input: SAELens opens no other";
        return Err(unexpected(dir, expected, "one that does; fold it into b_enc".to_owned()));
    }
    let mut config = json!({
        "architecture": architecture,
        "d_in": sae.d_in,
        "d_sae": sae.d_sae,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": sae.apply_b_dec_to_input,
        "normalize_activations": sae.normalize.name(),
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
    if sae.is_transcoder() {
        config["d_out"] = sae.d_out.into();
    }
    Ok(config)
}
