//! The static files.

use crate::support::{Answer, Client};
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use sae_server::ServeOptions;
use tempfile::TempDir;

const INDEX: &str = "<!doctype html><title>sae</title>";

/// A server of a built page, and its folder.
fn page() -> (Client, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let web = folder.path().join("web");
    fs_err::create_dir_all(web.join("assets")).unwrap();
    fs_err::write(web.join("index.html"), INDEX).unwrap();
    fs_err::write(web.join("icon.svg"), "<svg/>").unwrap();
    fs_err::write(web.join("assets/main-1a2b.js"), "export {}").unwrap();
    fs_err::write(web.join("assets/main-1a2b.css"), "a {}").unwrap();
    fs_err::write(folder.path().join("secret.txt"), "secret").unwrap();
    let options = ServeOptions { web: Some(web), ..ServeOptions::new(folder.path()) };
    (Client::with(&options), folder)
}

#[track_caller]
fn is_file(answer: &Answer, content_type: &str, lifetime: &str, body: &str) {
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header(header::CONTENT_TYPE), content_type);
    assert_eq!(answer.header(header::CACHE_CONTROL), lifetime);
    assert_eq!(answer.text(), body);
}

#[tokio::test]
async fn files_have_their_types_and_lifetimes() {
    let (client, _folder) = page();
    let forever = "public, max-age=31536000, immutable";
    is_file(&client.get("/").await, "text/html", "no-cache", INDEX);
    is_file(&client.get("/icon.svg").await, "image/svg+xml", "no-cache", "<svg/>");
    is_file(&client.get("/assets/main-1a2b.js").await, "text/javascript", forever, "export {}");
    is_file(&client.get("/assets/main-1a2b.css").await, "text/css", forever, "a {}");
}

#[tokio::test]
async fn addresses_inside_the_page_answer_the_page() {
    let (client, _folder) = page();
    for uri in ["/sae/gpt2%2Fl6", "/sae/gpt2/latent/3?seed=1", "/docs/"] {
        is_file(&client.get(uri).await, "text/html", "no-cache", INDEX);
    }
    let browser = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";
    let answer = client.get_with("/sae/gpt2.layer6", header::ACCEPT, browser).await;
    is_file(&answer, "text/html", "no-cache", INDEX);
}

#[tokio::test]
async fn files_that_are_not_there_are_not_found() {
    let (client, _folder) = page();
    for uri in
        ["/assets/main-0000.js", "/assets/gone", "/robots.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt"]
    {
        let answer = client.get(uri).await;
        answer.refuses(404, "not_found", &["no such file"]);
        assert!(!answer.headers.contains_key(header::CACHE_CONTROL));
    }
    client.get("/api/v2/saes").await.refuses(404, "not_found", &["/api/v2/saes"]);
}

#[tokio::test]
async fn a_file_that_is_known_is_not_sent_again() {
    let (client, _folder) = page();
    let tag = client.get("/").await.header(header::ETAG).to_owned();
    let again = client.get_with("/", header::IF_NONE_MATCH, &tag).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn nothing_can_be_sent_to_the_page() {
    let (client, _folder) = page();
    for uri in ["/", "/icon.svg", "/sae/a"] {
        let answer = client.send(Request::delete(uri).body(Body::empty()).unwrap()).await;
        answer.refuses(405, "method_not_allowed", &["only be read"]);
        assert_eq!(answer.header(header::ALLOW), "GET,HEAD");
    }
}

#[tokio::test]
async fn without_the_page_the_root_says_how_to_build_it() {
    let folder = tempfile::tempdir().unwrap();
    let absent = ServeOptions { web: Some(folder.path().join("dist")), ..ServeOptions::new(folder.path()) };
    for client in [Client::of(folder.path()), Client::with(&absent)] {
        let answer = client.get("/").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header(header::CONTENT_TYPE), "text/plain; charset=utf-8");
        for word in ["npm run build", "--web", "/api/v1/openapi.json"] {
            assert!(answer.text().contains(word));
        }
        client.get("/sae/a").await.refuses(404, "not_found", &["/sae/a"]);
    }
}
