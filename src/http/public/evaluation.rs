//! `POST /access/v1/evaluation` and `/access/v1/evaluations` (OpenID AuthZEN Authorization API 1.0 §6, §7, §10.1).

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::form::{handle, read_json};
use super::respond::unstored;
use crate::deployment::{EVALUATION_PATH, EVALUATIONS_PATH};
use crate::http::state::AppState;
use crate::lines::{self, CallVerdict, LineContext};

/// §10.1.3: what a request calls itself stands in its answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[derive(Serialize)]
struct DecisionBody<'a> {
    decision: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<DecisionContext<'a>>,
}

#[derive(Serialize)]
struct DecisionContext<'a> {
    reason: &'static str,
    #[serde(skip_serializing_if = "<[&str]>::is_empty")]
    missing: &'a [&'static str],
}

#[derive(Serialize)]
struct DecisionsBody<'a> {
    evaluations: Vec<DecisionBody<'a>>,
}

/// Answers one question.
pub(super) async fn one(request: HttpRequest, payload: Payload, state: Data<AppState>) -> HttpResponse {
    answer(&request, payload, &state, (EVALUATION_PATH, false)).await
}

/// Answers a list of questions.
pub(super) async fn many(request: HttpRequest, payload: Payload, state: Data<AppState>) -> HttpResponse {
    answer(&request, payload, &state, (EVALUATIONS_PATH, true)).await
}

async fn answer(request: &HttpRequest, payload: Payload, state: &AppState, at: (&str, bool)) -> HttpResponse {
    let line = async |context: LineContext<'_>, text: &String| lines::evaluate(context, text, at).await;
    let told = |(verdicts, listed): (Vec<CallVerdict>, bool), _: LineContext<'_>| {
        verdicts.iter().for_each(|verdict| state.metrics.evaluated(*verdict == CallVerdict::Permitted));
        let mut bodies: Vec<_> = verdicts.iter().map(body).collect();
        match (listed, bodies.pop()) {
            (false, Some(only)) => unstored(StatusCode::OK).json(only),
            (_, last) => {
                bodies.extend(last);
                unstored(StatusCode::OK).json(DecisionsBody { evaluations: bodies })
            }
        }
    };
    let mut answer = handle(state.visitor(request), state, read_json(request, payload, state), line, told).await;
    if let Some(id) = request.headers().get(REQUEST_ID) {
        answer.headers_mut().insert(REQUEST_ID, id.clone());
    }
    answer
}

fn body(verdict: &CallVerdict) -> DecisionBody<'_> {
    let (reason, missing): (_, &[&'static str]) = match verdict {
        CallVerdict::Permitted => return DecisionBody { decision: true, context: None },
        CallVerdict::Inactive => ("subject.properties.token is not active for this client, subject and resource", &[]),
        CallVerdict::NotGiven => ("action.name is no scope that the token gives on this resource", &[]),
        CallVerdict::Denied(missing) => ("policy does not permit this now", missing),
    };
    DecisionBody { decision: false, context: Some(DecisionContext { reason, missing }) }
}
