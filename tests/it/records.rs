//! The records of a real server against docs/records.md: every documented member of every kind is written by some path, and no
//! other member is.

mod schemas;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign_conformance::fixture;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::agents::json_of;
use crate::disk::compiled;
use crate::ledger::retention::pruned;
use crate::support::patience::{pass, until};
use crate::support::{Ledger, Party, Reply, Site, claims, declared, exchange_bytes, form, post_form};
use crate::trust::cluster::Cluster;

const SCHEMA: &str = include_str!("../../docs/records.md");

/// Cases that between them open tasks, bind tokens, impersonate, hand over, revoke and are refused.
const CASES: [&str; 8] = ["tasks/", "dpop/", "rfc8705/", "delegation/", "instance/", "status-list/", "aws/", "id-jag/issued"];

/// The refusals of one agent that are recorded in a minute (`limits.refusals_per_minute`).
const REFUSALS_PER_MINUTE: usize = 60;

const ASSISTANT: (&str, &str) = ("resource", "https://assistant.example");
const CRM: (&str, &str) = ("resource", "https://crm.example");

/// A scope that no API declares: the words of whoever asks.
const UNDECLARED: &str = "undeclared-7d1f9c52";

/// The names of members.
#[derive(Debug, Default, PartialEq, Eq)]
struct Members {
    /// Those of a record, by its kind.
    top: BTreeMap<String, BTreeSet<String>>,
    /// Those below, behind the name of the member they are in and a dot.
    nested: BTreeSet<String>,
}

#[test]
fn every_documented_member_is_written_and_every_written_one_is_documented() {
    let site = Site::new("records");
    let (shim, control) = (compiled(&site.folder), site.folder.join("disk"));
    let (cluster, (runtime, _issuers)) = (Cluster::installed(&site), site.issuers());
    let server = site.start_with(&[("LD_PRELOAD", &shim), ("COUNTERSIGN_SHIM", &control)]);
    let minute = refused_too_often(&site);
    refused_at_length(&site);
    refused_by_policy(&site);
    withheld(&site, &control);
    for cases in CASES {
        runtime.block_on(countersign_conformance::run(&site.profile(), Path::new(fixture::CASES), Some(cases))).unwrap();
    }
    assert_eq!(cluster.exchange(&site, 1).status, 200, "by a token that its cluster reviewed");
    a_chain_that_touched_data(&site);
    a_task_of_an_agent_for_itself(&site);
    administered(&site);
    until("the minute is over", || minute_of(&site) > minute);
    assert_eq!(nowhere(&site, "mallory").status, 400);
    until("what went unrecorded is told", || records(&site).iter().any(|record| record.get("suppressed").is_some()));
    let copy = backed_up(&site);
    server.kill();
    loses_what_no_record_holds(&site);
    let mut written = written(&site);
    assert!(written.top.contains_key("epoch"));
    written.add(goes_on_without(&site, &copy));
    written.add(self::written(&pruned("records-pruned").site));
    let documented = documented();
    assert_eq!(documented.top.len(), 13, "{documented:?}");
    assert_eq!(written, documented);
    tells_what_decided(&site);
}

#[test]
fn a_refusal_names_the_registered_targets_or_without_any_the_apis_of_its_token() {
    let site = Site::new("audience");
    let (_runtime, _issuers) = site.issuers();
    let server = site.start();
    let [party, other] = ["orchestrator", "mallory"].map(|agent| Party::new(&site.profile(), agent));
    let token = exchange(&site, &party, &party.id_token(json!({})), &[ASSISTANT]).text_of("access_token");
    let authority = json!([{ "api": CRM.1, "scopes": ["contacts.read"] }]);
    let details = json!([{ "type": "task", "authority": authority, "budget": { "exchanges": 1 } }]).to_string();
    let (assertion, id_token) = (party.assertion(), party.id_token(json!({})));
    let task = post_form(site.public, "/tasks", &form(&opening(&assertion, &id_token, &details))).unwrap().text_of("task_token");
    assert_eq!(exchange(&site, &party, &task, &[]).status, 200);
    let delete = [("scope", "contacts.delete")];
    let by_admission = (exchange(&site, &other, &token, &[]), "was issued to another client", ASSISTANT.1);
    let twice_and_nowhere = [CRM, CRM, ("resource", "https://nowhere.example")];
    let by_authority = (exchange(&site, &party, &token, &twice_and_nowhere), "the id of a registered API", CRM.1);
    let by_policy = (exchange(&site, &party, &token, &delete), "scope asks for too much", ASSISTANT.1);
    let by_commit = (exchange(&site, &party, &task, &[]), "budget", CRM.1);
    let refused =
        |reply: &Reply, records: &[Value]| records.iter().find(|record| record["error_id"] == reply.text_of("error_id")).cloned();
    until("the last refusal is recorded", || refused(&by_commit.0, &records(&site)).is_some());
    server.kill();
    let records = records(&site);
    for (reply, reason, api) in [by_admission, by_authority, by_policy, by_commit] {
        assert!(reply.text_of("error_description").contains(reason), "{}", reply.text);
        let refusal = refused(&reply, &records).unwrap();
        assert_eq!(refusal["audience"], json!([api]), "{refusal}");
    }
}

fn records(site: &Site) -> Vec<Value> {
    Ledger::read(&site.fixture.data).everything()
}

/// An exchange by `party`, which logs in with its own key.
fn exchange(site: &Site, party: &Party, subject: &str, more: &[(&str, &str)]) -> Reply {
    post_form(site.public, "/token", &form(&Party::request(&party.assertion(), subject, more))).unwrap()
}

/// A request of `agent` that is refused for its target.
fn nowhere(site: &Site, agent: &str) -> Reply {
    let party = Party::new(&site.profile(), agent);
    exchange(site, &party, &party.id_token(json!({})), &[("resource", "https://nowhere.example")])
}

/// More refusals of one agent than are recorded in any two minutes. Says in which minute they ended.
fn refused_too_often(site: &Site) -> i64 {
    (0..=2 * REFUSALS_PER_MINUTE).for_each(|_| assert_eq!(nowhere(site, "mallory").status, 400));
    minute_of(site)
}

/// A refusal whose targets and scopes have no room in its record: a task of everything that there is.
fn refused_at_length(site: &Site) {
    let profile = site.profile();
    let party = Party::new(&profile, "orchestrator");
    let token = exchange(site, &party, &party.id_token(json!({})), &[ASSISTANT]).text_of("access_token");
    let apis = profile.apis.values().filter(|api| !api.scopes.is_empty()).take(15);
    let authority = apis.map(|api| json!({ "api": api.id, "scopes": api.scopes.values().collect::<Vec<_>>() }));
    let details = json!([{ "type": "task", "authority": authority.collect::<Vec<_>>() }]).to_string();
    let assertion = party.assertion();
    let reply = post_form(site.public, "/tasks", &form(&opening(&assertion, &token, &details))).unwrap();
    assert_eq!(reply.text_of("error"), "invalid_authorization_details", "{}", reply.text);
}

fn opening<'a>(assertion: &'a str, subject: &'a str, details: &'a str) -> [(&'static str, &'a str); 5] {
    [
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
        ("subject_token", subject),
        ("subject_token_type", declared(subject)),
        ("authorization_details", details),
    ]
}

/// A refusal by policy, of a scope that a policy forbids and of one that nobody declares.
fn refused_by_policy(site: &Site) {
    let party = Party::new(&site.profile(), "orchestrator");
    let scope = format!("contacts.delete {UNDECLARED}");
    let reply = exchange(site, &party, &party.id_token(json!({})), &[CRM, ("scope", &scope)]);
    assert_eq!(reply.text_of("error"), "invalid_scope", "{}", reply.text);
}

/// The record of what [`refused_by_policy`] did holds the target, the policy and its set, and nothing of what nobody declares.
fn tells_what_decided(site: &Site) {
    let records = records(site);
    let refusal = records.iter().find(|record| record["kind"] == "refusal" && record["requested"] == "contacts.delete").unwrap();
    let hop = records.iter().find(|record| record["kind"] == "hop").unwrap();
    assert_eq!(refusal["audience"], json!([CRM.1]));
    assert_eq!(refusal["policies"].as_array().map(Vec::len), Some(1), "{refusal}");
    assert!(refusal["policies"][0].as_str().unwrap().starts_with("exchange"), "{refusal}");
    assert_eq!(refusal["policy_set"], hop["policy_set"]);
    assert!(records.iter().all(|record| !record.to_string().contains(UNDECLARED)));
}

/// Hops whose callers go while they are flushed, until one of them is recorded as withheld.
fn withheld(site: &Site, control: &Path) {
    let party = Party::new(&site.profile(), "orchestrator");
    fs::write(control, "d").unwrap();
    until("a hop is withheld", || {
        let body = form(&Party::request(&party.assertion(), &party.id_token(json!({})), &[ASSISTANT]));
        let head = format!(
            "POST /token HTTP/1.1\r\nhost: {}\r\nexpect: 100-continue\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n",
            site.public,
            body.len()
        );
        let mut stream = TcpStream::connect(site.public).unwrap();
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        pass(Duration::from_millis(100));
        // The server's `100 Continue` was not read, so this resets the connection.
        drop(stream);
        records(site).iter().any(|record| record["kind"] == "withheld")
    });
    fs::remove_file(control).unwrap();
}

/// Two hops for a person who authenticated strongly and came through a foreign actor; the first, of what is permitted of the
/// scopes asked for, touches a class of data.
fn a_chain_that_touched_data(site: &Site) {
    let [first, second] = ["orchestrator", "analyst"].map(|agent| Party::new(&site.profile(), agent));
    let person = json!({ "acr": "high", "amr": ["hwk"], "auth_time": 1_700_000_000, "act": { "sub": "helper" } });
    let scope = format!("customers.lookup customers.export {UNDECLARED}");
    let more = [ASSISTANT, ("scope", scope.as_str()), ("scope_mode", "narrow")];
    let reply = exchange(site, &first, &first.id_token(person), &more);
    assert_eq!(reply.status, 200, "{}", reply.text);
    let reply = exchange(site, &second, &reply.text_of("access_token"), &[CRM]);
    assert_eq!(reply.status, 200, "{}", reply.text);
}

/// A workload opens a task for itself.
fn a_task_of_an_agent_for_itself(site: &Site) {
    let party = Party::new(&site.profile(), "worker");
    let (attestation, proof) = (party.vouched("cluster", json!({})), party.proof_at("holder", "/tasks"));
    let details = json!([{ "type": "task", "authority": [{ "api": CRM.1, "scopes": ["contacts.read"] }] }]).to_string();
    let mut parameters = opening(&attestation, &attestation, &details);
    parameters[3].1 = "urn:ietf:params:oauth:token-type:jwt";
    let body = form(&parameters);
    let head = format!(
        "POST /tasks HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ndpop: {proof}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n",
        site.public,
        body.len()
    );
    let reply = exchange_bytes(site.public, format!("{head}{body}").as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
}

fn administered(site: &Site) {
    json_of(site, &["agent", "suspend", "orchestrator"], 0);
    json_of(site, &["agent", "resume", "orchestrator"], 0);
    json_of(site, &["agent", "retire", "researcher", "--yes"], 0);
    let hop = records(site).into_iter().find(|record| record["kind"] == "hop").unwrap();
    for command in ["hold", "release"] {
        json_of(site, &["ledger", command, hop["txn"].as_str().unwrap()], 0);
    }
    json_of(site, &["archive", site.folder.join("archive").to_str().unwrap()], 0);
    // Somebody else issues under the same name.
    let file = site.fixture.config.parent().unwrap().join("trust/other-as.toml");
    let text = fs::read_to_string(&file).unwrap();
    let issuer = text.lines().find(|line| line.starts_with("issuer")).unwrap();
    fs::write(&file, text.replacen(issuer, "issuer = \"https://another.example\"", 1)).unwrap();
    until("what is in force no longer is recorded", || records(site).iter().any(|record| record.get("removed").is_some()));
}

/// A backup, after which something is signed.
fn backed_up(site: &Site) -> PathBuf {
    let dir = site.folder.join("copy");
    let records = json_of(site, &["backup", dir.to_str().unwrap()], 0)["records"].as_u64().unwrap();
    assert_eq!(nowhere(site, "mallory").status, 400);
    let head = site.fixture.config.parent().unwrap().join("../keys/ledger.head");
    let signed = || fs::read_to_string(&head).unwrap().lines().nth(1).and_then(|size| size.parse::<u64>().ok());
    until("something more is signed", || signed().is_some_and(|size| size > records));
    dir
}

/// The members of the records when a copy went on that misses some.
fn goes_on_without(site: &Site, copy: &Path) -> Members {
    json_of(site, &["restore", copy.to_str().unwrap(), "--yes"], 0);
    written(site)
}

impl Members {
    fn add(&mut self, other: Self) {
        for (kind, members) in other.top {
            self.top.entry(kind).or_default().extend(members);
        }
        self.nested.extend(other.nested);
    }
}

/// Values that were spent are deleted, so that making the state anew begins an epoch.
fn loses_what_no_record_holds(site: &Site) {
    let database = Connection::open(site.fixture.data.join("commit.sqlite")).unwrap();
    assert!(database.execute("DELETE FROM single_use", []).unwrap() > 0);
    drop(database);
    assert_eq!(json_of(site, &["state", "rebuild"], 0)["lost"], true);
}

/// The present minute, by the clock of the parties.
fn minute_of(site: &Site) -> i64 {
    claims(&Party::new(&site.profile(), "orchestrator").assertion())["iat"].as_i64().unwrap() / 60
}

fn written(site: &Site) -> Members {
    let (mut members, records) = (Members::default(), records(site));
    schemas::valid(&records);
    for record in records {
        let of_kind = members.top.entry(record["kind"].as_str().unwrap().to_owned()).or_default();
        for (name, value) in record.as_object().unwrap() {
            of_kind.insert(name.clone());
            below(name, value, &mut members.nested);
        }
    }
    members
}

fn below(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = format!("{path}.{name}");
                below(&path, value, found);
                found.insert(path);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| below(path, element, found)),
        _ => {}
    }
}

/// The members that the tables of the document name: those below a heading `` ## `kind` `` in tables that begin with `Member`,
/// and those in tables that begin with ``Member of `path` ``.
fn documented() -> Members {
    let mut members = Members::default();
    let (mut kinds, mut parents): (Vec<String>, Option<Vec<String>>) = Default::default();
    for line in SCHEMA.lines() {
        let cell = line.strip_prefix("| ").and_then(|row| row.split(" |").next());
        match cell {
            _ if line.starts_with("## ") => kinds = quoted(line.split(':').next().unwrap()),
            Some("Member") => parents = Some(Vec::new()),
            Some(cell) if cell.starts_with("Member of ") => parents = Some(quoted(cell)),
            Some(cell) if cell.starts_with('`') => match &parents {
                Some(parents) if parents.is_empty() => {
                    for kind in &kinds {
                        members.top.entry(kind.clone()).or_default().extend(quoted(cell));
                    }
                }
                Some(parents) => {
                    let paths =
                        parents.iter().flat_map(|parent| quoted(cell).into_iter().map(move |name| format!("{parent}.{name}")));
                    members.nested.extend(paths);
                }
                None => {}
            },
            _ if !line.starts_with('|') => parents = None,
            _ => {}
        }
    }
    members
}

/// The words in backquotes.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
