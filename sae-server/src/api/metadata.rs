use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ObjectBuilder, SchemaType, Type},
    },
};

/// What the dump says about a row or a document beside its tokens, by column: strings, numbers,
/// booleans and nulls.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Metadata(BTreeMap<String, Value>);

impl Metadata {
    /// The value of a column as the grouping columns of an index name it.
    pub(crate) fn label(&self, column: &str) -> Option<String> {
        Some(match self.0.get(column)? {
            Value::Null => "(none)".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }
}

impl From<Vec<(String, Value)>> for Metadata {
    fn from(columns: Vec<(String, Value)>) -> Self {
        Self(columns.into_iter().collect())
    }
}

impl PartialSchema for Metadata {
    fn schema() -> RefOr<Schema> {
        let value = [Type::String, Type::Number, Type::Boolean, Type::Null];
        ObjectBuilder::new()
            .description(Some("What the dump says about a row or a document beside its tokens, by column."))
            .additional_properties(Some(ObjectBuilder::new().schema_type(SchemaType::from_iter(value))))
            .into()
    }
}

impl ToSchema for Metadata {}
