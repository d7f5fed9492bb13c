//! The page: static files as the bundler wrote them.

use crate::error::ApiError;
use axum::{
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::path::PathBuf;
use tower::ServiceExt;
use tower_http::services::{ServeDir, ServeFile};

const HOW_TO_BUILD: &str = "\
This is a server of sae; its page is not here.

  build the page   cd web && npm ci && npm run build
  serve it         sae serve RUNS --web web/dist
  the interface    /api/v1/saes, described in /api/v1/openapi.json
";

/// Files whose name holds a hash of their content: they never change.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// To be asked for again: a new build keeps the name.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// Answers whatever is not a route: an error below `/api`, else the page in `web`.
pub(crate) async fn page(web: Option<PathBuf>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if path == "/api" || path.starts_with("/api/") {
        let message = format!("there is no route {path}; /api/v1/openapi.json lists all of them");
        return ApiError::not_found(message).into_response();
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let error =
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "a page can only be read");
        return ([(header::ALLOW, "GET,HEAD")], error).into_response();
    }
    let Some(web) = web.filter(|web| web.join("index.html").is_file()) else {
        return match path.as_str() {
            "/" => HOW_TO_BUILD.into_response(),
            _ => ApiError::not_found(format!(
                "there is no {path}: the page is not here; `/` says how to build it"
            ))
            .into_response(),
        };
    };
    let is_address = leads_into_the_page(&request);
    let files = ServeDir::new(&web);
    let answer = if is_address {
        files.fallback(ServeFile::new(web.join("index.html"))).oneshot(request).await
    } else {
        files.oneshot(request).await
    };
    let Ok(answer) = answer;
    let mut answer = answer.into_response();
    if answer.status().is_success() {
        let lifetime = if path.starts_with("/assets/") { FOREVER } else { ASK_AGAIN };
        answer.headers_mut().insert(header::CACHE_CONTROL, lifetime);
    }
    answer
}

/// Whether a path that is no file is an address within the page: a browser goes there, or the
/// last part has no ending.
fn leads_into_the_page(request: &Request) -> bool {
    let path = request.uri().path();
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let goes_there = accept.is_some_and(|accept| accept.contains("text/html"));
    let last = path.rsplit('/').next().unwrap_or_default();
    !path.starts_with("/assets/") && (goes_there || !last.contains('.'))
}
