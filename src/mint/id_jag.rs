//! The claims of an identity assertion grant, which another authorization server takes
//! (draft-ietf-oauth-identity-assertion-authz-grant, ID Assertion JWT).

use serde::Serialize;

use super::claims::{Identity, shown};
use super::common::DelegationClaims;
use super::signers::MintReason;
use crate::catalog::{Api, AuthorizationServer};
use crate::lifecycle::AdmittedExchange;
use crate::oauth::Confirmation;
use crate::policy::Grant;

/// The `typ` of an identity assertion grant.
pub(super) const TYP: &str = "oauth-id-jag+jwt";

#[derive(Serialize)]
struct IdJagClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    exp: i64,
    iat: i64,
    jti: String,
    txn: String,
    resource: &'a str,
    scope: String,
    #[serde(flatten)]
    delegation: DelegationClaims<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
}

/// The claims for this hop to `api`, behind `server`. They say nothing of what the token depends on here: once it has left, only
/// its `exp` ends it.
///
/// # Errors
/// `Crypto` when they cannot be written, which is a bug.
pub(super) fn of(
    exchange: &AdmittedExchange,
    grant: &Grant,
    identity: &Identity<'_>,
    (api, server): (&Api, &AuthorizationServer),
) -> Result<Vec<u8>, MintReason> {
    let claims = IdJagClaims {
        iss: identity.issuer.as_str(),
        sub: exchange.subject().subject().as_str(),
        aud: server.issuer.as_str(),
        client_id: server.clients.get(&exchange.client().agent().id).ok_or(MintReason::Crypto)?,
        exp: grant.expires().seconds(),
        iat: identity.now.seconds(),
        jti: identity.jti.to_string(),
        txn: identity.txn.to_string(),
        resource: api.id.as_str(),
        scope: grant.scopes().to_string(),
        delegation: DelegationClaims::of(exchange, &shown(exchange.chain(), grant))?,
        cnf: grant.constraint().issued(),
    };
    serde_json::to_vec(&claims).map_err(|_| MintReason::Crypto)
}
