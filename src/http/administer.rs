//! `/ops/…`: local administration, by the socket only. Whoever reaches it is the user that the server runs as, or the superuser.

use std::sync::PoisonError;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::AppState;
use super::socket::Auditor;
use crate::admin::{self, AdminError, RevokeTarget};
use crate::commit::{CommitReason, Transition};
use crate::oauth::ClientId;
use crate::request::{Form, FormReason};

/// No command has more parameters.
const PARAMETERS_MAX: usize = 16;

/// A body longer than this is no command.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Everything below `/ops/`.
pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(
        web::scope("/ops")
            .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
            .route("/agents", web::get().to(agents))
            .route("/agents/{turn}", web::post().to(turn))
            .route("/tasks", web::get().to(tasks))
            .route("/revoke", web::post().to(revoke)),
    );
}

/// The inventory; with `id`, of one agent.
async fn agents(request: HttpRequest, door: Data<AppState>) -> HttpResponse {
    if let Some(refusal) = refused(&request) {
        return refusal;
    }
    let counted = {
        let door = door.clone();
        web::block(move || {
            let mut usage = door.usage.lock().unwrap_or_else(PoisonError::into_inner);
            admin::catch_up(&mut usage, &*door.ledger.records)?;
            Ok(admin::inventory(&door.world(), &*door.commit().state(), &usage, door.now()))
        })
    };
    match counted.await {
        Ok(Ok(agents)) => HttpResponse::Ok().json(json!({ "agents": agents })),
        Ok(Err(reason)) => failed(&reason),
        Err(reason) => answer(StatusCode::INTERNAL_SERVER_ERROR, &reason.to_string()),
    }
}

/// Every task that is remembered.
async fn tasks(request: HttpRequest, door: Data<AppState>) -> HttpResponse {
    if let Some(refusal) = refused(&request) {
        return refusal;
    }
    HttpResponse::Ok().json(json!({ "tasks": admin::tasks(&door.world(), door.commit(), door.now()) }))
}

/// `suspend`, `resume` or `retire` the agent `id`.
async fn turn(request: HttpRequest, turn: Path<String>, body: Bytes, door: Data<AppState>) -> HttpResponse {
    if let Some(refusal) = refused(&request) {
        return refusal;
    }
    let turn = match turn.as_str() {
        "suspend" => Transition::Suspend,
        "resume" => Transition::Resume,
        "retire" => Transition::Retire,
        _ => return answer(StatusCode::NOT_FOUND, "an agent can be suspended, resumed or retired"),
    };
    let form = match form(&body) {
        Ok(form) => form,
        Err(reason) => return answer(StatusCode::BAD_REQUEST, &reason.to_string()),
    };
    let Ok(agent) = ClientId::parse(form.get("id").unwrap_or_default()) else {
        return answer(StatusCode::BAD_REQUEST, "id must be the id of an agent");
    };
    match admin::change_status(&door.world(), door.commit(), &agent, turn, form.get("reason")).await {
        Ok(()) => HttpResponse::Ok().json(json!({ "agent": agent.as_str() })),
        Err(reason) => failed(&reason),
    }
}

/// Ends what exactly one parameter names.
async fn revoke(request: HttpRequest, body: Bytes, door: Data<AppState>) -> HttpResponse {
    if let Some(refusal) = refused(&request) {
        return refusal;
    }
    let form = match form(&body) {
        Ok(form) => form,
        Err(reason) => return answer(StatusCode::BAD_REQUEST, &reason.to_string()),
    };
    let (name, value) = (form.get("what").unwrap_or_default(), form.get("value").unwrap_or_default());
    let target = match RevokeTarget::parse(name, value, form.get("agent")) {
        Ok(target) => target,
        Err(reason) => return failed(&reason),
    };
    let done = admin::revoke(&door.world(), door.commit(), &*door.ledger.records, &target, form.get("reason")).await;
    match done {
        Ok(done) => HttpResponse::Ok().json(done),
        Err(reason) => failed(&reason),
    }
}

fn form(body: &[u8]) -> Result<Form, FormReason> {
    Form::decode(body, PARAMETERS_MAX)
}

/// The refusal of who is neither the user that we run as nor the superuser.
fn refused(request: &HttpRequest) -> Option<HttpResponse> {
    let known = request.conn_data::<Auditor>().is_some();
    (!known).then(|| answer(StatusCode::FORBIDDEN, "for the user that the server runs as"))
}

fn failed(reason: &AdminError) -> HttpResponse {
    let status = match reason {
        AdminError::Malformed(_) | AdminError::Commit(CommitReason::TooLarge) => StatusCode::BAD_REQUEST,
        AdminError::Unknown(_) => StatusCode::NOT_FOUND,
        AdminError::Retired | AdminError::Commit(CommitReason::Retired) => StatusCode::CONFLICT,
        AdminError::Commit(_) | AdminError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    answer(status, &reason.to_string())
}

fn answer(status: StatusCode, what: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({ "error": what }))
}
