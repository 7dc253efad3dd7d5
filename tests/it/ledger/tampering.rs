//! What is done to the data while the server is stopped: noticed on start or by `ledger verify`, with what and where.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use countersign::crypto::{Digest, SignKey};
use countersign::ledger::{Checkpoint, KeyName, NoteSigner};
use rusqlite::{Connection, params};
use serde_json::json;

use super::desk::{copy, covered, head, run};
use super::{TARGET, tokens, unrecorded};
use crate::agents::json_of;
use crate::disk::shim;
use crate::support::{Party, Site, form, post_form};

/// A stopped server's data: as it was after a few tokens, and after some more. The first start records seven keys,
/// the state and what is in force, the second the state: 14 records, and 20.
struct Stopped {
    site: Site,
    older: PathBuf,
    newer: PathBuf,
    /// `KEYS/ledger.head` of then.
    head: Vec<u8>,
}

fn head_of(site: &Site) -> PathBuf {
    site.fixture.config.parent().unwrap().join("../keys/ledger.head")
}

impl Stopped {
    fn new(name: &str) -> Self {
        let site = unrecorded(name);
        let (older, newer) = (site.folder.join("older"), site.folder.join("newer"));
        for (count, folder) in [(4, &older), (5, &newer)] {
            let server = site.start();
            tokens(&site, count);
            covered(&site);
            server.kill();
            copy(&site.fixture.data, folder);
        }
        let head = fs::read(head_of(&site)).unwrap();
        Self { site, older, newer, head }
    }

    /// Puts back the data as it was last, and the newest checkpoint that was signed by then: a server that starts may record
    /// something.
    fn reset(&self) -> &Path {
        let data = &self.site.fixture.data;
        fs::write(head_of(&self.site), &self.head).unwrap();
        fs::remove_dir_all(data).unwrap();
        copy(&self.newer, data);
        data
    }

    /// The server must not start; what it says.
    fn refused(&self) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(["serve", "--config", self.site.fixture.config.to_str().unwrap(), "--data"])
            .arg(&self.site.fixture.data)
            .current_dir(&self.site.folder)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "it starts");
        String::from_utf8(output.stderr).unwrap()
    }

    fn unsound(&self) -> String {
        run(&self.site, &["ledger", "verify", self.site.fixture.data.to_str().unwrap()], 1)
    }

    fn sound(&self) {
        run(&self.site, &["ledger", "verify", self.site.fixture.data.to_str().unwrap()], 0);
    }

    fn starts(&self) {
        self.site.start().kill();
        self.sound();
    }
}

/// Each word must be in the text.
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[test]
fn an_older_copy_of_the_data_is_noticed_on_start() {
    let stopped = Stopped::new("ledger-older");
    let data = stopped.reset();
    fs::remove_dir_all(data).unwrap();
    copy(&stopped.older, data);
    says(&stopped.refused(), &["the store has 14 records", "over 20 was signed", "records 14 to 19 are missing"]);
    stopped.sound();
    // Only the store is older.
    let data = stopped.reset();
    for name in ["commit.sqlite", "commit.sqlite-wal", "commit.sqlite-shm"] {
        let _absent = fs::remove_file(data.join(name));
        let _absent = fs::copy(stopped.older.join(name), data.join(name));
    }
    says(&stopped.refused(), &["the store has 14 records", "older"]);
    says(&stopped.unsound(), &["record 14 is missing in the store"]);
    stopped.reset();
    stopped.starts();
}

#[test]
fn records_cut_off_swapped_or_changed_are_noticed() {
    let stopped = Stopped::new("ledger-records");
    let sql = |data: &Path, sql: &str| Connection::open(data.join("commit.sqlite")).unwrap().execute_batch(sql).unwrap();
    sql(stopped.reset(), "DELETE FROM records WHERE idx >= 16");
    says(&stopped.unsound(), &["record 16 is missing"]);
    says(&stopped.refused(), &["the store has 16 records", "records 16 to 19 are missing"]);
    sql(
        stopped.reset(),
        "UPDATE records SET idx = -1 WHERE idx = 10; UPDATE records SET idx = 10 WHERE idx = 13;
         UPDATE records SET idx = 13 WHERE idx = -1",
    );
    says(&stopped.unsound(), &["record 10 in the store is not the one that was signed"]);
    says(&stopped.refused(), &["the order of the newest records", "countersign ledger verify"]);
    // So that times and names still fit.
    sql(
        stopped.reset(),
        "UPDATE records SET jti = other.jti, txn = other.txn, record = other.record
         FROM (SELECT idx, jti, txn, record FROM records) AS other
         WHERE records.idx IN (10, 13) AND other.idx = 23 - records.idx",
    );
    says(&stopped.unsound(), &["record 10 in the store is not the one that was signed"]);
    says(&stopped.refused(), &["record 10 in the store is not the one that was signed"]);
    let data = stopped.reset();
    let connection = Connection::open(data.join("commit.sqlite")).unwrap();
    let record: Vec<u8> = connection.query_row("SELECT record FROM records WHERE idx = 10", [], |row| row.get(0)).unwrap();
    let changed = String::from_utf8(record).unwrap().replace("\"depth\":1", "\"depth\":2");
    connection.execute("UPDATE records SET record = ?1 WHERE idx = 10", params![changed.as_bytes()]).unwrap();
    drop(connection);
    says(&stopped.unsound(), &["record 10 in the store is not the one that was signed"]);
    says(&stopped.refused(), &["record 10 in the store is not the one that was signed"]);
    stopped.reset();
    stopped.starts();
}

#[test]
fn changed_files_are_named_and_lost_ones_made_again() {
    let stopped = Stopped::new("ledger-files");
    for path in ["tile/entries/000.p/20", "tile/0/000.p/20", "checkpoint", "checkpoints/20"] {
        let file = stopped.reset().join("ledger").join(path);
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&file, bytes).unwrap();
        let told = stopped.unsound();
        assert!(told.contains(path) || told.contains("entry "), "{path}: {told}");
    }
    fs::remove_dir_all(stopped.reset().join("ledger/tile")).unwrap();
    says(&stopped.unsound(), &["tile/entries/000.p/20 is missing"]);
    stopped.starts();
    fs::remove_dir_all(stopped.reset().join("ledger")).unwrap();
    stopped.starts();
    // An older checkpoint in place of the newest: the kept ones tell, and a start puts the newest back.
    let data = stopped.reset();
    fs::copy(stopped.older.join("ledger/checkpoint"), data.join("ledger/checkpoint")).unwrap();
    says(&stopped.unsound(), &["checkpoint covers 14 entries", "one over 20 was signed"]);
    stopped.starts();
}

#[test]
fn a_forged_checkpoint_is_not_believed() {
    let stopped = Stopped::new("ledger-forged");
    let path = stopped.reset().join("ledger/checkpoint");
    let origin = KeyName::parse(head(&fs::read_to_string(&path).unwrap()).0).unwrap();
    let forger = NoteSigner::new(origin.clone(), SignKey::from_seed(&[9; 32]).unwrap());
    let note = Checkpoint::new(origin, 20, Digest([7; 32])).sign(&[&forger]).unwrap();
    fs::write(&path, note).unwrap();
    says(&stopped.unsound(), &["checkpoint: the checkpoint is not believed", "no signature by a known key"]);
    says(&stopped.refused(), &["checkpoint cannot be ours", "no signature by a known key"]);
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let site = Site::new("ledger-second");
    let _server = site.start();
    let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["serve", "--config", site.fixture.config.to_str().unwrap(), "--data", site.fixture.data.to_str().unwrap()])
        .envs(["LISTEN__PUBLIC", "LISTEN__OPS", "TLS__MTLS"].map(|name| (format!("COUNTERSIGN__{name}"), "127.0.0.1:0")))
        .current_dir(&site.folder)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    says(&String::from_utf8(output.stderr).unwrap(), &["another server uses this data folder"]);
    tokens(&site, 1);
    covered(&site);
}

/// A site where an agent was retired and a value was spent, with the state as of after that.
fn retired(name: &str) -> Site {
    let site = unrecorded(name);
    let server = site.start();
    tokens(&site, 1);
    json_of(&site, &["agent", "retire", "researcher", "--yes"], 0);
    covered(&site);
    server.kill();
    let server = site.start();
    covered(&site);
    server.kill();
    site
}

/// Changes so many rows of the stopped server's database.
fn change(site: &Site, sql: &str) -> usize {
    Connection::open(site.fixture.data.join("commit.sqlite")).unwrap().execute(sql, []).unwrap()
}

#[test]
fn an_entry_of_the_state_that_was_deleted_is_named_and_made_anew() {
    let stopped = Stopped { site: retired("ledger-state"), older: PathBuf::new(), newer: PathBuf::new(), head: Vec::new() };
    let site = &stopped.site;
    stopped.sound();
    // A retirement is the one thing of its kind in the state.
    assert_eq!(change(site, "DELETE FROM state WHERE substr(key, 1, 1) = x'01'"), 1);
    let told = ["agent researcher: stored is nothing, recorded is generation 1, retired"];
    says(&stopped.unsound(), &told);
    says(&stopped.refused(), &[told[0], "state rebuild"]);
    let rebuilt = json_of(site, &["state", "rebuild"], 0);
    assert_eq!((rebuilt["lost"].as_bool(), rebuilt["differences"].as_array().map(Vec::len)), (Some(false), Some(1)), "{rebuilt}");
    let server = site.start();
    tokens(site, 1);
    let shown = json_of(site, &["agent", "show", "researcher"], 0);
    assert_eq!(shown["status"]["recorded"], "retired", "{shown}");
    covered(site);
    server.kill();
    stopped.sound();
}

#[test]
fn a_spent_value_that_was_deleted_is_noticed_and_nothing_made_before_counts() {
    let stopped = Stopped { site: retired("ledger-spent"), older: PathBuf::new(), newer: PathBuf::new(), head: Vec::new() };
    let site = &stopped.site;
    let party = Party::new(&site.profile(), "orchestrator");
    let before = party.assertion();
    assert!(change(site, "DELETE FROM single_use") > 0);
    says(&stopped.refused(), &["single-use values", "state rebuild"]);
    assert_eq!(json_of(site, &["state", "rebuild"], 0)["lost"], true);
    // More than the minute later that clocks may differ by.
    let (shim, clock) = (shim(&site.folder, "wrong_clock"), site.folder.join("clock"));
    fs::write(&clock, "65").unwrap();
    let server = site.start_with(&[("LD_PRELOAD", &shim), ("COUNTERSIGN_SHIM_CLOCK", &clock)]);
    let later = Party::new(&site.profile(), "orchestrator").skewed(65);
    let ask = |assertion: &str, subject: &str| {
        post_form(site.public, "/token", &form(&Party::request(assertion, subject, &[TARGET]))).unwrap()
    };
    for (assertion, subject) in [(&before, later.id_token(json!({}))), (&party.assertion(), later.id_token(json!({})))] {
        let refused = ask(assertion, &subject);
        assert_eq!(refused.status, 401, "{}", refused.text);
    }
    let refused = ask(&later.assertion(), &party.id_token(json!({})));
    assert_eq!(refused.text_of("error"), "invalid_request", "{}", refused.text);
    let taken = ask(&later.assertion(), &later.id_token(json!({})));
    assert_eq!(taken.status, 200, "{}", taken.text);
    covered(site);
    server.kill();
    stopped.sound();
    let causes = "SELECT count(*) FROM records WHERE instr(record, CAST('\"cause\":\"rebuild\"' AS BLOB)) > 0";
    let database = Connection::open(site.fixture.data.join("commit.sqlite")).unwrap();
    assert_eq!(database.query_row(causes, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
}
