//! Reading a request of any endpoint that takes forms from clients, and handing it to its line.

use std::time::Duration;

use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};

use super::error_response::refuse;
use super::respond::{add_nonce, revoked};
use crate::client::{Credentials, DpopReason};
use crate::error::ExchangeError;
use crate::http::client_cert;
use crate::http::state::AppState;
use crate::lines::{LineContext, RefusedRequest};
use crate::request::{Form, FormReason, RequestReason};

/// Headers that carry a credential that this server does not take yet: refused by name, never ignored.
const LATER: [&str; 3] = ["oauth-client-attestation", "oauth-client-attestation-pop", "workload-identity-token"];

/// RFC 9449 §4.1.
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// From the end of the head of a request to the end of its body.
const BODY: Duration = Duration::from_secs(10);

const FORM: &str = "application/x-www-form-urlencoded";

/// Hands the request that `read` reads to `line`, and answers: with what `answer` makes of the outcome, or with the refusal of
/// whoever refuses first. The clock is read once, after the request was read: slow bytes buy no time.
pub(super) async fn handle<T>(
    state: &AppState,
    read: impl Future<Output = Result<(Form, Credentials), ExchangeError>>,
    line: impl AsyncFnOnce(LineContext<'_>, &Form) -> Result<T, RefusedRequest>,
    answer: impl FnOnce(T, LineContext<'_>) -> HttpResponse,
) -> HttpResponse {
    let read = read.await;
    let now = state.now();
    let (form, credentials) = match read {
        Ok(read) => read,
        Err(reason) => return refuse(state, RefusedRequest::before_login(reason), None, now).await,
    };
    let deployment = state.deployment();
    let context = LineContext { deployment: &deployment, commit: state.commit(), credentials: &credentials, now };
    match line(context, &form).await {
        Ok(outcome) => with_nonce(answer(outcome, context), context),
        Err(refused) if refused.is_hidden() => {
            let _untold = refuse(state, refused, Some(&credentials), now).await;
            with_nonce(revoked(), context)
        }
        Err(refused) => refuse(state, refused, Some(&credentials), now).await,
    }
}

/// RFC 9449 §8.2: the next proof will carry the newer nonce.
pub(super) fn with_nonce(mut answer: HttpResponse, context: LineContext<'_>) -> HttpResponse {
    if context.deployment.dpop.nonce_required && context.credentials.has_proof() {
        add_nonce(&mut answer, &context.deployment.dpop, context.now);
    }
    answer
}

/// The credentials of a request that has no form: an access token and the proof of its key.
pub(super) fn read_headers(request: &HttpRequest, state: &AppState) -> Result<Credentials, ExchangeError> {
    headers(request.headers())?;
    credentials(request, &Form::default(), state)
}

/// The form in the body, and the credentials of the client.
pub(super) async fn read(
    request: &HttpRequest,
    payload: Payload,
    state: &AppState,
) -> Result<(Form, Credentials), ExchangeError> {
    let form =
        tokio::time::timeout(BODY, form(request, payload, state)).await.map_err(|_| ExchangeError::Form(FormReason::Slow))??;
    let credentials = credentials(request, &form, state)?;
    Ok((form, credentials))
}

/// The form in the query of a request without a body, and the credentials of the client.
pub(super) async fn read_query(request: &HttpRequest, state: &AppState) -> Result<(Form, Credentials), ExchangeError> {
    headers(request.headers())?;
    let form = Form::decode(request.query_string().as_bytes(), state.limits().parameters_max).map_err(ExchangeError::Form)?;
    if form.get("client_secret").is_some() {
        return Err(ExchangeError::Request(RequestReason::Unsupported("client_secret in the address")));
    }
    let credentials = credentials(request, &form, state)?;
    Ok((form, credentials))
}

/// Everything in the form, the headers and the connection that could prove a key or an identity.
fn credentials(request: &HttpRequest, form: &Form, state: &AppState) -> Result<Credentials, ExchangeError> {
    let certificate = client_cert::certificate(request, &state.snapshot().frontend).map_err(ExchangeError::Request)?;
    let headers = request.headers();
    let credentials = Credentials::new(form, text(headers, header::AUTHORIZATION)).with_dpop(text(headers, DPOP));
    Ok(credentials.with_certificate(certificate))
}

async fn form(request: &HttpRequest, payload: Payload, state: &AppState) -> Result<Form, ExchangeError> {
    headers(request.headers())?;
    if !is_form(request.headers()) {
        return Err(ExchangeError::Form(FormReason::ContentType));
    }
    let body = payload.to_bytes_limited(state.limits().body_bytes_max).await;
    let body =
        body.map_err(|_| ExchangeError::Form(FormReason::Length))?.map_err(|_| ExchangeError::Form(FormReason::Encoding))?;
    Form::decode(&body, state.limits().parameters_max).map_err(ExchangeError::Form)
}

/// Headers that no endpoint passes over in silence.
fn headers(headers: &HeaderMap) -> Result<(), ExchangeError> {
    if let Some(name) = LATER.iter().find(|name| headers.contains_key(**name)) {
        return Err(ExchangeError::Request(RequestReason::Unsupported(name)));
    }
    if headers.get_all(header::AUTHORIZATION).nth(1).is_some() {
        return Err(ExchangeError::Request(RequestReason::Repeated("Authorization")));
    }
    // RFC 9449 §4.3, check 1.
    if headers.get_all(DPOP).nth(1).is_some() { Err(ExchangeError::Proof(DpopReason::Repeated)) } else { Ok(()) }
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case(FORM))
}

/// A header's value; an empty one where it is no text, which no credential and no proof is.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_header_that_is_no_text_is_there_all_the_same() {
        let mut headers = HeaderMap::new();
        assert_eq!(text(&headers, DPOP), None);
        headers.insert(DPOP, HeaderValue::from_bytes(b"\xff.a.b").unwrap());
        assert_eq!(text(&headers, DPOP), Some(""), "so it is refused as a proof, and no bearer token is issued instead");
    }
}
