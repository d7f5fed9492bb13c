//! Vectors from Arrow's buffers to f32, each row checked on the way.

use super::{Flaw, layout::Layout, lists::Lists, positions::Positions, vectors::Vectors};
use arrow::{
    array::{Array, AsArray, PrimitiveArray},
    datatypes::{ArrowPrimitiveType, DataType, Float16Type, Float32Type, Float64Type},
};
use half::{f16, slice::HalfFloatSliceExt};
use std::{collections::BTreeMap, ops::Range};

/// The vectors of a range of positions: those whose columns are all sound.
#[derive(Debug)]
pub(super) struct Decoded<'a> {
    /// `[kept, d_in]`
    pub(super) activations: Vec<f32>,
    /// `[kept, d_companion]`
    pub(super) companion: Vec<f32>,
    pub(super) kept: Vec<usize>,
    /// Of each other position, the first column that is not sound, and what is wrong with it.
    pub(super) flaws: Flaws<'a>,
}

type Flaws<'a> = BTreeMap<usize, (&'a str, Flaw)>;

/// None if the batch lacks one of the columns.
pub(super) fn decode<'a>(
    positions: &Positions,
    range: Range<usize>,
    layout: &'a Layout,
) -> Option<Decoded<'a>> {
    let mut flaws = Flaws::new();
    let mut activations = decode_side_by_side(positions, range.clone(), &layout.activations, &mut flaws)?;
    let mut companion =
        decode_side_by_side(positions, range.clone(), layout.companion.as_slice(), &mut flaws)?;
    let kept: Vec<usize> = range.clone().filter(|position| !flaws.contains_key(position)).collect();
    if !flaws.is_empty() {
        let from = range.start;
        keep(&mut activations, range.len(), kept.iter().map(|position| position - from));
        keep(&mut companion, range.len(), kept.iter().map(|position| position - from));
    }
    Some(Decoded { activations, companion, kept, flaws })
}

/// `[range, Σ widths]`: of each position the vectors of the columns one after the other.
fn decode_side_by_side<'a>(
    positions: &Positions,
    range: Range<usize>,
    columns: &'a [Vectors],
    flaws: &mut Flaws<'a>,
) -> Option<Vec<f32>> {
    let d: usize = columns.iter().map(|vectors| vectors.width).sum();
    let mut out = vec![0.0; range.len() * d];
    let mut start = 0;
    for vectors in columns {
        let (lists, numbers) = positions.lists(vectors, range.clone())?;
        let out = out.chunks_exact_mut(d).map(|row| &mut row[start..start + vectors.width]);
        let mut flaw = |i: usize, flaw| {
            flaws.entry(range.start + i).or_insert((vectors.column.as_str(), flaw));
        };
        match lists.values().data_type() {
            DataType::Float16 => decode_column::<Float16Type>(lists, &numbers, out, &mut flaw),
            DataType::Float32 => decode_column::<Float32Type>(lists, &numbers, out, &mut flaw),
            DataType::Float64 => decode_column::<Float64Type>(lists, &numbers, out, &mut flaw),
            _ => return None,
        }
        start += vectors.width;
    }
    Some(out)
}

fn decode_column<'a, T>(
    lists: Lists<'_>,
    numbers: &[u32],
    out: impl Iterator<Item = &'a mut [f32]>,
    flaw: &mut impl FnMut(usize, Flaw),
) where
    T: ArrowPrimitiveType,
    T::Native: Widen,
{
    let floats: &PrimitiveArray<T> = lists.values().as_primitive();
    for (i, (&number, out)) in numbers.iter().zip(out).enumerate() {
        if let Err(found) = decode_row(lists, floats, number as usize, out) {
            flaw(i, found);
        }
    }
}

/// Moves the rows to keep, in increasing order, to the front and drops the rest.
fn keep(values: &mut Vec<f32>, n_rows: usize, kept: impl Iterator<Item = usize>) {
    let d = values.len() / n_rows;
    let mut n_kept = 0;
    for row in kept {
        values.copy_within(row * d..(row + 1) * d, n_kept * d);
        n_kept += 1;
    }
    values.truncate(n_kept * d);
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
