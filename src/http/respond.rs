//! Answers of the endpoints that clients ask (RFC 6749 §5.1, §5.2; RFC 8693 §2.2; RFC 7662 §2.2; RFC 7009 §2.2).

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;

use crate::client::{Binding, DpopRules};
use crate::error::{ErrorCode, Refusal};
use crate::mint::{IssuedToken, Told};
use crate::oauth::{Time, TokenType};

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
    cnf: Option<Binding>,
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

/// The media type of a signed answer of introspection (RFC 9701 §5).
pub(super) const INTROSPECTION_JWT: &str = "application/token-introspection+jwt";

/// 200 with what is told of a token.
pub(super) fn told(told: Told) -> HttpResponse {
    match told {
        Told::Json(json) => unstored(StatusCode::OK).content_type("application/json").body(json),
        Told::Jwt(jwt) => unstored(StatusCode::OK).content_type(INTROSPECTION_JWT).body(jwt),
    }
}

/// 200 without a body: whether there was anything to revoke is not told (RFC 7009 §2.2).
pub(super) fn revoked() -> HttpResponse {
    unstored(StatusCode::OK).finish()
}

/// The refusal under its reference id. The challenge is sent only when the request itself used the `Authorization` header
/// (RFC 6749 §5.2).
pub(super) fn refused(reason: &Refusal, error_id: &str, used_authorization_header: bool) -> HttpResponse {
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
