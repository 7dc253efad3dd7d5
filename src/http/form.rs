//! Reading a request of any endpoint that takes forms from clients.

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Payload;

use super::Door;
use crate::client::Credentials;
use crate::error::Refusal;
use crate::request::{Form, FormReason, RequestReason};

/// Headers that ask for a binding or carry a credential that this server does not take yet: refused by name, never ignored.
const LATER: [&str; 4] = ["dpop", "oauth-client-attestation", "oauth-client-attestation-pop", "workload-identity-token"];

const FORM: &str = "application/x-www-form-urlencoded";

/// The form, with what the client presented to prove itself.
pub(super) async fn read(request: &HttpRequest, payload: Payload, door: &Door) -> Result<(Form, Credentials), Refusal> {
    let form = form(request, payload, door).await?;
    let credentials = Credentials::new(&form, authorization(request.headers()));
    Ok((form, credentials))
}

/// What the client presented to prove itself in a request without a body.
pub(super) fn read_query(request: &HttpRequest, door: &Door) -> Result<Credentials, Refusal> {
    headers(request.headers())?;
    let form = Form::decode(request.query_string().as_bytes(), door.limits().parameters_max).map_err(Refusal::Form)?;
    if form.get("client_secret").is_some() {
        return Err(Refusal::Request(RequestReason::Unsupported("client_secret in the address")));
    }
    Ok(Credentials::new(&form, authorization(request.headers())))
}

async fn form(request: &HttpRequest, payload: Payload, door: &Door) -> Result<Form, Refusal> {
    headers(request.headers())?;
    if !is_form(request.headers()) {
        return Err(Refusal::Form(FormReason::ContentType));
    }
    let body = payload.to_bytes_limited(door.limits().body_bytes_max).await;
    let body = body.map_err(|_| Refusal::Form(FormReason::Length))?.map_err(|_| Refusal::Form(FormReason::Encoding))?;
    Form::decode(&body, door.limits().parameters_max).map_err(Refusal::Form)
}

/// Headers that no endpoint passes over in silence.
fn headers(headers: &HeaderMap) -> Result<(), Refusal> {
    if let Some(name) = LATER.iter().find(|name| headers.contains_key(**name)) {
        return Err(Refusal::Request(RequestReason::Unsupported(name)));
    }
    match headers.get_all(header::AUTHORIZATION).nth(1) {
        Some(_) => Err(Refusal::Request(RequestReason::Repeated("Authorization"))),
        None => Ok(()),
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case(FORM))
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default())
}
