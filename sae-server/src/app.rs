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
