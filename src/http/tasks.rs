//! `POST /tasks`, `GET /tasks/{id}` and what can be done with a task.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::form::{read, read_query};
use super::refuse::refuse;
use super::{AppState, respond};
use crate::client::Credentials;
use crate::error::ExchangeError;
use crate::exchange::RefusedRequest;
use crate::lifecycle::{AdmissionReason, TaskAction};
use crate::task;

/// Answers a request to open a task.
pub(super) async fn open(request: HttpRequest, payload: Payload, door: Data<AppState>) -> HttpResponse {
    let now = door.now();
    let (form, credentials) = match read(&request, payload, &door).await {
        Ok(read) => read,
        Err(reason) => return refuse(&door, RefusedRequest { reason, asked: None }, None, now),
    };
    let world = door.inside().world.clone();
    match task::open(&world, door.commit(), &form, &credentials, now).await {
        Ok(opened) => respond::opened(&opened),
        Err(refused) => refuse(&door, refused, Some(&credentials), now),
    }
}

/// Answers what is wished of a task: `/tasks/{id}/heartbeat`, `suspend`, `resume` or `complete`.
pub(super) async fn tend(
    request: HttpRequest,
    payload: Payload,
    path: Path<(String, String)>,
    door: Data<AppState>,
) -> HttpResponse {
    let (id, wish) = path.into_inner();
    let wish = match wish.as_str() {
        "heartbeat" => TaskAction::Heartbeat,
        "suspend" => TaskAction::Suspend,
        "resume" => TaskAction::Resume,
        "complete" => TaskAction::Complete,
        _ => return super::server::not_found().await,
    };
    match read(&request, payload, &door).await {
        Ok((_, credentials)) => answer(&door, (&id, wish), &credentials).await,
        Err(reason) => refuse(&door, RefusedRequest { reason, asked: None }, None, door.now()),
    }
}

/// Answers a look at a task. A client proves itself in the `Authorization` header, or by an assertion in the query, which can
/// be used once; a secret has no place in an address.
pub(super) async fn look(request: HttpRequest, path: Path<String>, door: Data<AppState>) -> HttpResponse {
    match read_query(&request, &door) {
        Ok(credentials) => answer(&door, (&path.into_inner(), TaskAction::Look), &credentials).await,
        Err(reason) => refuse(&door, RefusedRequest { reason, asked: None }, None, door.now()),
    }
}

async fn answer(door: &AppState, (id, wish): (&str, TaskAction), credentials: &Credentials) -> HttpResponse {
    let now = door.now();
    let world = door.inside().world.clone();
    match task::tend(&world, door.commit(), (id, wish), credentials, now).await {
        Ok(tended) => respond::tended(&tended, now),
        Err(refused) if matches!(refused.reason, ExchangeError::Standing(AdmissionReason::NoTask)) => {
            respond::absent(refuse(door, refused, Some(credentials), now))
        }
        Err(refused) => refuse(door, refused, Some(credentials), now),
    }
}
