//! Status lists of the real binary: after a crash, after a reload, and while everything happens at once.

use std::io::Read;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::read::ZlibDecoder;
use serde_json::{Value, json};

use crate::support::patience::{pass, until};
use crate::support::{Ledger, Party, Site, claims, form, get, post_form};

const REPORTS: &str = "https://reports.example";

fn issued(site: &Site, resource: &str) -> String {
    let party = Party::new(&site.profile(), "orchestrator");
    let body = form(&Party::request(&party.assertion(), &party.id_token(json!({})), &[("resource", resource)]));
    let reply = post_form(site.public, "/token", &body).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text_of("access_token")
}

/// What the token's list says of it now.
fn told(address: SocketAddr, token: &str) -> u8 {
    let place = claims(token)["status"]["status_list"].clone();
    let path = place["uri"].as_str().unwrap().split_once("/status/").unwrap().1.to_owned();
    let reply = get(address, &format!("/status/{path}")).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    let list = claims(reply.body());
    assert_eq!(list["sub"], place["uri"]);
    let packed = URL_SAFE_NO_PAD.decode(list["status_list"]["lst"].as_str().unwrap()).unwrap();
    let mut bytes = Vec::new();
    ZlibDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
    let (bits, index) = (list["status_list"]["bits"].as_u64().unwrap(), place["idx"].as_u64().unwrap());
    let byte = bytes[usize::try_from(index * bits / 8).unwrap()];
    byte >> (index * bits % 8) & ((1 << bits) - 1)
}

fn revoke(site: &Site, token: &str) {
    let assertion = Party::new(&site.profile(), "orchestrator").assertion();
    let body = form(&[
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &assertion),
        ("token", token),
    ]);
    assert_eq!(post_form(site.public, "/revoke", &body).unwrap().status, 200);
}

#[test]
fn lists_survive_a_crash_and_their_places_are_recorded_with_the_hops() {
    let site = Site::new("status-crash");
    let server = site.start();
    let (dead, living) = (issued(&site, REPORTS), issued(&site, REPORTS));
    revoke(&site, &dead);
    until("the death is told", || told(site.public, &dead) == 1);
    server.kill();
    let server = site.start();
    assert_eq!((told(site.public, &dead), told(site.public, &living)), (1, 0), "with the first answer after the start");
    let later = issued(&site, REPORTS);
    server.kill();
    let ledger = Ledger::read(&site.fixture.data);
    ledger.verified();
    for token in [dead, living, later] {
        let claims = claims(&token);
        let place = &claims["status"]["status_list"];
        let jti = claims["jti"].as_str().unwrap();
        let (_, record) = ledger.hops().find(|(hop, _)| hop.to_string() == jti).unwrap();
        let record: Value = serde_json::from_slice(record).unwrap();
        assert_eq!(record["status"]["index"], place["idx"]);
        assert!(place["uri"].as_str().unwrap().ends_with(record["status"]["list"].as_str().unwrap()));
    }
}

#[test]
fn what_the_files_suspend_is_told_as_suspended_and_comes_back() {
    let site = Site::new("status-files");
    let server = site.start();
    let token = issued(&site, REPORTS);
    let path = site.fixture.config.parent().unwrap().join("agents/orchestrator.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("status = \"active\"", "status = \"suspended\"", 1)).unwrap();
    server.hang_up();
    site.wait("it is told as suspended", || told(site.public, &token) == 2);
    std::fs::write(&path, text).unwrap();
    server.hang_up();
    site.wait("it comes back", || told(site.public, &token) == 0);
}

/// Whatever was issued from a token while it was revoked is told as dead, and nothing else is.
#[test]
fn what_is_issued_while_its_parent_is_revoked_is_told_as_dead() {
    let site = Site::new("status-race");
    let _server = site.start();
    let profile = site.profile();
    for _ in 0..4 {
        let (parent, other) = (issued(&site, "https://mail.example"), issued(&site, REPORTS));
        let children: Vec<String> = thread::scope(|scope| {
            let ask = || {
                let party = Party::new(&profile, "mail-agent");
                let mut parameters = Party::request("", &parent, &[("resource", REPORTS)]);
                let assertion = party.assertion();
                for (name, value) in &mut parameters {
                    match *name {
                        "client_assertion" => *value = &assertion,
                        "subject_token_type" => *value = "urn:ietf:params:oauth:token-type:access_token",
                        _ => {}
                    }
                }
                post_form(site.public, "/token", &form(&parameters)).unwrap()
            };
            let asking: Vec<_> = (0..12).map(|_| scope.spawn(ask)).collect();
            pass(Duration::from_millis(15));
            revoke(&site, &parent);
            let replies = asking.into_iter().map(|asked| asked.join().unwrap());
            replies.filter(|reply| reply.status == 200).map(|reply| reply.text_of("access_token")).collect()
        });
        until("the parent is told as dead", || told(site.public, &parent) == 1);
        for child in &children {
            until("a child is told as dead", || told(site.public, child) == 1);
        }
        assert_eq!(told(site.public, &other), 0);
    }
}
