use crate::{api::Metadata, draw::Draws, error::ApiError, text::token};
use sae_core::index::{Index, Postings};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, ops::Range};
use utoipa::{IntoParams, ToSchema};

/// Most tokens on either side of an example.
const MOST_CONTEXT: u64 = 200;
/// Most examples in a group.
const MOST_PER_GROUP: usize = 100;
/// Into how many equal ranges of ranks the firings are divided.
const N_QUANTILES: usize = 5;

/// How many examples, and how much around them.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExamplesQuery {
    /// Tokens to show before.
    #[serde(default = "default_context")]
    #[param(default = 12, maximum = 200)]
    before: u64,
    /// Tokens to show after.
    #[serde(default = "default_context")]
    #[param(default = 12, maximum = 200)]
    after: u64,
    /// Examples in a group.
    #[serde(default = "default_per_group")]
    #[param(default = 10, maximum = 100)]
    per_group: usize,
    /// Chooses another draw.
    #[serde(default)]
    #[param(default = 0)]
    seed: u64,
}

fn default_context() -> u64 {
    12
}

fn default_per_group() -> usize {
    10
}

impl ExamplesQuery {
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        for (name, given) in [("before", self.before), ("after", self.after)] {
            if given > MOST_CONTEXT {
                return Err(ApiError::bad_request(format!(
                    "{name}: expected 0 to {MOST_CONTEXT}, found {given}"
                )));
            }
        }
        if !(1..=MOST_PER_GROUP).contains(&self.per_group) {
            let found = self.per_group;
            return Err(ApiError::bad_request(format!(
                "per_group: expected 1 to {MOST_PER_GROUP}, found {found}"
            )));
        }
        Ok(())
    }
}

/// Examples out of a range of the firings by value.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExampleGroup<'a> {
    id: GroupId,
    /// For people.
    title: String,
    /// First rank of the group; rank 0 is the largest value.
    rank_from: usize,
    /// The rank after its last.
    rank_to: usize,
    /// Smallest value in the group.
    low: f32,
    /// Largest value in the group.
    high: f32,
    /// Firings in the group.
    n: usize,
    /// By value, largest first.
    examples: Vec<Example<'a>>,
}

/// How the examples of a group were chosen.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GroupId {
    /// The largest values.
    Top,
    /// Drawn from a fifth of the ranks.
    Quantile,
    /// Drawn from all firings.
    Random,
}

/// A firing in its context, which never reaches into another document.
#[derive(Serialize, ToSchema)]
pub(crate) struct Example<'a> {
    /// The row on which the latent fires.
    row: u64,
    /// Its value there.
    value: f32,
    /// The row's document.
    #[schema(required)]
    doc_id: Option<i64>,
    /// Index of `row` in `tokens`.
    focus: u64,
    /// The tokens around the row and its own; `[pos]` where the dump has no text.
    #[schema(value_type = Vec<String>)]
    tokens: Vec<Cow<'a, str>>,
    /// The latent's value on each of `tokens`, 0 where it does not fire.
    values: Vec<f32>,
    /// Position in the document of the first of `tokens`.
    #[schema(required)]
    first_pos: Option<i64>,
    /// What else the dump says about the row.
    metadata: Metadata,
}

/// The groups in order: top, five quantiles of ranks, random. A group without firings is left out.
pub(crate) fn panel<'a>(
    index: &'a Index,
    sae: &str,
    latent: u32,
    query: &ExamplesQuery,
) -> Vec<ExampleGroup<'a>> {
    let postings = index.postings(latent as usize);
    let n = postings.rows.len();
    let group = |id, title, ranks: Range<usize>, chosen: Vec<usize>| {
        let Range { start, end } = ranks;
        let examples = || chosen.iter().map(|place| example(index, postings, start + place, query));
        (start < end).then(|| ExampleGroup {
            id,
            title,
            rank_from: start,
            rank_to: end,
            low: postings.values[end - 1],
            high: postings.values[start],
            n: end - start,
            examples: examples().collect(),
        })
    };
    let drawn = |stream: usize, n: usize| {
        let mut places = Draws::new(sae, latent, query.seed, stream as u64).draw(n, query.per_group);
        places.sort_unstable();
        places
    };

    let n_top = n.min(query.per_group);
    let top = group(GroupId::Top, "Largest values".to_owned(), 0..n_top, (0..n_top).collect());
    let quantiles = (0..N_QUANTILES).map(|quantile| {
        let ranks = n * quantile / N_QUANTILES..n * (quantile + 1) / N_QUANTILES;
        let percent = |quantile| quantile * 100 / N_QUANTILES;
        let title = format!("Ranks {}–{} %", percent(quantile), percent(quantile + 1));
        group(GroupId::Quantile, title, ranks.clone(), drawn(quantile, ranks.len()))
    });
    let random = group(GroupId::Random, "Random".to_owned(), 0..n, drawn(N_QUANTILES, n));
    let mut groups: Vec<_> = std::iter::once(top).chain(quantiles).chain([random]).flatten().collect();
    fill_values(index, latent, &mut groups);
    groups
}

/// An example without its values.
fn example<'a>(index: &'a Index, postings: Postings<'_>, rank: usize, query: &ExamplesQuery) -> Example<'a> {
    let row = u64::from(postings.rows[rank]);
    let document = index.document_of(row).map(|document| index.documents()[document]);
    let own = document.map_or(row..row + 1, |d| d.first_row..d.first_row + u64::from(d.n_rows));
    let shown = own.start.max(row.saturating_sub(query.before))..own.end.min(row + query.after + 1);
    Example {
        row,
        value: postings.values[rank],
        doc_id: document.map(|document| document.doc_id),
        focus: row - shown.start,
        tokens: shown.clone().map(|row| token(index, row)).collect(),
        values: Vec::new(),
        first_pos: index.pos(shown.start),
        metadata: index.metadata(row).into(),
    }
}

/// The values of all examples at once: the index looks for them in one pass over the latent's firings.
fn fill_values(index: &Index, latent: u32, groups: &mut [ExampleGroup<'_>]) {
    let examples = || groups.iter().flat_map(|group| &group.examples);
    let window = |example: &Example<'_>| {
        let start = example.row - example.focus;
        start..start + example.tokens.len() as u64
    };
    let windows: Vec<Range<u64>> = examples().map(window).collect();
    let values = index.values_on(&windows, latent);
    let examples = groups.iter_mut().flat_map(|group| &mut group.examples);
    examples.zip(values).for_each(|(example, values)| example.values = values);
}
