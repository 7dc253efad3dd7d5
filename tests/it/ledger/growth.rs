//! A record lies once: in its entry bundle, packed, once that is published. Bytes are counted, never time.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::json;

use super::desk::{copy, covered, run, vkey};
use super::{TARGET, tokens, unrecorded};
use crate::support::{Ledger, Party, Site, claims, form, post_form};

/// The most that an exchange may take on the disk, everything that is kept for it counted, before retention.
const BYTES_MAX: u64 = 1_300;

const FIRST: &str = "tile/entries/000";

/// So many records are left to bundles.
fn bundled(site: &Site) -> u64 {
    let database = Connection::open(site.fixture.data.join("commit.sqlite")).unwrap();
    database.query_row("SELECT count(*) FROM bundled", [], |row| row.get(0)).unwrap()
}

/// A stopped server's data with at least so many records, of which all that can be are left to bundles.
fn stopped(site: &Site, records: usize) -> u64 {
    let server = site.start();
    let party = Party::new(&site.profile(), "orchestrator");
    while Ledger::read(&site.fixture.data).len() < records {
        for _ in 0..64 {
            let subject = json!({ "acr": "urn:example:2fa", "amr": ["pwd", "otp"], "auth_time": 1_700_000_000 });
            let request = form(&Party::request(&party.assertion(), &party.id_token(subject), &[TARGET]));
            assert_eq!(post_form(site.public, "/token", &request).unwrap().status, 200);
        }
    }
    let size = covered(site);
    site.wait("full bundles are left to themselves", || bundled(site) == size / 256 * 256);
    server.kill();
    size
}

/// Every byte below a folder, with nothing in a write-ahead log any more.
fn bytes(data: &Path) -> u64 {
    for name in ["commit.sqlite", "subjects.sqlite"] {
        let database = Connection::open(data.join(name)).unwrap();
        let truncate = "PRAGMA wal_checkpoint(TRUNCATE)";
        assert_eq!(database.query_row(truncate, [], |row| row.get::<_, i64>(0)).unwrap(), 0, "{name}");
    }
    below(data)
}

pub fn below(folder: &Path) -> u64 {
    let of = |path: &Path| if path.is_dir() { below(path) } else { fs::metadata(path).map_or(0, |found| found.len()) };
    fs::read_dir(folder).unwrap().map(|entry| of(&entry.unwrap().path())).sum()
}

#[test]
fn an_exchange_takes_no_more_of_the_disk_than_is_promised() {
    let site = unrecorded("ledger-growth");
    let before = (stopped(&site, 256), bytes(&site.fixture.data));
    let after = (stopped(&site, 256 + 1_024), bytes(&site.fixture.data));
    let each = (after.1 - before.1) / (after.0 - before.0);
    println!("{each} bytes for each of {} records", after.0 - before.0);
    assert!(each <= BYTES_MAX, "{each} bytes for each record; from {before:?} to {after:?}");
}

#[test]
fn what_lies_in_a_bundle_alone_is_found_proved_and_exported_as_before() {
    let site = unrecorded("ledger-bundled");
    let server = site.start();
    let token = tokens(&site, 1).remove(0);
    server.kill();
    stopped(&site, 300);
    let data = site.fixture.data.to_str().unwrap();
    let (jti, txn) = (claims(&token)["jti"].clone(), claims(&token)["txn"].clone());
    let replayed = run(&site, &["replay", txn.as_str().unwrap(), "--data", data, "--disclose"], 0);
    assert!(replayed.contains("proved in the signed tree") && replayed.contains(jti.as_str().unwrap()), "{replayed}");
    run(&site, &["ledger", "prove", jti.as_str().unwrap(), "--data", data], 0);
    run(&site, &["ledger", "verify", data, "--key", &vkey(&site)], 0);
    let exported = site.folder.join("exported");
    run(&site, &["ledger", "export", exported.to_str().unwrap(), "--data", data], 0);
    run(&site, &["ledger", "verify", exported.to_str().unwrap(), "--key", &vkey(&site)], 0);
    assert!(exported.join(FIRST).exists(), "any web server can serve what is exported");
    let rebuilt = run(&site, &["state", "rebuild", "--data", data], 0);
    assert!(!rebuilt.contains("was another"), "{rebuilt}");
    // The tiles of hashes are made again from the bundles.
    fs::remove_dir_all(site.fixture.data.join("ledger/tile/0")).unwrap();
    site.start().kill();
    run(&site, &["ledger", "verify", data, "--key", &vkey(&site)], 0);
}

#[test]
fn a_bundle_that_was_changed_or_lost_is_named() {
    let site = unrecorded("ledger-lost");
    stopped(&site, 300);
    let data = site.fixture.data.clone();
    let kept = site.folder.join("kept");
    copy(&data, &kept);
    let told = |what: &str| {
        for arguments in
            [vec!["ledger", "verify", data.to_str().unwrap()], vec!["state", "rebuild", "--data", data.to_str().unwrap()]]
        {
            let code = if arguments[0] == "ledger" { 1 } else { 2 };
            let told = run(&site, &arguments, code);
            assert!(told.contains(FIRST) && told.contains(what) || told.contains("entry "), "{arguments:?}: {told}");
        }
        let config = site.fixture.config.to_str().unwrap();
        let refused = run(&site, &["serve", "--config", config, "--data", data.to_str().unwrap()], 2);
        assert!(refused.contains(FIRST) && refused.contains(what), "{refused}");
        fs::remove_dir_all(&data).unwrap();
        copy(&kept, &data);
    };
    let path = data.join("ledger").join(FIRST);
    fs::remove_file(path.with_extension("lz4")).unwrap();
    told("is missing");
    let other = b"\x00\x02{}".repeat(256);
    fs::write(&path, other).unwrap();
    told("was changed");
    site.start().kill();
    run(&site, &["ledger", "verify", data.to_str().unwrap()], 0);
}
