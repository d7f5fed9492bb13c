//! Every error that a client sees has one shape; every error that stops the server names the next step.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::{net::IpAddr, path::PathBuf};
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{ContentBuilder, RefOr, Response as ResponseDoc, ResponseBuilder, ResponsesBuilder},
};

/// Why the server could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The folder to serve is not a directory.
    #[error("{}: expected a folder of runs, found {found}; give a run or the folder that holds runs", path.display())]
    Root {
        /// The folder as given.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// Something else listens on the port.
    #[error(
        "port {port} of {host} is busy: another program listens there; stop it, choose another port, or take any free one with `--port 0`"
    )]
    PortBusy {
        /// The address.
        host: IpAddr,
        /// The port asked for.
        port: u16,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {host} port {port}: {source}; choose another address or port")]
    Listen {
        /// The address.
        host: IpAddr,
        /// The port asked for.
        port: u16,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file that tells the port cannot be written.
    #[error("{}: cannot write the port there: {source}; choose another place for the port file", path.display())]
    PortFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The system refused something that a server needs.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
}

/// An answer other than success: a status, a code for programs and a message for people.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// 400: a parameter or a body is not what the route takes.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 404: there is no such thing.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 409: the run exists, but has not come this far.
    pub(crate) fn not_ready(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// 500: something on the server's side is broken.
    pub(crate) fn internal(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, code, message)
    }

    /// What went wrong, for people.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl From<sae_core::Error> for ApiError {
    fn from(error: sae_core::Error) -> Self {
        Self::internal("unreadable", error.to_string())
    }
}

impl From<std::io::Error> for ApiError {
    fn from(error: std::io::Error) -> Self {
        Self::internal("unreadable", error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::error!(code = self.code, "{}", self.message);
        }
        let error = ErrorDetail { code: self.code.to_owned(), message: self.message };
        (self.status, Json(ErrorBody { error })).into_response()
    }
}

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorDetail {
    /// For programs: `bad_request`, `not_found`, `no_index`, …
    code: String,
    /// For people: what is wrong, what would be right.
    message: String,
}

/// The errors that every route may answer, for the OpenAPI document.
pub(crate) struct Errors;

impl IntoResponses for Errors {
    fn responses() -> std::collections::BTreeMap<String, RefOr<ResponseDoc>> {
        let body = RefOr::Ref(utoipa::openapi::Ref::from_schema_name(ErrorBody::name()));
        let with = |description: &str| {
            let content = ContentBuilder::new().schema(Some(body.clone())).build();
            ResponseBuilder::new().description(description).content("application/json", content).build()
        };
        ResponsesBuilder::new()
            .response("400", with("a parameter or the body is not as expected"))
            .response("404", with("there is no such run, latent or document"))
            .response("409", with("the run has not come this far: it has no index or no SAE yet"))
            .response("500", with("a file of the run cannot be read, or a fault of the server"))
            .build()
            .into()
    }
}

/// Turns an error that a layer or a static file answers without a body into [`ErrorBody`].
pub(crate) async fn unify(response: Response) -> Response {
    let status = response.status();
    let is_json = response
        .headers()
        .get(axum::http::header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (code, message) = match status {
        // Which it takes stands in the header `Allow`, which axum sets last.
        StatusCode::METHOD_NOT_ALLOWED => (
            "method_not_allowed",
            "this address does not take this method; the header Allow and /api/v1/openapi.json say which it takes"
                .to_owned(),
        ),
        StatusCode::SERVICE_UNAVAILABLE => (
            "timeout",
            "the answer took too long; ask for less, or try again when the server has less to do".to_owned(),
        ),
        StatusCode::NOT_FOUND => ("not_found", "there is no such file".to_owned()),
        _ => ("error", status.canonical_reason().unwrap_or("error").to_lowercase()),
    };
    ApiError::new(status, code, message).into_response()
}

/// A panic is a fault of ours: it is logged, and the client gets a plain 500.
pub(crate) fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    ApiError::internal("internal", "a fault of the server; its log says more, please report it")
        .into_response()
}

/// Runs work that reads files or computes on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Err(ApiError::internal("stopping", "the server is stopping")),
    })
}
