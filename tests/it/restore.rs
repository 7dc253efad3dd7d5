//! Going back in time by a copy: what is missing ends everything of before, nothing is signed twice for one size, and one command
//! is the way out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use countersign::store::LogFolder;

use crate::disk::shim;
use crate::support::{Ledger, Party, Reply, Server, Site, form, get, post_form};
use crate::tools::{countersign, told, words};

const TARGET: (&str, &str) = ("resource", "https://crm.example");

/// A site with a clock, for nothing fresh counts in the minute after an epoch begins.
struct Restored {
    site: Site,
    shim: PathBuf,
    clock: PathBuf,
    ahead: i64,
    /// The root that was signed at each size of each log.
    signed: BTreeMap<(String, String), String>,
}

impl Restored {
    fn new(name: &str) -> Self {
        let site = Site::new(name);
        let (shim, clock) = (shim(&site.folder, "wrong_clock"), site.folder.join("clock"));
        fs::write(&clock, "0").unwrap();
        Self { site, shim, clock, ahead: 0, signed: BTreeMap::new() }
    }

    fn data(&self) -> &Path {
        &self.site.fixture.data
    }

    fn environment(&self) -> [(&str, &Path); 2] {
        [("LD_PRELOAD", &self.shim), ("COUNTERSIGN_SHIM_CLOCK", &self.clock)]
    }

    fn minute(&mut self) {
        self.ahead += 65;
        fs::write(&self.clock, self.ahead.to_string()).unwrap();
    }

    fn start(&self) -> Server {
        self.site.start_with(&self.environment())
    }

    fn ask(&self, subject: Option<&str>) -> Reply {
        let party = Party::new(&self.site.profile(), "orchestrator").skewed(self.ahead);
        let (assertion, fresh) = (party.assertion(), party.id_token(json!({})));
        post_form(self.site.public, "/token", &form(&Party::request(&assertion, subject.unwrap_or(&fresh), &[TARGET]))).unwrap()
    }

    fn token(&self) -> String {
        let reply = self.ask(None);
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.text_of("access_token")
    }

    /// Waits until the log covers all records, and notes what was signed: no size of a log twice with different roots.
    fn covered(&mut self) {
        let note = || fs::read_to_string(self.data().join("ledger/checkpoint")).unwrap_or_default();
        let size = |note: &str| note.lines().nth(1).map(str::to_owned).unwrap_or_default();
        self.site.wait("the log covers the records", || size(&note()) == Ledger::read(self.data()).len().to_string());
        for (_, text) in LogFolder::new(&self.data().join("ledger")).kept().unwrap() {
            let lines: Vec<String> = text.lines().take(3).map(str::to_owned).collect();
            let [origin, size, root] = lines.try_into().unwrap();
            let before = self.signed.insert((origin.clone(), size.clone()), root.clone());
            assert!(before.as_ref().is_none_or(|before| *before == root), "{origin} {size}: {before:?} and {root}");
        }
    }

    fn backup(&self, name: &str) -> PathBuf {
        let dir = self.site.folder.join(name);
        let output = told(self.data(), "backup", &[dir.to_str().unwrap()]);
        assert!(output.status.success(), "{}", words(&output));
        dir
    }

    fn restore(&self, arguments: &[&str]) -> Output {
        told(self.data(), "restore", arguments)
    }

    fn verified(&self) -> Value {
        let output = countersign().args(["ledger", "verify", "--json"]).arg(self.data()).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What `restore` did with the backup and the folders of records that these arguments name.
    fn restored(&self, arguments: &[&str]) -> Value {
        let output = self.restore(&[arguments, &["--yes", "--json"]].concat());
        assert!(output.status.success(), "{}", words(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Nobody is served before somebody accepts what is configured; then things are issued again.
    fn accepted(&mut self, log: u64) -> Server {
        self.minute();
        let server = self.site.launch(&self.environment());
        let held = || get(self.site.ops, "/readyz").is_ok_and(|told| told.body().starts_with("configuration"));
        self.site.wait("it is held", held);
        assert_eq!(self.ask(None).status, 503);
        let output = told(self.data(), "config accept", &["--yes"]);
        assert!(output.status.success() && words(&output).contains("held since the restore"), "{}", words(&output));
        assert!(self.site.ready());
        self.token();
        self.covered();
        assert_eq!(self.verified()["origin"], format!("conformance.example/ledger/restored-{log}"));
        server
    }
}

fn has(output: &Output, code: i32, parts: &[&str]) {
    assert_eq!(output.status.code(), Some(code), "{}", words(output));
    assert!(parts.iter().all(|part| words(output).contains(part)), "{parts:?} in {}", words(output));
}

#[test]
fn a_backup_without_the_newest_records_begins_another_epoch_and_another_log() {
    let mut restored = Restored::new("restore");
    let server = restored.start();
    let before = restored.token();
    restored.covered();
    let dir = restored.backup("copy");
    let copy = dir.to_str().unwrap().to_owned();
    let after = restored.token();
    has(&told(restored.data(), "agent retire", &["researcher", "--yes"]), 0, &[]);
    restored.covered();
    has(&restored.restore(&[&copy, "--yes"]), 2, &["another server uses the key folder"]);
    server.kill();
    let records = Ledger::read(restored.data()).len();
    has(&restored.restore(&[&copy]), 2, &["records that conformance.example/ledger signed", "are missing", "say --yes"]);
    assert_eq!(Ledger::read(restored.data()).len(), records, "nothing was done");
    for log in 1..=2 {
        has(&restored.restore(&[&copy, "--yes"]), 0, &["are missing", "config accept"]);
        assert!(!restored.data().join("restoring").exists());
        let server = restored.accepted(log);
        for token in [&before, &after] {
            let dead = restored.ask(Some(token));
            assert_eq!(dead.text_of("error"), "invalid_request", "{}", dead.text);
        }
        let epochs: Vec<Value> = Ledger::read(restored.data()).everything();
        let epoch = epochs.iter().rfind(|record| record["kind"] == "epoch").unwrap();
        let origin = if log == 1 { String::new() } else { format!("/restored-{}", log - 1) };
        assert_eq!(epoch["before"]["origin"], format!("conformance.example/ledger{origin}"), "{epoch}");
        server.kill();
    }
}

/// An administrator of the database went back in time behind the server's back.
#[test]
fn an_older_copy_in_place_is_refused_and_one_command_goes_on_with_it() {
    let mut restored = Restored::new("restore-in-place");
    let server = restored.start();
    let before = restored.token();
    restored.covered();
    let dir = restored.backup("copy");
    restored.token();
    restored.covered();
    server.kill();
    let data = restored.data().to_owned();
    ["commit.sqlite-wal", "commit.sqlite-shm"].iter().for_each(|name| drop(fs::remove_file(data.join(name))));
    fs::copy(dir.join("commit.sqlite"), data.join("commit.sqlite")).unwrap();
    let refused = || {
        let mut serve = countersign();
        serve.args(["serve", "--config"]).arg(&restored.site.fixture.config).arg("--data").arg(&data).output().unwrap()
    };
    has(&refused(), 2, &["older copy", "countersign restore --in-place"]);
    has(&restored.restore(&["--in-place"]), 2, &["are missing", "say --yes"]);
    has(&restored.restore(&["--in-place", "--yes", "--reason", "the database was set back"]), 0, &["config accept"]);
    let server = restored.accepted(1);
    assert_eq!(restored.ask(Some(&before)).text_of("error"), "invalid_request");
    server.kill();
    has(&refused_again(&restored, &dir), 2, &["countersign restore --in-place"]);
}

/// Also a copy from before the log that goes on now.
fn refused_again(restored: &Restored, dir: &Path) -> Output {
    let data = restored.data();
    ["commit.sqlite-wal", "commit.sqlite-shm"].iter().for_each(|name| drop(fs::remove_file(data.join(name))));
    fs::copy(dir.join("commit.sqlite"), data.join("commit.sqlite")).unwrap();
    let mut serve = countersign();
    serve.args(["serve", "--config"]).arg(&restored.site.fixture.config).arg("--data").arg(data).output().unwrap()
}

/// A stopped server spends nothing more, so its backup goes on as if nothing had been.
#[test]
fn a_backup_of_a_stopped_server_that_misses_nothing_goes_on() {
    let mut restored = Restored::new("restore-whole");
    let server = restored.start();
    let before = restored.token();
    server.stop();
    let dir = restored.backup("copy");
    fs::write(restored.data().join("commit.sqlite"), "damaged").unwrap();
    has(&restored.restore(&[dir.to_str().unwrap(), "--yes"]), 0, &["nothing is missing: everything goes on"]);
    let server = restored.start();
    let goes_on = restored.ask(Some(&before));
    assert_eq!(goes_on.status, 200, "{}", goes_on.text);
    restored.covered();
    assert_eq!(restored.verified()["origin"], "conformance.example/ledger");
    has(&restored.restore(&["--in-place", "--yes"]), 2, &[]);
    server.kill();
    fs::write(dir.join("commit.sqlite"), "damaged").unwrap();
    has(&restored.restore(&[dir.to_str().unwrap(), "--yes"]), 1, &["commit.sqlite is not what its manifest says"]);
}

/// What was signed and lies nowhere but in the log is there again, as it was: nothing that ended since lives, and nobody is held.
#[test]
fn records_that_survive_in_the_log_go_on() {
    let mut restored = Restored::new("restore-records");
    let server = restored.start();
    let before = restored.token();
    restored.covered();
    let dir = restored.backup("copy");
    let copy = dir.to_str().unwrap().to_owned();
    let after = restored.token();
    has(&told(restored.data(), "agent retire", &["researcher", "--yes"]), 0, &[]);
    let export = restored.site.folder.join("export");
    restored.covered();
    has(&told(restored.data(), "ledger export", &[export.to_str().unwrap()]), 0, &[]);
    restored.token();
    restored.covered();
    server.kill();
    let (data, export) = (restored.data().to_owned(), export.to_str().unwrap().to_owned());
    let records = Ledger::read(&data).everything();
    fs::write(data.join("commit.sqlite"), "damaged").unwrap();
    has(&restored.restore(&[&copy]), 2, &["are missing", "folds in those that are proved", "say --yes"]);
    let some = ["go on too: they lead to the checkpoint over", "signed in", "are missing", "config accept"];
    has(&restored.restore(&[&copy, "--records", &export]), 2, &some);
    let all = ["no record that was signed is missing", "nothing is held, and the log goes on under its name"];
    let named = data.to_str().unwrap();
    has(&restored.restore(&[&copy, "--records", &export, "--records", named]), 2, &all);
    has(&restored.restore(&[&copy, "--records", "nowhere"]), 2, &["--records nowhere: there is no such folder"]);
    let done = restored.restored(&[&copy, "--records", &export, "--records", named]);
    let origin = "conformance.example/ledger";
    assert_eq!((&done["missing"], &done["held"], &done["origin"]), (&json!(0), &json!(false), &json!(origin)), "{done}");
    restored.minute();
    let server = restored.start();
    for token in [&before, &after] {
        assert_eq!(restored.ask(Some(token)).text_of("error"), "invalid_request");
    }
    let shown = told(&data, "agent show", &["researcher", "--json"]);
    has(&shown, 0, &["retired"]);
    restored.token();
    restored.covered();
    assert_eq!(restored.verified()["origin"], origin);
    assert_eq!(Ledger::read(&data).everything()[..records.len()], records[..], "as they were");
    let txn = crate::support::claims(&after)["txn"].as_str().unwrap().to_owned();
    has(&told(&data, "replay", &[&txn]), 0, &["orchestrator"]);
    server.kill();
}

/// A crash after the copy was made ready: nobody is served, and whatever restore is said finishes it.
#[test]
fn a_restore_that_was_broken_off_is_finished() {
    let mut restored = Restored::new("restore-broken-off");
    let server = restored.start();
    restored.token();
    restored.covered();
    let dir = restored.backup("copy");
    server.kill();
    let data = restored.data().to_owned();
    fs::create_dir(data.join("restored")).unwrap();
    for name in ["commit.sqlite", "ledger"] {
        fs::rename(dir.join(name), data.join("restored").join(name)).unwrap();
    }
    let keys = restored.site.fixture.config.parent().unwrap().parent().unwrap().join("keys");
    let plan = json!({"keys": keys, "adopts": false, "origin": null, "head": null});
    fs::write(data.join("restored/plan.json"), plan.to_string()).unwrap();
    for command in ["agent list", "state rebuild", "config accept --yes"] {
        has(&told(&data, command, &[]), 2, &["a restore was broken off here", "restore --in-place"]);
    }
    let mut serve = countersign();
    serve.args(["serve", "--config"]).arg(&restored.site.fixture.config).arg("--data").arg(&data);
    has(&serve.output().unwrap(), 2, &["a restore was broken off here"]);
    has(&restored.restore(&["--in-place"]), 2, &["say --yes to finish it"]);
    has(&restored.restore(&["--in-place", "--yes"]), 0, &["is finished"]);
    assert!(!data.join("restored").exists() && !data.join("restoring").exists());
    let server = restored.start();
    restored.token();
    restored.covered();
    restored.verified();
    server.kill();
}
