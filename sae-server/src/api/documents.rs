use super::{
    Metadata,
    latents::{check_limit, default_limit},
};
use crate::{
    AppState,
    error::{ApiError, Errors, blocking},
    extract::{Path, Query},
    text::{join, token},
};
use axum::{Json, extract::State};
use sae_core::index::{Document, Index};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Tokens of a preview.
const PREVIEW: u64 = 24;
/// Most latents shown on a token.
const MOST_TOP: usize = 50;
/// Latents shown beside a document.
const N_STRONGEST: usize = 30;

/// Which documents.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DocumentsQuery {
    /// How many to pass over.
    #[serde(default)]
    offset: usize,
    /// How many to answer.
    #[serde(default = "default_limit")]
    #[param(default = 100, maximum = 1000)]
    limit: usize,
    /// `column:value` keeps documents with that value of a metadata column.
    #[serde(default)]
    group: String,
}

/// How much of a document.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DocumentQuery {
    /// Latents to show on each token.
    #[serde(default = "default_top")]
    #[param(default = 5, maximum = 50)]
    top: usize,
}

fn default_top() -> usize {
    5
}

/// A part of the documents.
#[derive(Serialize, ToSchema)]
pub(crate) struct DocumentList {
    /// How many there are after filters.
    total: usize,
    /// How many were passed over.
    offset: usize,
    /// In the dump's order.
    documents: Vec<DocumentRow>,
}

/// A document in a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct DocumentRow {
    doc_id: i64,
    n_rows: u32,
    /// The first 24 tokens as text.
    preview: String,
    /// The columns that are constant inside every document.
    metadata: Metadata,
}

/// A document with what fires in it.
#[derive(Serialize, ToSchema)]
pub(crate) struct DocumentPage {
    doc_id: i64,
    n_rows: u32,
    /// The columns that are constant inside every document.
    metadata: Metadata,
    /// `doc_id` of the document before it in the dump.
    #[schema(required)]
    previous: Option<i64>,
    /// `doc_id` of the document after it in the dump.
    #[schema(required)]
    next: Option<i64>,
    tokens: Vec<DocumentToken>,
    /// The 30 strongest latents by sum.
    strongest: Vec<StrongestLatent>,
}

/// A row of a document.
#[derive(Serialize, ToSchema)]
pub(crate) struct DocumentToken {
    row: u64,
    /// Its position in the document.
    #[schema(required)]
    pos: Option<i64>,
    /// `[pos]` where the dump has no text.
    token: String,
    /// How many latents fire on it.
    l0: usize,
    /// Strongest first, at most `top`.
    latents: Vec<LatentValue>,
}

/// A latent that fires on a token.
#[derive(Serialize, ToSchema)]
pub(crate) struct LatentValue {
    latent: u32,
    value: f32,
}

/// A latent over a whole document.
#[derive(Serialize, ToSchema)]
pub(crate) struct StrongestLatent {
    latent: u32,
    /// Its largest value.
    max: f32,
    /// Sum of its values.
    sum: f64,
    /// Rows on which it fires.
    firings: u32,
}

/// The documents of the dump.
#[utoipa::path(
    get, path = "/saes/{sae}/documents", tag = "documents",
    params(("sae" = String, Path, description = "Name of the run"), DocumentsQuery),
    responses((status = 200, description = "the documents asked for", body = DocumentList), Errors)
)]
pub(crate) async fn documents(
    State(state): State<AppState>,
    Path(sae): Path<String>,
    Query(query): Query<DocumentsQuery>,
) -> Result<Json<DocumentList>, ApiError> {
    blocking(move || {
        check_limit(query.limit)?;
        let index = state.index(&sae)?;
        let places = select(&index, &query.group)?;
        let total = places.len();
        let shown = places.into_iter().skip(query.offset).take(query.limit);
        let documents = shown.map(|place| row(&index, place)).collect();
        Ok(Json(DocumentList { total, offset: query.offset, documents }))
    })
    .await
}

/// One document: its tokens and the latents that fire on them.
#[utoipa::path(
    get, path = "/saes/{sae}/documents/{doc_id}", tag = "documents",
    params(
        ("sae" = String, Path, description = "Name of the run"),
        ("doc_id" = i64, Path, description = "Number of the document in the dump"),
        DocumentQuery
    ),
    responses((status = 200, description = "the document", body = DocumentPage), Errors)
)]
pub(crate) async fn document(
    State(state): State<AppState>,
    Path((sae, doc_id)): Path<(String, i64)>,
    Query(query): Query<DocumentQuery>,
) -> Result<Json<DocumentPage>, ApiError> {
    blocking(move || {
        if query.top > MOST_TOP {
            return Err(ApiError::bad_request(format!("top: expected 0 to {MOST_TOP}, found {}", query.top)));
        }
        let index = state.index(&sae)?;
        let place = index.find_document(doc_id).ok_or_else(|| match index.documents().len() {
            0 => ApiError::not_found(format!("`{sae}` has no documents: its dump has no doc_id")),
            n => ApiError::not_found(format!(
                "there is no document {doc_id} in `{sae}`; it has {n}, listed by /api/v1/saes/{{sae}}/documents"
            )),
        })?;
        Ok(Json(page(&index, place, query.top)))
    })
    .await
}

/// The places of the documents that `group` keeps.
fn select(index: &Index, group: &str) -> Result<Vec<usize>, ApiError> {
    let all = 0..index.documents().len();
    if group.is_empty() || all.is_empty() {
        return Ok(all.collect());
    }
    let (column, value) = group
        .split_once(':')
        .ok_or_else(|| ApiError::bad_request(format!("group: expected column:value, found `{group}`")))?;
    let columns = index.document_metadata(0);
    if !columns.iter().any(|(name, _)| name == column) {
        let known: Vec<_> = columns.into_iter().map(|(name, _)| name).collect();
        let message = format!("group: documents have no column `{column}`; they have: {}", known.join(", "));
        return Err(ApiError::bad_request(message));
    }
    let has_value = |&place: &usize| {
        let metadata = Metadata::from(index.document_metadata(place));
        metadata.label(column).is_some_and(|label| label == value)
    };
    Ok(all.filter(has_value).collect())
}

fn rows(document: Document) -> std::ops::Range<u64> {
    document.first_row..document.first_row + u64::from(document.n_rows)
}

fn row(index: &Index, place: usize) -> DocumentRow {
    let document = index.documents()[place];
    let first: Vec<_> = rows(document).take(PREVIEW as usize).map(|row| token(index, row)).collect();
    DocumentRow {
        doc_id: document.doc_id,
        n_rows: document.n_rows,
        preview: join(&first),
        metadata: index.document_metadata(place).into(),
    }
}

fn page(index: &Index, place: usize, top: usize) -> DocumentPage {
    let document = index.documents()[place];
    let id_of = |place: usize| index.documents().get(place).map(|document| document.doc_id);
    DocumentPage {
        doc_id: document.doc_id,
        n_rows: document.n_rows,
        metadata: index.document_metadata(place).into(),
        previous: place.checked_sub(1).and_then(id_of),
        next: id_of(place + 1),
        tokens: rows(document).map(|row| shown_token(index, row, top)).collect(),
        strongest: strongest(index, document),
    }
}

fn shown_token(index: &Index, row: u64, top: usize) -> DocumentToken {
    let (latents, values) = index.codes(row);
    let pairs = latents.iter().zip(values);
    let mut by_value: Vec<_> = pairs.map(|(&latent, &value)| LatentValue { latent, value }).collect();
    // Stable, so that of equal values the lower latent comes first.
    by_value.sort_by(|a, b| b.value.total_cmp(&a.value));
    by_value.truncate(top);
    DocumentToken {
        row,
        pos: index.pos(row),
        token: token(index, row).into_owned(),
        l0: latents.len(),
        latents: by_value,
    }
}

fn strongest(index: &Index, document: Document) -> Vec<StrongestLatent> {
    let mut all: BTreeMap<u32, StrongestLatent> = BTreeMap::new();
    for row in rows(document) {
        let (latents, values) = index.codes(row);
        for (&latent, &value) in latents.iter().zip(values) {
            let entry =
                all.entry(latent).or_insert(StrongestLatent { latent, max: 0.0, sum: 0.0, firings: 0 });
            entry.max = entry.max.max(value);
            entry.sum += f64::from(value);
            entry.firings += 1;
        }
    }
    let mut strongest: Vec<_> = all.into_values().collect();
    strongest.sort_by(|a, b| b.sum.total_cmp(&a.sum));
    strongest.truncate(N_STRONGEST);
    strongest
}
