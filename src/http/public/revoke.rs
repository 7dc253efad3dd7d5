//! `POST /revoke` (RFC 7009 §2).

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::error_response::refuse;
use super::form::read;
use super::respond;
use crate::exchange::RefusedRequest;
use crate::http::state::AppState;
use crate::revoke;

/// Answers a revocation request.
pub(super) async fn revoke(request: HttpRequest, payload: Payload, state: Data<AppState>) -> HttpResponse {
    let now = state.now();
    let (form, credentials) = match read(&request, payload, &state).await {
        Ok(read) => read,
        Err(reason) => return refuse(&state, RefusedRequest { reason, asked: None }, None, now),
    };
    let world = state.deployment();
    match revoke::revoke(&world, state.commit(), &form, &credentials, now).await {
        Ok(()) => respond::revoked(),
        Err(refused) => refuse(&state, refused, Some(&credentials), now),
    }
}
