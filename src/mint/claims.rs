//! The claims of an access token, as JSON (RFC 9068 §2.2, RFC 8693 §4).

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::common::DelegationClaims;
use super::signers::MintReason;
use super::status_list::status_uri;
use crate::json;
use crate::lifecycle::AdmittedExchange;
use crate::oauth::{ActChain, Confirmation, Issuer, Jti, Resource, StatusPlace, Time, Txn};
use crate::policy::Grant;

#[derive(Serialize)]
struct AccessTokenClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: AudienceClaim<'a>,
    client_id: &'a str,
    exp: i64,
    iat: i64,
    jti: String,
    txn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_details: Option<&'a RawValue>,
    #[serde(flatten)]
    delegation: DelegationClaims<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<StatusClaim>,
    anc: &'a str,
}

/// The `status` claim (draft-ietf-oauth-status-list-21 §6.1, §6.2).
#[derive(Serialize)]
struct StatusClaim {
    status_list: StatusListClaim,
}

#[derive(Serialize)]
struct StatusListClaim {
    idx: u32,
    uri: String,
}

/// The `aud` claim (RFC 7519 §4.1.3): a string when single, as the widest range of validators wants it.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum AudienceClaim<'a> {
    One(&'a str),
    Many(Vec<&'a str>),
}

/// The claims that neither the exchange nor its grant decides.
pub(super) struct Identity<'a> {
    pub(super) issuer: &'a Issuer,
    pub(super) jti: Jti,
    pub(super) txn: Txn,
    pub(super) now: Time,
    pub(super) status: Option<StatusPlace>,
    pub(super) ancestry: &'a str,
}

/// The claims of the token for this hop.
///
/// # Errors
/// `Crypto` when they cannot be written, which is a bug.
pub(super) fn of(exchange: &AdmittedExchange, grant: &Grant, identity: &Identity<'_>) -> Result<Vec<u8>, MintReason> {
    let details = grant.intent().map(|intent| json::read(intent.as_str()));
    let claims = AccessTokenClaims {
        iss: identity.issuer.as_str(),
        sub: exchange.subject().subject().as_str(),
        aud: AudienceClaim::of(grant.apis().iter().map(|api| &api.id)),
        client_id: exchange.client().agent().id.as_str(),
        exp: grant.expires().seconds(),
        iat: identity.now.seconds(),
        jti: identity.jti.to_string(),
        txn: identity.txn.to_string(),
        task: exchange.task().map(|task| task.id.to_string()),
        scope: grant.scopes().to_string(),
        authorization_details: details.transpose().map_err(|_| MintReason::Crypto)?,
        delegation: DelegationClaims::of(exchange, &shown(exchange.chain(), grant))?,
        cnf: grant.constraint().issued(),
        status: identity.status.map(|place| status(identity.issuer, place)),
        anc: identity.ancestry,
    };
    serde_json::to_vec(&claims).map_err(|_| MintReason::Crypto)
}

fn status(issuer: &Issuer, place: StatusPlace) -> StatusClaim {
    StatusClaim { status_list: StatusListClaim { idx: place.index, uri: status_uri(issuer, &place.list) } }
}

impl<'a> AudienceClaim<'a> {
    pub(super) fn of(apis: impl Iterator<Item = &'a Resource>) -> Self {
        let mut apis: Vec<&str> = apis.map(Resource::as_str).collect();
        match (apis.len(), apis.pop()) {
            (1, Some(api)) => Self::One(api),
            (_, last) => Self::Many(apis.into_iter().chain(last).collect()),
        }
    }
}

/// The part of the chain that the token shows: all of it, or only the current actor where the grant wants that.
pub(super) fn shown<'a>(chain: &'a ActChain, grant: &Grant) -> Cow<'a, ActChain> {
    match grant.shows_current() {
        true => Cow::Owned(chain.outermost()),
        false => Cow::Borrowed(chain),
    }
}
