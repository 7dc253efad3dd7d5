//! Whether a token may be used now, asked by whoever holds it, by the API that it is for, and by others.

use serde_json::{Value, json};

use super::{Door, ask, assertion, evaluation, party, token};
use crate::support::{Reply, Site, claims, get};

fn asked(site: &Site, agent: &str, path: &str, body: &Value) -> Reply {
    let door = Door { method: "POST", path: path.to_owned(), parameters: vec![("json", body.to_string())] };
    ask(site, &door, &assertion(&party(site, agent).assertion()).header("X-Request-ID", "call-7"))
}

fn decided(site: &Site, agent: &str, body: &Value) -> Value {
    let reply = asked(site, agent, "/access/v1/evaluation", body);
    assert_eq!((reply.status, reply.header("x-request-id")), (200, Some("call-7")), "{}", reply.text);
    reply.json()
}

/// The holder and the API's agent are answered; a stranger hears the same of a living token, a dead one and one that never was.
#[test]
fn a_use_is_decided_for_holder_and_api_and_strangers_learn_nothing() {
    let site = Site::new("doors-calls");
    let _server = site.start();
    let token = token(&site, None);
    let subject = claims(&token)["sub"].as_str().unwrap().to_owned();
    let body = evaluation(&token, &subject, "contacts.read");
    for agent in ["orchestrator", "crm-agent"] {
        assert_eq!(decided(&site, agent, &body), json!({ "decision": true }), "{agent}");
        let beyond = decided(&site, agent, &evaluation(&token, &subject, "contacts.delete"));
        assert!(
            beyond["decision"] == false && beyond["context"]["reason"].as_str().unwrap().starts_with("action.name"),
            "{beyond}"
        );
    }
    let unknown = decided(&site, "analyst", &evaluation("-", &subject, "contacts.read"));
    assert_eq!(unknown["decision"], false);
    assert_eq!(decided(&site, "analyst", &body), unknown, "another's token");
    assert_eq!(decided(&site, "orchestrator", &evaluation(&token, "somebody", "contacts.read")), unknown, "another subject");
    let mut list = body.clone();
    list["evaluations"] = json!([{}, { "action": { "name": "contacts.delete" } }, {}]);
    let verdicts = |list: &Value| {
        let told = asked(&site, "orchestrator", "/access/v1/evaluations", list).json();
        told["evaluations"].as_array().unwrap().iter().map(|one| one["decision"] == true).collect::<Vec<_>>()
    };
    assert_eq!(verdicts(&list), [true, false, true]);
    list["options"] = json!({ "evaluations_semantic": "deny_on_first_deny" });
    assert_eq!(verdicts(&list), [true, false]);
    let revoked = Door { method: "POST", path: "/revoke".to_owned(), parameters: vec![("token", token.clone())] };
    assert_eq!(ask(&site, &revoked, &assertion(&party(&site, "orchestrator").assertion())).status, 200);
    assert_eq!(decided(&site, "orchestrator", &body), unknown, "what has ended");
    let missing = asked(&site, "orchestrator", "/access/v1/evaluation", &json!({ "subject": {} }));
    assert_eq!((missing.status, missing.text_of("error").as_str()), (400, "invalid_request"), "{}", missing.text);
    let metadata = get(site.public, "/.well-known/authzen-configuration").unwrap().json();
    let point = metadata["policy_decision_point"].as_str().unwrap();
    assert_eq!(metadata["access_evaluation_endpoint"], format!("{point}/access/v1/evaluation"));
    assert_eq!(metadata["access_evaluations_endpoint"], format!("{point}/access/v1/evaluations"));
}
