//! The document that clients and validators discover (RFC 8414).

use std::collections::BTreeSet;

use serde::Serialize;

use super::client_cert::Frontend;
use crate::client::PROOF_ALGORITHMS;
use crate::config::ASSERTION_ALGORITHMS;
use crate::deployment::{CHALLENGE_PATH, Deployment, EVALUATION_PATH, EVALUATIONS_PATH};
use crate::jose::Algorithm;
use crate::lines::grant_types;
use crate::mint::status_aggregation_uri;
use crate::oauth::{Intent, TokenType};
use crate::trust::{SubjectKind, TrustKind};

/// What is written once per configuration.
pub(super) struct Discovery {
    /// Authorization server metadata (RFC 8414 §2).
    pub(super) metadata: String,
    /// Policy decision point metadata (AuthZEN Authorization API 1.0 §9).
    pub(super) authzen: String,
}

/// The client authentication methods of every endpoint that takes clients.
const AUTH_METHODS: [&str; 4] = ["private_key_jwt", "spiffe_jwt", "client_secret_basic", "client_secret_post"];

/// The further ones where an agent logs in by client attestations (draft-ietf-oauth-attestation-based-client-auth §8).
const ATTESTATION_METHODS: [&str; 2] = ["attest_jwt_client_auth", "attest_jwt_client_auth_dpop"];

/// The further ones of a server that clients can show certificates to.
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
    /// draft-ietf-oauth-attestation-based-client-auth §8.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    client_attestation_signing_alg_values_supported: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    client_attestation_pop_signing_alg_values_supported: Vec<&'a str>,
    /// draft-ietf-oauth-attestation-based-client-auth §6.3.
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge_endpoint: Option<String>,
    /// draft-ietf-oauth-status-list-21 §9.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_list_aggregation_endpoint: Option<String>,
    /// RFC 8414 §2, by a setting.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    scopes_supported: BTreeSet<&'a str>,
    /// RFC 7636: clients that know no other flow refuse metadata without it.
    code_challenge_methods_supported: [&'a str; 1],
    /// RFC 9396 §10.
    authorization_details_types_supported: [&'a str; 2],
    /// draft-ietf-oauth-identity-assertion-authz-grant, where a trust rule takes its grants.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_grant_profiles_supported: Option<[&'a str; 1]>,
    /// draft-ietf-oauth-identity-chaining, where an API says which other authorization server is its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_chaining_requested_token_types_supported: Option<[&'a str; 1]>,
    subject_types_supported: [&'a str; 1],
    /// Several validators take this for the list of algorithms of access tokens: exactly those in use.
    id_token_signing_alg_values_supported: Vec<&'a str>,
    /// RFC 8705 §3.3.
    tls_client_certificate_bound_access_tokens: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtls_endpoint_aliases: Option<Aliases>,
}

/// `mtls_endpoint_aliases`: the addresses at which clients are asked for certificates (RFC 8705 §5).
#[derive(Serialize)]
struct Aliases {
    token_endpoint: String,
    introspection_endpoint: String,
    revocation_endpoint: String,
    task_endpoint: String,
}

/// The metadata of a policy decision point (AuthZEN Authorization API 1.0 §9.1).
#[derive(Serialize)]
struct DecisionPoint<'a> {
    policy_decision_point: &'a str,
    access_evaluation_endpoint: String,
    access_evaluations_endpoint: String,
}

/// The name of the profile by which identity assertion grants are taken.
const ID_JAG_PROFILE: &str = "urn:ietf:params:oauth:grant-profile:id-jag";

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

impl Discovery {
    pub(super) fn of(deployment: &Deployment, frontend: &Frontend) -> Self {
        let names = |algorithms: &[Algorithm]| algorithms.iter().map(|algorithm| algorithm.name()).collect();
        let asked_for = deployment.catalog.apis().any(|api| api.status_list.is_some());
        let certificates = CERTIFICATE_METHODS.iter().filter(|_| frontend.certificates);
        let attesting = attesting(deployment);
        let attestations = ATTESTATION_METHODS.iter().filter(|_| !attesting.is_empty());
        let auth_methods: Vec<&str> = AUTH_METHODS.iter().chain(attestations).chain(certificates).copied().collect();
        let alone = takes_attestations_alone(deployment).then_some("none");
        let at_token: Vec<&str> = auth_methods.iter().copied().chain(alone).collect();
        let hands_over = deployment.catalog.apis().any(|api| api.authorization_server.is_some());
        let challenges = !attesting.is_empty() && deployment.client_attestations.challenge_required;
        let metadata = Metadata {
            issuer: deployment.issuer.as_str(),
            token_endpoint: &deployment.audience.token_endpoint,
            introspection_endpoint: deployment.issuer.join("/introspect"),
            revocation_endpoint: deployment.issuer.join("/revoke"),
            task_endpoint: deployment.issuer.join("/tasks"),
            jwks_uri: deployment.issuer.join("/jwks"),
            authorization_endpoint: deployment.issuer.join("/authorize"),
            response_types_supported: ["code"],
            grant_types_supported: grant_types().into(),
            token_endpoint_auth_methods_supported: &at_token,
            token_endpoint_auth_signing_alg_values_supported: names(&ASSERTION_ALGORITHMS),
            introspection_endpoint_auth_methods_supported: &auth_methods,
            introspection_endpoint_auth_signing_alg_values_supported: names(&ASSERTION_ALGORITHMS),
            introspection_signing_alg_values_supported: names(&deployment.signers.algorithms()),
            revocation_endpoint_auth_methods_supported: &auth_methods,
            revocation_endpoint_auth_signing_alg_values_supported: names(&ASSERTION_ALGORITHMS),
            dpop_signing_alg_values_supported: names(&PROOF_ALGORITHMS),
            client_attestation_signing_alg_values_supported: names(&attesting),
            client_attestation_pop_signing_alg_values_supported: match attesting.is_empty() {
                true => Vec::new(),
                false => names(&PROOF_ALGORITHMS),
            },
            challenge_endpoint: challenges.then(|| deployment.issuer.join(CHALLENGE_PATH)),
            status_list_aggregation_endpoint: asked_for.then(|| status_aggregation_uri(&deployment.issuer)),
            scopes_supported: scopes(deployment),
            code_challenge_methods_supported: ["S256"],
            authorization_details_types_supported: [Intent::TYPE, "task"],
            authorization_grant_profiles_supported: takes_grants(deployment).then_some([ID_JAG_PROFILE]),
            identity_chaining_requested_token_types_supported: hands_over.then_some([TokenType::IdJag.as_str()]),
            subject_types_supported: ["public"],
            id_token_signing_alg_values_supported: names(&deployment.signers.algorithms()),
            tls_client_certificate_bound_access_tokens: frontend.certificates,
            mtls_endpoint_aliases: frontend.mtls_url.as_deref().map(|base| Aliases::of(base, &deployment.issuer.path())),
        };
        let authzen = DecisionPoint {
            policy_decision_point: deployment.issuer.as_str(),
            access_evaluation_endpoint: deployment.issuer.join(EVALUATION_PATH),
            access_evaluations_endpoint: deployment.issuer.join(EVALUATIONS_PATH),
        };
        let [metadata, authzen] =
            [serde_json::to_string(&metadata), serde_json::to_string(&authzen)].map(Result::unwrap_or_default);
        Self { metadata, authzen }
    }
}

/// True where an attestation, sent as the subject token, is the login of its own subject: then a client need not authenticate
/// otherwise (`none`, RFC 8414 §2).
fn takes_attestations_alone(deployment: &Deployment) -> bool {
    let certificates = [TrustKind::X509, TrustKind::ClientAttester];
    deployment
        .trust
        .rules()
        .any(|rule| rule.enabled() && rule.subject_kind() == SubjectKind::Workload && !certificates.contains(&rule.kind()))
}

/// The scopes of all APIs, where a setting wants them listed.
fn scopes(deployment: &Deployment) -> BTreeSet<&str> {
    let apis = deployment.catalog.apis().filter(|_| deployment.scopes_supported);
    apis.flat_map(|api| api.scopes.keys()).map(|scope| scope.as_str()).collect()
}

/// True where a trust rule takes identity assertion grants. Whose they are is told to nobody.
fn takes_grants(deployment: &Deployment) -> bool {
    deployment.trust.rules().any(|rule| rule.enabled() && rule.kind() == TrustKind::IdJag)
}

/// The algorithms of the client attestations by which agents log in, each once.
fn attesting(deployment: &Deployment) -> Vec<Algorithm> {
    let rules = deployment.logins.attesters().filter_map(|name| deployment.trust.rule(name)).filter(|rule| rule.enabled());
    let mut algorithms: Vec<Algorithm> = rules.flat_map(|rule| rule.algorithms()).copied().collect();
    algorithms.sort_unstable();
    algorithms.dedup();
    algorithms
}
