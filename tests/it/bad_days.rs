//! The pages of `docs/operators.md` for days on which something went wrong, each done as it stands. A wrong clock and a full disk
//! are in `wrong_clock.rs` and `disk.rs`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::disk::shim;
use crate::revoking::{POD, act, acted, token, traded};
use crate::support::page::{Step, matches, shell, steps};
use crate::support::{Party, Server, Site, form, get, post_form};

const DOCUMENT: &str = include_str!("../../docs/operators.md");

/// The commands of the page with this heading.
fn page(heading: &str) -> impl Iterator<Item = Step> {
    let (_, behind) = DOCUMENT.split_once(&format!("\n## {heading}\n")).expect("the page exists");
    steps(behind.split("\n## ").next().unwrap()).into_iter()
}

/// Does one step in the folder of the site and compares what it prints. `words` stand for others in the page.
fn does(site: &Site, step: &Step, words: &[(&str, &str)], environment: &[(&str, &Path)]) {
    let here = |text: &str| words.iter().fold(text.to_owned(), |text, (word, other)| text.replace(word, other));
    let command = here(&step.command);
    let output = shell(&site.folder, &command).envs(environment.iter().copied()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let shown: Vec<String> = step.output.iter().map(|line| here(line)).collect();
    let lines: Vec<&str> = printed.lines().map(str::trim_end).collect();
    assert!(matches(&shown, &lines), "$ {command}\nshown:\n{}\nprinted:\n{printed}", shown.join("\n"));
}

/// Does every step of a page while a server runs.
fn done(site: &Site, heading: &str, words: &[(&str, &str)]) {
    let steps: Vec<Step> = page(heading).collect();
    assert!(!steps.is_empty());
    steps.iter().for_each(|step| does(site, step, words, &[]));
}

#[test]
fn a_lost_key_is_put_back() {
    let site = Site::new("day-lost-key");
    let server = site.start();
    let token = token(&site);
    server.kill();
    fs::create_dir(site.folder.join("backup")).unwrap();
    let copied = Command::new("cp").args(["-rp", "keys", "backup/"]).current_dir(&site.folder).status().unwrap();
    assert!(copied.success());
    fs::remove_file(site.folder.join("keys/pseudonym.key")).unwrap();
    let mut server: Option<Server> = None;
    for (number, step) in page("A lost key").enumerate() {
        if number > 0 && step.command.starts_with("countersign serve") {
            server = Some(site.start());
        } else {
            does(&site, &step, &[], &[]);
        }
    }
    assert!(site.active(&token), "what lived before lives");
    server.expect("the page ends with a start").kill();
}

#[test]
fn a_compromised_key_ends_with_all_that_it_signed() {
    let site = Site::new("day-compromised-key");
    let _server = site.start();
    let token = token(&site);
    let header = token.split('.').next().unwrap();
    let header = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, header).unwrap();
    let kid = serde_json::from_slice::<serde_json::Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned();
    assert!(site.active(&token));
    done(&site, "A compromised key", &[("KID", &kid)]);
    assert!(!site.active(&token));
}

#[test]
fn a_compromised_pod_is_stopped_and_the_others_go_on() {
    let site = Site::new("day-compromised-pod");
    let _server = site.start();
    let (token, other) = (acted(&site, POD), acted(&site, "another-pod"));
    let txn = crate::support::claims(&token)["txn"].as_str().unwrap().to_owned();
    done(&site, "A compromised pod", &[("TXN", &txn)]);
    assert!(!site.active(&token) && site.active(&other));
    assert_eq!((act(&site, POD).status, traded(&site, POD).status), (400, 401));
    assert_eq!(traded(&site, "another-pod").status, 200);
}

#[test]
fn what_was_ended_by_accident_is_resumed_or_asked_for_anew() {
    let site = Site::new("day-accident");
    let (shim, clock) = (shim(&site.folder, "wrong_clock"), site.folder.join("clock"));
    fs::write(&clock, "0").unwrap();
    let environment: [(&str, &Path); 2] = [("LD_PRELOAD", &shim), ("COUNTERSIGN_SHIM_CLOCK", &clock)];
    let _server = site.start_with(&environment);
    let token = token(&site);
    let mut living = Vec::new();
    for step in page("Ended by accident") {
        does(&site, &step, &[], &environment);
        living.push(site.active(&token));
    }
    assert_eq!(living, [false, true, false]);
    fs::write(&clock, "120").unwrap();
    let party = Party::new(&site.profile(), "orchestrator").skewed(120);
    let resource = [("resource", "https://crm.example")];
    let anew = form(&Party::request(&party.assertion(), &party.id_token(json!({})), &resource));
    assert_eq!(post_form(site.public, "/token", &anew).unwrap().status, 200);
}

/// The database is lost, and the log is not; then, on the same machine, an older copy without it.
#[test]
fn a_backup_is_put_back_with_what_survives_and_then_without() {
    let site = Site::new("day-restored-backup");
    let ops = site.ops.to_string();
    let words = [("/backups/monday", "backups/monday"), ("sts.example", "conformance.example"), ("127.0.0.1:8694", &*ops)];
    let mut server = Some(site.start());
    shell(&site.folder, "countersign backup backups/monday --data data").status().unwrap();
    token(&site);
    assert!(shell(&site.folder, "countersign agent retire researcher --yes --data data").status().unwrap().success());
    server.take().expect("it runs").stop();
    fs::write(site.fixture.data.join("commit.sqlite"), "damaged").unwrap();
    for step in page("A restored backup") {
        if step.command.starts_with("countersign serve") {
            server = Some(site.launch(&[]));
            site.wait("it answers", || get(site.ops, "/readyz").is_ok());
            continue;
        }
        if step.command.starts_with("countersign restore") {
            server.take().into_iter().for_each(Server::kill);
        }
        does(&site, &step, &words, &[]);
    }
    site.wait("it serves", || site.ready());
}
