//! What each column of a dump is: the activations, or one of the others, and how it becomes one
//! value per position.

use super::{
    DumpError, DumpOptions,
    files::ParquetFile,
    vectors::{self, FirstRow, FloatLists, Vectors, list_item, no_column},
};
use crate::Result;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use std::sync::Arc;

/// Columns that belong to every position, so that in a nested dump they must be lists.
const PER_POSITION: [&str; 6] = ["doc_id", "pos", "token_id", "token", "gradient", "target"];

/// The columns of a dump.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// One or more; a row's activation is their vectors one after the other.
    pub(super) activations: Vec<Vectors>,
    pub(super) companion: Option<Vectors>,
    /// The names of the columns of activations, for messages.
    pub(super) activation_names: String,
    /// Whether a row holds a list of vectors, one for each position of a context.
    pub(super) nested: bool,
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
    Entries,
    /// In a nested dump without `doc_id`, the number of the row.
    RowNumber,
    /// In a nested dump without `pos`, the number of the position in its row.
    Position,
    /// The vocabulary's entry for `token_id`.
    Vocab,
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
    /// As of [`vectors::find`].
    pub(super) fn of(files: &[ParquetFile], dump: &str, options: &DumpOptions) -> Result<Self> {
        let vectors::Found { activations, companion, nested, first } = vectors::find(files, dump, options)?;
        let schema = files[0].footer.schema();
        let is_vector =
            |name: &String| activations.iter().chain(&companion).any(|vectors| vectors.column == *name);
        let mut others: Vec<_> = schema
            .fields()
            .iter()
            .filter(|field| !is_vector(field.name()))
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
        let names: Vec<&str> = activations.iter().map(|vectors| vectors.column.as_str()).collect();
        let activation_names = names.join(" + ");
        Ok(Self { activations, companion, activation_names, nested, schema: schema_of(&others), others })
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
            let lists = |field: &Field| FloatLists::of(field.data_type()).map(FloatLists::without_width);
            let alike = if self.vectors().any(|vectors| vectors.column == *field.name()) {
                lists(field) == lists(same)
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
        for Vectors { column, width } in self.vectors() {
            let lists =
                found.field_with_name(column).ok().and_then(|field| FloatLists::of(field.data_type()));
            let said = lists.and_then(|lists| file.width_of(column, &lists));
            if let Some(found) = said.filter(|said| said != width) {
                return Err(DumpError::FileWidth {
                    path: file.path.clone(),
                    first: first.path.clone(),
                    column: column.clone(),
                    expected: *width,
                    found,
                });
            }
        }
        Ok(())
    }

    /// Width of an activation: of all its columns together.
    pub(super) fn d_in(&self) -> usize {
        self.activations.iter().map(|vectors| vectors.width).sum()
    }

    /// The columns of vectors: of the activations, then the companion.
    pub(super) fn vectors(&self) -> impl Iterator<Item = &Vectors> {
        self.activations.iter().chain(&self.companion)
    }

    /// Positions of each row group as its number of floats tells.
    pub(super) fn group_positions(&self, file: &ParquetFile) -> Vec<u64> {
        // Whichever column: in a sound dump all say the same.
        let Vectors { column, width } = &self.activations[0];
        file.leaf_values(column).iter().map(|values| values / *width as u64).collect()
    }

    /// Positions of a file: its rows, or in a nested dump what its number of floats comes to.
    pub(super) fn positions(&self, file: &ParquetFile) -> u64 {
        if self.nested { self.group_positions(file).iter().sum() } else { file.n_rows() }
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

fn schema_of(others: &[Other]) -> SchemaRef {
    Arc::new(Schema::new(others.iter().map(|other| other.field.clone()).collect::<Vec<_>>()))
}

fn supplied(name: &str, data_type: DataType, source: Source) -> Other {
    Other { field: Arc::new(Field::new(name, data_type, true)), source }
}

/// A column of the file; `nested_first` is the first row with an activation if the dump is nested.
fn other(field: &FieldRef, nested_first: Option<&FirstRow>) -> Other {
    let name = field.name();
    let entries = nested_first.and_then(|first| {
        let (item, _) = list_item(field.data_type())?;
        let belongs = PER_POSITION.contains(&name.as_str()) || first.list_length(name) == Some(first.ctx);
        belongs.then(|| supplied(name, normalised(item.data_type()), Source::Entries))
    });
    entries.unwrap_or_else(|| supplied(name, normalised(field.data_type()), Source::Row))
}
