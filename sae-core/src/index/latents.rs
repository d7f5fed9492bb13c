//! What is known of a latent, and its row in `latents.arrow`.

use super::{Group, HISTOGRAM_BINS, QUANTILE_PERCENTS};
use arrow::{
    array::{
        ArrayRef, AsArray, BooleanArray, FixedSizeListArray, ListArray, PrimitiveArray, RecordBatch,
        StringArray, StructArray,
    },
    buffer::OffsetBuffer,
    datatypes::{
        ArrowPrimitiveType, DataType, Field, Fields, Float32Type, Float64Type, Schema, SchemaRef, UInt32Type,
        UInt64Type,
    },
    error::ArrowError,
};
use std::sync::Arc;

/// The statistics of a latent, defined in `docs/index.md`: `a` are its `n` firings' values, `N` the rows.
#[derive(Debug, Clone, PartialEq)]
pub struct LatentStats {
    /// Its number.
    pub latent: u32,
    /// `n`
    pub firings: u64,
    /// `n / N`
    pub density: f64,
    /// Lower end of the 95 % Wilson interval of `density`.
    pub density_low: f64,
    /// Upper end of the 95 % Wilson interval of `density`.
    pub density_high: f64,
    /// `Σa / n`; 0 when `n = 0`, as are `max` and `std`.
    pub mean: f64,
    /// The largest `a`.
    pub max: f32,
    /// `√(Σ(a − mean)² / n)`
    pub std: f64,
    /// `Σ(a − mean)³ / (n·std³)`; 0 when `std = 0`, as is `kurtosis`.
    pub skewness: f64,
    /// `Σ(a − mean)⁴ / (n·std⁴)`
    pub kurtosis: f64,
    /// `Σa² / N`
    pub mean_square: f64,
    /// Documents in which it fires.
    pub documents: u32,
    /// Firings by value in equal bins of `(0, max]`.
    pub histogram: [u32; HISTOGRAM_BINS],
    /// The values of rank `ceil(p·n)` for p of [`QUANTILE_PERCENTS`]; 0 when `n = 0`.
    pub quantiles: [f32; QUANTILE_PERCENTS.len()],
    /// At most [`TOP_TOKENS`](super::TOP_TOKENS) tokens with the largest sums of values.
    pub top_tokens: Vec<TopToken>,
    /// `‖W_dec,i‖`
    pub decoder_norm: f32,
    /// `cos(W_enc,i, W_dec,i)`, 0 if either is 0.
    pub encoder_decoder_cosine: f32,
    /// `n = 0`
    pub dead: bool,
    /// For each grouping column, firings in the rows of each of its values.
    pub groups: Vec<Vec<u64>>,
}

/// A token on which a latent fires.
#[derive(Debug, Clone, PartialEq)]
pub struct TopToken {
    /// The token as text.
    pub token: String,
    /// Firings on it.
    pub firings: u32,
    /// Mean value of these firings.
    pub mean: f32,
    /// Their part of the sum of all the latent's values.
    pub share: f32,
}

/// The columns of `latents.arrow`.
pub(super) fn schema(groups: &[Group]) -> SchemaRef {
    use DataType::{Boolean, Float32, Float64, UInt32, UInt64};
    let fixed = |item, len| fixed_list_type(item, len);
    let columns = [
        ("latent", UInt32),
        ("firings", UInt64),
        ("density", Float64),
        ("density_low", Float64),
        ("density_high", Float64),
        ("mean", Float64),
        ("max", Float32),
        ("std", Float64),
        ("skewness", Float64),
        ("kurtosis", Float64),
        ("mean_square", Float64),
        ("documents", UInt32),
        ("histogram", fixed(UInt32, HISTOGRAM_BINS)),
        ("quantiles", fixed(Float32, QUANTILE_PERCENTS.len())),
        ("top_tokens", DataType::List(top_token_item())),
        ("decoder_norm", Float32),
        ("encoder_decoder_cosine", Float32),
        ("dead", Boolean),
    ];
    let columns = columns.map(|(name, data_type)| Field::new(name, data_type, false));
    let groups = groups
        .iter()
        .map(|group| Field::new(format!("group.{}", group.column), fixed(UInt64, group.values.len()), false));
    Arc::new(Schema::new(columns.into_iter().chain(groups).collect::<Vec<_>>()))
}

/// Latents as a record batch of [`schema`].
pub(super) fn to_batch(schema: &SchemaRef, latents: &[LatentStats]) -> Result<RecordBatch, ArrowError> {
    fn column<T: ArrowPrimitiveType>(
        latents: &[LatentStats],
        get: impl Fn(&LatentStats) -> T::Native,
    ) -> ArrayRef {
        Arc::new(PrimitiveArray::<T>::from_iter_values(latents.iter().map(get)))
    }
    let mut columns = vec![
        column::<UInt32Type>(latents, |l| l.latent),
        column::<UInt64Type>(latents, |l| l.firings),
        column::<Float64Type>(latents, |l| l.density),
        column::<Float64Type>(latents, |l| l.density_low),
        column::<Float64Type>(latents, |l| l.density_high),
        column::<Float64Type>(latents, |l| l.mean),
        column::<Float32Type>(latents, |l| l.max),
        column::<Float64Type>(latents, |l| l.std),
        column::<Float64Type>(latents, |l| l.skewness),
        column::<Float64Type>(latents, |l| l.kurtosis),
        column::<Float64Type>(latents, |l| l.mean_square),
        column::<UInt32Type>(latents, |l| l.documents),
        fixed_list::<UInt32Type>(latents.iter().map(|l| &l.histogram[..]), HISTOGRAM_BINS)?,
        fixed_list::<Float32Type>(latents.iter().map(|l| &l.quantiles[..]), QUANTILE_PERCENTS.len())?,
        top_tokens_column(latents)?,
        column::<Float32Type>(latents, |l| l.decoder_norm),
        column::<Float32Type>(latents, |l| l.encoder_decoder_cosine),
        Arc::new(latents.iter().map(|l| Some(l.dead)).collect::<BooleanArray>()),
    ];
    for (group, field) in schema.fields()[columns.len()..].iter().enumerate() {
        let DataType::FixedSizeList(_, n_values) = field.data_type() else {
            unreachable!("made by `schema`")
        };
        columns.push(fixed_list::<UInt64Type>(
            latents.iter().map(|l| &l.groups[group][..]),
            *n_values as usize,
        )?);
    }
    RecordBatch::try_new(schema.clone(), columns)
}

/// Row `i` of a batch whose columns have been checked.
pub(super) fn from_batch(batch: &RecordBatch, i: usize) -> LatentStats {
    let f32 = |name| value::<Float32Type>(batch, name, i);
    let f64 = |name| value::<Float64Type>(batch, name, i);
    let u32 = |name| value::<UInt32Type>(batch, name, i);
    LatentStats {
        latent: u32("latent"),
        firings: value::<UInt64Type>(batch, "firings", i),
        density: f64("density"),
        density_low: f64("density_low"),
        density_high: f64("density_high"),
        mean: f64("mean"),
        max: f32("max"),
        std: f64("std"),
        skewness: f64("skewness"),
        kurtosis: f64("kurtosis"),
        mean_square: f64("mean_square"),
        documents: u32("documents"),
        histogram: array(fixed_values::<UInt32Type>(&batch["histogram"], i)),
        quantiles: array(fixed_values::<Float32Type>(&batch["quantiles"], i)),
        top_tokens: top_tokens(batch, i).map(TopToken::from).collect(),
        decoder_norm: f32("decoder_norm"),
        encoder_decoder_cosine: f32("encoder_decoder_cosine"),
        dead: batch["dead"].as_boolean().value(i),
        groups: group_firings(batch, i).into_iter().map(<[u64]>::to_vec).collect(),
    }
}

/// The firings of row `i` by the values of each grouping column.
pub(super) fn group_firings(batch: &RecordBatch, i: usize) -> Vec<&[u64]> {
    let n_statistics = schema(&[]).fields().len();
    batch.columns()[n_statistics..].iter().map(|column| fixed_values::<UInt64Type>(column, i)).collect()
}

/// A [`TopToken`] as it stands in the file.
pub(super) struct TopTokenRef<'a> {
    pub(super) token: &'a str,
    firings: u32,
    mean: f32,
    share: f32,
}

impl From<TopTokenRef<'_>> for TopToken {
    fn from(TopTokenRef { token, firings, mean, share }: TopTokenRef<'_>) -> Self {
        Self { token: token.to_owned(), firings, mean, share }
    }
}

/// The top tokens of row `i`.
pub(super) fn top_tokens(batch: &RecordBatch, i: usize) -> impl Iterator<Item = TopTokenRef<'_>> {
    let lists = batch["top_tokens"].as_list::<i32>();
    let structs = lists.values().as_struct();
    let (tokens, firings) =
        (structs.column(0).as_string::<i32>(), structs.column(1).as_primitive::<UInt32Type>());
    let means = structs.column(2).as_primitive::<Float32Type>();
    let shares = structs.column(3).as_primitive::<Float32Type>();
    let range = lists.value_offsets()[i] as usize..lists.value_offsets()[i + 1] as usize;
    range.map(|at| TopTokenRef {
        token: tokens.value(at),
        firings: firings.value(at),
        mean: means.value(at),
        share: shares.value(at),
    })
}

/// A whole column over all batches.
pub(super) fn concatenate<T: ArrowPrimitiveType>(batches: &[RecordBatch], name: &str) -> Vec<T::Native> {
    let parts = batches.iter().map(|batch| &batch[name].as_primitive::<T>().values()[..]);
    parts.collect::<Vec<_>>().concat()
}

fn value<T: ArrowPrimitiveType>(batch: &RecordBatch, name: &str, i: usize) -> T::Native {
    batch[name].as_primitive::<T>().value(i)
}

fn array<T: Copy, const N: usize>(values: &[T]) -> [T; N] {
    std::array::from_fn(|i| values[i])
}

fn fixed_values<T: ArrowPrimitiveType>(column: &ArrayRef, i: usize) -> &[T::Native] {
    let lists = column.as_fixed_size_list();
    let len = lists.value_length() as usize;
    &lists.values().as_primitive::<T>().values()[i * len..(i + 1) * len]
}

fn fixed_list_type(item: DataType, len: usize) -> DataType {
    DataType::FixedSizeList(Arc::new(Field::new("item", item, false)), len as i32)
}

fn fixed_list<'a, T: ArrowPrimitiveType>(
    rows: impl Iterator<Item = &'a [T::Native]>,
    len: usize,
) -> Result<ArrayRef, ArrowError> {
    let items = PrimitiveArray::<T>::from_iter_values(rows.flatten().copied());
    let item = Arc::new(Field::new("item", T::DATA_TYPE, false));
    Ok(Arc::new(FixedSizeListArray::try_new(item, len as i32, Arc::new(items), None)?))
}

fn top_token_fields() -> Fields {
    Fields::from(vec![
        Field::new("token", DataType::Utf8, false),
        Field::new("firings", DataType::UInt32, false),
        Field::new("mean", DataType::Float32, false),
        Field::new("share", DataType::Float32, false),
    ])
}

fn top_token_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(top_token_fields()), false))
}

fn top_tokens_column(latents: &[LatentStats]) -> Result<ArrayRef, ArrowError> {
    let all: Vec<&TopToken> = latents.iter().flat_map(|latent| &latent.top_tokens).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(all.iter().map(|top| &top.token))),
        Arc::new(PrimitiveArray::<UInt32Type>::from_iter_values(all.iter().map(|top| top.firings))),
        Arc::new(PrimitiveArray::<Float32Type>::from_iter_values(all.iter().map(|top| top.mean))),
        Arc::new(PrimitiveArray::<Float32Type>::from_iter_values(all.iter().map(|top| top.share))),
    ];
    let offsets = OffsetBuffer::from_lengths(latents.iter().map(|latent| latent.top_tokens.len()));
    let structs = StructArray::try_new(top_token_fields(), columns, None)?;
    Ok(Arc::new(ListArray::try_new(top_token_item(), offsets, Arc::new(structs), None)?))
}
