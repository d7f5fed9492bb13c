use crate::{
    AppState,
    error::{ApiError, ErrorBody, Errors, blocking},
    extract::{self, NoQuery, Path, Query},
};
use axum::{Json, extract::State};
use sae_core::Sae;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most rows in one request.
const MOST_ROWS: usize = 1024;

/// Activations to encode.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToEncode {
    /// `[n_rows, d_in]`: at most 1024 rows, all numbers finite.
    activations: Vec<Vec<f32>>,
}

/// What fires on the rows sent.
#[derive(Serialize, ToSchema)]
pub(crate) struct Encoded {
    /// Width of the activations.
    d_in: usize,
    /// Number of latents.
    d_sae: usize,
    /// For each row, what fires on it.
    codes: Vec<Code>,
    /// `Σ‖x − x̂‖² / Σ‖x − mean‖²` over the rows sent; null if they are all alike, as one row is, and for a
    /// transcoder, whose target is not sent.
    #[schema(required)]
    fvu: Option<f64>,
}

/// What fires on a row, by value descending.
#[derive(Serialize, ToSchema)]
pub(crate) struct Code {
    latents: Vec<u32>,
    values: Vec<f32>,
}

/// Encodes activations with the SAE of a run.
#[utoipa::path(
    post, path = "/saes/{sae}/encode", tag = "saes",
    params(("sae" = String, Path, description = "Name of the run")),
    request_body = ToEncode,
    responses(
        (status = 200, description = "what fires on each row", body = Encoded),
        (status = 413, description = "the body is longer than 32 MiB", body = ErrorBody),
        (status = 415, description = "the body is not sent as JSON", body = ErrorBody),
        Errors
    )
)]
pub(crate) async fn encode(
    State(state): State<AppState>,
    Path(sae): Path<String>,
    _: Query<NoQuery>,
    extract::Json(body): extract::Json<ToEncode>,
) -> Result<Json<Encoded>, ApiError> {
    blocking(move || {
        let n_rows = body.activations.len();
        if !(1..=MOST_ROWS).contains(&n_rows) {
            let message = format!("activations: expected 1 to {MOST_ROWS} rows, found {n_rows}");
            return Err(ApiError::bad_request(message));
        }
        let sae = state.sae(&sae)?;
        let x = check(&body.activations, sae.d_in)?;
        let (codes, x_hat) = sae.reconstruct(&x);
        let fvu = if sae.is_transcoder() { None } else { fvu(&x, &x_hat, sae.d_in) };
        let codes = (0..n_rows).map(|row| by_value(codes.row(row))).collect();
        let Sae { d_in, d_sae, .. } = *sae;
        Ok(Json(Encoded { d_in, d_sae, codes, fvu }))
    })
    .await
}

/// The rows one after the other.
fn check(rows: &[Vec<f32>], d_in: usize) -> Result<Vec<f32>, ApiError> {
    for (number, row) in rows.iter().enumerate() {
        if row.len() != d_in {
            let found = row.len();
            let message =
                format!("activations[{number}]: expected {d_in} numbers, the SAE's d_in, found {found}");
            return Err(ApiError::bad_request(message));
        }
        if let Some(place) = row.iter().position(|value| !value.is_finite()) {
            let message =
                format!("activations[{number}][{place}]: expected a number within f32, found a larger one");
            return Err(ApiError::bad_request(message));
        }
    }
    Ok(rows.concat())
}

fn by_value((latents, values): (&[u32], &[f32])) -> Code {
    let mut pairs: Vec<_> = latents.iter().copied().zip(values.iter().copied()).collect();
    // Stable, so that of equal values the lower latent comes first.
    pairs.sort_by(|a, b| b.1.total_cmp(&a.1));
    let (latents, values) = pairs.into_iter().unzip();
    Code { latents, values }
}

fn fvu(x: &[f32], x_hat: &[f32], d_in: usize) -> Option<f64> {
    let n_rows = x.len() / d_in;
    let mut mean = vec![0.0; d_in];
    for row in x.chunks_exact(d_in) {
        mean.iter_mut().zip(row).for_each(|(mean, &value)| *mean += f64::from(value) / n_rows as f64);
    }
    let square = |a: f64, b: f64| (a - b) * (a - b);
    let error: f64 = x.iter().zip(x_hat).map(|(&x, &x_hat)| square(x.into(), x_hat.into())).sum();
    let variance: f64 = x.iter().zip(mean.iter().cycle()).map(|(&x, &mean)| square(x.into(), mean)).sum();
    (n_rows > 1 && variance > 0.0).then(|| error / variance)
}
