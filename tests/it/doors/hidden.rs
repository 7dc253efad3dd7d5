//! What a client may not see it learns from no endpoint: not whether a token or a task lives, and nothing by a login that was
//! used.

use serde_json::json;

use super::{CRM, Door, Shown, ask, assertion, attestation, doors, open_task, party, proof, token, whole};
use crate::agents::json_of;
use crate::support::{Ledger, Reply, Site, form, post_form};

fn about(site: &Site, agent: &str, path: &str, token: &str) -> Reply {
    let door = Door { method: "POST", path: path.to_owned(), parameters: vec![("token", token.to_owned())] };
    ask(site, &door, &assertion(&party(site, agent).assertion()))
}

#[test]
fn who_may_not_see_a_token_is_told_the_same_of_a_living_a_dead_and_an_unknown_one() {
    let site = Site::new("doors-hidden-tokens");
    let _server = site.start();
    let [living, dead] = [token(&site, None), token(&site, None)];
    assert_eq!(about(&site, "orchestrator", "/revoke", &dead).status, 200);
    let changed = living.chars().rev().skip(1).collect::<String>().chars().rev().collect::<String>() + "A";
    let unknown = [changed, party(&site, "orchestrator").id_token(json!({})), "x.y.z".to_owned(), "-".to_owned()];
    for path in ["/introspect", "/revoke"] {
        // Neither a stranger nor the agent of another API.
        for agent in ["mallory", "billing-agent"] {
            let expected = whole(&about(&site, agent, path, &living));
            assert!(expected.0[0].starts_with("HTTP/1.1 200"), "{expected:?}");
            for other in unknown.iter().chain([&dead]) {
                assert_eq!(whole(&about(&site, agent, path, other)), expected, "{path} as {agent}");
            }
            let login = party(&site, agent).assertion();
            let door =
                |token: &str| Door { method: "POST", path: path.to_owned(), parameters: vec![("token", token.to_owned())] };
            assert_eq!(ask(&site, &door(&living), &assertion(&login)).status, 200);
            assert_eq!(ask(&site, &door(&dead), &assertion(&login)).status, 401, "{path}: the login was spent");
        }
    }
    assert_eq!(about(&site, "crm-agent", "/introspect", &living).json()["active"], true, "nobody else ended it");
}

#[test]
fn who_may_not_see_a_task_is_told_the_same_of_a_living_an_ended_and_an_unknown_one() {
    let site = Site::new("doors-hidden-tasks");
    let _server = site.start();
    let [living, ended] = [open_task(&site, "orchestrator"), open_task(&site, "orchestrator")];
    let act = |agent: &str, method: &'static str, task: &str, action: &str| {
        let door = Door { method, path: format!("/tasks/{task}{action}"), parameters: Vec::new() };
        ask(&site, &door, &assertion(&party(&site, agent).assertion()))
    };
    assert_eq!(act("orchestrator", "POST", &ended, "/complete").status, 200);
    let unknown = "01a1fa92-3a75-71f3-9c1a-9a75307ce341";
    let actions = [("GET", ""), ("POST", "/heartbeat"), ("POST", "/suspend"), ("POST", "/resume"), ("POST", "/complete")];
    for (method, action) in actions {
        let expected = whole(&act("mallory", method, &living, action));
        assert_eq!(expected.1["error"], "invalid_request", "{expected:?}");
        for other in [ended.as_str(), unknown, "no-task"] {
            assert_eq!(whole(&act("mallory", method, other, action)), expected, "{method} {action}");
        }
    }
    assert_eq!(act("orchestrator", "GET", &living, "").json()["status"], "active");
}

/// A login that was used is told no verdict of policy, and takes nothing of its agent's quota.
#[test]
fn a_used_login_is_told_no_verdict_and_leaves_the_quota_to_its_agent() {
    let site = Site::new("doors-used-login");
    let server = site.start();
    let orchestrator = party(&site, "orchestrator");
    let subject = orchestrator.id_token(json!({}));
    let refused = |login: &str, resource: &str| {
        let body = form(&crate::support::Party::request(login, &subject, &[("resource", resource)]));
        post_form(site.public, "/token", &body).unwrap()
    };
    let used = orchestrator.assertion();
    assert_eq!(refused(&used, CRM).status, 200);
    let expected = whole(&refused(&used, CRM));
    for resource in ["https://vault.example", "https://billing.example", "https://nowhere.example"] {
        for _ in 0..40 {
            assert_eq!(whole(&refused(&used, resource)), expected);
        }
    }
    assert_eq!(expected.1["error"], "invalid_client");
    let genuine: Vec<String> =
        (0..50).map(|_| refused(&orchestrator.assertion(), "https://vault.example").text_of("error_id")).collect();
    server.kill();
    let _server = site.start();
    let recorded: Vec<String> = Ledger::read(&site.fixture.data)
        .refusals()
        .iter()
        .map(|refusal| refusal["error_id"].as_str().unwrap().to_owned())
        .collect();
    assert!(recorded.iter().all(|id| genuine.contains(id)), "nothing is recorded of who showed a used login");
    assert!(recorded.len() > 40, "{}", recorded.len());
}

/// Who shows a login that was used is nobody at first look, before anything is asked about the agent whose login it was.
#[test]
fn a_used_login_is_not_told_what_became_of_its_agent() {
    let site = Site::new("doors-used-suspended");
    let _server = site.start();
    let orchestrator = party(&site, "orchestrator");
    let used = orchestrator.assertion();
    let door = Door { method: "POST", path: "/introspect".to_owned(), parameters: vec![("token", "-".to_owned())] };
    assert_eq!(ask(&site, &door, &assertion(&used)).status, 200);
    let expected = whole(&ask(&site, &door, &assertion(&used)));
    assert_eq!(expected.1["error"], "invalid_client", "{expected:?}");
    json_of(&site, &["agent", "suspend", "orchestrator"], 0);
    assert_ne!(whole(&ask(&site, &door, &assertion(&orchestrator.assertion()))), expected, "the agent itself is told why");
    for door in doors(&site, "analyst") {
        assert_eq!(whole(&ask(&site, &door, &assertion(&used))), expected, "{} {}", door.method, door.path);
    }
}

/// Nothing is shown without credentials, whatever stands in the path.
#[test]
fn a_task_is_shown_to_nobody_without_a_login() {
    let site = Site::new("doors-nobody");
    let _server = site.start();
    let task = open_task(&site, "orchestrator");
    let door = |path: String| Door { method: "GET", path, parameters: Vec::new() };
    let expected = whole(&ask(&site, &door(format!("/tasks/{task}")), &Shown::default()));
    assert_eq!(whole(&ask(&site, &door("/tasks/no-task".to_owned()), &Shown::default())), expected);
    assert!(expected.0[0].starts_with("HTTP/1.1 401"), "{expected:?}");
}

/// Otherwise each spelling of an address would have used proofs of its own, and who shows one at another would be somebody.
#[test]
fn a_used_proof_counts_at_no_other_spelling_of_its_address() {
    let site = Site::new("doors-spellings");
    let _server = site.start();
    let task = open_task(&site, "researcher");
    let door = |id: String| Door { method: "GET", path: format!("/tasks/{id}"), parameters: Vec::new() };
    let used = proof(&site, "holder", &door(task.clone()));
    let show = |id: String| ask(&site, &door(id), &attestation(&site).proof(&used));
    assert_eq!(show(task.clone()).status, 200);
    for spelling in [".%2F", ".%2F.%2F", "x%2F..%2F", "%2e%2F", ""] {
        let reply = show(format!("{spelling}{task}"));
        assert_eq!((reply.status, reply.text_of("error").as_str()), (400, "invalid_dpop_proof"), "{spelling}: {}", reply.text);
    }
}
