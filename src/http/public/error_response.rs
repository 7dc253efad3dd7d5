//! Error responses (RFC 6749 §5.2): a refusal is logged, recorded where its client is authenticated, and answered, all under one
//! reference id.

use std::error::Error;

use actix_web::http::header::HeaderMap;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;

use super::respond::{add_challenge, add_nonce, unstored};
use crate::client::{ClientReason, Credentials};
use crate::commit::CommitReason;
use crate::crypto::random;
use crate::error::{AccessError, ErrorCode, ExchangeError, RateExceeded};
use crate::http::client_cert::not_counting;
use crate::http::state::AppState;
use crate::http::strangers::Visitor;
use crate::http::too_many::Limit;
use crate::lifecycle::AdmissionReason;
use crate::lines::{AnsweredRefusal, RefusedRequest};
use crate::oauth::{ClientId, Jti, Time};
use crate::request::FormReason;

/// The kind of log lines about access tokens.
const ACCESS_TOKEN: &str = "access token";

#[derive(Serialize)]
struct ErrorBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    error_description: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    error_id: &'a str,
    /// RFC 9470 §3.
    #[serde(skip_serializing_if = "Option::is_none")]
    acr_values: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age: Option<i64>,
}

/// Has the refusal recorded if its client is authenticated, logs it, and answers it.
pub(super) async fn refuse(
    state: &AppState,
    refused: RefusedRequest,
    credentials: Option<&Credentials>,
    (visitor, now): (Visitor<'_>, Time),
) -> HttpResponse {
    let id = reference(now);
    let AnsweredRefusal { code, reason, sentence, agent } = refused.recorded(state.commit(), &id).await;
    state.metrics.refused(code);
    Limit::of(&reason).into_iter().for_each(|limit| state.metrics.too_many(limit, agent.as_ref()));
    match &agent {
        Some(_) => visitor.proved(),
        // What is the server's own fault counts against nobody.
        None if matches!(code, ErrorCode::TemporarilyUnavailable | ErrorCode::ServerError) => {}
        None => state.strangers.charge(visitor, now),
    }
    let agent = agent.as_ref().map_or("-", ClientId::as_str);
    let cause = causes(&reason);
    let claimed = credentials.and_then(|credentials| credentials.claimed(&state.deployment().catalog)).filter(|_| agent == "-");
    let (cause, claimed) = (cause.as_deref(), claimed.as_ref().map(ClientId::as_str));
    let kind = if agent == "-" { code.as_str() } else { agent };
    state.log.write(kind, now, || {
        tracing::info!(error_id = %id, agent, claimed, error = code.as_str(), ?reason, cause, "refused");
    });
    let told = (visitor.headers(), credentials.is_some_and(Credentials::used_authorization_header));
    let mut answer = answer(code, (&reason, &sentence), &id, told);
    if code == ErrorCode::UseDpopNonce {
        add_nonce(&mut answer, &state.deployment().dpop, now);
    }
    if code == ErrorCode::UseAttestationChallenge {
        add_challenge(&mut answer, &state.deployment().client_attestations, now);
    }
    answer
}

/// Logs the refusal of an access token, and answers it with the status and the challenges that `head` has. It is no client's that
/// authenticated itself, so nothing is recorded. Where there is no token there is no error (RFC 6750 §3.1).
pub(super) fn refuse_token(
    state: &AppState,
    reason: &AccessError,
    mut head: HttpResponseBuilder,
    (visitor, now): (Visitor<'_>, Time),
) -> HttpResponse {
    let (id, code) = (reference(now), reason.code());
    if let AccessError::Commit(reason) = reason {
        Limit::of_commit(*reason).into_iter().for_each(|limit| state.metrics.too_many(limit, None));
    }
    code.into_iter().for_each(|code| state.metrics.refused(code));
    let error = code.map(ErrorCode::as_str);
    if !matches!(code, Some(ErrorCode::TemporarilyUnavailable | ErrorCode::ServerError)) {
        state.strangers.charge(visitor, now);
    }
    state.log.write(ACCESS_TOKEN, now, || tracing::info!(error_id = %id, error, ?reason, "an access token was refused"));
    let sentence = format!("{reason}; or ask as an auditor, by the socket ops.sock in the data folder");
    head.json(ErrorBody { error, error_description: printable(&sentence), error_id: &id, acr_values: None, max_age: None })
}

/// 429 for a stranger whose address had too many requests refused, before anything of it is read (RFC 6585 §4).
pub(super) fn turn_away(state: &AppState, seconds: u64) -> HttpResponse {
    state.metrics.too_many(Limit::Refused, None);
    let mut answer = unstored(StatusCode::TOO_MANY_REQUESTS);
    let error_description = format!(
        "too many requests from this address were refused; wait {seconds} s, and do not repeat a request that was refused as it \
         was (strangers_per_second of limits in the configuration of the server)"
    );
    answer.insert_header((header::RETRY_AFTER, seconds.to_string()));
    answer.json(ErrorBody {
        error: Some(ErrorCode::TemporarilyUnavailable.as_str()),
        error_description,
        error_id: "",
        acr_values: None,
        max_age: None,
    })
}

/// A new reference, by which the answer, the log and the record of a refusal name it.
fn reference(now: Time) -> String {
    random().map(|bytes| Jti::new(now, bytes).to_string()).unwrap_or_default()
}

/// The causes of a refusal in words, as far as the answer does not tell them.
fn causes(reason: &ExchangeError) -> Option<String> {
    let (told, mut untold, mut next) = (reason.to_string(), Vec::new(), reason.source());
    while let Some(cause) = next {
        let words = cause.to_string();
        if !told.contains(&words) {
            untold.push(words);
        }
        next = cause.source();
    }
    Some(untold.join(": ")).filter(|untold| !untold.is_empty())
}

/// The error response. The challenge is sent only when the request itself used the `Authorization` header (RFC 6749 §5.2).
fn answer(
    code: ErrorCode,
    (reason, sentence): (&ExchangeError, &str),
    error_id: &str,
    (headers, used_authorization_header): (Option<&HeaderMap>, bool),
) -> HttpResponse {
    let mut answer = unstored(status(code, reason));
    if code == ErrorCode::InvalidClient && used_authorization_header {
        answer.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"OAuth clients\", charset=\"UTF-8\""));
    }
    if code == ErrorCode::TemporarilyUnavailable {
        answer.insert_header((header::RETRY_AFTER, retry_after(reason)));
    }
    add_limit(&mut answer, reason);
    let passed_over = headers.filter(|_| is_missing(reason)).and_then(not_counting).map(|header| {
        format!("; the header {header} does not count here: a proxy that the configuration names sends Client-Cert (RFC 9440)")
    });
    let error_description = printable(&(sentence.to_owned() + &passed_over.unwrap_or_default()));
    let login = reason.step_up();
    let acr_values = login.filter(|login| !login.acr_values.is_empty()).map(|login| login.acr_values.join(" "));
    let max_age = login.and_then(|login| login.max_age);
    answer.json(ErrorBody { error: Some(code.as_str()), error_description, error_id, acr_values, max_age })
}

/// True where nothing proves who asks.
fn is_missing(reason: &ExchangeError) -> bool {
    matches!(reason, ExchangeError::Client(ClientReason::Missing | ClientReason::MissingAttestation(_)))
}

/// The limit that was reached, and until when (draft-ietf-httpapi-ratelimit-headers-10 §3 and §4).
fn add_limit(answer: &mut HttpResponseBuilder, reason: &ExchangeError) {
    let Some(limit) = Limit::of(reason) else { return };
    let policy = match reason {
        ExchangeError::Rate(RateExceeded { per_second, .. }) => Some((per_second, 1)),
        ExchangeError::Commit(CommitReason::Velocity(_, per_hour, _)) => Some((per_hour, 3600)),
        _ => None,
    };
    if let Some((quota, window)) = policy {
        answer.insert_header(("RateLimit-Policy", format!("\"{}\";q={quota};w={window}", limit.as_str())));
    }
    answer.insert_header(("RateLimit", format!("\"{}\";r=0;t={}", limit.as_str(), retry_after(reason))));
}

/// The same, of a share that is used up; nothing where none is.
pub(super) fn add_share(answer: &mut HttpResponseBuilder, reason: CommitReason) {
    add_limit(answer, &ExchangeError::Commit(reason));
}

/// The status of what the commit refuses for a while: whose limit it is. What is short by a share is short for this client alone.
pub(super) fn for_a_while(reason: CommitReason) -> StatusCode {
    if Limit::of_commit(reason).is_some() { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Seconds after which it is worth trying again.
fn retry_after(reason: &ExchangeError) -> u32 {
    match reason {
        ExchangeError::Commit(reason) => reason.retry_after().unwrap_or(1),
        ExchangeError::Rate(exceeded) => exceeded.seconds,
        _ => 1,
    }
}

fn status(code: ErrorCode, reason: &ExchangeError) -> StatusCode {
    match (code, reason) {
        (_, ExchangeError::Admission(AdmissionReason::NoTask)) => StatusCode::NOT_FOUND,
        // RFC 9110 §15.5.16.
        (_, ExchangeError::Form(FormReason::Charset | FormReason::ContentEncoding)) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        (_, reason) if Limit::of(reason).is_some() => StatusCode::TOO_MANY_REQUESTS,
        (ErrorCode::InvalidClient | ErrorCode::UseFreshAttestation, _) => StatusCode::UNAUTHORIZED,
        (ErrorCode::TemporarilyUnavailable, _) => StatusCode::SERVICE_UNAVAILABLE,
        (ErrorCode::ServerError, _) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// `error_description` is printable ASCII without the quote and the backslash (RFC 6749 §5.2).
fn printable(sentence: &str) -> String {
    let allowed = |character: char| matches!(character, '\x20'..='\x7e') && character != '"' && character != '\\';
    sentence.chars().map(|character| if allowed(character) { character } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ScopeEffect;
    use crate::client::{CertificateReason, DpopReason};
    use crate::commit::Capacity;
    use crate::error::Profile;
    use crate::x509::X509Reason;

    /// Whose limit it is tells the status, and the headers until when (RFC 6585 §4, RFC 9110 §10.2.3).
    #[test]
    fn a_limit_of_the_client_is_429_and_one_of_the_server_503() {
        let share = ExchangeError::Commit(CommitReason::Share(Capacity::SingleUse, 42));
        let full = ExchangeError::Commit(CommitReason::Full(Capacity::Tasks, 86_400));
        let rate = ExchangeError::Rate(RateExceeded { per_second: 50, seconds: 2 });
        let busy = ExchangeError::Commit(CommitReason::Busy);
        let velocity = ExchangeError::Commit(CommitReason::Velocity(ScopeEffect::Irreversible, 20, 120));
        let (within, policy) = ("\"velocity_irreversible\";r=0;t=120", "\"velocity_irreversible\";q=20;w=3600");
        let expected = [
            (velocity, 429, "120", Some(within), Some(policy)),
            (share, 429, "42", Some("\"single_use\";r=0;t=42"), None),
            (rate, 429, "2", Some("\"requests\";r=0;t=2"), Some("\"requests\";q=50;w=1")),
            (full, 503, "86400", None, None),
            (busy, 503, "1", None, None),
        ];
        for (reason, status, retry, limit, policy) in expected {
            let answer = answer(reason.code(Profile::TOKEN_EXCHANGE), (&reason, ""), "id", (None, false));
            let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
            assert_eq!(answer.status().as_u16(), status, "{reason}");
            assert_eq!([header("retry-after"), header("ratelimit"), header("ratelimit-policy")], [Some(retry), limit, policy]);
        }
    }

    #[test]
    fn the_log_tells_what_the_answer_keeps_back() {
        let stranger = ExchangeError::Client(ClientReason::Certificate(CertificateReason::Chain(X509Reason::Path)));
        assert!(!stranger.to_string().contains("root"), "{stranger}");
        assert_eq!(
            causes(&stranger).as_deref(),
            Some(
                "the authority of the agent's login does not vouch for it: no path leads from the certificate to a trusted root"
            )
        );
        assert_eq!(causes(&ExchangeError::Proof(DpopReason::Htu)), None);
    }
}
