//! The introspection response (RFC 7662 §2.2), as JSON or as a signed JWT (RFC 9701 §5).

use serde::Serialize;
use serde_json::value::RawValue;

use super::claims::AudienceClaim;
use super::signers::{MintReason, Minting};
use crate::catalog::Catalog;
use crate::client::AuthenticatedClient;
use crate::jose::{Algorithm, SigningKey};
use crate::lifecycle::Visible;
use crate::oauth::{Confirmation, Scopes, Time};

/// The form of an introspection response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerForm {
    /// RFC 7662 §2.2.
    Json,
    /// RFC 9701 §5.
    Jwt,
}

/// An introspection response, in the form that was wanted. Made only by [`introspection_response`].
#[derive(Debug)]
pub enum IntrospectionResponse {
    /// A JSON object.
    Json(String),
    /// A compact JWS.
    Jwt(String),
}

/// The `typ` of a signed answer: nothing that takes access tokens takes it (RFC 9701 §5, §8.1).
const TYP: &str = "token-introspection+jwt";

#[derive(Serialize)]
struct ActiveResponse<'a> {
    active: bool,
    iss: &'a str,
    sub: &'a str,
    aud: AudienceClaim<'a>,
    client_id: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    exp: i64,
    iat: i64,
    jti: String,
    token_type: &'a str,
    txn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_details: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
}

#[derive(Serialize)]
struct SignedResponseClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: i64,
    token_introspection: &'a RawValue,
}

/// The response to `client`: as much as it may see, or that the token is not active and nothing else.
///
/// # Errors
/// `NoKey` when a signature is wanted and no key is ready; `Crypto`.
pub fn introspection_response(
    visible: Option<&Visible>,
    client: &AuthenticatedClient,
    form: AnswerForm,
    (minting, catalog): (&Minting<'_>, &Catalog),
    now: Time,
) -> Result<IntrospectionResponse, MintReason> {
    let response = match visible {
        Some(visible) => active(visible, minting)?,
        None => "{\"active\":false}".to_owned(),
    };
    if form == AnswerForm::Json {
        return Ok(IntrospectionResponse::Json(response));
    }
    let signed = SignedResponseClaims {
        iss: minting.issuer.as_str(),
        aud: client.agent().id.as_str(),
        iat: now.seconds(),
        token_introspection: &RawValue::from_string(response).map_err(|_| MintReason::Crypto)?,
    };
    let claims = serde_json::to_vec(&signed).map_err(|_| MintReason::Crypto)?;
    key(client, minting, catalog, now)?.sign(TYP, &claims).map(IntrospectionResponse::Jwt).map_err(|_| MintReason::Crypto)
}

fn active(visible: &Visible, minting: &Minting<'_>) -> Result<String, MintReason> {
    let (token, held) = (visible.token(), visible.held());
    let scopes: Scopes = held.iter().flat_map(|held| held.scopes.iter().cloned()).collect();
    let act = visible.act().to_claim().map(RawValue::from_string).transpose();
    let active = ActiveResponse {
        active: true,
        iss: minting.issuer.as_str(),
        sub: token.subject().as_str(),
        aud: AudienceClaim::of(held.iter().map(|held| &held.api)),
        client_id: token.own().client.as_str(),
        scope: scopes.to_string(),
        exp: token.expires().seconds(),
        iat: token.issued_at().seconds(),
        jti: token.own().jti.to_string(),
        token_type: Confirmation::token_type(token.confirmation()),
        txn: token.own().txn.to_string(),
        task: token.own().task.as_ref().map(|task| task.id.to_string()),
        authorization_details: token.details(),
        act: act.map_err(|_| MintReason::Crypto)?,
        acr: token.authentication().acr.as_deref(),
        auth_time: token.authentication().time.map(Time::seconds),
        cnf: token.confirmation(),
    };
    serde_json::to_string(&active).map_err(|_| MintReason::Crypto)
}

/// The key under which the client's own API (the first, where it has several) has its tokens signed; any that is ready for a
/// client without one, which is never told anything.
fn key<'a>(
    client: &AuthenticatedClient,
    minting: &Minting<'a>,
    catalog: &Catalog,
    now: Time,
) -> Result<&'a SigningKey, MintReason> {
    let id = Some(&client.agent().id);
    let of_api = catalog.apis().find(|api| api.agent.as_ref() == id).map(|api| api.signing_alg);
    let ready = |algorithm: Algorithm| minting.signers.ready(algorithm, now);
    match of_api {
        Some(algorithm) => ready(algorithm),
        None => minting.signers.algorithms().into_iter().find_map(ready),
    }
    .ok_or(MintReason::NoKey)
}
