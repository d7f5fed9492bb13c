//! Activations from Arrow's buffers to f32, each row checked on the way.

use super::{Flaw, lists::Lists};
use arrow::{
    array::{Array, AsArray, PrimitiveArray},
    datatypes::{ArrowPrimitiveType, DataType, Float16Type, Float32Type, Float64Type},
};
use half::{f16, slice::HalfFloatSliceExt};

/// Takes the lists of the given numbers: the sound ones as `[kept, d_in]`, with the indices into
/// `rows` of those kept, and what is wrong with the others.
pub(super) fn decode(lists: Lists<'_>, rows: &[u32], d_in: usize) -> Decoded {
    match lists.values().data_type() {
        DataType::Float16 => decode_as::<Float16Type>(lists, rows, d_in),
        DataType::Float32 => decode_as::<Float32Type>(lists, rows, d_in),
        DataType::Float64 => decode_as::<Float64Type>(lists, rows, d_in),
        other => unreachable!("the layout admits lists of floats only, not of {other}"),
    }
}

/// What [`decode`] gives.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) activations: Vec<f32>,
    pub(super) kept: Vec<usize>,
    pub(super) flaws: Vec<(usize, Flaw)>,
}

fn decode_as<T>(lists: Lists<'_>, rows: &[u32], d_in: usize) -> Decoded
where
    T: ArrowPrimitiveType,
    T::Native: Widen,
{
    let floats: &PrimitiveArray<T> = lists.values().as_primitive();
    let mut activations = vec![0.0; rows.len() * d_in];
    let (mut kept, mut flaws) = (Vec::with_capacity(rows.len()), Vec::new());
    for (i, &row) in rows.iter().enumerate() {
        let out = &mut activations[kept.len() * d_in..][..d_in];
        match decode_row(lists, floats, row as usize, out) {
            Ok(()) => kept.push(i),
            Err(flaw) => flaws.push((i, flaw)),
        }
    }
    activations.truncate(kept.len() * d_in);
    Decoded { activations, kept, flaws }
}

fn decode_row<T>(
    lists: Lists<'_>,
    floats: &PrimitiveArray<T>,
    row: usize,
    out: &mut [f32],
) -> Result<(), Flaw>
where
    T: ArrowPrimitiveType,
    T::Native: Widen,
{
    if lists.is_null(row) {
        return Err(Flaw::Null);
    }
    let range = lists.range(row);
    if range.len() != out.len() {
        return Err(Flaw::Width { expected: out.len(), found: range.len() });
    }
    if floats.null_count() > 0
        && let Some(dim) = range.clone().position(|i| floats.is_null(i))
    {
        return Err(Flaw::NullValue { dim });
    }
    T::Native::widen(&floats.values()[range], out);
    // Without a branch per value, so that it vectorises.
    let finite = out.iter().fold(true, |finite, value| finite & value.is_finite());
    match out.iter().position(|value| !finite && !value.is_finite()) {
        Some(dim) => Err(Flaw::NotFinite { dim, value: out[dim] }),
        None => Ok(()),
    }
}

/// Floats that become f32.
trait Widen: Sized {
    fn widen(from: &[Self], to: &mut [f32]);
}

impl Widen for f16 {
    fn widen(from: &[Self], to: &mut [f32]) {
        from.convert_to_f32_slice(to);
    }
}

impl Widen for f32 {
    fn widen(from: &[Self], to: &mut [f32]) {
        to.copy_from_slice(from);
    }
}

impl Widen for f64 {
    fn widen(from: &[Self], to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from as f32;
        }
    }
}
