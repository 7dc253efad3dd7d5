//! Velocity limits of agents: whose tokens count, what is answered beyond them, and what a restart changes.

use std::fs;

use serde_json::{Value, json};

use crate::agents::json_of;
use crate::support::{Ledger, Party, Reply, Site, form, get, post_form};

const MAIL: &str = "https://mail.example";
const CRM: &str = "https://crm.example";
const ASSISTANT: &str = "https://assistant.example";

/// A site on which the orchestrator may be issued three tokens an hour by which mail can be sent, and the analyst two by which
/// something is read.
fn limited(name: &str) -> Site {
    let site = Site::new(name);
    for (agent, limit) in [("orchestrator", "irreversible = 3"), ("analyst", "read = 2")] {
        let path = site.fixture.config.parent().unwrap().join(format!("agents/{agent}.toml"));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}\n[velocity]\n{limit}\n")).unwrap();
    }
    site
}

fn exchanged(site: &Site, agent: &str, subject: &str, resource: &str) -> Reply {
    let assertion = Party::new(&site.profile(), agent).assertion();
    let body = form(&Party::request(&assertion, subject, &[("resource", resource)]));
    post_form(site.public, "/token", &body).unwrap()
}

fn asked(site: &Site, agent: &str, resource: &str) -> Reply {
    exchanged(site, agent, &Party::new(&site.profile(), agent).id_token(json!({})), resource)
}

fn assert_over(reply: &Reply) {
    assert_eq!((reply.status, &*reply.text_of("error")), (429, "temporarily_unavailable"), "{}", reply.text);
    let told = reply.text_of("error_description");
    assert!(told.contains("3 tokens in an hour") && told.contains("irreversible"), "{told}");
    let seconds: u32 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3_601).contains(&seconds));
    assert_eq!(reply.header("ratelimit-policy"), Some("\"velocity_irreversible\";q=3;w=3600"));
    assert_eq!(reply.header("ratelimit").map(str::to_owned), Some(format!("\"velocity_irreversible\";r=0;t={seconds}")));
}

fn shown(site: &Site) -> Value {
    json_of(site, &["agent", "show", "orchestrator"], 0)["velocity"].clone()
}

#[test]
fn an_agent_waits_when_it_has_its_tokens_and_nobody_else_does() {
    let site = limited("velocity");
    let server = site.start();
    // It may do less, and be refused, as often as it likes.
    let reading = asked(&site, "orchestrator", CRM);
    assert_eq!(reading.status, 200, "{}", reading.text);
    assert_eq!(asked(&site, "orchestrator", "https://nowhere.example").status, 400);
    let used = |used: u32| json!([{ "effect": "irreversible", "per_hour": 3, "used": used }]);
    assert_eq!(shown(&site), used(0));
    let presented = asked(&site, "orchestrator", ASSISTANT);
    for _ in 0..3 {
        let issued = asked(&site, "orchestrator", MAIL);
        assert_eq!(issued.status, 200, "{}", issued.text);
    }
    (0..2).for_each(|_| assert_over(&asked(&site, "orchestrator", MAIL)));
    assert_eq!(asked(&site, "orchestrator", CRM).status, 200, "what can be undone");
    assert!((0..5).all(|_| asked(&site, "analyst", MAIL).status == 200), "another agent");
    // A token is the client's that it is issued to, whoever the chain began with.
    let on_behalf = || exchanged(&site, "analyst", &presented.text_of("access_token"), CRM).status;
    assert_eq!([on_behalf(), on_behalf(), on_behalf()], [200, 200, 429]);
    assert_eq!(asked(&site, "orchestrator", CRM).status, 200);
    assert_eq!(shown(&site), used(3));
    let metrics = get(site.ops, "/metrics").unwrap().text;
    let row = "countersign_too_many_requests_total{limit=\"velocity_irreversible\",client=\"orchestrator\"} 2";
    assert!(metrics.lines().any(|line| line == row), "{metrics}");
    server.kill();
    let refusals = Ledger::read(&site.fixture.data).refusals();
    let refused = |record: &&Value| record["reason"].as_str().is_some_and(|reason| reason.contains("3 tokens in an hour"));
    assert_eq!(refusals.iter().filter(refused).count(), 2, "{refusals:?}");
}

#[test]
fn a_restart_is_no_way_around_the_limit() {
    let site = limited("velocity-restart");
    let server = site.start();
    assert!((0..3).all(|_| asked(&site, "orchestrator", MAIL).status == 200));
    assert!((0..3).all(|_| asked(&site, "orchestrator", CRM).status == 200));
    server.kill();
    assert_eq!(shown(&site)[0]["used"], 3, "where no server runs");
    let _server = site.start();
    assert_over(&asked(&site, "orchestrator", MAIL));
    assert_eq!(shown(&site)[0]["used"], 3);
}
