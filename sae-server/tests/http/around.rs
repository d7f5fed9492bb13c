//! What stands around all routes.

use crate::support::Client;
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use sae_server::{AppState, ServeError, ServeOptions};
use std::net::Ipv4Addr;

#[tokio::test]
async fn answers_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let client = Client::of(folder.path());
    let health = client.json("/api/v1/health").await;
    assert_eq!(health, serde_json::json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}));
}

#[tokio::test]
async fn every_error_has_one_shape() {
    let folder = tempfile::tempdir().unwrap();
    let client = Client::of(folder.path());
    client.get("/api/v1/nothing").await.refuses(404, "not_found", &["/api/v1/nothing", "openapi.json"]);
    client.get("/api").await.refuses(404, "not_found", &["/api"]);
    client.get("/api/v1/health?x=1").await.refuses(400, "bad_request", &["unknown field `x`"]);
    client.get("/api/v1/saes/%FF").await.refuses(400, "bad_request", &["path", "UTF-8"]);
    let answer = client.post("/api/v1/health", "{}").await;
    answer.refuses(405, "method_not_allowed", &["Allow", "openapi.json"]);
    assert_eq!(answer.header(header::ALLOW), "GET,HEAD");
}

#[tokio::test]
async fn no_answer_may_be_sniffed() {
    let folder = tempfile::tempdir().unwrap();
    let client = Client::of(folder.path());
    for uri in ["/", "/api/v1/health", "/api/v1/nothing"] {
        assert_eq!(client.get(uri).await.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
    }
}

#[tokio::test]
async fn an_answer_that_is_known_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let client = Client::of(folder.path());
    let first = client.get("/api/v1/saes").await;
    let tag = first.header(header::ETAG).to_owned();
    assert_eq!(first.header(header::CACHE_CONTROL), "no-cache");
    assert_eq!(client.get("/api/v1/saes").await.header(header::ETAG), tag);
    for known in
        [tag.clone(), tag.trim_start_matches("W/").to_owned(), format!("\"a\", {tag}"), "*".to_owned()]
    {
        let again = client.get_with("/api/v1/saes", header::IF_NONE_MATCH, &known).await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{known}");
        assert_eq!(again.header(header::ETAG), tag);
        assert!(again.body.is_empty());
    }

    fs_err::create_dir(folder.path().join("new")).unwrap();
    fs_err::write(folder.path().join("new/config.toml"), "").unwrap();
    let changed = client.get_with("/api/v1/saes", header::IF_NONE_MATCH, &tag).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_ne!(changed.header(header::ETAG), tag);
}

#[tokio::test]
async fn long_answers_are_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let client = Client::of(folder.path());
    let plain = client.get("/api/v1/openapi.json").await;
    let gzip = client.get_with("/api/v1/openapi.json", header::ACCEPT_ENCODING, "gzip").await;
    assert_eq!(gzip.header(header::CONTENT_ENCODING), "gzip");
    assert!(gzip.body.len() < plain.body.len() / 3);
}

#[tokio::test]
async fn the_loopback_address_answers_only_to_its_own_names() {
    let folder = tempfile::tempdir().unwrap();
    let client = Client::of(folder.path());
    for uri in ["/", "/api/v1/health", "/api/v1/nothing"] {
        for own in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"] {
            assert_ne!(client.get_with(uri, header::HOST, own).await.status, StatusCode::FORBIDDEN);
        }
        let answer = client.get_with(uri, header::HOST, "evil.example:8080").await;
        answer.refuses(403, "foreign_host", &["evil.example:8080", "localhost"]);
    }
    let open = ServeOptions { host: Ipv4Addr::UNSPECIFIED.into(), ..ServeOptions::new(folder.path()) };
    let answer = Client::with(&open).get_with("/api/v1/health", header::HOST, "lab.example").await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn heads_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let request = Request::head("/api/v1/health").body(Body::empty()).unwrap();
    let answer = Client::of(folder.path()).send(request).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body.is_empty());
}

#[test]
fn a_root_that_is_no_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let message = |path| match AppState::new(path) {
        Err(error @ ServeError::Root { .. }) => error.to_string(),
        _ => panic!("not refused"),
    };
    let absent = folder.path().join("absent");
    assert_eq!(
        message(&absent),
        format!(
            "{}: expected a folder of runs, found nothing; give a run or the folder that holds runs",
            absent.display()
        )
    );
    let file = folder.path().join("file");
    fs_err::write(&file, "").unwrap();
    assert!(message(&file).contains("found a file"));
}
