use crate::support::Client;
use serde_json::Value;
use std::path::Path;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");

#[test]
fn the_committed_document_is_that_of_the_code() {
    let generated = serde_json::to_string_pretty(&sae_server::openapi()).unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs_err::write(COMMITTED, &generated).unwrap();
    }
    let committed = fs_err::read_to_string(Path::new(COMMITTED)).unwrap_or_default();
    assert!(
        committed == generated,
        "docs/openapi.json is not what the code generates: run this test with UPDATE_OPENAPI=1"
    );
}

#[tokio::test]
async fn the_served_document_is_that_of_the_code() {
    let folder = tempfile::tempdir().unwrap();
    let served = Client::of(folder.path()).json("/api/v1/openapi.json").await;
    assert_eq!(served, serde_json::to_value(sae_server::openapi()).unwrap());
}

/// A field that may be null is still always there, so no answer has an optional field.
#[test]
fn every_field_of_an_answer_is_required() {
    let document = serde_json::to_value(sae_server::openapi()).unwrap();
    let mut checked = 0;
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let parts = schema["allOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
        for part in parts.iter().filter(|part| part["properties"].is_object()) {
            let required: Vec<&str> =
                part["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            for field in part["properties"].as_object().unwrap().keys() {
                assert!(required.contains(&field.as_str()), "{name}.{field} is optional");
                checked += 1;
            }
        }
    }
    assert!(checked > 100, "{checked} fields found");
}
