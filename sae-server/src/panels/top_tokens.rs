use sae_core::index;
use serde::Serialize;
use utoipa::ToSchema;

/// A token on which a latent fires.
#[derive(Serialize, ToSchema)]
pub(crate) struct TopToken {
    token: String,
    /// Firings on it.
    firings: u32,
    /// Mean value of these firings.
    mean: f32,
    /// Their part of the sum of all the latent's values.
    share: f32,
}

pub(crate) fn panel(tokens: Vec<index::TopToken>) -> Vec<TopToken> {
    let row = |index::TopToken { token, firings, mean, share }| TopToken { token, firings, mean, share };
    tokens.into_iter().map(row).collect()
}
