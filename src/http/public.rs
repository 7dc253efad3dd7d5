//! The public listener: the endpoints of clients, what they discover, and the ledger.

mod endpoints;
mod error_response;
mod evaluation;
mod form;
mod ledger;
mod origin;
mod respond;
mod status;
mod tasks;

use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Route, guard};
use serde_json::json;

use super::plain::{plain, reading};
use super::state::AppState;
use crate::deployment::{
    CHALLENGE_PATH, EVALUATION_PATH, EVALUATIONS_PATH, INTROSPECT_PATH, REVOKE_PATH, TASKS_PATH, TOKEN_PATH,
};

/// An endpoint of the public listener.
pub struct PublicEndpoint {
    /// Its HTTP method; `*` for any.
    pub method: &'static str,
    /// Its path, below the issuer's unless it is well known; what varies stands in braces.
    pub path: &'static str,
    /// The credential that it asks for.
    pub takes: Takes,
    /// Its route, where that many bytes stand before the path of a file of the ledger.
    route: fn(usize) -> Route,
}

/// The kinds of credentials that an endpoint asks for. All endpoints that ask for the same go through the same function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// None.
    Nothing,
    /// The authentication of a client.
    ClientAuthentication,
    /// An access token of this server.
    AccessToken,
}

const fn client(method: &'static str, path: &'static str, route: fn(usize) -> Route) -> PublicEndpoint {
    PublicEndpoint { method, path, takes: Takes::ClientAuthentication, route }
}

const fn open(method: &'static str, path: &'static str, route: fn(usize) -> Route) -> PublicEndpoint {
    PublicEndpoint { method, path, takes: Takes::Nothing, route }
}

const LEDGER: &str = "/ledger/";
const OAUTH_METADATA: &str = "/.well-known/oauth-authorization-server";
const AUTHZEN_METADATA: &str = "/.well-known/authzen-configuration";
const OPENID_METADATA: &str = "/.well-known/openid-configuration";

const fn ledger(path: &'static str, takes: Takes) -> PublicEndpoint {
    let route = |prefix: usize| reading().to(move |request, state| ledger::get(request, state, prefix));
    PublicEndpoint { method: "GET", path, takes, route }
}

/// Every endpoint of the public listener: there are no other routes.
pub const ENDPOINTS: [PublicEndpoint; 19] = [
    client("POST", TOKEN_PATH, |_| web::post().to(endpoints::token)),
    client("POST", INTROSPECT_PATH, |_| web::post().to(endpoints::introspect)),
    client("POST", REVOKE_PATH, |_| web::post().to(endpoints::revoke)),
    client("POST", EVALUATION_PATH, |_| web::post().to(evaluation::one)),
    client("POST", EVALUATIONS_PATH, |_| web::post().to(evaluation::many)),
    client("POST", TASKS_PATH, |_| web::post().to(tasks::open)),
    client("POST", "/tasks/{id}/{action}", |_| web::post().to(tasks::act)),
    client("GET", "/tasks/{id}", |_| reading().to(tasks::look)),
    open("POST", CHALLENGE_PATH, |_| web::post().to(challenge)),
    open("GET", "/jwks", |_| reading().to(jwks)),
    open("GET", "/.well-known/jwks.json", |_| reading().to(jwks)),
    open("*", "/authorize", |_| web::to(authorize)),
    open("GET", OAUTH_METADATA, |_| reading().to(metadata)),
    open("GET", OPENID_METADATA, |_| reading().to(metadata)),
    open("GET", AUTHZEN_METADATA, |_| reading().to(authzen)),
    open("GET", "/status/{list}", |_| reading().to(status::list)),
    open("GET", "/status", |_| reading().to(status::aggregation)),
    ledger("/ledger/proof/{jti}", Takes::AccessToken),
    ledger("/ledger/{file:.*}", Takes::Nothing),
];

/// The routes of the public listener, below the issuer's `path`. While no configuration is in force there is one answer to all.
pub(super) fn routes(config: &mut ServiceConfig, path: &str) {
    let refuses = guard::fn_guard(|request| request.app_data::<Data<AppState>>().is_some_and(|state| state.board.refuses()));
    let no_host = guard::fn_guard(|request| origin::has_invalid_host(request.head().headers()));
    config.service(web::scope("").guard(no_host).default_service(web::to(bad_host)));
    config.service(web::scope("").guard(refuses).default_service(web::to(not_yet)));
    ENDPOINTS.iter().for_each(|endpoint| endpoint.serve(config, path));
    if !path.is_empty() {
        // Below the issuer's path it stands too (OpenID Connect Discovery §4), where clients also look for the other.
        for document in [OAUTH_METADATA, OPENID_METADATA] {
            config.route(&format!("{path}{document}"), reading().to(metadata));
        }
    }
}

/// The routes of the ledger, which auditors find at the socket too.
pub(super) fn ledger_routes(config: &mut ServiceConfig, path: &str) {
    ENDPOINTS.iter().filter(|endpoint| endpoint.path.starts_with(LEDGER)).for_each(|endpoint| endpoint.serve(config, path));
}

impl PublicEndpoint {
    /// Where clients post forms, another method is told which to use.
    fn serve(&self, config: &mut ServiceConfig, path: &str) {
        let address = match self.path {
            // RFC 8414 §3.1: the issuer's path stands behind it.
            OAUTH_METADATA | OPENID_METADATA | AUTHZEN_METADATA => format!("{}{path}", self.path),
            below => format!("{path}{below}"),
        };
        let route = (self.route)(path.len() + LEDGER.len());
        match self.method {
            "POST" => config.service(web::resource(address).route(route).default_service(web::to(post_only))),
            _ => config.route(&address, route),
        };
    }
}

/// `GET /.well-known/oauth-authorization-server[/path]`, `/.well-known/openid-configuration[/path]` and
/// `[/path]/.well-known/openid-configuration` (RFC 8414 §3.1, §5).
async fn metadata(state: Data<AppState>) -> HttpResponse {
    cacheable("application/json", state.snapshot().discovery.metadata.clone())
}

/// `GET /.well-known/authzen-configuration[/path]` (AuthZEN Authorization API 1.0 §9).
async fn authzen(state: Data<AppState>) -> HttpResponse {
    cacheable("application/json", state.snapshot().discovery.authzen.clone())
}

/// `GET /jwks`, `GET /.well-known/jwks.json`.
async fn jwks(state: Data<AppState>) -> HttpResponse {
    cacheable("application/jwk-set+json", state.deployment().signers.published(state.now()))
}

/// `POST /challenge` (draft-ietf-oauth-attestation-based-client-auth §6.3), where proofs of client attestations must carry one.
async fn challenge(state: Data<AppState>) -> HttpResponse {
    let (deployment, now) = (state.deployment(), state.now());
    if !deployment.client_attestations.challenge_required {
        return plain(StatusCode::NOT_FOUND).body("this server asks for no challenge\n");
    }
    let challenge = deployment.client_attestations.challenges.current(now);
    let mut answer = respond::unstored(StatusCode::OK).json(json!({ "attestation_challenge": challenge }));
    if deployment.dpop.nonce_required {
        respond::add_nonce(&mut answer, &deployment.dpop, now);
    }
    answer
}

/// `/authorize`: named by the metadata, not offered.
async fn authorize() -> HttpResponse {
    plain(StatusCode::NOT_IMPLEMENTED)
        .body("This server issues tokens by token exchange (RFC 8693) at its token endpoint. It has no browser flow.\n")
}

/// New keys are published at least two hours before they sign, so an hour in a cache does no harm.
fn cacheable(content_type: &'static str, body: String) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer.content_type(content_type).insert_header((header::CACHE_CONTROL, "public, max-age=3600"));
    origin::open(answer.body(body))
}

async fn bad_host() -> HttpResponse {
    plain(StatusCode::BAD_REQUEST).body("the field Host must be a host name or address, with a port or without\n")
}

async fn not_yet() -> HttpResponse {
    let why = "the server is not ready: its operator has a configuration to accept or to undo";
    HttpResponse::ServiceUnavailable()
        .insert_header((header::RETRY_AFTER, "10"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({ "error": "temporarily_unavailable", "error_description": why }))
}

async fn post_only(request: HttpRequest) -> HttpResponse {
    let wanted = if request.path().contains("/access/v1/") { "application/json" } else { "application/x-www-form-urlencoded" };
    let state = request.app_data::<Data<AppState>>().filter(|_| request.path().ends_with(TOKEN_PATH));
    if let Some(answer) = state.and_then(|state| origin::preflight(&request, &state.deployment().origins)) {
        return answer;
    }
    plain(StatusCode::METHOD_NOT_ALLOWED)
        .insert_header((header::ALLOW, "POST"))
        .body(format!("this endpoint takes POST with {wanted}\n"))
}
