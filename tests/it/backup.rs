//! Copies of a data folder: whole, of one moment, closed to others, and without what must not be in them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::{Ledger, Party, Site, form, post_form};
use crate::tools::{told, words};

const TARGET: (&str, &str) = ("resource", "https://crm.example");

fn token(site: &Site) -> String {
    let party = Party::new(&site.profile(), "orchestrator");
    let subject = party.id_token(json!({}));
    let reply = post_form(site.public, "/token", &form(&Party::request(&party.assertion(), &subject, &[TARGET]))).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text_of("access_token")
}

fn backup(site: &Site, name: &str) -> (PathBuf, Output) {
    let dir = site.folder.join(name);
    let output = told(&site.fixture.data, "backup", &[dir.to_str().unwrap()]);
    (dir, output)
}

fn made(site: &Site, name: &str) -> (PathBuf, Value) {
    let (dir, output) = backup(site, name);
    assert!(output.status.success(), "{}", words(&output));
    let manifest = serde_json::from_slice(&fs::read(dir.join("manifest.json")).unwrap()).unwrap();
    (dir, manifest)
}

fn everything(below: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        found.insert(path.clone());
        if path.is_dir() {
            everything(&path, found);
        }
    }
}

/// While tokens are issued, and where nobody serves: as many records as there were, a log that goes no further, for nobody else
/// to read, and no key.
#[test]
fn a_backup_of_a_running_server_is_of_one_moment_and_holds_no_key() {
    let site = Site::new("backup");
    let server = site.start();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..500 {
                if done.load(Ordering::SeqCst) {
                    return;
                }
                token(&site);
            }
        });
        for round in 0..4 {
            let before = Ledger::read(&site.fixture.data).len() as u64;
            let (_, manifest) = made(&site, &format!("running-{round}"));
            let records = manifest["records"].as_u64().unwrap();
            assert!(records >= before, "{manifest}");
            let size = manifest["checkpoint"]["size"].as_u64().unwrap_or_default();
            assert!(size <= records, "{manifest}");
        }
        done.store(true, Ordering::SeqCst);
    });
    server.kill();
    let (dir, manifest) = made(&site, "stopped");
    assert_eq!(manifest["records"], Ledger::read(&site.fixture.data).len());
    let mut found = BTreeSet::from([dir.clone()]);
    everything(&dir, &mut found);
    for path in &found {
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
    let names: BTreeSet<&str> = found.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    for name in ["subjects.sqlite", "commit.lock", "ops.sock", "keyring.json", "ledger.json"] {
        assert!(!names.contains(name), "{name}");
    }
    assert!(["commit.sqlite", "manifest.json", "data.id", "keys.known", "checkpoint"].iter().all(|name| names.contains(name)));
    assert!(manifest["left_out"]["subjects.sqlite"].is_string(), "it says what it must not hold");
}

/// A token that was issued before goes on, where nothing newer was signed than the backup holds.
#[test]
fn a_backup_put_back_with_nothing_newer_goes_on() {
    let site = Site::new("backup-back");
    let server = site.start();
    let before = token(&site);
    server.kill();
    let (dir, _) = made(&site, "copy");
    let data = &site.fixture.data;
    fs::remove_dir_all(data.join("ledger")).unwrap();
    ["commit.sqlite-wal", "commit.sqlite-shm"].iter().for_each(|name| drop(fs::remove_file(data.join(name))));
    fs::copy(dir.join("commit.sqlite"), data.join("commit.sqlite")).unwrap();
    let server = site.start();
    let party = Party::new(&site.profile(), "orchestrator");
    let goes_on = post_form(site.public, "/token", &form(&Party::request(&party.assertion(), &before, &[TARGET]))).unwrap();
    assert_eq!(goes_on.status, 200, "{}", goes_on.text);
    server.kill();
}

#[test]
fn a_backup_writes_over_nothing_and_says_where_the_data_are_not_in_order() {
    let site = Site::new("backup-refused");
    let server = site.start();
    token(&site);
    server.kill();
    let (dir, _) = made(&site, "copy");
    let (_, again) = backup(&site, "copy");
    assert_eq!(again.status.code(), Some(2));
    assert!(words(&again).contains("is not empty"), "{}", words(&again));
    let inside = told(&site.fixture.data, "backup", &[site.fixture.data.join("within").to_str().unwrap()]);
    assert_eq!(inside.status.code(), Some(2), "{}", words(&inside));
    let none = told(&dir.join("ledger"), "backup", &[site.folder.join("none").to_str().unwrap()]);
    assert!(none.status.code() == Some(2) && !site.folder.join("none").exists(), "{}", words(&none));
    let database = rusqlite::Connection::open(site.fixture.data.join("commit.sqlite")).unwrap();
    assert!(database.execute("DELETE FROM state", []).unwrap() > 0);
    drop(database);
    let (_, output) = backup(&site, "damaged");
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert!(words(&output).contains("is of no use: "), "{}", words(&output));
}
