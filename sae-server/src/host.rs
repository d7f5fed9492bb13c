//! A server on the loopback address answers only requests that were meant for it.
//!
//! A page of somebody else may point a name of its own at 127.0.0.1 and so read, through the
//! visitor's browser, what only the visitor should see (DNS rebinding). Such a request still
//! carries the foreign name in `Host`.

use crate::error::ApiError;
use axum::{
    extract::Request,
    http::{HeaderValue, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::net::IpAddr;

/// Refuses a request whose `Host` names another machine. One without `Host` is no browser's.
pub(crate) async fn only_loopback(request: Request, next: Next) -> Response {
    match request.headers().get(header::HOST) {
        Some(host) if !is_loopback(host) => ApiError::new(
            StatusCode::FORBIDDEN,
            "foreign_host",
            format!(
                "this server is bound to the loopback address and answers requests for localhost, 127.0.0.1 or [::1], \
                 not for {}; bind it to another address with `--host` to open it to others",
                String::from_utf8_lossy(host.as_bytes())
            ),
        )
        .into_response(),
        _ => next.run(request).await,
    }
}

fn is_loopback(host: &HeaderValue) -> bool {
    let Ok(authority) = Authority::try_from(host.as_bytes()) else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_own_names() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8080"] {
            assert!(is_loopback(&HeaderValue::from_static(host)), "{host}");
        }
        for host in
            ["", "example.org", "localhost.example.org", "127.0.0.1.nip.io:80", "10.0.0.1", "[::2]:1", "a b"]
        {
            assert!(!is_loopback(&HeaderValue::from_static(host)), "{host}");
        }
    }
}
