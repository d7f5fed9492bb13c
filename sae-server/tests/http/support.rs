//! A client without a network.

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Request, StatusCode, header},
};
use sae_server::{AppState, ServeOptions, app};
use serde_json::Value;
use std::path::Path;
use tower::ServiceExt;

pub(crate) struct Client(pub(crate) Router);

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    /// Of a server of `root` without a page.
    pub(crate) fn of(root: &Path) -> Self {
        Self::with(&ServeOptions::new(root))
    }

    pub(crate) fn with(options: &ServeOptions) -> Self {
        Self(app(AppState::new(&options.root).unwrap(), options))
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.0.clone().oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// GET with one more header.
    pub(crate) async fn get_with(&self, uri: &str, name: header::HeaderName, value: &str) -> Answer {
        self.send(Request::get(uri).header(name, value).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn get(&self, uri: &str) -> Answer {
        self.send(Request::get(uri).body(Body::empty()).unwrap()).await
    }

    /// The JSON of a successful answer.
    pub(crate) async fn json(&self, uri: &str) -> Value {
        let answer = self.get(uri).await;
        assert_eq!(answer.status, StatusCode::OK, "{uri}: {}", answer.text());
        answer.json()
    }

    pub(crate) async fn post(&self, uri: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(uri).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(body.into()).unwrap()).await
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header(header::CONTENT_TYPE), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(&name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }

    /// Checks that this is an error in the one shape that errors have, with all of `words` in its message.
    #[track_caller]
    pub(crate) fn refuses(&self, status: u16, code: &str, words: &[&str]) {
        assert_eq!(self.status, status, "{}", self.text());
        let body = self.json();
        assert_eq!(body["error"]["code"], code, "{body}");
        let message = body["error"]["message"].as_str().unwrap();
        assert_eq!(body.as_object().unwrap().len(), 1);
        assert_eq!(body["error"].as_object().unwrap().len(), 2);
        for word in words {
            assert!(message.contains(word), "`{message}` does not say `{word}`");
        }
    }
}
