//! What each column of a dump is: the activations, or one of the others, and how it becomes one
//! value per position.

use super::{DumpError, error::nearest, files::ParquetFile, lists::Lists};
use crate::Result;
use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
};
use std::{path::Path, sync::Arc};

/// Columns that belong to every position, so that in a nested dump they must be lists.
const PER_POSITION: [&str; 6] = ["doc_id", "pos", "token_id", "token", "gradient", "target"];
/// Lists of floats that are never taken for the activations unasked.
const NOT_ACTIVATIONS: [&str; 2] = ["gradient", "target"];

/// The columns of a dump.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) activation: String,
    /// Whether a row holds a list of activations, one for each position of a context.
    pub(super) nested: bool,
    pub(super) d_in: usize,
    pub(super) others: Vec<Other>,
    pub(super) schema: SchemaRef,
}

/// A column beside the activations.
#[derive(Debug, Clone)]
pub(super) struct Other {
    pub(super) field: FieldRef,
    pub(super) source: Source,
}

/// Where the values of a column come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A value for each row; in a nested dump it is repeated for each position.
    Row,
    /// In a nested dump, a list for each row with an entry for each position.
    Companion,
    /// In a nested dump without `doc_id`, the number of the row.
    RowNumber,
    /// In a nested dump without `pos`, the number of the position in its row.
    Position,
    /// The vocabulary's entry for `token_id`.
    Vocab,
}

/// A type that can be activations.
#[derive(Debug, Clone, PartialEq)]
struct FloatLists {
    nested: bool,
    /// Known for `FixedSizeList`.
    width: Option<usize>,
    float: DataType,
}

fn float_lists(data_type: &DataType) -> Option<FloatLists> {
    use DataType::{Float16, Float32, Float64};
    let (item, width) = list_item(data_type)?;
    match item.data_type() {
        float @ (Float16 | Float32 | Float64) => {
            Some(FloatLists { nested: false, width, float: float.clone() })
        }
        inner => match list_item(inner)? {
            (item, width) if matches!(item.data_type(), Float16 | Float32 | Float64) => {
                Some(FloatLists { nested: true, width, float: item.data_type().clone() })
            }
            _ => None,
        },
    }
}

fn list_item(data_type: &DataType) -> Option<(&FieldRef, Option<usize>)> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) => Some((item, None)),
        DataType::FixedSizeList(item, width) => Some((item, Some(usize::try_from(*width).unwrap_or(0)))),
        _ => None,
    }
}

/// Strings of every kind become `Utf8`; other types stay.
fn normalised(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Dictionary(_, value) if normalised(value) == DataType::Utf8 => DataType::Utf8,
        other => other.clone(),
    }
}

impl Layout {
    /// The layout of the first file, to which the others are held by [`Layout::check`].
    ///
    /// # Errors
    /// If no column, or no single one, can be the activations, or the file has no activation.
    pub(super) fn of(files: &[ParquetFile], dump: &str, asked: Option<&str>) -> Result<Self> {
        let no_rows = || DumpError::NoRows { path: dump.to_owned() };
        let file = files.first().ok_or_else(no_rows)?;
        let schema = file.footer.schema();
        let activation = choose_activation(&file.path, schema, asked)?;
        let lists = schema.field_with_name(&activation).ok().and_then(|field| float_lists(field.data_type()));
        let Some(FloatLists { nested, width, .. }) = lists else {
            let found = schema
                .field_with_name(&activation)
                .map_or_else(|_| String::new(), |field| field.data_type().to_string());
            return Err(
                DumpError::NotActivations { path: file.path.clone(), column: activation, found }.into()
            );
        };
        // Only lists of one length throughout say everything in their type.
        let first = match width {
            Some(_) if !nested && files.iter().any(|file| file.n_rows() > 0) => None,
            _ => Some(first_row(files, &activation, nested)?.ok_or_else(no_rows)?),
        };
        let d_in = match (width, &first) {
            (Some(width), _) => width,
            (None, Some(first)) => first.d_in,
            (None, None) => 0,
        };
        if d_in == 0 {
            return Err(no_rows().into());
        }
        let mut others: Vec<_> = schema
            .fields()
            .iter()
            .filter(|field| *field.name() != activation)
            .map(|field| other(field, first.as_ref().filter(|_| nested)))
            .collect();
        if nested {
            let absent = |name: &str| schema.field_with_name(name).is_err();
            if absent("doc_id") {
                others.push(supplied("doc_id", DataType::Int64, Source::RowNumber));
            }
            if absent("pos") {
                others.push(supplied("pos", DataType::Int32, Source::Position));
            }
        }
        Ok(Self { activation, nested, d_in, schema: schema_of(&others), others })
    }

    /// Adds the column `token`, looked up in a vocabulary, if `token_id` is there and it is not.
    pub(super) fn supply_tokens(&mut self) -> bool {
        let id = self.others.iter().find(|other| other.field.name() == "token_id");
        let lacks = id.is_some_and(|id| id.field.data_type().is_integer())
            && self.schema.field_with_name("token").is_err();
        if lacks {
            self.others.push(supplied("token", DataType::Utf8, Source::Vocab));
            self.schema = schema_of(&self.others);
        }
        lacks
    }

    /// Holds a file to the first one: the same columns of the same types, the same width.
    ///
    /// # Errors
    /// If it differs.
    pub(super) fn check(&self, first: &ParquetFile, file: &ParquetFile) -> Result<(), DumpError> {
        let differs = |difference| DumpError::FileSchema {
            path: file.path.clone(),
            first: first.path.clone(),
            difference,
        };
        let (expected, found) = (first.footer.schema(), file.footer.schema());
        for field in expected.fields() {
            let Ok(same) = found.field_with_name(field.name()) else {
                return Err(differs(format!("there is no `{}`", field.name())));
            };
            let alike = if *field.name() == self.activation {
                float_lists(field.data_type()).map(|lists| FloatLists { width: None, ..lists })
                    == float_lists(same.data_type()).map(|lists| FloatLists { width: None, ..lists })
            } else {
                normalised(field.data_type()).equals_datatype(&normalised(same.data_type()))
            };
            if !alike {
                return Err(differs(format!(
                    "`{}` is {}, there {}",
                    field.name(),
                    same.data_type(),
                    field.data_type()
                )));
            }
        }
        if let Some(field) =
            found.fields().iter().find(|field| expected.field_with_name(field.name()).is_err())
        {
            return Err(differs(format!("`{}` is one more", field.name())));
        }
        match self.width_of(file) {
            Some(width) if width != self.d_in => Err(DumpError::FileWidth {
                path: file.path.clone(),
                first: first.path.clone(),
                expected: self.d_in,
                found: width,
            }),
            _ => Ok(()),
        }
    }

    /// The width of a file's activations as far as its footer tells.
    fn width_of(&self, file: &ParquetFile) -> Option<usize> {
        let field = file.footer.schema().field_with_name(&self.activation).ok()?;
        let lists = float_lists(field.data_type())?;
        let rows = file.n_rows();
        let values: u64 = file.leaf_values(&self.activation).iter().sum();
        let even = !self.nested && rows > 0 && values.is_multiple_of(rows);
        lists.width.or_else(|| even.then(|| (values / rows) as usize))
    }

    /// Positions of a file: its rows, or in a nested dump what its number of floats comes to.
    pub(super) fn positions(&self, file: &ParquetFile) -> u64 {
        if self.nested {
            file.leaf_values(&self.activation).iter().map(|values| values / self.d_in as u64).sum()
        } else {
            file.n_rows()
        }
    }

    /// The named column beside the activations.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn other(&self, dump: &str, name: &str) -> Result<&Other, DumpError> {
        self.others
            .iter()
            .find(|other| other.field.name() == name)
            .ok_or_else(|| no_column(dump.to_owned(), name, &self.schema))
    }
}

fn choose_activation(path: &Path, schema: &Schema, asked: Option<&str>) -> Result<String, DumpError> {
    if let Some(name) = asked {
        return match schema.field_with_name(name) {
            Ok(_) => Ok(name.to_owned()),
            Err(_) => Err(no_column(path.display().to_string(), name, schema)),
        };
    }
    let candidates: Vec<&str> = schema
        .fields()
        .iter()
        .filter(|field| {
            float_lists(field.data_type()).is_some() && !NOT_ACTIVATIONS.contains(&field.name().as_str())
        })
        .map(|field| field.name().as_str())
        .collect();
    match candidates[..] {
        [] => Err(DumpError::NoActivations { path: path.to_owned(), columns: with_types(schema) }),
        [only] => Ok(only.to_owned()),
        _ if candidates.contains(&"activation") => Ok("activation".to_owned()),
        _ => Err(DumpError::Ambiguous { path: path.to_owned(), candidates: quoted(candidates) }),
    }
}

fn no_column(path: String, asked: &str, schema: &Schema) -> DumpError {
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

fn schema_of(others: &[Other]) -> SchemaRef {
    Arc::new(Schema::new(others.iter().map(|other| other.field.clone()).collect::<Vec<_>>()))
}

fn supplied(name: &str, data_type: DataType, source: Source) -> Other {
    Other { field: Arc::new(Field::new(name, data_type, true)), source }
}

/// A column of the file; `nested_first` is the first row with an activation if the dump is nested.
fn other(field: &FieldRef, nested_first: Option<&FirstRow>) -> Other {
    let name = field.name();
    let companion = nested_first.and_then(|first| {
        let (item, _) = list_item(field.data_type())?;
        let belongs = PER_POSITION.contains(&name.as_str()) || first.list_length(name) == Some(first.ctx);
        belongs.then(|| supplied(name, normalised(item.data_type()), Source::Companion))
    });
    companion.unwrap_or_else(|| supplied(name, normalised(field.data_type()), Source::Row))
}

/// The first row with an activation in it.
struct FirstRow {
    row: RecordBatch,
    ctx: usize,
    d_in: usize,
}

impl FirstRow {
    fn list_length(&self, column: &str) -> Option<usize> {
        let lists = Lists::of(self.row.column_by_name(column)?)?;
        (!lists.is_null(0)).then(|| lists.range(0).len())
    }
}

fn first_row(files: &[ParquetFile], activation: &str, nested: bool) -> Result<Option<FirstRow>> {
    for file in files {
        let names: Vec<&str> = file
            .footer
            .schema()
            .fields()
            .iter()
            .filter(|field| *field.name() == activation || nested && list_item(field.data_type()).is_some())
            .map(|field| field.name().as_str())
            .collect();
        for row_group in 0..file.row_groups().len() {
            for row in file.read(row_group, &names, 1)? {
                let row = row?;
                let Some(lists) = row.column_by_name(activation).and_then(Lists::of) else { continue };
                let ctx = if lists.is_null(0) { 0 } else { lists.range(0).len() };
                let d_in = match Lists::of(lists.values()) {
                    Some(inner) if nested && ctx > 0 => inner.range(lists.range(0).start).len(),
                    _ => ctx,
                };
                if d_in > 0 {
                    return Ok(Some(FirstRow { row, ctx, d_in }));
                }
            }
        }
    }
    Ok(None)
}
