//! Encoding what is sent.

use crate::fixture::{ROWS, sae, serve_runs};
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use sae_core::{
    Normalize, Rule, Sae, Target,
    formats::saelens::{self, Origin},
};
use serde_json::{Value, json};

const ENCODE: &str = "/api/v1/saes/gpt2%2Fl6/encode";

fn body(rows: impl serde::Serialize) -> String {
    json!({"activations": rows}).to_string()
}

#[tokio::test]
async fn rows_are_encoded_by_value_descending() {
    let (client, _folder) = serve_runs();
    let answer = client.post(ENCODE, body(&ROWS[6..9])).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(
        answer.json(),
        json!({"d_in": 4, "d_sae": 6, "fvu": 0.0, "codes": [
            {"latents": [0, 5], "values": [4.0, 2.0]},
            {"latents": [0, 5, 1], "values": [5.0, 3.0, 2.0]},
            {"latents": [], "values": []}
        ]})
    );
}

#[tokio::test]
async fn fvu_is_about_the_mean_of_the_rows_sent() {
    let (client, _folder) = serve_runs();
    let fvu = async |rows: Value| client.post(ENCODE, body(rows)).await.json()["fvu"].clone();
    assert_eq!(fvu(json!([[1, 0, 0, 0]])).await, Value::Null);
    assert_eq!(fvu(json!([[1, 0, 0, 0], [1, 0, 0, 0]])).await, Value::Null);
    // −1 is not encoded: an error of 1 over a variance of 2·2².
    assert_eq!(fvu(json!([[-1, 0, 0, 0], [3, 0, 0, 0]])).await, 0.125);
}

#[tokio::test]
async fn saes_of_every_kind_encode() {
    let (client, folder) = serve_runs();
    let transcoder = Target::Companion { w_skip: Some(vec![0.0; 4 * 4]) };
    // Twice what the gate sees, less 1.
    let gated = Rule::Gated { r_mag: vec![2f32.ln(); 6], b_mag: vec![-1.0; 6] };
    // The second row's mean is 3 and its deviation 2: it is encoded as 1.5, −0.5, −0.5, −0.5.
    for (kind, architecture, value) in [
        (Sae { target: transcoder, ..sae() }, "skip_transcoder", 6.0),
        (Sae { rule: gated, ..sae() }, "gated", 11.0),
        (Sae { normalize: Normalize::LayerNorm, ..sae() }, "standard", 1.5),
    ] {
        saelens::write(&folder.path().join("trained/sae"), &kind, &Origin::default()).unwrap();
        let run = client.json("/api/v1/saes/trained").await;
        assert_eq!(run["architecture"], architecture);
        let answer =
            client.post("/api/v1/saes/trained/encode", body(json!([[1, 0, 0, 0], [6, 2, 2, 2]]))).await;
        let answer = answer.json();
        let found = answer["codes"][1]["values"][0].as_f64().unwrap();
        assert!((found - value).abs() < 1e-4, "{architecture}: {answer}");
        assert_eq!(answer["fvu"].is_null(), kind.is_transcoder());
    }
}

#[tokio::test]
async fn wrong_bodies_are_refused() {
    let (client, _folder) = serve_runs();
    let too_many = body(vec![[0.0; 4]; 1025]);
    for (body, words) in [
        (body(json!([])), &["1 to 1024 rows", "found 0"][..]),
        (too_many, &["1 to 1024 rows", "found 1025"]),
        (body(json!([[0, 0, 0, 0], [0, 0, 0]])), &["activations[1]", "expected 4", "found 3"]),
        (body(json!([[0, 1e39, 0, 0]])), &["activations[0][1]", "f32"]),
        (body(json!([["a"]])), &["body", "line 1"]),
        ("{".to_owned(), &["body", "EOF"]),
        (json!({"rows": []}).to_string(), &["rows", "`activations`"]),
    ] {
        client.post(ENCODE, body).await.refuses(400, "bad_request", words);
    }
    let untyped = Request::post(ENCODE).body(Body::from(body(ROWS))).unwrap();
    client.send(untyped).await.refuses(415, "unsupported_media_type", &["application/json", "found none"]);
    let long = " ".repeat((32 << 20) + 1);
    client.post(ENCODE, long).await.refuses(413, "too_large", &["32 MiB", "fewer rows"]);
    let answer = client.get(ENCODE).await;
    answer.refuses(405, "method_not_allowed", &["Allow"]);
    assert_eq!(answer.header(header::ALLOW), "POST");
}

#[tokio::test]
async fn a_run_without_an_sae_says_so() {
    let (client, folder) = serve_runs();
    client.post("/api/v1/saes/young/encode", body(ROWS)).await.refuses(
        409,
        "no_sae",
        &["`young`", "training"],
    );
    client.post("/api/v1/saes/absent/encode", body(ROWS)).await.refuses(404, "not_found", &["`absent`"]);
    fs_err::write(folder.path().join("trained/sae/sae_weights.safetensors"), "no").unwrap();
    let answer = client.post("/api/v1/saes/trained/encode", body(ROWS)).await;
    answer.refuses(500, "unreadable", &["sae_weights.safetensors"]);
}
