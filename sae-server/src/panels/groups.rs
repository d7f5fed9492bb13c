use sae_core::index::{LatentStats, Meta};
use serde::Serialize;
use utoipa::ToSchema;

/// How often the latent fires by the values of a grouping column.
#[derive(Serialize, ToSchema)]
pub(crate) struct GroupRates {
    column: String,
    /// In order of their first row.
    values: Vec<Rate>,
}

/// How often the latent fires in the rows of one value.
#[derive(Serialize, ToSchema)]
pub(crate) struct Rate {
    /// The value as text.
    value: String,
    /// Rows that have it.
    rows: u64,
    /// Firings in them.
    firings: u64,
    /// `firings / rows`
    rate: f64,
}

pub(crate) fn panel(meta: &Meta, stats: &LatentStats) -> Vec<GroupRates> {
    let columns = meta.groups.iter().zip(&stats.groups).map(|(group, firings)| {
        let values = group.values.iter().zip(firings).map(|(value, &firings)| Rate {
            value: value.value.clone(),
            rows: value.rows,
            firings,
            rate: firings as f64 / value.rows as f64,
        });
        GroupRates { column: group.column.clone(), values: values.collect() }
    });
    columns.collect()
}
