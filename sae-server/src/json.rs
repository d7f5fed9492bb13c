//! Answers of JSON that are long.

use crate::error::ApiError;
use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// Room for most pages of a latent; what is longer takes more.
const USUAL: usize = 32 << 10;

/// The answer as text, in one piece from the beginning: axum's `Json` begins with 128 bytes and moves what is
/// written each time it has doubled.
pub(crate) fn json(answer: &impl Serialize) -> Result<Response, ApiError> {
    let mut text = Vec::with_capacity(USUAL);
    match serde_json::to_writer(&mut text, answer) {
        Ok(()) => Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response()),
        Err(error) => Err(ApiError::internal("internal", error.to_string())),
    }
}
