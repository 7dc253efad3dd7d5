//! The operators' listener: health and metrics.

use std::fmt::Write;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, ServiceConfig};

use super::plain::plain;
use super::state::AppState;
use crate::config::CandidateState;
use crate::keys::KeyState;

/// The routes of the operators' listener.
pub(super) fn routes(config: &mut ServiceConfig) {
    config.route("/healthz", web::get().to(healthz));
    config.route("/readyz", web::get().to(readyz));
    config.route("/metrics", web::get().to(metrics));
}

/// `GET /healthz`: the process answers.
async fn healthz() -> HttpResponse {
    plain(StatusCode::OK).body("ok\n")
}

/// `GET /readyz`: a configuration is in force and the commit store takes records, so tokens can be issued.
async fn readyz(state: Data<AppState>) -> HttpResponse {
    if state.board.refuses() {
        let why = "the configuration that the server was started with is not in force yet; see the log\n";
        return plain(StatusCode::SERVICE_UNAVAILABLE).body(why);
    }
    match state.commit().is_available() {
        true => plain(StatusCode::OK).body("ready\n"),
        false => plain(StatusCode::SERVICE_UNAVAILABLE).body("the commit store does not take records; see the log\n"),
    }
}

/// `GET /metrics`, in the text format of Prometheus.
async fn metrics(state: Data<AppState>) -> HttpResponse {
    let text = state.metrics.text() + &configuration(&state) + &memory(&state) + &ledger(&state) + &trust(&state);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}

/// Whether the configuration on disk is in force, and why not.
fn configuration(state: &AppState) -> String {
    let shown = state.board.shown().map(|shown| shown.state);
    let mut text = String::from("# TYPE countersign_configuration_pending gauge\n");
    for reason in CandidateState::ALL {
        let (name, holds) = (reason.name(), u8::from(shown == Some(reason)));
        let _ = writeln!(text, "countersign_configuration_pending{{reason=\"{name}\"}} {holds}");
    }
    text
}

/// How full the bounded parts of the state are.
fn memory(state: &AppState) -> String {
    let (live, limits) = (state.commit().state(), state.commit().limits());
    let tokens = state.commit().status_lists().len();
    let parts = [
        ("live_entries", live.len(), limits.generations),
        ("tasks", live.tasks_len(), limits.tasks),
        ("status_tokens", tokens, limits.status),
    ];
    let mut text = String::new();
    for (name, fill, max) in parts {
        let _ = writeln!(text, "# TYPE countersign_{name} gauge\ncountersign_{name} {fill}");
        let _ = writeln!(text, "# TYPE countersign_{name}_max gauge\ncountersign_{name}_max {max}");
    }
    text
}

/// The size of the ledger, the part of it that is signed, and whether signing fails.
fn ledger(state: &AppState) -> String {
    let (sequencer, records) = (&state.ledger.sequencer, state.commit().durable().records());
    let signed = sequencer.published().map_or(0, |published| published.head.size());
    let failing = u8::from(sequencer.failure().is_some());
    format!(
        "# TYPE countersign_ledger_records gauge\ncountersign_ledger_records {records}\n\
         # TYPE countersign_ledger_signed_records gauge\ncountersign_ledger_signed_records {signed}\n\
         # TYPE countersign_ledger_failing gauge\ncountersign_ledger_failing {failing}\n"
    )
}

/// Per trust rule: usability and age of its keys, and how often they were fetched.
fn trust(state: &AppState) -> String {
    let states = state.deployment().trust.key_states(state.now());
    let mut text = String::new();
    let mut gauge = |name: &str, kind: &str, value: &dyn Fn(&KeyState) -> Option<u64>| {
        let _ = writeln!(text, "# TYPE countersign_trust_{name} {kind}");
        for (rule, value) in states.iter().filter_map(|state| Some((&state.rule, value(state)?))) {
            let _ = writeln!(text, "countersign_trust_{name}{{rule=\"{rule}\"}} {value}");
        }
    };
    gauge("keys_usable", "gauge", &|state| Some(u64::from(state.usable)));
    gauge("keys_age_seconds", "gauge", &|state| state.age.map(|age| age.as_secs()));
    gauge("key_fetches_total", "counter", &|state| Some(state.fetches));
    gauge("key_fetch_failures_total", "counter", &|state| Some(state.failures));
    text
}
