//! The token of two APIs of a group, presented by the agent of one of them: it gives that API's part and no more, by whatever
//! it is presented for, and so does whatever it gave.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::{Door, ask, assertion, party, proof};
use crate::support::{Ledger, Reply, Server, Site, claims, declared};

const CALENDAR: &str = "https://calendar.example calendar.read";
const TODO: &str = "https://todo.example todo.read";

/// What is asked for, as scopes on APIs; then whether the token's client gets it, and whether the agent of the calendar does. The
/// archive is derived from the calendar, and mail from the other one.
const ASKED: [(&[&str], bool, bool); 6] = [
    (&[CALENDAR], true, true),
    (&[TODO], true, false),
    (&[CALENDAR, TODO], true, false),
    (&["https://archive.example archive.read"], true, true),
    (&["https://mail.example mail.send"], true, false),
    (&["https://notes.example notes.read"], false, false),
];

/// The agents that may present it, and which column of the table is theirs.
const PRESENTERS: [(&str, bool); 2] = [("orchestrator", true), ("archive-agent", false)];

/// The key that the token is bound to, and the key that is proved with what is asked for.
const KEYS: [(Option<&str>, Option<&str>); 4] =
    [(None, None), (None, Some("holder-next")), (Some("holder"), Some("holder")), (Some("holder"), Some("holder-next"))];

/// What the token is presented for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum For {
    Exchange,
    Task,
}

#[test]
fn the_agent_of_one_api_of_a_group_gets_its_part_by_whatever_it_asks() {
    let site = Site::new("doors-groups");
    let _server = start(&site);
    for (bound, proved) in KEYS {
        let token = shared(&site, bound);
        for (agent, holds) in PRESENTERS {
            // Its holder proves its own key; whom it was sent to proves one of its own.
            let continued = bound.is_none() || bound == proved || !holds;
            for (asked, for_client, for_agent) in ASKED {
                for what in [For::Exchange, For::Task] {
                    let reply = present(&site, agent, (what, asked), &token, proved);
                    let cell = format!("{agent}, {bound:?}, {proved:?}: {asked:?} by {what:?}: {}", reply.text);
                    let beyond = if what == For::Task { "invalid_authorization_details" } else { "invalid_target" };
                    // A task is bound before policy is asked, an exchange after its targets are found.
                    let expected = match (if holds { for_client } else { for_agent }, continued) {
                        (true, true) => (200, ""),
                        (false, continued) if continued || what == For::Exchange => (400, beyond),
                        _ => (400, "invalid_dpop_proof"),
                    };
                    assert_eq!((reply.status, reply.text_of("error").as_str()), expected, "{cell}");
                    if reply.status == 200 {
                        assert_eq!(given(&site, agent, what, &reply), wanted(asked), "{cell}");
                    }
                }
            }
        }
    }
}

/// The APIs and the scopes of pairs.
fn wanted(pairs: &[&str]) -> [BTreeSet<String>; 2] {
    let (apis, scopes) =
        pairs.iter().map(|pair| pair.split_once(' ').unwrap()).map(|(api, scope)| (api.into(), scope.into())).unzip();
    [apis, scopes]
}

#[test]
fn a_task_that_is_opened_on_behalf_gives_the_agents_part_and_no_more() {
    let site = Site::new("doors-groups-task");
    let _server = start(&site);
    let token = shared(&site, None);
    let opened = present(&site, "archive-agent", (For::Task, &[CALENDAR]), &token, None);
    let task = opened.text_of("task_token");
    for (asked, _, _) in ASKED {
        let reply = present(&site, "archive-agent", (For::Exchange, asked), &task, Some("holder"));
        assert_eq!(reply.status == 200, asked == [CALENDAR], "{asked:?}: {}", reply.text);
        let reply = present(&site, "archive-agent", (For::Task, asked), &task, Some("holder"));
        assert_eq!(reply.status == 200, asked == [CALENDAR], "{asked:?}: {}", reply.text);
    }
}

/// It asked for no more than it was sent; a token that it was not sent at all is named whole.
#[test]
fn the_refusal_of_one_that_was_sent_a_part_names_that_part() {
    let site = Site::new("doors-groups-refusals");
    let _server = start(&site);
    let token = shared(&site, None);
    let refused = |agent: &str| {
        let scope = vec![("subject_token", token.clone()), ("subject_token_type", declared(&token).to_owned())];
        let grant = ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange".to_owned());
        let parameters = [scope, vec![grant, ("scope", "todo.read calendar.write".to_owned())]].concat();
        let door = Door { method: "POST", path: "/token".to_owned(), parameters };
        let reply = ask(&site, &door, &assertion(&party(&site, agent).assertion()));
        assert_eq!(reply.status, 400, "{}", reply.text);
        reply.text_of("error_id")
    };
    let ids = ["archive-agent", "orchestrator", "mallory"].map(refused);
    let revoke = Door { method: "POST", path: "/revoke".to_owned(), parameters: vec![("token", token.clone())] };
    assert_eq!(ask(&site, &revoke, &assertion(&party(&site, "orchestrator").assertion())).status, 200);
    let dead = refused("archive-agent");
    let refusals = || Ledger::read(&site.fixture.data).refusals();
    site.wait("the last refusal is recorded", || refusals().iter().any(|refusal| refusal["error_id"] == dead.as_str()));
    let refusals = refusals();
    let audience = |id: &str| refusals.iter().find(|refusal| refusal["error_id"] == id).unwrap()["audience"].clone();
    let [calendar, todo] = [CALENDAR, TODO].map(|pair| pair.split_once(' ').unwrap().0);
    for (id, apis) in
        ids.iter().chain([&dead]).zip([json!([calendar]), json!([calendar, todo]), json!([calendar, todo]), json!([calendar])])
    {
        assert_eq!(audience(id), apis);
    }
}

/// Policy permits everything, so that it is never what refuses.
fn start(site: &Site) -> Server {
    let all = r#"permit (principal, action in [Action::"exchange", Action::"open_task"], resource);"#;
    fs::write(site.folder.join("conf/policies/all.cedar"), all).unwrap();
    site.start()
}

/// A token of the orchestrator for the calendar and the other API of its group, bound to that test key if any.
fn shared(site: &Site, key: Option<&str>) -> String {
    let subject = party(site, "orchestrator").id_token(json!({}));
    let reply = present(site, "orchestrator", (For::Exchange, &[CALENDAR, TODO]), &subject, key);
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text_of("access_token")
}

fn present(site: &Site, agent: &str, (what, asked): (For, &[&str]), token: &str, key: Option<&str>) -> Reply {
    let pairs: Vec<(&str, &str)> = asked.iter().map(|pair| pair.split_once(' ').unwrap()).collect();
    let mut given = vec![("subject_token", token.to_owned()), ("subject_token_type", declared(token).to_owned())];
    match what {
        For::Exchange => {
            given.push(("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange".to_owned()));
            given.push(("scope", pairs.iter().map(|(_, scope)| *scope).collect::<Vec<_>>().join(" ")));
            given.extend(pairs.iter().map(|(api, _)| ("resource", (*api).to_owned())));
        }
        For::Task => {
            let authority: Vec<Value> = pairs.iter().map(|(api, scope)| json!({ "api": api, "scopes": [scope] })).collect();
            given.push(("authorization_details", json!([{ "type": "task", "authority": authority }]).to_string()));
        }
    }
    let path = if what == For::Task { "/tasks" } else { "/token" };
    let door = Door { method: "POST", path: path.to_owned(), parameters: given };
    let login = assertion(&party(site, agent).assertion());
    ask(site, &door, &key.map_or(login.clone(), |key| login.proof(&proof(site, key, &door))))
}

/// The APIs and the scopes that an answer gives.
fn given(site: &Site, agent: &str, what: For, reply: &Reply) -> [BTreeSet<String>; 2] {
    match what {
        For::Exchange => {
            let claims = claims(&reply.text_of("access_token"));
            let scopes = claims["scope"].as_str().unwrap().split(' ').map(str::to_owned);
            [texts(&claims["aud"]).into_iter().collect(), scopes.collect()]
        }
        For::Task => {
            let door = Door { method: "GET", path: format!("/tasks/{}", reply.text_of("task")), parameters: Vec::new() };
            let task = ask(site, &door, &assertion(&party(site, agent).assertion())).json();
            let authority = task["authority"].as_array().unwrap();
            ["api", "scopes"].map(|member| authority.iter().flat_map(|held| texts(&held[member])).collect())
        }
    }
}

/// A text, or an array of them.
fn texts(value: &Value) -> Vec<String> {
    let one = |value: &Value| value.as_str().unwrap().to_owned();
    value.as_array().map_or_else(|| vec![one(value)], |values| values.iter().map(one).collect())
}
