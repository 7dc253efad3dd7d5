//! Tasks, budgets, suspensions and revocations when the server is killed at random moments: what was acknowledged holds, what
//! ended stays ended, and the records never show more spent than there was.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::{CLIENTS, now_micros};
use crate::support::patience::{pass, until};
use crate::support::{Ledger, Party, Reply, Site, claims, declared, form, get, number, post_form};

const BUDGET: u64 = 8;

/// What some client was told, and must find again.
#[derive(Default)]
struct Known {
    /// Tasks by id, with their token.
    tasks: HashMap<String, String>,
    completed: HashSet<String>,
    /// Tokens that were revoked, or whose task was completed.
    dead: Vec<String>,
    /// Tokens that were issued and not revoked.
    tokens: Vec<String>,
}

#[test]
fn nothing_is_revived_nothing_half_done_and_nothing_overspent() {
    let site = Site::new("crash-tasks");
    let rounds = number("COUNTERSIGN_CRASH_ROUNDS", 25).div_ceil(2);
    let mut known = Known::default();
    let (mut spent, mut ended) = (0, 0);
    for _ in 0..=rounds {
        let server = site.start();
        let party = Party::new(&site.profile(), "orchestrator");
        holds(&site, &party, &mut known);
        (spent, ended) = balanced(&site, &party);
        load(&site, &party, &mut known, server);
    }
    let server = site.start();
    holds(&site, &Party::new(&site.profile(), "orchestrator"), &mut known);
    server.kill();
    assert!(spent > 2 * rounds as u64 && ended >= rounds / 2, "{spent} exchanges and {ended} ends show little");
    println!("{rounds} kills, {spent} exchanges in tasks, {ended} ends and suspensions");
}

/// What was acknowledged before the server was killed.
fn holds(site: &Site, party: &Party, known: &mut Known) {
    for id in &known.completed {
        assert_eq!(look(site.public, party, id)["status"], "ended", "a task came back to life");
        if let Some(token) = known.tasks.get(id) {
            let reply = enter(site.public, party, token).unwrap();
            assert_eq!(reply.status, 400, "a completed task was entered: {}", reply.text);
        }
    }
    let reader = Party::new(&site.profile(), "crm-agent");
    for token in known.dead.drain(..) {
        let told = send(site.public, "/introspect", &reader, &[("token", &token)]).unwrap();
        assert_eq!(told.json(), json!({ "active": false }), "a revoked token came back to life");
    }
    known.completed.clear();
    known.tasks.clear();
    known.tokens.clear();
}

/// The records alone: no budget is overspent, and nothing is issued in a task after its end or while it is suspended. And the
/// server's own books say the same as the records.
fn balanced(site: &Site, party: &Party) -> (u64, usize) {
    let ledger = Ledger::read(&site.fixture.data);
    ledger.verified();
    let mut books: HashMap<String, (u64, u64, Option<String>)> = HashMap::new();
    let (mut shut, mut held): (HashSet<String>, HashSet<String>) = Default::default();
    let (mut spent, mut ends) = (0, 0);
    for record in ledger.everything() {
        let text = |name: &str| record[name].as_str().map(str::to_owned);
        match record["kind"].as_str().unwrap() {
            "task" => {
                let (id, budget) = (text("task").unwrap(), record["budget"].as_u64().unwrap());
                let parent = text("parent");
                if let Some(parent) = &parent {
                    living(&books, &shut, &held, parent);
                    books.get_mut(parent).unwrap().1 += budget;
                }
                assert!(books.insert(id, (budget, 0, parent)).is_none(), "a task is opened once");
            }
            "hop" => {
                if let Some(task) = text("task") {
                    living(&books, &shut, &held, &task);
                    books.get_mut(&task).expect("a hop names a task that was opened").1 += 1;
                    spent += 1;
                }
            }
            "death" if record["ends"][0]["of"] == "task" => {
                ends += 1;
                shut.insert(record["ends"][0]["name"].as_str().unwrap().to_owned());
            }
            "suspension" => {
                ends += 1;
                held.insert(record["things"][0]["name"].as_str().unwrap().to_owned());
            }
            "resumption" => drop(held.remove(record["things"][0]["name"].as_str().unwrap())),
            _ => {}
        }
    }
    for (id, (budget, drawn, _)) in &books {
        assert!(drawn <= budget, "task {id} spent {drawn} of {budget}");
        let told = look(site.public, party, id);
        assert_eq!(told["budget"]["left"].as_u64(), Some(budget - drawn), "the books of task {id}: {told}");
    }
    (spent, ends)
}

/// A task is recorded as working only while neither it nor any of its parents is shut or held.
fn living(books: &HashMap<String, (u64, u64, Option<String>)>, shut: &HashSet<String>, held: &HashSet<String>, task: &str) {
    let mut next = Some(task.to_owned());
    while let Some(id) = next {
        assert!(!shut.contains(&id), "something was issued in task {id} after its end");
        assert!(!held.contains(&id), "something was issued in task {id} while it was suspended");
        next = books[&id].2.clone();
    }
}

/// Some clients share two tasks and do to them whatever comes to mind, until the server is gone.
fn load(site: &Site, party: &Party, known: &mut Known, server: crate::support::Server) {
    let tasks: Vec<(String, String)> = (0..2).map(|_| opened(site.public, party)).collect();
    known.tasks.extend(tasks.iter().cloned());
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|one| {
            let (party, tasks, address) = (party.clone(), tasks.clone(), site.public);
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            thread::spawn(move || client(one, &party, address, &tasks, (&stop, &answered)))
        })
        .collect();
    until("the clients were answered", || answered.load(Ordering::Relaxed) > 12 * CLIENTS);
    pass(Duration::from_millis(u64::from(now_micros() % 250)));
    server.kill();
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        let one = client.join().unwrap();
        known.completed.extend(one.completed);
        known.dead.extend(one.dead);
        known.tokens.extend(one.tokens);
    }
    // What was issued in a task that somebody else completed is dead too.
    let of_completed = |token: &&String| claims(token)["task"].as_str().is_some_and(|task| known.completed.contains(task));
    let dead: Vec<String> = known.tokens.iter().filter(of_completed).cloned().collect();
    known.dead.extend(dead);
}

fn client(
    one: usize,
    party: &Party,
    address: SocketAddr,
    tasks: &[(String, String)],
    (stop, answered): (&AtomicBool, &AtomicUsize),
) -> Known {
    let mut known = Known::default();
    let mut chance = now_micros() as usize + 7919 * one;
    while !stop.load(Ordering::Relaxed) {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (id, token) = &tasks[(chance >> 33) % tasks.len()];
        let done = match (chance >> 40) % 24 {
            0..14 => enter(address, party, token).map(|reply| {
                known.tokens.extend((reply.status == 200).then(|| reply.text_of("access_token")));
            }),
            14..17 => open(address, party, token, 2).map(drop),
            17 => tend(address, party, id, "suspend").map(drop),
            18..21 => tend(address, party, id, "resume").map(drop),
            21..23 => match known.tokens.pop() {
                None => Ok(()),
                Some(token) => send(address, "/revoke", party, &[("token", &token)]).map(|reply| {
                    known.dead.extend((reply.status == 200).then_some(token));
                }),
            },
            _ if !(chance >> 50).is_multiple_of(3) => Ok(()),
            _ => tend(address, party, id, "complete").map(|reply| {
                known.completed.extend((reply.status == 200).then(|| id.clone()));
            }),
        };
        if done.is_err() {
            break;
        }
        answered.fetch_add(1, Ordering::Relaxed);
    }
    known
}

fn opened(address: SocketAddr, party: &Party) -> (String, String) {
    let reply = open(address, party, &party.id_token(json!({})), BUDGET).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    (reply.text_of("task"), reply.text_of("task_token"))
}

fn open(address: SocketAddr, party: &Party, subject: &str, budget: u64) -> std::io::Result<Reply> {
    let authority = json!([{"api": "https://crm.example", "scopes": ["contacts.read"]}]);
    let details = json!([{"type": "task", "authority": authority, "budget": {"exchanges": budget}}]).to_string();
    let kind = declared(subject);
    let more = [("subject_token", subject), ("subject_token_type", kind), ("authorization_details", &details)];
    send(address, "/tasks", party, &more)
}

fn enter(address: SocketAddr, party: &Party, task: &str) -> std::io::Result<Reply> {
    let body = form(&Party::request(&party.assertion(), task, &[("resource", "https://crm.example")]));
    post_form(address, "/token", &body)
}

fn tend(address: SocketAddr, party: &Party, id: &str, wish: &str) -> std::io::Result<Reply> {
    send(address, &format!("/tasks/{id}/{wish}"), party, &[])
}

fn look(address: SocketAddr, party: &Party, id: &str) -> Value {
    let login = form(&[("client_assertion_type", BEARER), ("client_assertion", &party.assertion())]);
    let reply = get(address, &format!("/tasks/{id}?{login}")).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()
}

const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn send(address: SocketAddr, path: &str, party: &Party, more: &[(&str, &str)]) -> std::io::Result<Reply> {
    let assertion = party.assertion();
    let mut parameters = vec![("client_assertion_type", BEARER), ("client_assertion", assertion.as_str())];
    parameters.extend_from_slice(more);
    post_form(address, path, &form(&parameters))
}
