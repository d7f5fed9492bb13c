use crate::{
    AppState,
    error::{ApiError, Errors, blocking},
    extract::{NoQuery, Path, Query},
};
use axum::{Json, extract::State};
use sae_core::run::Event;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// How training went.
#[derive(Serialize, ToSchema)]
pub(crate) struct Events {
    /// The lines of `events.jsonl`, oldest first.
    events: Vec<TrainingEvent>,
}

/// A line of `events.jsonl`: means over the steps since the line before.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrainingEvent {
    /// Steps done.
    step: u64,
    /// Steps that the whole run takes.
    steps: u64,
    /// Rows seen, each position of the dump once per epoch.
    tokens_seen: u64,
    /// What was minimised: the sum of `terms`.
    loss: f64,
    /// Each term of the loss with its coefficient.
    terms: BTreeMap<String, f64>,
    /// Mean number of active latents.
    l0: f64,
    /// Fraction of variance unexplained on the batches.
    fvu: f64,
    /// Latents that have not fired for the dead-latent window.
    dead: u64,
    /// Learning rate of the last step.
    lr: f64,
    /// Norm of the gradient before clipping.
    grad_norm: f64,
    /// Rows per second.
    tokens_per_s: f64,
}

impl From<Event> for TrainingEvent {
    fn from(event: Event) -> Self {
        let Event { step, steps, tokens_seen, loss, terms, l0, fvu, dead, lr, grad_norm, tokens_per_s } =
            event;
        Self { step, steps, tokens_seen, loss, terms, l0, fvu, dead, lr, grad_norm, tokens_per_s }
    }
}

/// How training went so far.
#[utoipa::path(
    get, path = "/saes/{sae}/events", tag = "saes",
    params(("sae" = String, Path, description = "Name of the run")),
    responses((status = 200, description = "its events", body = Events), Errors)
)]
pub(crate) async fn events(
    State(state): State<AppState>,
    Path(sae): Path<String>,
    _: Query<NoQuery>,
) -> Result<Json<Events>, ApiError> {
    blocking(move || {
        let events = state.run(&sae)?.dir.read_events()?;
        Ok(Json(Events { events: events.into_iter().map(TrainingEvent::from).collect() }))
    })
    .await
}
