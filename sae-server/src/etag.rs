//! An answer that the client already has is not sent again.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

/// Gives every successful answer to GET a tag, the hash of its body, and answers 304 without a
/// body if the request carries that tag.
///
/// The answers of this interface are whole in memory already, so hashing them costs no copy.
pub(crate) async fn tag(request: Request, next: Next) -> Response {
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let asks = request.method() == Method::GET;
    let response = next.run(request).await;
    if !asks || response.status() != StatusCode::OK {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let hash: String = Sha256::digest(&bytes)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{hash}\"");
    let is_known = known.is_some_and(|known| matches(&known, &tag));
    let mut headers = HeaderMap::new();
    // Weak, because the same tag is sent for every compression of the body.
    if let Ok(value) = HeaderValue::from_str(&format!("W/{tag}")) {
        headers.insert(header::ETAG, value);
    }
    // A copy may be kept, but not used without asking: an index can be rebuilt at any time.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if is_known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    parts.headers.extend(headers);
    Response::from_parts(parts, Body::from(bytes))
}

/// Weak comparison (RFC 9110, 8.8.3.2): `W/"a"` and `"a"` are the same.
fn matches(known: &HeaderValue, tag: &str) -> bool {
    let Ok(known) = known.to_str() else { return false };
    known.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}
