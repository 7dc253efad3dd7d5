//! `POST /tasks`, `GET /tasks/{id}` and what can be done with a task.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::error_response::refuse;
use super::form::{read, read_query};
use super::respond;
use crate::client::Credentials;
use crate::error::ExchangeError;
use crate::exchange::RefusedRequest;
use crate::http::plain::not_found;
use crate::http::state::AppState;
use crate::lifecycle::{AdmissionReason, TaskAction};
use crate::task;

/// Answers a request to open a task.
pub(super) async fn open(request: HttpRequest, payload: Payload, state: Data<AppState>) -> HttpResponse {
    let now = state.now();
    let (form, credentials) = match read(&request, payload, &state).await {
        Ok(read) => read,
        Err(reason) => return refuse(&state, RefusedRequest { reason, asked: None }, None, now),
    };
    let world = state.deployment();
    match task::open(&world, state.commit(), &form, &credentials, now).await {
        Ok(opened) => respond::opened(&opened),
        Err(refused) => refuse(&state, refused, Some(&credentials), now),
    }
}

/// Answers what is wished of a task: `/tasks/{id}/heartbeat`, `suspend`, `resume` or `complete`.
pub(super) async fn tend(
    request: HttpRequest,
    payload: Payload,
    path: Path<(String, String)>,
    state: Data<AppState>,
) -> HttpResponse {
    let (id, wish) = path.into_inner();
    let wish = match wish.as_str() {
        "heartbeat" => TaskAction::Heartbeat,
        "suspend" => TaskAction::Suspend,
        "resume" => TaskAction::Resume,
        "complete" => TaskAction::Complete,
        _ => return not_found().await,
    };
    match read(&request, payload, &state).await {
        Ok((_, credentials)) => answer(&state, (&id, wish), &credentials).await,
        Err(reason) => refuse(&state, RefusedRequest { reason, asked: None }, None, state.now()),
    }
}

/// Answers a look at a task. A client proves itself in the `Authorization` header, or by an assertion in the query, which can
/// be used once; a secret has no place in an address.
pub(super) async fn look(request: HttpRequest, path: Path<String>, state: Data<AppState>) -> HttpResponse {
    match read_query(&request, &state) {
        Ok(credentials) => answer(&state, (&path.into_inner(), TaskAction::Look), &credentials).await,
        Err(reason) => refuse(&state, RefusedRequest { reason, asked: None }, None, state.now()),
    }
}

async fn answer(state: &AppState, (id, wish): (&str, TaskAction), credentials: &Credentials) -> HttpResponse {
    let now = state.now();
    let world = state.deployment();
    match task::tend(&world, state.commit(), (id, wish), credentials, now).await {
        Ok(tended) => respond::tended(&tended, now),
        Err(refused) if matches!(refused.reason, ExchangeError::Standing(AdmissionReason::NoTask)) => {
            respond::absent(refuse(state, refused, Some(credentials), now))
        }
        Err(refused) => refuse(state, refused, Some(credentials), now),
    }
}
