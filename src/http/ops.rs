//! The operators' listener: health and metrics.

use std::fmt::Write;

use actix_web::HttpResponse;
use actix_web::web::Data;

use super::AppState;
use crate::keys::KeyState;

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// `GET /readyz`: the commit store takes records, so tokens can be issued.
pub(super) async fn readyz(door: Data<AppState>) -> HttpResponse {
    match door.commit().is_available() {
        true => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ready\n"),
        false => HttpResponse::ServiceUnavailable()
            .content_type("text/plain; charset=utf-8")
            .body("the commit store does not take records; see the log\n"),
    }
}

/// `GET /metrics`.
pub(super) async fn metrics(door: Data<AppState>) -> HttpResponse {
    let text = door.metrics.text() + &ledger(&door) + &trust(&door);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}

/// How far the ledger's tree has followed, and whether it still does.
fn ledger(door: &AppState) -> String {
    let (sequencer, records) = (&door.ledger.sequencer, door.commit().durable().records());
    let signed = sequencer.published().map_or(0, |published| published.head.size());
    let failing = u8::from(sequencer.failure().is_some());
    format!(
        "# TYPE countersign_ledger_records gauge\ncountersign_ledger_records {records}\n\
         # TYPE countersign_ledger_signed_records gauge\ncountersign_ledger_signed_records {signed}\n\
         # TYPE countersign_ledger_failing gauge\ncountersign_ledger_failing {failing}\n"
    )
}

/// Whether the keys of each trust rule can be had, how old they are, and how often they were fetched.
fn trust(door: &AppState) -> String {
    let states = door.world().trust.key_states(door.now());
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
