//! A disk that is full or does not flush: no token leaves, and service resumes, verified, when the disk does.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use countersign::crypto::Digest;
use countersign::oauth::Jti;
use serde_json::json;

use crate::support::{Ledger, Party, Reply, Site, claims, form, post_form};

#[test]
fn a_failing_flush_stops_issuance_until_the_disk_recovers() {
    stops_and_resumes("flush", "s");
}

#[test]
fn a_full_disk_stops_issuance_until_there_is_room() {
    stops_and_resumes("full", "f");
}

fn stops_and_resumes(name: &str, trouble: &str) {
    let site = Site::new(name);
    let (shim, control) = (compiled(&site.folder), site.folder.join("disk"));
    let server = site.start_with(&[("LD_PRELOAD", &shim), ("COUNTERSIGN_SHIM", &control)]);
    let party = Party::new(&site.profile(), "orchestrator");
    let mut held = HashMap::new();
    for _ in 0..3 {
        (0..5).for_each(|_| receive(&site, &party, &mut held));
        fs::write(&control, trouble).unwrap();
        for _ in 0..5 {
            unavailable(&ask(&site, &party).1);
        }
        assert!(!site.ready(), "the server says it is ready while its disk is not");
        let ready = crate::support::get(site.ops, "/readyz").unwrap();
        assert!(ready.body().starts_with("store: "), "{}", ready.text);
        let page = include_str!("../../docs/operators.md");
        assert!(page.lines().any(|line| line == ready.body().trim_end()), "the page of that day shows another answer");
        assert!(crate::support::get(site.ops, "/healthz").unwrap().status == 200);
        fs::remove_file(&control).unwrap();
        site.wait("service resumes", || site.ready());
        (0..5).for_each(|_| receive(&site, &party, &mut held));
        every_token_is_recorded(&site, &held);
    }
    server.kill();
    let server = site.start();
    receive(&site, &party, &mut held);
    every_token_is_recorded(&site, &held);
    server.kill();
}

/// What was refused for the disk's sake may be asked again, with a new assertion or the same one.
#[test]
fn an_assertion_is_not_spent_by_a_hop_that_failed() {
    let site = Site::new("unspent");
    let (shim, control) = (compiled(&site.folder), site.folder.join("disk"));
    let _server = site.start_with(&[("LD_PRELOAD", &shim), ("COUNTERSIGN_SHIM", &control)]);
    let party = Party::new(&site.profile(), "orchestrator");
    receive(&site, &party, &mut HashMap::new());
    fs::write(&control, "f").unwrap();
    let (body, reply) = ask(&site, &party);
    unavailable(&reply);
    fs::remove_file(&control).unwrap();
    site.wait("service resumes", || site.ready());
    let again = post_form(site.public, "/token", &body).unwrap();
    assert!(matches!(again.status, 200 | 401), "{}", again.text);
    Ledger::read(&site.fixture.data).verified();
    assert_eq!(post_form(site.public, "/token", &body).unwrap().status, 401, "the assertion was accepted twice");
}

fn ask(site: &Site, party: &Party) -> (String, Reply) {
    let more = [("resource", "https://assistant.example")];
    let body = form(&Party::request(&party.assertion(), &party.id_token(json!({})), &more));
    let reply = post_form(site.public, "/token", &body).unwrap();
    (body, reply)
}

fn receive(site: &Site, party: &Party, held: &mut HashMap<Jti, Digest>) {
    let reply = ask(site, party).1;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let token = reply.text_of("access_token");
    held.insert(Jti::parse(claims(&token)["jti"].as_str().unwrap()).unwrap(), Digest::of(token.as_bytes()));
}

pub fn unavailable(reply: &Reply) {
    assert_eq!((reply.status, reply.text_of("error")), (503, "temporarily_unavailable".to_owned()), "{}", reply.text);
    assert!(reply.header("retry-after").is_some_and(|after| after.parse::<u32>().is_ok()), "{}", reply.text);
    assert!(reply.json().get("access_token").is_none(), "{}", reply.text);
}

fn every_token_is_recorded(site: &Site, held: &HashMap<Jti, Digest>) {
    let hops = Ledger::read(&site.fixture.data).verified();
    for (jti, token) in held {
        assert_eq!(hops.tokens.get(jti), Some(token), "a client holds the token {jti}, which the records do not know");
    }
}

pub fn compiled(folder: &Path) -> PathBuf {
    shim(folder, "failing_disk")
}

/// The shim of that name, compiled.
pub fn shim(folder: &Path, name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/shim").join(name).with_extension("c");
    let shim = folder.join(name).with_extension("so");
    let status = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-Wall", "-o"]).arg(&shim).arg(source).status().unwrap();
    assert!(status.success(), "the shim does not compile");
    shim
}
