//! Reading a request of any endpoint that takes forms or JSON from clients, and handing it to its line.

use std::time::Duration;

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};

use super::error_response::{refuse, turn_away};
use super::respond::{add_challenge, add_nonce};
use crate::client::{Credentials, DpopReason};
use crate::error::ExchangeError;
use crate::http::client_cert;
use crate::http::state::AppState;
use crate::http::strangers::Visitor;
use crate::lines::{LineContext, RefusedRequest};
use crate::request::{Form, FormReason, RequestReason, refuse_in_address};

/// Headers that carry a credential that this server does not take yet: refused by name, never ignored.
const LATER: [&str; 1] = ["workload-identity-token"];

/// draft-ietf-oauth-attestation-based-client-auth §4 and §5.1.
const ATTESTATION: HeaderName = HeaderName::from_static("oauth-client-attestation");
const ATTESTATION_PROOF: HeaderName = HeaderName::from_static("oauth-client-attestation-pop");

/// RFC 9449 §4.1.
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// From the end of the head of a request to the end of its body.
const BODY: Duration = Duration::from_secs(10);

/// Headers of which a second one would contradict the first, with their names.
const ONCE: [(HeaderName, &str); 7] = [
    (header::AUTHORIZATION, "Authorization"),
    (header::CONTENT_TYPE, "Content-Type"),
    (header::CONTENT_LENGTH, "Content-Length"),
    (header::TRANSFER_ENCODING, "Transfer-Encoding"),
    (header::HOST, "Host"),
    (ATTESTATION, "OAuth-Client-Attestation"),
    (ATTESTATION_PROOF, "OAuth-Client-Attestation-PoP"),
];

const FORM: &str = "application/x-www-form-urlencoded";

/// Hands the request that `read` reads to `line`, and answers: with what `answer` makes of the outcome, or with the refusal of
/// whoever refuses first. An address of which too many strangers were refused waits before anything is read. The clock is read
/// once more after the request was read: slow bytes buy no time.
pub(super) async fn handle<B, T>(
    visitor: Visitor<'_>,
    state: &AppState,
    read: impl Future<Output = Result<(B, Credentials), ExchangeError>>,
    line: impl AsyncFnOnce(LineContext<'_>, &B) -> Result<T, RefusedRequest>,
    answer: impl FnOnce(T, LineContext<'_>) -> HttpResponse,
) -> HttpResponse {
    if let Err(seconds) = state.strangers.admit(visitor, state.now()) {
        return turn_away(state, seconds);
    }
    let read = read.await;
    let now = state.now();
    let (body, credentials) = match read {
        Ok(read) => read,
        Err(reason) => return refuse(state, RefusedRequest::before_login(reason), None, (visitor, now)).await,
    };
    let deployment = state.deployment();
    let (deployment, commit, rates) = (&*deployment, state.commit(), &state.rates);
    let context = LineContext { deployment, commit, credentials: &credentials, rates, now };
    match line(context, &body).await {
        Ok(outcome) => {
            visitor.proved();
            with_nonce(answer(outcome, context), context)
        }
        Err(refused) => refuse(state, refused, Some(&credentials), (visitor, now)).await,
    }
}

/// RFC 9449 §8.2: the next proof will carry the newer nonce; so will the next proof of a client attestation its challenge.
pub(super) fn with_nonce(mut answer: HttpResponse, context: LineContext<'_>) -> HttpResponse {
    if context.deployment.dpop.nonce_required && context.credentials.has_proof() {
        add_nonce(&mut answer, &context.deployment.dpop, context.now);
    }
    let attestations = &context.deployment.client_attestations;
    if attestations.challenge_required && context.credentials.has_attestation_proof() {
        add_challenge(&mut answer, attestations, context.now);
    }
    answer
}

/// The credentials of a request that has no form: an access token and the proof of its key.
pub(super) fn read_headers(request: &HttpRequest, state: &AppState) -> Result<Credentials, ExchangeError> {
    headers(request.headers())?;
    // Whoever shows an access token is no client that logs in.
    for (header, name) in [(ATTESTATION, "OAuth-Client-Attestation"), (ATTESTATION_PROOF, "OAuth-Client-Attestation-PoP")] {
        if request.headers().contains_key(header) {
            return Err(ExchangeError::Request(RequestReason::Unsupported(name)));
        }
    }
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

/// The JSON in the body, as it was written, and the credentials of the client: in the headers, or by an assertion in the query.
pub(super) async fn read_json(
    request: &HttpRequest,
    payload: Payload,
    state: &AppState,
) -> Result<(String, Credentials), ExchangeError> {
    let (_, credentials) = read_query(request, state).await?;
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(ExchangeError::Request(RequestReason::Json));
    }
    let body = tokio::time::timeout(BODY, payload.to_bytes_limited(state.limits().body_bytes_max)).await;
    let body = body.map_err(|_| ExchangeError::Form(FormReason::Slow))?.map_err(|_| ExchangeError::Form(FormReason::Length))?;
    let body = body.map_err(|_| ExchangeError::Form(FormReason::Encoding))?;
    let text = str::from_utf8(&body).map_err(|_| ExchangeError::Request(RequestReason::Json))?;
    Ok((text.to_owned(), credentials))
}

/// Everything in the form, the headers and the connection that could prove a key or an identity.
fn credentials(request: &HttpRequest, form: &Form, state: &AppState) -> Result<Credentials, ExchangeError> {
    let certificate = client_cert::certificate(request, &state.snapshot().frontend).map_err(ExchangeError::Request)?;
    let headers = request.headers();
    let credentials = Credentials::new(form, text(headers, header::AUTHORIZATION)).with_dpop(text(headers, DPOP));
    let credentials = credentials.with_attestation(text(headers, ATTESTATION), text(headers, ATTESTATION_PROOF));
    Ok(credentials.with_certificate(certificate))
}

async fn form(request: &HttpRequest, payload: Payload, state: &AppState) -> Result<Form, ExchangeError> {
    headers(request.headers())?;
    check_media_type(request.headers()).map_err(ExchangeError::Form)?;
    if !request.query_string().is_empty() {
        let query =
            Form::decode(request.query_string().as_bytes(), state.limits().parameters_max).map_err(ExchangeError::Form)?;
        refuse_in_address(&query).map_err(ExchangeError::Request)?;
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
    if let Some((_, name)) = ONCE.iter().find(|(header, _)| headers.get_all(header).nth(1).is_some()) {
        return Err(ExchangeError::Request(RequestReason::Repeated(name)));
    }
    // RFC 9449 §4.3, check 1.
    if headers.get_all(DPOP).nth(1).is_some() {
        return Err(ExchangeError::Proof(DpopReason::Repeated));
    }
    if is_encoded(headers) { Err(ExchangeError::Form(FormReason::ContentEncoding)) } else { Ok(()) }
}

/// True where the body is not sent as it is (RFC 9110 §8.4).
fn is_encoded(headers: &HeaderMap) -> bool {
    let plain = |coding: &str| coding.trim().is_empty() || coding.trim().eq_ignore_ascii_case("identity");
    let is_plain = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.split(',').all(plain));
    !headers.get_all(header::CONTENT_ENCODING).all(is_plain)
}

/// A form in UTF-8, which is the only one that is read (WHATWG URL §5; RFC 6749 appendix B). Other parameters of the media type
/// have no meaning for a form.
fn check_media_type(headers: &HeaderMap) -> Result<(), FormReason> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = value.split(';').map(str::trim);
    if !parts.next().is_some_and(|media_type| media_type.eq_ignore_ascii_case(FORM)) {
        return Err(FormReason::ContentType);
    }
    let parameters = parts.filter_map(|part| part.split_once('='));
    let mut charsets = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset")).map(|(_, charset)| charset);
    let is_utf_8 = |charset: &str| charset.trim().trim_matches('"').eq_ignore_ascii_case("utf-8");
    if charsets.next().is_none_or(is_utf_8) && charsets.next().is_none() { Ok(()) } else { Err(FormReason::Charset) }
}

/// A header's value; an empty one where it is no text, which no credential and no proof is.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn with(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        pairs.fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
    }

    #[test]
    fn a_header_that_is_no_text_is_there_all_the_same() {
        let mut headers = HeaderMap::new();
        assert_eq!(text(&headers, DPOP), None);
        headers.insert(DPOP, HeaderValue::from_bytes(b"\xff.a.b").unwrap());
        assert_eq!(text(&headers, DPOP), Some(""), "so it is refused as a proof, and no bearer token is issued instead");
    }

    #[test]
    fn a_form_is_a_form_in_utf_8() {
        let media_type = |value: &str| check_media_type(&with(&[("content-type", value)]));
        for good in ["", ";charset=utf-8", "; charset=UTF-8", ";CHARSET=\"Utf-8\"", "; boundary=x", " ; charset = utf-8 ;", ";"] {
            assert_eq!(media_type(&format!("{FORM}{good}")), Ok(()), "{good}");
            assert_eq!(media_type(&format!("{}{good}", FORM.to_uppercase())), Ok(()), "{good}");
        }
        for bad in ["iso-8859-1", "utf-16", "utf-7", "us-ascii", "", "\"\"", "utf-8;charset=utf-8", "utf-8;charset=utf-16"] {
            assert_eq!(media_type(&format!("{FORM};charset={bad}")), Err(FormReason::Charset), "{bad}");
        }
        for bad in
            ["", "application/json", "multipart/form-data", "text/plain;charset=utf-8", "application/x-www-form-urlencodedx"]
        {
            assert_eq!(media_type(bad), Err(FormReason::ContentType), "{bad}");
        }
        assert_eq!(check_media_type(&HeaderMap::new()), Err(FormReason::ContentType));
    }

    #[test]
    fn what_a_request_carries_and_is_not_honoured_is_refused_by_name() {
        assert!(headers(&with(&[("content-encoding", "identity"), ("content-encoding", " Identity , ")])).is_ok());
        for coding in ["gzip", "br", "deflate", "identity, gzip", "x"] {
            let refused = headers(&with(&[("content-encoding", "identity"), ("content-encoding", coding)]));
            assert!(matches!(refused, Err(ExchangeError::Form(FormReason::ContentEncoding))), "{coding}");
        }
        for (header, name) in ONCE {
            let mut twice = HeaderMap::new();
            twice.append(header.clone(), HeaderValue::from_static("5"));
            assert!(headers(&twice).is_ok(), "{name}");
            twice.append(header, HeaderValue::from_static("5"));
            let refused = headers(&twice);
            assert!(matches!(refused, Err(ExchangeError::Request(RequestReason::Repeated(told))) if told == name), "{name}");
        }
        assert!(matches!(headers(&with(&[("dpop", "a"), ("dpop", "a")])), Err(ExchangeError::Proof(DpopReason::Repeated))));
        for later in LATER {
            assert!(headers(&with(&[(later, "x")])).is_err(), "{later}");
        }
    }
}
