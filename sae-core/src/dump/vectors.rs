//! Which columns of a dump hold the vectors that are read, and how wide these are.

use super::{DumpError, DumpOptions, error::nearest, files::ParquetFile, lists::Lists, row_group::RowGroup};
use crate::Result;
use arrow::{
    array::RecordBatch,
    datatypes::{DataType, FieldRef, Schema},
};
use std::path::Path;

/// Lists of floats that are never taken for the activations unasked.
const NOT_ACTIVATIONS: [&str; 2] = ["gradient", "target"];

/// A column of lists of floats, a vector for each position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vectors {
    pub(super) column: String,
    pub(super) width: usize,
}

/// A type that can be vectors.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FloatLists {
    /// Whether a row holds a list of vectors, one for each position of a context.
    pub(super) nested: bool,
    /// Known for `FixedSizeList`.
    pub(super) width: Option<usize>,
    float: DataType,
}

impl FloatLists {
    pub(super) fn of(data_type: &DataType) -> Option<Self> {
        use DataType::{Float16, Float32, Float64};
        let (item, width) = list_item(data_type)?;
        match item.data_type() {
            float @ (Float16 | Float32 | Float64) => {
                Some(Self { nested: false, width, float: float.clone() })
            }
            inner => match list_item(inner)? {
                (item, width) if matches!(item.data_type(), Float16 | Float32 | Float64) => {
                    Some(Self { nested: true, width, float: item.data_type().clone() })
                }
                _ => None,
            },
        }
    }

    /// What files of a dump have in common whatever kind of list they use.
    pub(super) fn without_width(self) -> Self {
        Self { width: None, ..self }
    }
}

/// The type of a list's entries, and their number if the type says it.
pub(super) fn list_item(data_type: &DataType) -> Option<(&FieldRef, Option<usize>)> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) => Some((item, None)),
        DataType::FixedSizeList(item, width) => Some((item, Some(usize::try_from(*width).unwrap_or(0)))),
        _ => None,
    }
}

/// The columns of vectors of a dump.
pub(super) struct Found {
    pub(super) activations: Vec<Vectors>,
    pub(super) companion: Option<Vectors>,
    pub(super) nested: bool,
    /// Read where the types do not say everything; always in a nested dump.
    pub(super) first: Option<FirstRow>,
}

/// Finds the columns that the options ask for, in the first file.
///
/// # Errors
/// If one is not there or holds something else, if no column, or no single one, can be the
/// activations, or if there is no row with a vector in each.
pub(super) fn find(files: &[ParquetFile], dump: &str, options: &DumpOptions) -> Result<Found> {
    let no_rows = |columns: &[String]| DumpError::NoRows {
        path: dump.to_owned(),
        columns: quoted(columns.iter().map(String::as_str)),
    };
    let file = files.first().ok_or_else(|| no_rows(&options.activation_columns))?;
    let schema = file.footer.schema();
    let mut columns = choose_activations(&file.path, schema, &options.activation_columns)?;
    let n_activations = columns.len();
    let mut lists = Vec::new();
    for column in &columns {
        lists.push(activations_of(&file.path, schema, column)?);
    }
    if let Some(column) = &options.companion {
        lists.push(companion_of(file, dump, column)?);
        columns.push(column.clone());
    }
    let nested = lists[0].nested;
    if let Some(other) = lists.iter().position(|lists| lists.nested != nested) {
        return Err(DumpError::Depth {
            path: file.path.clone(),
            column: columns[other].clone(),
            found: depth(!nested),
            first: columns[0].clone(),
            expected: depth(nested),
        }
        .into());
    }
    // Only lists of one length throughout say everything in their type.
    let told = lists.iter().all(|lists| lists.width.is_some()) && files.iter().any(|file| file.n_rows() > 0);
    let first = if told && !nested {
        None
    } else {
        Some(first_row(files, &columns, nested)?.ok_or_else(|| no_rows(&columns))?)
    };
    let width = |i: usize| lists[i].width.or_else(|| Some(first.as_ref()?.widths[i])).unwrap_or(0);
    let mut vectors: Vec<Vectors> =
        (0..columns.len()).map(|i| Vectors { column: columns[i].clone(), width: width(i) }).collect();
    if vectors.iter().any(|vectors| vectors.width == 0) {
        return Err(no_rows(&columns).into());
    }
    let companion = vectors.split_off(n_activations).pop();
    Ok(Found { activations: vectors, companion, nested, first })
}

fn depth(nested: bool) -> &'static str {
    if nested { "a list of vectors" } else { "one vector" }
}

fn choose_activations(path: &Path, schema: &Schema, asked: &[String]) -> Result<Vec<String>, DumpError> {
    for (i, name) in asked.iter().enumerate() {
        if schema.field_with_name(name).is_err() {
            return Err(no_column(path.display().to_string(), name, schema));
        }
        if asked[..i].contains(name) {
            return Err(DumpError::Twice { path: path.to_owned(), column: name.clone() });
        }
    }
    if !asked.is_empty() {
        return Ok(asked.to_vec());
    }
    let candidates: Vec<&str> = schema
        .fields()
        .iter()
        .filter(|field| {
            FloatLists::of(field.data_type()).is_some() && !NOT_ACTIVATIONS.contains(&field.name().as_str())
        })
        .map(|field| field.name().as_str())
        .collect();
    match candidates[..] {
        [] => Err(DumpError::NoActivations { path: path.to_owned(), columns: with_types(schema) }),
        [only] => Ok(vec![only.to_owned()]),
        _ if candidates.contains(&"activation") => Ok(vec!["activation".to_owned()]),
        _ => Err(DumpError::Ambiguous { path: path.to_owned(), candidates: quoted(candidates) }),
    }
}

fn activations_of(path: &Path, schema: &Schema, column: &str) -> Result<FloatLists, DumpError> {
    let field = schema.field_with_name(column).ok();
    field.and_then(|field| FloatLists::of(field.data_type())).ok_or_else(|| DumpError::NotActivations {
        path: path.to_owned(),
        column: column.to_owned(),
        found: field.map_or_else(String::new, |field| field.data_type().to_string()),
    })
}

fn companion_of(file: &ParquetFile, dump: &str, column: &str) -> Result<FloatLists, DumpError> {
    let schema = file.footer.schema();
    let found = schema.field_with_name(column).ok();
    found.and_then(|field| FloatLists::of(field.data_type())).ok_or_else(|| {
        let lists = schema.fields().iter().filter_map(|field| {
            let lists = FloatLists::of(field.data_type())?;
            Some(match file.width_of(field.name(), &lists) {
                Some(width) => format!("`{}` ({width})", field.name()),
                None => format!("`{}`", field.name()),
            })
        });
        DumpError::NoCompanion {
            path: dump.to_owned(),
            column: column.to_owned(),
            found: found.map_or_else(
                || "not there".to_owned(),
                |field| format!("{}, expected lists of f16, f32 or f64", field.data_type()),
            ),
            float_lists: lists.collect::<Vec<_>>().join(", "),
            advice: "write the dump with it, or name another".to_owned(),
        }
    })
}

impl ParquetFile {
    /// The width of a column of vectors as far as the footer tells.
    pub(super) fn width_of(&self, column: &str, lists: &FloatLists) -> Option<usize> {
        let (rows, values) = (self.n_rows(), self.leaf_values(column).iter().sum::<u64>());
        let even = !lists.nested && rows > 0 && values.is_multiple_of(rows);
        lists.width.or_else(|| even.then(|| (values / rows) as usize))
    }
}

/// The first row with a vector in each of the columns.
pub(super) struct FirstRow {
    row: RecordBatch,
    /// Positions of the row, in a nested dump.
    pub(super) ctx: usize,
    /// Of each column.
    widths: Vec<usize>,
}

impl FirstRow {
    pub(super) fn list_length(&self, column: &str) -> Option<usize> {
        let lists = Lists::of(self.row.column_by_name(column)?)?;
        (!lists.is_null(0)).then(|| lists.range(0).len())
    }
}

fn first_row(files: &[ParquetFile], columns: &[String], nested: bool) -> Result<Option<FirstRow>> {
    for file in files {
        let wanted = |field: &FieldRef| {
            columns.contains(field.name()) || nested && list_item(field.data_type()).is_some()
        };
        let fields = file.footer.schema().fields().iter();
        let names: Vec<String> =
            fields.filter(|field| wanted(field)).map(|field| field.name().clone()).collect();
        for row_group in 0..file.row_groups().len() {
            for row in RowGroup::read(file, row_group, &names, &[], 1)? {
                let row = row?;
                let widths: Vec<usize> =
                    columns.iter().filter_map(|column| first_width(&row, column, nested)).collect();
                if widths.len() == columns.len() {
                    let mut first = FirstRow { row, ctx: 0, widths };
                    first.ctx = first.list_length(&columns[0]).unwrap_or(0);
                    return Ok(Some(first));
                }
            }
        }
    }
    Ok(None)
}

/// The width of a column's vector in a row, or of the first one in it; none if there is none.
fn first_width(row: &RecordBatch, column: &str, nested: bool) -> Option<usize> {
    let lists = Lists::of(row.column_by_name(column)?)?;
    let range = (!lists.is_null(0)).then(|| lists.range(0)).filter(|range| !range.is_empty())?;
    let width = if nested { Lists::of(lists.values())?.range(range.start).len() } else { range.len() };
    (width > 0).then_some(width)
}

/// The error for a column that is not among those of a schema.
pub(super) fn no_column(path: String, asked: &str, schema: &Schema) -> DumpError {
    let names = || schema.fields().iter().map(|field| field.name().as_str());
    DumpError::NoColumn {
        path,
        column: asked.to_owned(),
        suggestion: nearest(asked, names()),
        columns: quoted(names()),
    }
}

fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn with_types(schema: &Schema) -> String {
    schema
        .fields()
        .iter()
        .map(|field| format!("`{}` ({})", field.name(), field.data_type()))
        .collect::<Vec<_>>()
        .join(", ")
}
