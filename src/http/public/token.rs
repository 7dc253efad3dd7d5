//! `POST /token`. Reads the clock once, caps the body, and hands over to the line.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::error_response::refuse;
use super::form::read;
use super::respond;
use crate::client::ConfirmationMethod;
use crate::exchange::{self, RefusedRequest};
use crate::http::state::AppState;

/// Answers a token request.
pub(super) async fn token(request: HttpRequest, payload: Payload, state: Data<AppState>) -> HttpResponse {
    let now = state.now();
    let (form, credentials) = match read(&request, payload, &state).await {
        Ok(read) => read,
        Err(reason) => return refuse(&state, RefusedRequest { reason, asked: None }, None, now),
    };
    let world = state.deployment();
    match exchange::exchange(&world, state.commit(), &form, &credentials, now).await {
        Ok(token) => {
            state.metrics.issued();
            let mut answer = respond::issued(&token);
            // RFC 9449 §8.2: the next proof will carry the newer one.
            let proved = token.bound().issued().is_some_and(|binding| binding.kind() == ConfirmationMethod::Dpop);
            if world.dpop.nonce_required && proved {
                respond::add_nonce(&mut answer, &world.dpop, now);
            }
            answer
        }
        Err(refused) => refuse(&state, refused, Some(&credentials), now),
    }
}
