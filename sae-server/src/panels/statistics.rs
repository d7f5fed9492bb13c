use sae_core::index::{LatentStats, Meta, QUANTILE_PERCENTS};
use serde::Serialize;
use utoipa::ToSchema;

/// A latent in numbers, as `docs/index.md` defines them.
#[derive(Serialize, ToSchema)]
pub(crate) struct Statistics {
    /// On how many rows it fires.
    firings: u64,
    /// Rows of the dump.
    n_rows: u64,
    /// `firings / n_rows`
    density: f64,
    /// Lower end of the 95 % Wilson interval of `density`.
    density_low: f64,
    /// Upper end of the 95 % Wilson interval of `density`.
    density_high: f64,
    /// Over the firings, as are the following four.
    mean: f64,
    max: f32,
    std: f64,
    skewness: f64,
    kurtosis: f64,
    /// In how many documents it fires.
    documents: u32,
    decoder_norm: f32,
    encoder_decoder_cosine: f32,
    /// It never fires.
    dead: bool,
    /// At p = 0, .01, .05, .25, .5, .75, .95, .99, 1.
    quantiles: Vec<Quantile>,
}

/// An order statistic of the values.
#[derive(Serialize, ToSchema)]
pub(crate) struct Quantile {
    p: f64,
    value: f32,
}

pub(crate) fn panel(meta: &Meta, stats: &LatentStats) -> Statistics {
    let quantiles = QUANTILE_PERCENTS.iter().zip(stats.quantiles);
    Statistics {
        firings: stats.firings,
        n_rows: meta.n_rows,
        density: stats.density,
        density_low: stats.density_low,
        density_high: stats.density_high,
        mean: stats.mean,
        max: stats.max,
        std: stats.std,
        skewness: stats.skewness,
        kurtosis: stats.kurtosis,
        documents: stats.documents,
        decoder_norm: stats.decoder_norm,
        encoder_decoder_cosine: stats.encoder_decoder_cosine,
        dead: stats.dead,
        quantiles: quantiles.map(|(&percent, value)| Quantile { p: percent as f64 / 100.0, value }).collect(),
    }
}
