//! `POST /token`: the door. Reads the clock once, caps the body, and hands over to the line.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::form::read;
use super::refuse::refuse;
use super::{AppState, respond};
use crate::exchange::{self, RefusedRequest};
use crate::oauth::ConfirmationMethod;

/// Answers a token request.
pub(super) async fn token(request: HttpRequest, payload: Payload, door: Data<AppState>) -> HttpResponse {
    let now = door.now();
    let (form, credentials) = match read(&request, payload, &door).await {
        Ok(read) => read,
        Err(reason) => return refuse(&door, RefusedRequest { reason, asked: None }, None, now),
    };
    let world = door.inside().world.clone();
    match exchange::exchange(&world, door.commit(), &form, &credentials, now).await {
        Ok(token) => {
            door.metrics.issued();
            let mut answer = respond::issued(&token);
            // RFC 9449 §8.2: the next proof will carry the newer one.
            let proved = token.constraint().issued().is_some_and(|binding| binding.kind() == ConfirmationMethod::Dpop);
            if world.dpop.nonce_required && proved {
                respond::add_nonce(&mut answer, &world.dpop, now);
            }
            answer
        }
        Err(refused) => refuse(&door, refused, Some(&credentials), now),
    }
}
