//! `POST /tasks`, `GET /tasks/{id}` and what can be done with a task.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::form::{handle, read, read_query};
use super::respond;
use crate::http::plain::not_found;
use crate::http::state::AppState;
use crate::lifecycle::TaskAction;
use crate::lines::{self, LineContext, TaskOutcome};
use crate::request::Form;

/// Answers a request to open a task.
pub(super) async fn open(request: HttpRequest, payload: Payload, state: Data<AppState>) -> HttpResponse {
    handle(state.visitor(&request), &state, read(&request, payload, &state), lines::open_task, |task, _| respond::opened(&task))
        .await
}

/// Answers a request to act on a task: `/tasks/{id}/heartbeat`, `suspend`, `resume` or `complete`.
pub(super) async fn act(
    request: HttpRequest,
    payload: Payload,
    path: Path<(String, String)>,
    state: Data<AppState>,
) -> HttpResponse {
    let (id, action) = path.into_inner();
    let named = TaskAction::NAMED.iter().find(|(_, name)| *name == action);
    let Some((action, _)) = named.copied() else { return not_found().await };
    let line = async |context: LineContext<'_>, _: &Form| lines::act_on_task(context, &id, action).await;
    let visitor = state.visitor(&request);
    let visitor = if action.ends() { visitor.ending() } else { visitor };
    handle(visitor, &state, read(&request, payload, &state), line, shown).await
}

/// Answers a look at a task. A client proves itself in the `Authorization` header, or by an assertion in the query, which can
/// be used once; a secret has no place in an address.
pub(super) async fn look(request: HttpRequest, path: Path<String>, state: Data<AppState>) -> HttpResponse {
    let line = async |context: LineContext<'_>, _: &Form| lines::act_on_task(context, &path, TaskAction::Look).await;
    handle(state.visitor(&request), &state, read_query(&request, &state), line, shown).await
}

fn shown(outcome: TaskOutcome, context: LineContext<'_>) -> HttpResponse {
    respond::task(&outcome, context.now)
}
