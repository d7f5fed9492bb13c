//! One file per resource: its routes, what they take and what they answer.

#![expect(unused_qualifications, reason = "utoipa's attributes qualify the types of parameters")]

mod about;
mod documents;
mod encode;
mod health;
mod latent;
mod latents;
mod metadata;
mod saes;
mod training;

pub(crate) use metadata::Metadata;

use crate::AppState;
use utoipa_axum::{router::OpenApiRouter, routes};

/// All resources, to be nested below `/api/v1`.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(saes::saes))
        .routes(routes!(saes::sae))
        .routes(routes!(training::events))
        .routes(routes!(latents::latents))
        .routes(routes!(latent::latent))
        .routes(routes!(documents::documents))
        .routes(routes!(documents::document))
        .routes(routes!(encode::encode))
}
