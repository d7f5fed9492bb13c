use crate::{
    AppState,
    error::{ApiError, Errors},
    extract::{Path, Query},
    json::json,
    panels::{
        ExampleGroup, ExamplesQuery, GroupRates, Histogram, Statistics, TopToken, examples, groups,
        histogram, statistics, top_tokens,
    },
};
use axum::{extract::State, response::Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Everything on the page of a latent, a field per panel.
#[derive(Serialize, ToSchema)]
pub(crate) struct LatentPage<'a> {
    /// Its number.
    latent: u32,
    /// The latent before it, by number.
    #[schema(required)]
    previous: Option<u32>,
    /// The latent after it, by number.
    #[schema(required)]
    next: Option<u32>,
    statistics: Statistics,
    histogram: Histogram,
    top_tokens: Vec<TopToken>,
    groups: Vec<GroupRates>,
    /// Empty if the latent never fires.
    examples: Vec<ExampleGroup<'a>>,
}

/// One latent: its statistics, tokens, groups and examples.
#[utoipa::path(
    get, path = "/saes/{sae}/latents/{latent}", tag = "latents",
    params(
        ("sae" = String, Path, description = "Name of the run"),
        ("latent" = u32, Path, description = "Number of the latent"),
        ExamplesQuery
    ),
    responses((status = 200, description = "the latent", body = LatentPage), Errors)
)]
pub(crate) async fn latent(
    State(state): State<AppState>,
    Path((sae, latent)): Path<(String, u64)>,
    Query(query): Query<ExamplesQuery>,
) -> Result<Response, ApiError> {
    query.check()?;
    let of_pages = state.clone();
    let page = move || {
        let index = state.index(&sae)?;
        let d_sae = index.meta().d_sae;
        let latent =
            u32::try_from(latent).ok().filter(|&latent| (latent as usize) < d_sae).ok_or_else(|| {
                let last = d_sae.saturating_sub(1);
                ApiError::not_found(format!(
                    "there is no latent {latent} in `{sae}`; it has latents 0 to {last}"
                ))
            })?;
        let stats = index.latent(latent as usize);
        // Made into text here, while the index is at hand: no token has to be copied before.
        json(&LatentPage {
            latent,
            previous: latent.checked_sub(1),
            next: Some(latent + 1).filter(|&next| (next as usize) < d_sae),
            statistics: statistics::panel(index.meta(), &stats),
            histogram: histogram::panel(&stats),
            groups: groups::panel(index.meta(), &stats),
            examples: examples::panel(&index, &sae, latent, &query),
            top_tokens: top_tokens::panel(stats.top_tokens),
        })
    };
    of_pages.pages().run(page).await
}
