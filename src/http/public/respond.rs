//! Success responses of the endpoints that clients ask (RFC 6749 §5.1, RFC 8693 §2.2, RFC 7662 §2.2, RFC 7009 §2.2).

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::client::{ClientAttestationRules, DpopRules};
use crate::lifecycle::TaskStatus;
use crate::lines::TaskOutcome;
use crate::mint::{IntrospectionResponse, IssuedTaskToken, IssuedToken};
use crate::oauth::{Confirmation, Time, TokenType};

#[derive(Serialize)]
struct TokenBody<'a> {
    access_token: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_token_type: Option<&'a str>,
    token_type: &'a str,
    expires_in: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_details: Option<&'a RawValue>,
    txn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
}

/// 200 with the issued token.
pub(super) fn issued(token: &IssuedToken) -> HttpResponse {
    unstored(StatusCode::OK).json(TokenBody {
        // Base64url needs no escapes, and a token is long: it is not looked through for any.
        access_token: RawValue::from_string(format!("\"{}\"", token.jwt())).ok(),
        issued_token_type: token.issued_type().map(TokenType::as_str),
        token_type: token.constraint().token_type(),
        expires_in: token.expires_in(),
        scope: token.scope(),
        authorization_details: token.details().and_then(|details| serde_json::from_str(details).ok()),
        txn: token.txn().to_string(),
        cnf: token.constraint().issued(),
    })
}

/// Adds the nonce that the next DPoP proof must carry (RFC 9449 §8).
pub(super) fn add_nonce(answer: &mut HttpResponse, rules: &DpopRules, now: Time) {
    if let Ok(nonce) = rules.nonces.current(now).parse() {
        answer.headers_mut().insert(header::HeaderName::from_static("dpop-nonce"), nonce);
    }
}

/// Adds the challenge that the next proof of a client attestation must carry
/// (draft-ietf-oauth-attestation-based-client-auth §6.2).
pub(super) fn add_challenge(answer: &mut HttpResponse, rules: &ClientAttestationRules, now: Time) {
    if let Ok(challenge) = rules.challenges.current(now).parse() {
        answer.headers_mut().insert(header::HeaderName::from_static("oauth-client-attestation-challenge"), challenge);
    }
}

#[derive(Serialize)]
struct TaskTokenBody<'a> {
    task: String,
    task_token: &'a str,
    expires_in: i64,
    txn: String,
    authorization_details: Option<&'a RawValue>,
}

/// 200 with the task token, which is no access token and says so by the name of its member.
pub(super) fn opened(task: &IssuedTaskToken) -> HttpResponse {
    unstored(StatusCode::OK).json(TaskTokenBody {
        task: task.id().to_string(),
        task_token: task.jwt(),
        expires_in: task.expires_in(),
        txn: task.txn().to_string(),
        authorization_details: serde_json::from_str(task.details()).ok(),
    })
}

#[derive(Serialize)]
struct TaskView<'a> {
    task: String,
    status: &'a str,
    txn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    opener: &'a str,
    holder: &'a str,
    iat: i64,
    exp: i64,
    expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat: Option<u64>,
    budget: BudgetView,
    authority: Vec<PairsView<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    purpose: &'a str,
    data_classes: &'a [String],
}

#[derive(Serialize)]
struct BudgetView {
    exchanges: u64,
    left: u64,
}

#[derive(Serialize)]
struct PairsView<'a> {
    api: &'a str,
    scopes: Vec<&'a str>,
}

/// 200 with a task as it is now.
pub(super) fn task(outcome: &TaskOutcome, now: Time) -> HttpResponse {
    let (task, terms) = (&outcome.task, &outcome.task.terms);
    let pairs = terms
        .authority
        .iter()
        .map(|held| PairsView { api: held.api.as_str(), scopes: held.scopes.iter().map(|scope| scope.as_str()).collect() });
    unstored(StatusCode::OK).json(TaskView {
        task: terms.id.to_string(),
        status: match outcome.status {
            TaskStatus::Active => "active",
            TaskStatus::Suspended => "suspended",
            TaskStatus::Ended => "ended",
        },
        txn: terms.txn.to_string(),
        parent: terms.parent.map(|parent| parent.to_string()),
        opener: terms.opener.as_str(),
        holder: terms.holder.as_str(),
        iat: terms.opened.seconds(),
        exp: terms.deadline.seconds(),
        expires_in: (terms.deadline.seconds() - now.seconds()).max(0),
        heartbeat: terms.heartbeat.map(|span| span.as_secs()),
        budget: BudgetView { exchanges: terms.budget, left: task.left },
        authority: pairs.collect(),
        purpose: &terms.purpose,
        data_classes: &terms.data_classes,
    })
}

/// The media type of a signed answer of introspection (RFC 9701 §5).
pub(super) const INTROSPECTION_JWT: &str = "application/token-introspection+jwt";

/// 200 with the introspection response, plain or signed.
pub(super) fn introspected(response: IntrospectionResponse) -> HttpResponse {
    match response {
        IntrospectionResponse::Json(json) => unstored(StatusCode::OK).content_type("application/json").body(json),
        IntrospectionResponse::Jwt(jwt) => unstored(StatusCode::OK).content_type(INTROSPECTION_JWT).body(jwt),
    }
}

/// 200 without a body, whether or not there was anything to revoke (RFC 7009 §2.2).
pub(super) fn revoked() -> HttpResponse {
    unstored(StatusCode::OK).finish()
}

/// An answer that no cache stores (RFC 6749 §5.1).
pub(super) fn unstored(status: StatusCode) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(status);
    answer.insert_header((header::CACHE_CONTROL, "no-store")).insert_header((header::PRAGMA, "no-cache"));
    answer
}
