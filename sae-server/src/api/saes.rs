use super::about::{About, if_there, malformed};
use crate::{
    AppState,
    error::{ApiError, Errors, blocking},
    extract::{NoQuery, Path, Query},
    runs::Run,
};
use axum::{Json, extract::State};
use sae_core::{
    index::{Index, Meta},
    run::Event,
};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// All runs in the served folder.
#[derive(Serialize, ToSchema)]
pub(crate) struct SaeList {
    /// By name.
    saes: Vec<SaeSummary>,
}

/// A run in a few numbers.
#[derive(Serialize, ToSchema)]
pub(crate) struct SaeSummary {
    /// Name of the run: its path below the served folder.
    id: String,
    status: Status,
    /// The inference rule, or the training method while there is no SAE yet; empty if unknown.
    architecture: String,
    /// The training method, where the SAE's files tell it.
    #[schema(required)]
    method: Option<String>,
    /// Width of the activations.
    #[schema(required)]
    d_in: Option<usize>,
    /// Number of latents.
    #[schema(required)]
    d_sae: Option<usize>,
    /// Latents that fire on each row, for rules that fix it.
    #[schema(required)]
    k: Option<usize>,
    /// The model that the activations come from.
    #[schema(required)]
    model_name: Option<String>,
    /// Where in the model they come from.
    #[schema(required)]
    hook_name: Option<String>,
    /// The last event of training.
    #[schema(required)]
    training: Option<Training>,
    /// The index, if it has one that can be read.
    #[schema(required)]
    index: Option<IndexSummary>,
    /// What cannot be read of it, and what to do.
    #[schema(required)]
    problem: Option<String>,
}

/// How far a run has come.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// It has no SAE yet.
    Training,
    /// It has an SAE, but no index that can be read.
    Trained,
    /// Its latents can be looked at.
    Indexed,
}

/// How training stood at its last event.
#[derive(Serialize, ToSchema)]
pub(crate) struct Training {
    /// Steps done.
    step: u64,
    /// Steps that the whole run takes.
    steps: u64,
    /// Rows seen.
    tokens_seen: u64,
    /// What is minimised.
    loss: f64,
    /// Fraction of variance unexplained.
    fvu: f64,
    /// Mean number of active latents.
    l0: f64,
    /// Latents that have not fired for long.
    dead: u64,
}

impl From<&Event> for Training {
    fn from(event: &Event) -> Self {
        let &Event { step, steps, tokens_seen, loss, fvu, l0, dead, .. } = event;
        Self { step, steps, tokens_seen, loss, fvu, l0, dead }
    }
}

/// An index in a few numbers.
#[derive(Serialize, ToSchema)]
pub(crate) struct IndexSummary {
    /// Rows of the dump.
    n_rows: u64,
    /// Firings over all rows and latents.
    n_firings: u64,
    /// Documents of the dump.
    n_documents: u64,
    /// Latents that never fire.
    n_dead: u64,
    /// Mean number of latents that fire on a row.
    l0_mean: f64,
    /// Fraction of variance unexplained over all rows.
    #[schema(required)]
    fvu: Option<f64>,
}

impl From<&Meta> for IndexSummary {
    fn from(meta: &Meta) -> Self {
        let &Meta { n_rows, n_firings, n_documents, n_dead, l0_mean, fvu, .. } = meta;
        Self { n_rows, n_firings, n_documents, n_dead, l0_mean, fvu }
    }
}

/// A run with its configuration, its evaluation and what its rows can be grouped by.
#[derive(Serialize, ToSchema)]
pub(crate) struct SaeDetail {
    #[serde(flatten)]
    summary: SaeSummary,
    /// `config.toml` as it stands; empty if there is none.
    config: String,
    /// `eval.json` as it stands.
    #[schema(required, value_type = Option<Object>)]
    eval: Option<serde_json::Value>,
    /// The grouping columns.
    groups: Vec<Group>,
    /// The columns of the rows.
    columns: Vec<Column>,
}

/// A grouping column.
#[derive(Serialize, ToSchema)]
pub(crate) struct Group {
    /// Its name.
    column: String,
    /// Its values in order of their first row.
    values: Vec<GroupValue>,
}

/// A value of a grouping column.
#[derive(Serialize, ToSchema)]
pub(crate) struct GroupValue {
    /// The value as text.
    value: String,
    /// Rows that have it.
    rows: u64,
}

/// A column of the rows.
#[derive(Serialize, ToSchema)]
pub(crate) struct Column {
    /// Its name in the dump.
    name: String,
    /// Its Arrow type.
    #[serde(rename = "type")]
    data_type: String,
}

/// All runs: training, trained and indexed.
#[utoipa::path(get, path = "/saes", tag = "saes", responses((status = 200, description = "all runs by name", body = SaeList), Errors))]
pub(crate) async fn saes(
    State(state): State<AppState>,
    _: Query<NoQuery>,
) -> Result<Json<SaeList>, ApiError> {
    blocking(move || {
        let saes = state.runs().into_iter().map(|run| summary(&state, run).0).collect();
        Ok(Json(SaeList { saes }))
    })
    .await
}

/// One run.
#[utoipa::path(
    get, path = "/saes/{sae}", tag = "saes",
    params(("sae" = String, Path, description = "Name of the run")),
    responses((status = 200, description = "the run", body = SaeDetail), Errors)
)]
pub(crate) async fn sae(
    State(state): State<AppState>,
    Path(sae): Path<String>,
    _: Query<NoQuery>,
) -> Result<Json<SaeDetail>, ApiError> {
    blocking(move || Ok(Json(detail(&state, state.run(&sae)?)?))).await
}

fn detail(state: &AppState, run: Run) -> Result<SaeDetail, ApiError> {
    let config = if_there(fs_err::read_to_string(run.dir.config()))?.unwrap_or_default();
    let eval = match if_there(fs_err::read_to_string(run.dir.eval()))? {
        Some(text) => Some(
            serde_json::from_str(&text)
                .map_err(|error| malformed(&run.dir.eval(), "write it again with `sae eval`", error))?,
        ),
        None => None,
    };
    let (summary, index) = summary(state, run);
    let meta = index.as_deref().map(Index::meta);
    let groups = meta.iter().flat_map(|meta| &meta.groups).map(|group| Group {
        column: group.column.clone(),
        values: group
            .values
            .iter()
            .map(|one| GroupValue { value: one.value.clone(), rows: one.rows })
            .collect(),
    });
    let columns = meta.iter().flat_map(|meta| &meta.columns);
    let columns = columns.map(|one| Column { name: one.name.clone(), data_type: one.data_type.clone() });
    Ok(SaeDetail { groups: groups.collect(), columns: columns.collect(), summary, config, eval })
}

/// The run in a few numbers and its index; what cannot be read becomes the summary's `problem`.
fn summary(state: &AppState, run: Run) -> (SaeSummary, Option<Arc<Index>>) {
    let Run { id, dir } = run;
    let mut problem = None;
    let mut note = |error: ApiError| {
        problem.get_or_insert_with(|| error.message().to_owned());
    };
    let about = About::read(&dir).unwrap_or_else(|error| {
        note(error);
        About::default()
    });
    let index = state.index_of(&dir).unwrap_or_else(|error| {
        note(error);
        None
    });
    let event = state.last_event(&dir).unwrap_or_else(|error| {
        note(error);
        Arc::new(None)
    });
    let meta = index.as_deref().map(Index::meta);
    let status = match &index {
        Some(_) => Status::Indexed,
        None if dir.sae().join("cfg.json").is_file() => Status::Trained,
        None => Status::Training,
    };
    let summary = SaeSummary {
        id,
        status,
        architecture: about.architecture.unwrap_or_default(),
        method: about.metadata.training_architecture,
        d_in: meta.map(|meta| meta.d_in).or(about.d_in),
        d_sae: meta.map(|meta| meta.d_sae).or(about.d_sae),
        k: about.k,
        model_name: meta.and_then(|meta| meta.model_name.clone()).or(about.metadata.model_name),
        hook_name: meta.and_then(|meta| meta.hook_name.clone()).or(about.metadata.hook_name),
        training: Option::as_ref(&event).map(Training::from),
        index: meta.map(IndexSummary::from),
        problem,
    };
    (summary, index)
}
