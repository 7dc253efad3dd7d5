//! Revocation against the real binary: on a disk that fails, and refused.

use std::fs;

use serde_json::json;

use crate::disk::{compiled, unavailable};
use crate::support::{Ledger, Party, Reply, Site, claims, form, post_form};

/// Until its death is durable nobody is told that a token is revoked; and then a crash does not bring it back.
#[test]
fn a_revocation_that_cannot_be_recorded_is_not_confirmed_until_it_is() {
    let site = Site::new("revoke-disk");
    let (shim, control) = (compiled(&site.folder), site.folder.join("disk"));
    let server = site.start_with(&[("LD_PRELOAD", &shim), ("COUNTERSIGN_SHIM", &control)]);
    let token = issued(&site);
    assert_eq!(about(&site, "/introspect", "crm-agent", &token).json()["active"], true);
    fs::write(&control, "f").unwrap();
    for _ in 0..3 {
        unavailable(&about(&site, "/revoke", "orchestrator", &token));
    }
    unavailable(&about(&site, "/introspect", "crm-agent", &token));
    fs::remove_file(&control).unwrap();
    site.wait("service resumes", || site.ready());
    assert_eq!(about(&site, "/introspect", "crm-agent", &token).json(), json!({ "active": false }));
    assert_eq!(about(&site, "/revoke", "orchestrator", &token).status, 200);
    server.kill();
    let server = site.start();
    assert_eq!(about(&site, "/introspect", "crm-agent", &token).json(), json!({ "active": false }));
    server.kill();
    let ledger = Ledger::read(&site.fixture.data);
    ledger.verified();
    let deaths = ledger.deaths();
    assert!(!deaths.is_empty(), "the death is not in the records");
    for death in deaths {
        assert_eq!((&death["by"], &death["ends"][0]["name"]), (&json!("orchestrator"), &claims(&token)["jti"]));
    }
}

/// The client is told nothing of a token that is not its to revoke; the ledger tells that it tried.
#[test]
fn a_refused_revocation_is_recorded_and_not_told() {
    let site = Site::new("revoke-refused");
    let _server = site.start();
    let token = issued(&site);
    let reply = about(&site, "/revoke", "mallory", &token);
    assert_eq!((reply.status, reply.body()), (200, ""), "{}", reply.text);
    let refusals = || Ledger::read(&site.fixture.data).refusals();
    site.wait("the refusal is recorded", || !refusals().is_empty());
    let (refusal, claims) = (&refusals()[0], claims(&token));
    assert_eq!((&refusal["agent"], &refusal["error"]), (&json!("mallory"), &json!("unauthorized_client")));
    assert_eq!((&refusal["parent"], &refusal["txn"]), (&claims["jti"], &claims["txn"]));
    assert_eq!(about(&site, "/introspect", "crm-agent", &token).json()["active"], true);
}

fn issued(site: &Site) -> String {
    let party = Party::new(&site.profile(), "orchestrator");
    let more = [("resource", "https://crm.example")];
    let body = form(&Party::request(&party.assertion(), &party.id_token(json!({})), &more));
    let reply = post_form(site.public, "/token", &body).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text_of("access_token")
}

fn about(site: &Site, path: &str, agent: &str, token: &str) -> Reply {
    let assertion = Party::new(&site.profile(), agent).assertion();
    let body = form(&[
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &assertion),
        ("token", token),
    ]);
    post_form(site.public, path, &body).unwrap()
}
