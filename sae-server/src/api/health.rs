use crate::{
    error::ApiError,
    extract::{NoQuery, Query},
};
use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

/// That the server answers, and which version it is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`
    status: &'static str,
    /// Version of the program.
    version: &'static str,
}

/// Whether the server answers.
#[utoipa::path(get, path = "/health", tag = "server", responses((status = 200, description = "it answers", body = Health)))]
pub(crate) async fn health(_: Query<NoQuery>) -> Result<Json<Health>, ApiError> {
    Ok(Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") }))
}
