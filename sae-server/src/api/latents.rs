use crate::{
    AppState,
    error::{ApiError, Errors, blocking},
    extract::{Path, Query},
    panels::{TopToken, top_tokens},
};
use axum::{Json, extract::State};
use sae_core::index::Index;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use utoipa::{IntoParams, ToSchema};

/// Tokens shown beside a latent in a list.
const TOKENS_IN_LIST: usize = 5;
/// Most things of a list in one answer.
pub(super) const MOST: usize = 1000;

/// Which latents, and in which order.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LatentsQuery {
    /// What to sort by; `density` unless given.
    #[serde(default)]
    #[param(inline)]
    sort: Sort,
    /// `desc` unless sorted by `id`. Latents that are alike are in order of their numbers.
    #[param(inline)]
    order: Option<Order>,
    /// Smallest density to keep.
    min_density: Option<f64>,
    /// Largest density to keep.
    max_density: Option<f64>,
    /// Keeps latents one of whose top tokens contains this text, in either case.
    #[serde(default)]
    token: String,
    /// Leaves out latents that never fire.
    #[serde(default)]
    alive: bool,
    /// How many to pass over.
    #[serde(default)]
    offset: usize,
    /// How many to answer.
    #[serde(default = "default_limit")]
    #[param(default = 100, maximum = 1000)]
    limit: usize,
}

pub(super) fn default_limit() -> usize {
    100
}

/// A column of the list.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Sort {
    #[default]
    Density,
    Max,
    Mean,
    Id,
}

/// A direction.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Order {
    Asc,
    Desc,
}

/// A part of the latents.
#[derive(Serialize, ToSchema)]
pub(crate) struct LatentList {
    /// How many there are after filters.
    total: usize,
    /// How many were passed over.
    offset: usize,
    latents: Vec<LatentRow>,
}

/// A latent in a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct LatentRow {
    /// Its number.
    latent: u32,
    /// On how many rows it fires.
    firings: u64,
    /// On which part of the rows it fires.
    density: f64,
    /// Its largest value.
    max: f32,
    /// Mean value of its firings.
    mean: f64,
    /// In how many documents it fires.
    documents: u32,
    /// At most 5.
    top_tokens: Vec<TopToken>,
}

/// The latents of an SAE, sorted and filtered.
#[utoipa::path(
    get, path = "/saes/{sae}/latents", tag = "latents",
    params(("sae" = String, Path, description = "Name of the run"), LatentsQuery),
    responses((status = 200, description = "the latents asked for", body = LatentList), Errors)
)]
pub(crate) async fn latents(
    State(state): State<AppState>,
    Path(sae): Path<String>,
    Query(query): Query<LatentsQuery>,
) -> Result<Json<LatentList>, ApiError> {
    blocking(move || {
        check_limit(query.limit)?;
        let index = state.index(&sae)?;
        let latents = select(&index, &query)?;
        let total = latents.len();
        let shown = page(latents, query.offset, query.limit, |a, b| query.compare(&index, a, b));
        let latents = shown.into_iter().map(|latent| row(&index, latent)).collect();
        Ok(Json(LatentList { total, offset: query.offset, latents }))
    })
    .await
}

pub(super) fn check_limit(limit: usize) -> Result<(), ApiError> {
    if (1..=MOST).contains(&limit) {
        return Ok(());
    }
    Err(ApiError::bad_request(format!("limit: expected 1 to {MOST}, found {limit}; use offset for the rest")))
}

fn select(index: &Index, query: &LatentsQuery) -> Result<Vec<u32>, ApiError> {
    let bound = |name: &str, given: Option<f64>, default: f64| match given {
        Some(bound) if !bound.is_finite() => {
            Err(ApiError::bad_request(format!("{name}: expected a finite number, found {bound}")))
        }
        _ => Ok(given.unwrap_or(default)),
    };
    let low = bound("min_density", query.min_density, 0.0)?;
    let high = bound("max_density", query.max_density, 1.0)?;
    let mut latents = match query.token.as_str() {
        "" => (0..index.meta().d_sae as u32).collect(),
        text => index.latents_with_token(text),
    };
    latents.retain(|&latent| {
        let density = index.density()[latent as usize];
        low <= density && density <= high && !(query.alive && index.firings()[latent as usize] == 0)
    });
    Ok(latents)
}

impl LatentsQuery {
    fn compare(&self, index: &Index, a: u32, b: u32) -> Ordering {
        let (i, j) = (a as usize, b as usize);
        let (ascending, default) = match self.sort {
            Sort::Density => (index.density()[i].total_cmp(&index.density()[j]), Order::Desc),
            Sort::Max => (index.max()[i].total_cmp(&index.max()[j]), Order::Desc),
            Sort::Mean => (index.mean()[i].total_cmp(&index.mean()[j]), Order::Desc),
            Sort::Id => (a.cmp(&b), Order::Asc),
        };
        let descends = self.order.unwrap_or(default) == Order::Desc;
        if descends { ascending.reverse() } else { ascending }.then(a.cmp(&b))
    }
}

/// The part of `latents` in order of `compare` that was asked for; only that part is sorted.
fn page(
    mut latents: Vec<u32>,
    offset: usize,
    limit: usize,
    compare: impl Fn(u32, u32) -> Ordering,
) -> Vec<u32> {
    let end = offset.saturating_add(limit);
    if end < latents.len() {
        latents.select_nth_unstable_by(end, |&a, &b| compare(a, b));
        latents.truncate(end);
    }
    if offset > 0 && offset < latents.len() {
        latents.select_nth_unstable_by(offset, |&a, &b| compare(a, b));
    }
    let mut shown = latents.split_off(offset.min(latents.len()));
    shown.sort_unstable_by(|&a, &b| compare(a, b));
    shown
}

fn row(index: &Index, latent: u32) -> LatentRow {
    let mut stats = index.latent(latent as usize);
    stats.top_tokens.truncate(TOKENS_IN_LIST);
    LatentRow {
        latent,
        firings: stats.firings,
        density: stats.density,
        max: stats.max,
        mean: stats.mean,
        documents: stats.documents,
        top_tokens: top_tokens::panel(stats.top_tokens),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_a_part_of_the_sorted_whole() {
        let latents: Vec<u32> = (0..97).map(|i| i * 37 % 97).collect();
        let mut sorted = latents.clone();
        sorted.sort_unstable();
        for offset in [0, 1, 50, 96, 97, 200] {
            for limit in [1, 10, 97, 1000] {
                let expected: Vec<u32> = sorted.iter().copied().skip(offset).take(limit).collect();
                assert_eq!(page(latents.clone(), offset, limit, |a, b| a.cmp(&b)), expected);
            }
        }
    }
}
