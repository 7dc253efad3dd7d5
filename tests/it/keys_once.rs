//! Keys are parsed when they are loaded, never for a request: parsing costs more than the signature.

use std::time::Duration;

use serde_json::json;

use crate::support::patience::pass;
use crate::support::{Party, Site, form, get, post_form};

const METRIC: &str = "countersign_keys_parsed_total";

#[test]
fn no_key_is_parsed_for_a_request() {
    let site = Site::new("keys");
    let _server = site.start();
    let party = Party::new(&site.profile(), "orchestrator");
    assert!(parsed(&site) > 5, "the keys of agents and issuers are parsed when the configuration is loaded");
    exchanges(&site, &party);
    // The files are looked at once more in the first second after a start.
    site.wait("what a start reads is read", || {
        let seen = parsed(&site);
        pass(Duration::from_secs(3));
        parsed(&site) == seen
    });
    let before = parsed(&site);
    (0..20).for_each(|_| exchanges(&site, &party));
    assert_eq!(parsed(&site), before, "keys were parsed for requests");
}

/// A first hop, a later one, ones for an API of another algorithm, and some that fail at every stage.
fn exchanges(site: &Site, party: &Party) {
    let first = party.id_token(json!({}));
    let token = ask(site, &form(&Party::request(&party.assertion(), &first, &[("resource", "https://assistant.example")])), 200);
    ask(site, &form(&Party::request(&party.assertion(), &token, &[])), 200);
    ask(site, &form(&Party::request(&party.assertion(), &first, &[("resource", "https://files.example")])), 200);
    ask(site, &form(&Party::request(&party.assertion(), &first, &[("resource", "https://vault.example")])), 400);
    ask(site, &form(&Party::request(&party.assertion(), &format!("{first}AAAA"), &[])), 400);
    ask(site, &form(&Party::request("a.b.c", &first, &[])), 401);
}

fn ask(site: &Site, body: &str, status: u16) -> String {
    let reply = post_form(site.public, "/token", body).unwrap();
    assert_eq!(reply.status, status, "{}", reply.text);
    reply.text_of("access_token")
}

fn parsed(site: &Site) -> u64 {
    let reply = get(site.ops, "/metrics").unwrap();
    let line = reply.body().lines().find_map(|line| line.strip_prefix(METRIC)).expect(METRIC);
    line.trim().parse().unwrap()
}
