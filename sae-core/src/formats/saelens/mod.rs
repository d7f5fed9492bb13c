//! SAELens 6: `cfg.json` and `sae_weights.safetensors` in a directory.
//!
//! | tensor | shape | |
//! |---|---|---|
//! | `W_enc` | `[d_in, d_sae]` | ours is `[d_sae, d_in]` |
//! | `b_enc` | `[d_sae]` | `gated` has `b_gate` in its place |
//! | `W_dec` | `[d_sae, d_out]` | `d_out` is `d_in` but for transcoders |
//! | `b_dec` | `[d_out]` | |
//! | `threshold` | `[d_sae]` | `jumprelu` and its transcoders |
//! | `r_mag`, `b_mag` | `[d_sae]` | `gated` |
//! | `W_skip` | `[d_out, d_in]` | the skip transcoders |
//!
//! Architectures: `standard`, `topk`, `jumprelu`, `gated`, `transcoder`, `skip_transcoder`,
//! `jumprelu_transcoder`, `jumprelu_skip_transcoder`. Transcoders have `d_out` in `cfg.json` and must not
//! apply `b_dec` to the input.

mod read;
mod write;

pub use read::{read, read_origin};
pub use write::write;

use super::FormatError;
use crate::{Rule, Sae, Target};
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

/// The name that SAELens has for SAEs of this kind, if it has one: there are no TopK or gated transcoders.
pub fn architecture(sae: &Sae) -> Option<&'static str> {
    match (&sae.target, &sae.rule) {
        (Target::Input, rule) => Some(rule.name()),
        (Target::Companion { w_skip: None }, Rule::Standard) => Some("transcoder"),
        (Target::Companion { w_skip: None }, Rule::JumpRelu { .. }) => Some("jumprelu_transcoder"),
        (Target::Companion { w_skip: Some(_) }, Rule::Standard) => Some("skip_transcoder"),
        (Target::Companion { w_skip: Some(_) }, Rule::JumpRelu { .. }) => Some("jumprelu_skip_transcoder"),
        (Target::Companion { .. }, Rule::TopK { .. } | Rule::Gated { .. }) => None,
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
