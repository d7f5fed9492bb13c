//! The statistics of a latent from its firings, as `docs/index.md` defines them.

use super::{
    Document, HISTOGRAM_BINS, LatentStats, QUANTILE_PERCENTS, TOP_TOKENS, TopToken,
    documents::count_documents, groups::Grouping, postings::Firing, rows::Rows,
};
use crate::Sae;
use std::collections::HashMap;

/// The 97.5 % quantile of the normal distribution, for intervals of 95 %.
const Z: f64 = 1.959964;

/// What statistics need to know beside a latent's firings.
pub(super) struct Context<'a> {
    pub(super) sae: &'a Sae,
    pub(super) n_rows: u64,
    pub(super) documents: &'a [Document],
    /// `rows.arrow`, which the tokens lie in.
    pub(super) rows: &'a Rows,
    pub(super) groupings: &'a [Grouping],
}

/// What is counted of a latent row by row.
pub(super) struct ByRow {
    documents: u32,
    top_tokens: Vec<TopToken>,
    groups: Vec<Vec<u64>>,
}

impl Context<'_> {
    /// What needs the firings of a latent in the order of rows: it looks each row up.
    pub(super) fn by_row(&self, firings: &[Firing]) -> ByRow {
        let rows = || firings.iter().map(|firing| firing.row());
        ByRow {
            documents: count_documents(self.documents, rows()),
            top_tokens: self.top_tokens(firings),
            groups: self.groupings.iter().map(|grouping| grouping.count(rows())).collect(),
        }
    }

    /// The statistics of a latent whose firings are in the order of postings.
    pub(super) fn statistics(&self, latent: usize, firings: &[Firing], by_row: ByRow) -> LatentStats {
        let ByRow { documents, top_tokens, groups } = by_row;
        let n = firings.len() as f64;
        let n_rows = self.n_rows as f64;
        let values = || firings.iter().map(|firing| f64::from(firing.value()));
        let total: f64 = values().sum();
        let mean = if firings.is_empty() { 0.0 } else { total / n };
        let moment = |power: i32| values().map(|value| (value - mean).powi(power)).sum::<f64>() / n;
        let std = if firings.is_empty() { 0.0 } else { moment(2).sqrt() };
        let standardized = |power: i32| if std > 0.0 { moment(power) / std.powi(power) } else { 0.0 };
        let (density_low, density_high) = wilson_interval(n, n_rows);
        let encoder = row(&self.sae.w_enc, latent, self.sae.d_in);
        let decoder = row(&self.sae.w_dec, latent, self.sae.d_out);
        // A transcoder's vectors may lie in spaces of different widths.
        let norms = if encoder.len() == decoder.len() {
            dot(encoder, encoder).sqrt() * dot(decoder, decoder).sqrt()
        } else {
            0.0
        };
        let cosine = if norms > 0.0 { dot(encoder, decoder) / norms } else { 0.0 };
        LatentStats {
            latent: latent as u32,
            firings: firings.len() as u64,
            density: n / n_rows,
            density_low,
            density_high,
            mean,
            max: firings.first().map_or(0.0, |firing| firing.value()),
            std,
            skewness: standardized(3),
            kurtosis: standardized(4),
            mean_square: values().map(|value| value * value).sum::<f64>() / n_rows,
            documents,
            histogram: histogram(firings),
            quantiles: QUANTILE_PERCENTS.map(|percent| quantile(firings, percent)),
            top_tokens,
            decoder_norm: dot(decoder, decoder).sqrt() as f32,
            encoder_decoder_cosine: cosine as f32,
            dead: firings.is_empty(),
            groups,
        }
    }

    fn top_tokens(&self, firings: &[Firing]) -> Vec<TopToken> {
        let Some(of_rows) = self.rows.tokens() else { return Vec::new() };
        let mut sums: HashMap<u32, (u32, f64)> = HashMap::new();
        for firing in firings {
            if let Some(token) = of_rows.key(firing.row().into()) {
                let (firings, sum) = sums.entry(token).or_default();
                *firings += 1;
                *sum += f64::from(firing.value());
            }
        }
        let total: f64 = firings.iter().map(|firing| f64::from(firing.value())).sum();
        let text = |token: u32| of_rows.text(token);
        let mut tokens: Vec<_> =
            sums.into_iter().map(|(token, (firings, sum))| (token, firings, sum)).collect();
        tokens.sort_unstable_by(|a, b| {
            b.2.total_cmp(&a.2).then(b.1.cmp(&a.1)).then_with(|| text(a.0).cmp(text(b.0)))
        });
        tokens.truncate(TOP_TOKENS);
        let top = |(token, firings, sum): (u32, u32, f64)| TopToken {
            token: text(token).to_owned(),
            firings,
            mean: (sum / f64::from(firings)) as f32,
            share: (sum / total) as f32,
        };
        tokens.into_iter().map(top).collect()
    }
}

fn row(weights: &[f32], latent: usize, width: usize) -> &[f32] {
    &weights[latent * width..(latent + 1) * width]
}

/// The Wilson interval of a rate of `n` in `n_rows`.
fn wilson_interval(n: f64, n_rows: f64) -> (f64, f64) {
    let p = n / n_rows;
    let scale = 1.0 + Z * Z / n_rows;
    let centre = p + Z * Z / (2.0 * n_rows);
    let half = Z * (p * (1.0 - p) / n_rows + Z * Z / (4.0 * n_rows * n_rows)).sqrt();
    // Rounding must not move the ends that are exact.
    let low = if n == 0.0 { 0.0 } else { (centre - half) / scale };
    let high = if n == n_rows { 1.0 } else { (centre + half) / scale };
    (low, high)
}

/// Counts by bin; the firings stand by value descending, so an edge is found by bisection.
fn histogram(firings: &[Firing]) -> [u32; HISTOGRAM_BINS] {
    let max = firings.first().map_or(0.0, |firing| f64::from(firing.value()));
    let above = |edge: usize| {
        let edge = max * edge as f64 / HISTOGRAM_BINS as f64;
        firings.partition_point(|firing| f64::from(firing.value()) > edge) as u32
    };
    std::array::from_fn(|bin| above(bin) - above(bin + 1))
}

/// The value of ascending rank `ceil(percent / 100 · n)`, at least 1; in integers, for it must be exact.
fn quantile(firings: &[Firing], percent: u64) -> f32 {
    let n = firings.len() as u64;
    let rank = (percent * n).div_ceil(100).max(1);
    n.checked_sub(rank).map_or(0.0, |place| firings[place as usize].value())
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
