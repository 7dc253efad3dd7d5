//! `POST /revoke` (RFC 7009 §2).

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::form::read;
use super::refuse::refuse;
use super::{AppState, respond};
use crate::exchange::RefusedRequest;
use crate::revoke;

/// Answers a revocation request.
pub(super) async fn revoke(request: HttpRequest, payload: Payload, door: Data<AppState>) -> HttpResponse {
    let now = door.now();
    let (form, credentials) = match read(&request, payload, &door).await {
        Ok(read) => read,
        Err(reason) => return refuse(&door, RefusedRequest { reason, asked: None }, None, now),
    };
    let world = door.inside().world.clone();
    match revoke::revoke(&world, door.commit(), &form, &credentials, now).await {
        Ok(()) => respond::revoked(),
        Err(refused) => refuse(&door, refused, Some(&credentials), now),
    }
}
