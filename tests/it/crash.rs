//! The server is killed at random moments under load, again and again on the same data.

mod tasks;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign::crypto::Digest;
use countersign::oauth::Jti;
use serde_json::json;

use crate::support::patience::{pass, until};
use crate::support::{Ledger, Party, Reply, Site, claims, form, number, post_form};

/// How many clients ask at the same time.
const CLIENTS: usize = 4;

/// Tokens that some client holds, and assertions that were sent.
#[derive(Default)]
struct Held {
    tokens: HashMap<Jti, Digest>,
    /// Whole requests that were answered with a token.
    accepted: Vec<String>,
    /// Whole requests whose answer never came.
    lost: Vec<String>,
}

#[test]
fn no_token_without_a_record_and_nothing_accepted_twice() {
    let site = Site::new("crash");
    let rounds = number("COUNTERSIGN_CRASH_ROUNDS", 25);
    let mut all = HashMap::new();
    let mut before = Held::default();
    for round in 0..rounds {
        let server = site.start();
        replay(&site, &before);
        let held = load_until_killed(&site, server);
        all.extend(held.tokens.iter().map(|(jti, token)| (*jti, *token)));
        before = held;
        if rounds <= 50 || round % 10 == 0 {
            every_token_is_recorded(&site, &all);
        }
    }
    let server = site.start();
    replay(&site, &before);
    server.kill();
    every_token_is_recorded(&site, &all);
    assert!(all.len() > rounds * CLIENTS, "only {} tokens were issued in {rounds} rounds, which shows little", all.len());
    println!("{rounds} kills, {} tokens, all of them recorded", all.len());
}

/// Sends again what was sent before the server was killed. What was answered with a token must be refused; of what was not
/// answered, either may be true, and the records tell whether it was accepted twice.
fn replay(site: &Site, before: &Held) {
    for body in before.accepted.iter().take(5) {
        let reply = post_form(site.public, "/token", body).unwrap();
        assert_eq!((reply.status, reply.text_of("error")), (401, "invalid_client".to_owned()), "{}", reply.text);
    }
    for body in &before.lost {
        let reply = post_form(site.public, "/token", body).unwrap();
        assert!(matches!(reply.status, 200 | 401), "{}", reply.text);
    }
}

fn load_until_killed(site: &Site, server: crate::support::Server) -> Held {
    let (stop, issued) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let party = Party::new(&site.profile(), "orchestrator");
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (party, stop, issued, address) = (party.clone(), Arc::clone(&stop), Arc::clone(&issued), site.public);
            thread::spawn(move || client(&party, address, &stop, &issued))
        })
        .collect();
    until("every client holds a token or two", || issued.load(Ordering::Relaxed) > 2 * CLIENTS);
    pass(Duration::from_millis(u64::from(now_micros() % 180)));
    server.kill();
    stop.store(true, Ordering::Relaxed);
    let mut held = Held::default();
    for client in clients {
        let one = client.join().unwrap();
        held.tokens.extend(one.tokens);
        held.accepted.extend(one.accepted);
        held.lost.extend(one.lost);
    }
    held
}

/// First hops, and on each a second one, until the server is gone.
fn client(party: &Party, address: SocketAddr, stop: &AtomicBool, issued: &AtomicUsize) -> Held {
    let mut held = Held::default();
    while !stop.load(Ordering::Relaxed) {
        let first = party.id_token(json!({}));
        let more = [("resource", "https://assistant.example")];
        let Some(token) = ask(party, address, &first, &more, &mut held) else { return held };
        issued.fetch_add(1, Ordering::Relaxed);
        if ask(party, address, &token, &[], &mut held).is_none() {
            return held;
        }
    }
    held
}

/// One exchange; none when the server was killed meanwhile.
fn ask(party: &Party, address: SocketAddr, subject: &str, more: &[(&str, &str)], held: &mut Held) -> Option<String> {
    let assertion = party.assertion();
    let body = form(&Party::request(&assertion, subject, more));
    let Ok(reply) = post_form(address, "/token", &body) else {
        held.lost.push(body);
        return None;
    };
    let token = received(&reply);
    let jti = Jti::parse(claims(&token)["jti"].as_str().unwrap()).unwrap();
    held.tokens.insert(jti, Digest::of(token.as_bytes()));
    held.accepted.push(body);
    Some(token)
}

fn received(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text_of("access_token")
}

fn every_token_is_recorded(site: &Site, all: &HashMap<Jti, Digest>) {
    let hops = Ledger::read(&site.fixture.data).verified();
    for (jti, token) in all {
        assert_eq!(hops.tokens.get(jti), Some(token), "a client holds the token {jti}, which the records do not know");
    }
}

fn now_micros() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_micros()
}
