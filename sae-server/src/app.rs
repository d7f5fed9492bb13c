use crate::{AppState, ServeOptions, api, assets, error, etag, host};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderValue, StatusCode, header},
    middleware::{from_fn, map_response},
    routing::get,
};
use std::time::Duration;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, set_header::SetResponseHeaderLayer,
    timeout::TimeoutLayer, trace::TraceLayer,
};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;

/// Longest body that `encode` takes, in bytes.
pub(crate) const BODY_LIMIT: usize = 32 << 20;
/// Requests answered at once; the others wait.
const AT_ONCE: usize = 64;
const TIMEOUT: Duration = Duration::from_secs(30);

/// All routes with everything around them, as [`crate::serve()`] serves them.
pub fn app(state: AppState, options: &ServeOptions) -> Router {
    let (api, openapi) = routes().split_for_parts();
    let document = serde_json::to_string(&openapi).expect("the document has no keys other than strings");
    let document = ([(header::CONTENT_TYPE, "application/json")], document);
    let api = api
        .route("/api/v1/openapi.json", get(async move || document))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn(etag::tag))
        .layer(GlobalConcurrencyLimitLayer::new(AT_ONCE))
        .with_state(state);

    let web = options.web.clone();
    let routes = api.fallback(move |request: Request| assets::page(web, request));
    let routes = if options.host.is_loopback() { routes.layer(from_fn(host::only_loopback)) } else { routes };
    around(routes)
}

/// Puts around all routes what every answer needs.
fn around(routes: Router) -> Router {
    // The last stands outermost.
    routes
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT))
        .layer(map_response(error::unify))
        .layer(CompressionLayer::new())
        .layer(SetResponseHeaderLayer::overriding(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .layer(TraceLayer::new_for_http())
}

/// The description of the interface, as served at `/api/v1/openapi.json`.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<AppState> {
    let info = InfoBuilder::new()
        .title("sae")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("A folder of runs and their indexes, read-only. The norm is docs/http_api.md."))
        .build();
    OpenApiRouter::with_openapi(OpenApiBuilder::new().info(info).build()).nest("/api/v1", api::routes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::response::IntoResponse;
    use tower::ServiceExt;

    async fn panics() -> &'static str {
        panic!("on purpose")
    }

    async fn panics_while_blocking() -> Result<&'static str, error::ApiError> {
        error::blocking(|| panic!("on purpose")).await
    }

    #[tokio::test]
    async fn a_panic_is_an_error_as_every_other() {
        let routes = Router::new().route("/a", get(panics)).route("/b", get(panics_while_blocking));
        for uri in ["/a", "/b"] {
            let request = Request::get(uri).body(Body::empty()).unwrap();
            let answer = around(routes.clone()).oneshot(request).await.unwrap();
            assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(answer.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["error"]["code"], "internal");
            assert!(!body.to_string().contains("on purpose"));
        }
    }

    #[tokio::test]
    async fn an_answer_that_takes_too_long_is_an_error_as_every_other() {
        let slow = (StatusCode::SERVICE_UNAVAILABLE, ()).into_response();
        let answer = error::unify(slow).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains("took too long"));
    }
}
