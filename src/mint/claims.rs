//! The claims of an access token, as JSON (RFC 9068 §2.2, RFC 8693 §4).

use serde::Serialize;

use super::shared::DelegationClaims;
use super::{MintReason, status_uri};
use crate::catalog::{Api, ChainShown};
use crate::client::Confirmation;
use crate::lifecycle::AdmittedExchange;
use crate::oauth::{ActChain, Issuer, Jti, Resource, StatusPlace, Time, Txn};
use crate::policy::Grant;

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: Audience<'a>,
    client_id: &'a str,
    exp: i64,
    iat: i64,
    jti: String,
    txn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    #[serde(flatten)]
    people: DelegationClaims<'a>,
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

/// A string when single, as the widest range of validators wants it.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Audience<'a> {
    One(&'a str),
    Many(Vec<&'a str>),
}

/// What the claims say beyond standing and grant.
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
pub(super) fn of(standing: &AdmittedExchange, grant: &Grant, identity: &Identity<'_>) -> Result<Vec<u8>, MintReason> {
    let claims = Claims {
        iss: identity.issuer.as_str(),
        sub: standing.subject().subject().as_str(),
        aud: Audience::of(grant.apis().iter().map(|api| &api.id)),
        client_id: standing.client().agent().id.as_str(),
        exp: grant.expires().seconds(),
        iat: identity.now.seconds(),
        jti: identity.jti.to_string(),
        txn: identity.txn.to_string(),
        task: standing.task().map(|task| task.id.to_string()),
        scope: grant.scopes().to_string(),
        people: DelegationClaims::of(standing, &shown(standing.chain(), grant))?,
        cnf: grant.constraint().issued(),
        status: identity.status.map(|place| status(identity.issuer, place)),
        anc: identity.ancestry,
    };
    serde_json::to_vec(&claims).map_err(|_| MintReason::Crypto)
}

fn status(issuer: &Issuer, place: StatusPlace) -> StatusClaim {
    StatusClaim { status_list: StatusListClaim { idx: place.index, uri: status_uri(issuer, &place.list) } }
}

impl<'a> Audience<'a> {
    pub(super) fn of(apis: impl Iterator<Item = &'a Resource>) -> Self {
        let mut apis: Vec<&str> = apis.map(Resource::as_str).collect();
        match (apis.len(), apis.pop()) {
            (1, Some(api)) => Self::One(api),
            (_, last) => Self::Many(apis.into_iter().chain(last).collect()),
        }
    }
}

/// A token shows the whole chain, or only who acts now where any API it is for asks for that.
fn shown(chain: &ActChain, grant: &Grant) -> ActChain {
    let current_only = |api: &Api| api.chain == ChainShown::Current;
    match grant.apis().iter().any(|api| current_only(api)) {
        true => chain.outermost(),
        false => chain.clone(),
    }
}
