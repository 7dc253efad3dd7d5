//! `POST /token`: the door. Reads the clock once, caps the body, and hands over to the line.

use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::{Door, respond};
use crate::client::Credentials;
use crate::crypto::random;
use crate::error::Refusal;
use crate::exchange::{self, Asked, Refused};
use crate::ledger;
use crate::oauth::{Jti, Time};
use crate::request::{Form, FormReason, RequestReason};

/// Headers that ask for a binding or carry a credential that this server does not take yet: refused by name, never ignored.
const LATER: [&str; 4] = ["dpop", "oauth-client-attestation", "oauth-client-attestation-pop", "workload-identity-token"];

const FORM: &str = "application/x-www-form-urlencoded";

/// Answers a token request.
pub(super) async fn token(request: HttpRequest, payload: Payload, door: Data<Door>) -> HttpResponse {
    let now = door.now();
    let form = match read(&request, payload, &door).await {
        Ok(form) => form,
        Err(reason) => return refuse(&door, Refused { reason, asked: None }, None, now),
    };
    let credentials = Credentials::new(&form, authorization(request.headers()));
    let world = door.inside().world.clone();
    match exchange::exchange(&world, door.commit(), &form, &credentials, now).await {
        Ok(token) => {
            door.metrics.issued();
            respond::issued(&token)
        }
        Err(refused) => refuse(&door, refused, Some(&credentials), now),
    }
}

async fn read(request: &HttpRequest, payload: Payload, door: &Door) -> Result<Form, Refusal> {
    let headers = request.headers();
    if let Some(name) = LATER.iter().find(|name| headers.contains_key(**name)) {
        return Err(Refusal::Request(RequestReason::Unsupported(name)));
    }
    if headers.get_all(header::AUTHORIZATION).nth(1).is_some() {
        return Err(Refusal::Request(RequestReason::Repeated("Authorization")));
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

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default())
}

/// Logs the refusal, has it recorded if its client is known, and answers; all three under one reference id.
fn refuse(door: &Door, refused: Refused, credentials: Option<&Credentials>, now: Time) -> HttpResponse {
    let id = random().map(|bytes| Jti::new(now, bytes).to_string()).unwrap_or_default();
    let code = refused.reason.code();
    door.metrics.refused(code);
    let agent = refused.asked.as_ref().map_or("-", |asked| asked.agent.as_str());
    tracing::info!(error_id = %id, agent, error = code.as_str(), reason = ?refused.reason, "refused");
    let answer = respond::refused(&refused.reason, &id, credentials.is_some_and(Credentials::used_authorization_header));
    if let Some(asked) = refused.asked {
        door.commit().refuse(record(asked, &refused.reason, id, now));
    }
    answer
}

fn record(asked: Asked, reason: &Refusal, error_id: String, at: Time) -> ledger::Refusal {
    ledger::Refusal {
        agent: asked.agent,
        at,
        error: reason.code().as_str(),
        error_id,
        reason: reason.to_string(),
        subject_token: Some(asked.subject_token),
        txn: asked.parent.map(|(txn, _)| txn),
        parent: asked.parent.map(|(_, hop)| hop),
        audience: Vec::new(),
        requested: asked.requested,
        policies: Vec::new(),
        policy_set: None,
    }
}
