//! What clients and validators discover (RFC 8414, RFC 7517).

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Data;
use serde::Serialize;

use super::{AppState, Frontend};
use crate::client::PROOF_ALGORITHMS;
use crate::config::ASSERTION_ALGORITHMS;
use crate::deployment::Deployment;
use crate::jose::Algorithm;
use crate::lines::grant_types;
use crate::mint::status_aggregation_uri;

/// The documents, written once per configuration.
pub(super) struct Published {
    metadata: String,
    jwks: String,
}

/// The same at every endpoint that takes clients.
const AUTH_METHODS: [&str; 4] = ["private_key_jwt", "spiffe_jwt", "client_secret_basic", "client_secret_post"];

/// Where clients can show certificates, these too.
const CERTIFICATE_METHODS: [&str; 3] = ["tls_client_auth", "self_signed_tls_client_auth", "spiffe_x509"];

#[derive(Serialize)]
struct Metadata<'a> {
    issuer: &'a str,
    token_endpoint: &'a str,
    introspection_endpoint: String,
    revocation_endpoint: String,
    task_endpoint: String,
    jwks_uri: String,
    /// Widely used clients refuse metadata without one; it answers with a plain error page.
    authorization_endpoint: String,
    response_types_supported: [&'a str; 1],
    grant_types_supported: Vec<&'a str>,
    token_endpoint_auth_methods_supported: &'a [&'a str],
    token_endpoint_auth_signing_alg_values_supported: Vec<&'a str>,
    introspection_endpoint_auth_methods_supported: &'a [&'a str],
    introspection_endpoint_auth_signing_alg_values_supported: Vec<&'a str>,
    /// RFC 9701 §7.
    introspection_signing_alg_values_supported: Vec<&'a str>,
    revocation_endpoint_auth_methods_supported: &'a [&'a str],
    revocation_endpoint_auth_signing_alg_values_supported: Vec<&'a str>,
    /// RFC 9449 §5.1.
    dpop_signing_alg_values_supported: Vec<&'a str>,
    /// draft-ietf-oauth-status-list-21 §9.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_list_aggregation_endpoint: Option<String>,
    /// RFC 9396 §10.
    authorization_details_types_supported: [&'a str; 1],
    subject_types_supported: [&'a str; 1],
    /// Several validators take this for the list of algorithms of access tokens: exactly those in use.
    id_token_signing_alg_values_supported: Vec<&'a str>,
    /// RFC 8705 §3.3.
    tls_client_certificate_bound_access_tokens: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtls_endpoint_aliases: Option<Aliases>,
}

/// Where clients are asked for their certificates, if not at the usual place (RFC 8705 §5).
#[derive(Serialize)]
struct Aliases {
    token_endpoint: String,
    introspection_endpoint: String,
    revocation_endpoint: String,
    task_endpoint: String,
}

impl Aliases {
    fn of(base: &str, path: &str) -> Self {
        let at = |name: &str| format!("{base}{path}/{name}");
        Self {
            token_endpoint: at("token"),
            introspection_endpoint: at("introspect"),
            revocation_endpoint: at("revoke"),
            task_endpoint: at("tasks"),
        }
    }
}

impl Published {
    pub(super) fn of(world: &Deployment, front: &Frontend) -> Self {
        let names = |algorithms: &[Algorithm]| algorithms.iter().map(|algorithm| algorithm.name()).collect();
        let asked_for = world.catalog.apis().any(|api| api.status_list.is_some());
        let certificates = CERTIFICATE_METHODS.iter().filter(|_| front.certificates);
        let auth_methods: Vec<&str> = AUTH_METHODS.iter().chain(certificates).copied().collect();
        let metadata = Metadata {
            issuer: world.issuer.as_str(),
            token_endpoint: &world.audience.token_endpoint,
            introspection_endpoint: world.issuer.join("/introspect"),
            revocation_endpoint: world.issuer.join("/revoke"),
            task_endpoint: world.issuer.join("/tasks"),
            jwks_uri: world.issuer.join("/jwks"),
            authorization_endpoint: world.issuer.join("/authorize"),
            response_types_supported: ["code"],
            grant_types_supported: grant_types().into(),
            token_endpoint_auth_methods_supported: &auth_methods,
            token_endpoint_auth_signing_alg_values_supported: names(&ASSERTION_ALGORITHMS),
            introspection_endpoint_auth_methods_supported: &auth_methods,
            introspection_endpoint_auth_signing_alg_values_supported: names(&ASSERTION_ALGORITHMS),
            introspection_signing_alg_values_supported: names(&world.signers.algorithms()),
            revocation_endpoint_auth_methods_supported: &auth_methods,
            revocation_endpoint_auth_signing_alg_values_supported: names(&ASSERTION_ALGORITHMS),
            dpop_signing_alg_values_supported: names(&PROOF_ALGORITHMS),
            status_list_aggregation_endpoint: asked_for.then(|| status_aggregation_uri(&world.issuer)),
            authorization_details_types_supported: ["task"],
            subject_types_supported: ["public"],
            id_token_signing_alg_values_supported: names(&world.signers.algorithms()),
            tls_client_certificate_bound_access_tokens: front.certificates,
            mtls_endpoint_aliases: front.mtls_url.as_deref().map(|base| Aliases::of(base, &world.issuer.path())),
        };
        let metadata = serde_json::to_string(&metadata).unwrap_or_default();
        Self { metadata, jwks: world.signers.published().to_owned() }
    }
}

/// `GET /.well-known/oauth-authorization-server[/path]` and its two kin.
pub(super) async fn metadata(door: Data<AppState>) -> HttpResponse {
    cacheable("application/json", door.inside().published.metadata.clone())
}

/// `GET /jwks`, `GET /.well-known/jwks.json`.
pub(super) async fn jwks(door: Data<AppState>) -> HttpResponse {
    cacheable("application/jwk-set+json", door.inside().published.jwks.clone())
}

/// `/authorize`: named by the metadata, not offered.
pub(super) async fn authorize() -> HttpResponse {
    HttpResponse::NotImplemented()
        .content_type("text/plain; charset=utf-8")
        .body("This server issues tokens by token exchange (RFC 8693) at its token endpoint. It has no browser flow.\n")
}

/// New keys are published at least two hours before they sign, so an hour in a cache does no harm.
fn cacheable(content_type: &'static str, body: String) -> HttpResponse {
    HttpResponse::Ok().content_type(content_type).insert_header((header::CACHE_CONTROL, "public, max-age=3600")).body(body)
}
