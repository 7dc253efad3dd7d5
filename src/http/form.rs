//! Reading a request of any endpoint that takes forms from clients.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::web::Payload;

use super::{Door, peer};
use crate::client::{Credentials, DpopReason};
use crate::error::Refusal;
use crate::request::{Form, FormReason, RequestReason};

/// Headers that carry a credential that this server does not take yet: refused by name, never ignored.
const LATER: [&str; 3] = ["oauth-client-attestation", "oauth-client-attestation-pop", "workload-identity-token"];

/// RFC 9449 §4.1.
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// From the end of the head of a request to the end of its body.
const BODY: Duration = Duration::from_secs(10);

const FORM: &str = "application/x-www-form-urlencoded";

/// The form, with what the client presented to prove itself.
pub(super) async fn read(request: &HttpRequest, payload: Payload, door: &Door) -> Result<(Form, Credentials), Refusal> {
    let certificate = peer::certificate(request, &door.inside().front).map_err(Refusal::Request)?;
    let form = tokio::time::timeout(BODY, form(request, payload, door)).await.map_err(|_| Refusal::Form(FormReason::Slow))??;
    let headers = request.headers();
    let credentials = Credentials::new(&form, text(headers, header::AUTHORIZATION)).with_dpop(text(headers, DPOP));
    let credentials = credentials.with_certificate(certificate);
    Ok((form, credentials))
}

async fn form(request: &HttpRequest, payload: Payload, door: &Door) -> Result<Form, Refusal> {
    let headers = request.headers();
    if let Some(name) = LATER.iter().find(|name| headers.contains_key(**name)) {
        return Err(Refusal::Request(RequestReason::Unsupported(name)));
    }
    if headers.get_all(header::AUTHORIZATION).nth(1).is_some() {
        return Err(Refusal::Request(RequestReason::Repeated("Authorization")));
    }
    // RFC 9449 §4.3, check 1.
    if headers.get_all(DPOP).nth(1).is_some() {
        return Err(Refusal::Proof(DpopReason::Repeated));
    }
    if !is_form(headers) {
        return Err(Refusal::Form(FormReason::ContentType));
    }
    let body = payload.to_bytes_limited(door.limits().body_bytes_max).await;
    let body = body.map_err(|_| Refusal::Form(FormReason::Length))?.map_err(|_| Refusal::Form(FormReason::Encoding))?;
    Form::decode(&body, door.limits().parameters_max).map_err(Refusal::Form)
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case(FORM))
}

/// A header's value; an empty one where it is no text, which no credential and no proof is.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}
