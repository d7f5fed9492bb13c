use sae_core::index::LatentStats;
use serde::Serialize;
use utoipa::ToSchema;

/// How often the latent fires by value.
#[derive(Serialize, ToSchema)]
pub(crate) struct Histogram {
    /// Upper end of the last bin.
    max: f32,
    /// Firings in 50 equal bins of `(0, max]`.
    counts: Vec<u32>,
}

pub(crate) fn panel(stats: &LatentStats) -> Histogram {
    Histogram { max: stats.max, counts: stats.histogram.to_vec() }
}
