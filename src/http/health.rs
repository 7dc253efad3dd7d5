//! The operators' listener: health and metrics.

use std::fmt::Write;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, ServiceConfig};

use super::bounds;
use super::plain::{plain, reading};
use super::readiness::{NotReady, not_ready};
use super::state::AppState;
use crate::commit::contract::Select;
use crate::config::CandidateState;
use crate::keys::KeyState;

/// The routes of the operators' listener.
pub(super) fn routes(config: &mut ServiceConfig) {
    config.route("/healthz", reading().to(healthz));
    config.route("/readyz", reading().to(readyz));
    config.route("/metrics", reading().to(metrics));
}

/// `GET /healthz`: the process answers.
async fn healthz() -> HttpResponse {
    plain(StatusCode::OK).body("ok\n")
}

/// `GET /readyz`: nothing of this server's own keeps it from issuing; else every reason, a line each.
async fn readyz(state: Data<AppState>) -> HttpResponse {
    let reasons = not_ready(&state).await;
    if reasons.is_empty() {
        return plain(StatusCode::OK).body("ready\n");
    }
    plain(StatusCode::SERVICE_UNAVAILABLE).body(reasons.iter().map(|reason| format!("{reason}\n")).collect::<String>())
}

/// `GET /metrics`, in the text format of Prometheus.
async fn metrics(state: Data<AppState>) -> HttpResponse {
    let (ready, state) = (readiness(&state).await, &*state);
    let filled = bounds::text(state) + &left_out(state) + &store(state) + &ledger(state) + &trust(state);
    let text = state.metrics.text(&state.deployment().catalog) + &configuration(state) + &ready + &filled;
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}

/// Every reason for which the server may not be ready, and whether it holds.
async fn readiness(state: &AppState) -> String {
    let (reasons, mut text) = (not_ready(state).await, String::from("# TYPE countersign_not_ready gauge\n"));
    for reason in NotReady::all() {
        let (name, holds) = (reason.name(), u8::from(reasons.contains(&reason)));
        let _ = writeln!(text, "countersign_not_ready{{reason=\"{name}\"}} {holds}");
    }
    text
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

/// What requests cost that is not answered or told one by one.
fn left_out(state: &AppState) -> String {
    let (refusals, lines) = (state.commit().unrecorded_refusals(), state.log.left_out());
    format!(
        "# TYPE countersign_refusals_unrecorded_total counter\ncountersign_refusals_unrecorded_total {refusals}\n\
         # TYPE countersign_log_lines_left_out_total counter\ncountersign_log_lines_left_out_total {lines}\n"
    )
}

/// The bytes of the store's write-ahead log.
fn store(state: &AppState) -> String {
    let bytes = state.ledger.records.log_bytes();
    format!("# TYPE countersign_store_log_bytes gauge\ncountersign_store_log_bytes {bytes}\n")
}

/// The size of the ledger, the part of it that is signed, and whether signing fails.
fn ledger(state: &AppState) -> String {
    let (sequencer, records) = (&state.ledger.sequencer, state.commit().durable().records());
    let signed = sequencer.published().map_or(0, |published| published.head.size());
    let failing = u8::from(sequencer.failure().is_some());
    let first = state.ledger.records.first().unwrap_or_default();
    let kept = records.saturating_sub(first);
    format!(
        "# TYPE countersign_ledger_records gauge\ncountersign_ledger_records {records}\n\
         # TYPE countersign_ledger_signed_records gauge\ncountersign_ledger_signed_records {signed}\n\
         # TYPE countersign_ledger_failing gauge\ncountersign_ledger_failing {failing}\n\
         # TYPE countersign_ledger_first_index gauge\ncountersign_ledger_first_index {first}\n\
         # TYPE countersign_ledger_kept_records gauge\ncountersign_ledger_kept_records {kept}\n"
    ) + &archive(state)
}

/// Where records are kept for a time: for how long nothing was archived.
fn archive(state: &AppState) -> String {
    if state.ledger.keep.is_none() {
        return String::new();
    }
    let oldest = || Some(state.ledger.records.records(Select::All, 0, 1).ok()?.first()?.at);
    let since = state.commit().state().retention().archive.map(|archive| archive.at()).or_else(oldest);
    let behind = since.map_or(0, |since| state.now().since(since).as_secs());
    format!("# TYPE countersign_archive_behind_seconds gauge\ncountersign_archive_behind_seconds {behind}\n")
}

/// Per trust rule: usability and age of its keys, and how often they were fetched; and how many clients' published keys cannot be
/// had, which their refusals do not tell.
fn trust(state: &AppState) -> String {
    let deployment = state.deployment();
    let (states, out_of_reach) = (deployment.trust.key_states(state.now()), deployment.logins.keys_out_of_reach(state.now()));
    let mut text = String::from("# TYPE countersign_client_keys_out_of_reach gauge\n");
    let _ = writeln!(text, "countersign_client_keys_out_of_reach {out_of_reach}");
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
