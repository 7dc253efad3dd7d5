//! What is refused when as much is remembered as the configuration allows.

use std::path::Path;

use serde_json::json;

use crate::support::{Party, Reply, Site, form, get, post_form};

const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn issued(site: &Site, resource: &str) -> Reply {
    let party = Party::new(&site.profile(), "orchestrator");
    let body = form(&Party::request(&party.assertion(), &party.id_token(json!({})), &[("resource", resource)]));
    post_form(site.public, "/token", &body).unwrap()
}

fn opened(site: &Site) -> Reply {
    let party = Party::new(&site.profile(), "orchestrator");
    let details = r#"[{"type":"task","authority":[{"api":"https://crm.example","scopes":["contacts.read"]}]}]"#;
    let (assertion, subject) = (party.assertion(), party.id_token(json!({})));
    let parameters = [
        ("client_assertion_type", BEARER),
        ("client_assertion", assertion.as_str()),
        ("subject_token", &subject),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ("authorization_details", details),
    ];
    post_form(site.public, "/tasks", &form(&parameters)).unwrap()
}

fn assert_full(reply: &Reply) {
    assert_eq!((reply.status, &*reply.text_of("error")), (503, "temporarily_unavailable"), "{}", reply.text);
    assert!(reply.header("retry-after").is_some(), "{}", reply.text);
}

#[test]
fn no_more_tasks_are_opened_than_may_be_remembered() {
    let site = Site::new("limit-tasks");
    let _server = site.start_with(&[("COUNTERSIGN__LIMITS__TASKS", Path::new("1"))]);
    let first = opened(&site);
    assert_eq!(first.status, 200, "{}", first.text);
    assert_full(&opened(&site));
    assert_eq!(issued(&site, "https://crm.example").status, 200, "tokens are issued all the same");
    not_ready(&site, "tasks");
}

/// The server tells that just this hinders it.
fn not_ready(site: &Site, reason: &str) {
    let (ready, metrics) = (get(site.ops, "/readyz").unwrap(), get(site.ops, "/metrics").unwrap());
    assert_eq!(ready.status, 503, "{}", ready.text);
    assert!(ready.body().lines().count() == 1 && ready.body().starts_with(&format!("{reason}: ")), "{}", ready.text);
    let holding: Vec<&str> =
        metrics.text.lines().filter(|line| line.starts_with("countersign_not_ready{") && line.ends_with(" 1")).collect();
    assert_eq!(holding, [format!("countersign_not_ready{{reason=\"{reason}\"}} 1")]);
}

#[test]
fn no_more_tokens_are_issued_for_status_lists_than_may_be_remembered() {
    let site = Site::new("limit-status");
    let _server = site.start_with(&[("COUNTERSIGN__LIMITS__STATUS_TOKENS", Path::new("1"))]);
    let first = issued(&site, "https://reports.example");
    assert_eq!(first.status, 200, "{}", first.text);
    assert_full(&issued(&site, "https://reports.example"));
    assert_eq!(issued(&site, "https://crm.example").status, 200, "an API without a list is not concerned");
    not_ready(&site, "status_tokens");
}
