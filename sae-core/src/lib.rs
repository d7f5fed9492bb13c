//! Sparse autoencoders (SAEs) without a framework.
//!
//! This crate is what training, indexing and serving share. It knows neither burn nor tokio.
//!
//! | module | answers |
//! |---|---|
//! | [`sae`] | What is an SAE? Its weights, its rule, and the plain code that defines both. |
//! | [`kernels`] | The same mathematics, fast: row-blocked products, selection, sparse decoding and gradients. |
//! | [`dump`] | *Here is a Parquet dump, give me its activations.* |
//! | [`formats`] | *Here is somebody's SAE on disk, give me a [`Sae`]*, and back. |
//! | [`index`] | *Which rows fire this latent? Which latents fire on this row?* |
//! | [`metrics`] | What L0, FVU and the others mean, exactly. |
//! | [`atomic`] | How files and directories come to be complete or absent. |
//! | [`run`] | Where everything stands in a run directory. |
//!
//! Names are the field's: `d_in`, `d_sae`, `w_enc`, `b_enc`, `w_dec`, `b_dec`, `pre_acts`, `acts`.
//! A learned unit is a *latent*.

pub mod atomic;
pub mod dump;
mod error;
pub mod formats;
pub mod index;
pub mod kernels;
pub mod metrics;
pub mod run;
pub mod sae;

pub use error::{Error, Result};
pub use kernels::Codes;
pub use sae::{Normalize, Rule, Sae, Target};
