//! The public listener: the endpoints of clients, what they discover, and the ledger.

mod endpoints;
mod error_response;
mod form;
mod ledger;
mod respond;
mod status;
mod tasks;

use actix_web::http::{Method, StatusCode, header};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpResponse, Route, guard};
use serde_json::json;

use super::plain::plain;
use super::state::AppState;

/// The routes of the public listener, below the issuer's `path`. While no configuration is in force there is one answer to all.
pub(super) fn routes(config: &mut ServiceConfig, path: &str) {
    let refuses = guard::fn_guard(|request| request.app_data::<Data<AppState>>().is_some_and(|state| state.board.refuses()));
    config.service(web::scope("").guard(refuses).default_service(web::to(not_yet)));
    let form = |name: &str, post: Route| web::resource(format!("{path}/{name}")).route(post).default_service(web::to(post_only));
    config.service(form("token", web::post().to(endpoints::token)));
    config.service(form("introspect", web::post().to(endpoints::introspect)));
    config.service(form("revoke", web::post().to(endpoints::revoke)));
    config.service(form("tasks", web::post().to(tasks::open)));
    config.service(form("tasks/{id}/{action}", web::post().to(tasks::act)));
    config.route(&format!("{path}/tasks/{{id}}"), web::get().to(tasks::look));
    config.route(&format!("{path}/jwks"), web::get().to(jwks));
    config.route(&format!("{path}/.well-known/jwks.json"), web::get().to(jwks));
    config.route(&format!("{path}/authorize"), web::to(authorize));
    config.route(&format!("/.well-known/oauth-authorization-server{path}"), web::get().to(metadata));
    config.route(&format!("/.well-known/openid-configuration{path}"), web::get().to(metadata));
    for route in [Route::new().method(Method::GET), Route::new().method(Method::HEAD)] {
        config.route(&format!("{path}/status/{{list}}"), route.to(status::list));
    }
    config.route(&format!("{path}/status"), web::get().to(status::aggregation));
    ledger_routes(config, path);
    if !path.is_empty() {
        config.route(&format!("{path}/.well-known/openid-configuration"), web::get().to(metadata));
    }
}

/// The routes of the ledger, which auditors find at the socket too.
pub(super) fn ledger_routes(config: &mut ServiceConfig, path: &str) {
    let prefix = format!("{path}/ledger/");
    let get = web::get().to(move |request, state| ledger::get(request, state, prefix.len()));
    config.route(&format!("{path}/ledger/{{file:.*}}"), get);
}

/// `GET /.well-known/oauth-authorization-server[/path]`, `/.well-known/openid-configuration[/path]` and
/// `[/path]/.well-known/openid-configuration` (RFC 8414 §3.1, §5).
async fn metadata(state: Data<AppState>) -> HttpResponse {
    cacheable("application/json", state.snapshot().discovery.metadata.clone())
}

/// `GET /jwks`, `GET /.well-known/jwks.json`.
async fn jwks(state: Data<AppState>) -> HttpResponse {
    cacheable("application/jwk-set+json", state.snapshot().discovery.jwks.clone())
}

/// `/authorize`: named by the metadata, not offered.
async fn authorize() -> HttpResponse {
    plain(StatusCode::NOT_IMPLEMENTED)
        .body("This server issues tokens by token exchange (RFC 8693) at its token endpoint. It has no browser flow.\n")
}

/// New keys are published at least two hours before they sign, so an hour in a cache does no harm.
fn cacheable(content_type: &'static str, body: String) -> HttpResponse {
    HttpResponse::Ok().content_type(content_type).insert_header((header::CACHE_CONTROL, "public, max-age=3600")).body(body)
}

async fn not_yet() -> HttpResponse {
    let why = "the server is not ready: its operator has a configuration to accept or to undo";
    HttpResponse::ServiceUnavailable()
        .insert_header((header::RETRY_AFTER, "10"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({ "error": "temporarily_unavailable", "error_description": why }))
}

async fn post_only() -> HttpResponse {
    plain(StatusCode::METHOD_NOT_ALLOWED)
        .insert_header((header::ALLOW, "POST"))
        .body("this endpoint takes POST with application/x-www-form-urlencoded\n")
}
