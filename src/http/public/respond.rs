//! Answers of the endpoints that clients ask (RFC 6749 §5.1, §5.2; RFC 8693 §2.2; RFC 7662 §2.2; RFC 7009 §2.2).

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::client::{Confirmation, DpopRules};
use crate::error::{ErrorCode, ExchangeError};
use crate::lifecycle::TaskStatus;
use crate::mint::{IntrospectionResponse, IssuedTaskToken, IssuedToken};
use crate::oauth::{Time, TokenType};
use crate::task::TaskOutcome;

/// Seconds after which it is worth trying again.
const RETRY_AFTER: (header::HeaderName, &str) = (header::RETRY_AFTER, "1");

#[derive(Serialize)]
struct Success<'a> {
    access_token: &'a str,
    issued_token_type: &'a str,
    token_type: &'a str,
    expires_in: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    txn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
}

#[derive(Serialize)]
struct Failure<'a> {
    error: &'a str,
    error_description: String,
    error_id: &'a str,
}

/// 200 with the issued token.
pub(super) fn issued(token: &IssuedToken) -> HttpResponse {
    unstored(StatusCode::OK).json(Success {
        access_token: token.jwt(),
        issued_token_type: TokenType::AccessToken.as_str(),
        token_type: token.bound().token_type(),
        expires_in: token.expires_in(),
        scope: token.scope(),
        txn: token.txn().to_string(),
        cnf: token.bound().issued(),
    })
}

/// Hands out the nonce of the present (RFC 9449 §8).
pub(super) fn add_nonce(answer: &mut HttpResponse, rules: &DpopRules, now: Time) {
    if let Ok(nonce) = rules.nonces.current(now).parse() {
        answer.headers_mut().insert(header::HeaderName::from_static("dpop-nonce"), nonce);
    }
}

#[derive(Serialize)]
struct Opened<'a> {
    task: String,
    task_token: &'a str,
    expires_in: i64,
    txn: String,
    authorization_details: Option<&'a RawValue>,
}

/// 200 with the task token, which is no access token and says so by the name of its member.
pub(super) fn opened(task: &IssuedTaskToken) -> HttpResponse {
    unstored(StatusCode::OK).json(Opened {
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

/// 200 with a task as it stands.
pub(super) fn tended(tended: &TaskOutcome, now: Time) -> HttpResponse {
    let (task, fixed) = (&tended.task, &tended.task.fixed);
    let pairs = fixed
        .authority
        .iter()
        .map(|held| PairsView { api: held.api.as_str(), scopes: held.scopes.iter().map(|scope| scope.as_str()).collect() });
    unstored(StatusCode::OK).json(TaskView {
        task: fixed.id.to_string(),
        status: match tended.status {
            TaskStatus::Active => "active",
            TaskStatus::Suspended => "suspended",
            TaskStatus::Ended => "ended",
        },
        txn: fixed.txn.to_string(),
        parent: fixed.parent.map(|parent| parent.to_string()),
        opener: fixed.opener.as_str(),
        holder: fixed.holder.as_str(),
        iat: fixed.opened.seconds(),
        exp: fixed.deadline.seconds(),
        expires_in: (fixed.deadline.seconds() - now.seconds()).max(0),
        heartbeat: fixed.heartbeat.map(|span| span.as_secs()),
        budget: BudgetView { exchanges: fixed.budget, left: task.left },
        authority: pairs.collect(),
        purpose: &fixed.purpose,
        data_classes: &fixed.data_classes,
    })
}

/// The same answer as 404: there is nothing at this address.
pub(super) fn absent(mut answer: HttpResponse) -> HttpResponse {
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

/// The media type of a signed answer of introspection (RFC 9701 §5).
pub(super) const INTROSPECTION_JWT: &str = "application/token-introspection+jwt";

/// 200 with what is told of a token.
pub(super) fn told(told: IntrospectionResponse) -> HttpResponse {
    match told {
        IntrospectionResponse::Json(json) => unstored(StatusCode::OK).content_type("application/json").body(json),
        IntrospectionResponse::Jwt(jwt) => unstored(StatusCode::OK).content_type(INTROSPECTION_JWT).body(jwt),
    }
}

/// 200 without a body: whether there was anything to revoke is not told (RFC 7009 §2.2).
pub(super) fn revoked() -> HttpResponse {
    unstored(StatusCode::OK).finish()
}

/// The refusal under its reference id. The challenge is sent only when the request itself used the `Authorization` header
/// (RFC 6749 §5.2).
pub(super) fn refused(reason: &ExchangeError, error_id: &str, used_authorization_header: bool) -> HttpResponse {
    let code = reason.code();
    let mut answer = unstored(status(code));
    if code == ErrorCode::InvalidClient && used_authorization_header {
        answer.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"OAuth clients\", charset=\"UTF-8\""));
    }
    if code == ErrorCode::TemporarilyUnavailable {
        answer.insert_header(RETRY_AFTER);
    }
    answer.json(Failure { error: code.as_str(), error_description: printable(&reason.to_string()), error_id })
}

fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidClient => StatusCode::UNAUTHORIZED,
        ErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn unstored(status: StatusCode) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(status);
    answer.insert_header((header::CACHE_CONTROL, "no-store")).insert_header((header::PRAGMA, "no-cache"));
    answer
}

/// `error_description` is printable ASCII without the quote and the backslash (RFC 6749 §5.2).
fn printable(sentence: &str) -> String {
    let allowed = |character: char| matches!(character, '\x20'..='\x7e') && character != '"' && character != '\\';
    sentence.chars().map(|character| if allowed(character) { character } else { '?' }).collect()
}
