//! How long records are kept: archived, pruned, held; and every reader of records where the first of them are gone.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::{Value, json};

use super::desk::{Socket, copy, head, run, vkey};
use super::{TARGET, unrecorded};
use crate::disk::shim;
use crate::support::page::{matches, shell, steps};
use crate::support::{Party, Server, Site, claims, form, get, post_form};

const DOCUMENT: &str = include_str!("../../../docs/operators.md");

const HOUR: i64 = 3_600;

/// A site whose server keeps records for an hour, and a clock.
pub struct Kept {
    pub site: Site,
    shim: PathBuf,
    clock: PathBuf,
    ahead: i64,
}

impl Kept {
    fn new(name: &str) -> Self {
        let site = unrecorded(name);
        let (shim, clock) = (shim(&site.folder, "wrong_clock"), site.folder.join("clock"));
        fs::write(&clock, "0").unwrap();
        Self { site, shim, clock, ahead: 0 }
    }

    fn data(&self) -> &Path {
        &self.site.fixture.data
    }

    fn start(&self) -> Server {
        let keep: (&str, &Path) = ("COUNTERSIGN__LEDGER__KEEP", Path::new("1h"));
        self.site.start_with(&[("LD_PRELOAD", &self.shim), ("COUNTERSIGN_SHIM_CLOCK", &self.clock), keep])
    }

    fn hours(&mut self, hours: i64) {
        self.ahead += hours * HOUR;
        fs::write(&self.clock, self.ahead.to_string()).unwrap();
    }

    /// Exchanges so many tokens; the first of them.
    fn exchange(&self, count: usize) -> String {
        let party = Party::new(&self.site.profile(), "orchestrator").skewed(self.ahead);
        let mut first = None;
        for _ in 0..count {
            let request = form(&Party::request(&party.assertion(), &party.id_token(json!({})), &[TARGET]));
            let reply = post_form(self.site.public, "/token", &request).unwrap();
            assert_eq!(reply.status, 200, "{}", reply.text);
            first.get_or_insert_with(|| reply.text_of("access_token"));
        }
        first.unwrap_or_default()
    }

    /// Runs a command on the data folder; it must end with that code.
    fn run(&self, command: &str, more: &[&str], code: i32) -> String {
        let data = self.data().to_str().unwrap();
        let arguments: Vec<&str> = command.split(' ').chain(more.iter().copied()).chain(["--data", data]).collect();
        run(&self.site, &arguments, code)
    }

    fn archive(&self, dir: &str) -> Value {
        serde_json::from_str(&self.run("archive", &[dir, "--json"], 0)).unwrap()
    }

    fn verify(&self, more: &[&str], code: i32) -> Value {
        let data = self.data().to_str().unwrap();
        let key = vkey(&self.site);
        let arguments: Vec<&str> = ["ledger", "verify", data, "--json", "--key", &key].iter().chain(more).copied().collect();
        let told = run(&self.site, &arguments, code);
        serde_json::from_str(told.lines().next().unwrap()).unwrap()
    }

    /// The number of records that there ever were.
    fn count(&self) -> u64 {
        let newest = |table: &str| one(self.data(), &format!("SELECT coalesce((SELECT max(idx) + 1 FROM {table}), 0)"));
        newest("records").max(newest("bundled"))
    }

    /// Waits until a checkpoint covers every record.
    fn covered(&self) {
        let note = || fs::read_to_string(self.data().join("ledger/checkpoint")).unwrap_or_default();
        let signed = |note: &str| if note.is_empty() { 0 } else { head(note).1 };
        self.site.wait("the checkpoint covers the records", || signed(&note()) == self.count());
    }

    /// The index of the first record that is kept.
    fn first(&self) -> u64 {
        one(self.data(), "SELECT first FROM retention")
    }

    /// Waits until the records before `first` are gone, files and all.
    fn pruned(&self, first: u64) {
        self.site
            .wait("the records are pruned", || self.first() == first && one(self.data(), "SELECT swept FROM retention") == first);
    }

    fn entries(&self, number: u64) -> bool {
        self.data().join(format!("ledger/tile/entries/{number:03}.lz4")).exists()
    }
}

fn one(data: &Path, sql: &str) -> u64 {
    Connection::open(data.join("commit.sqlite")).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

fn named(token: &str) -> (String, String) {
    let claims = claims(token);
    let text = |name: &str| claims[name].as_str().unwrap().to_owned();
    (text("txn"), text("jti"))
}

/// A site on which the first records are pruned; its server is stopped.
pub fn pruned(name: &str) -> Kept {
    let mut kept = Kept::new(name);
    let server = kept.start();
    kept.exchange(300);
    kept.archive("archive");
    server.stop();
    kept.hours(2);
    let server = kept.start();
    kept.pruned(256);
    kept.covered();
    server.stop();
    kept
}

#[test]
fn what_is_archived_and_old_enough_is_pruned_and_every_reader_goes_on() {
    let mut kept = Kept::new("retention");
    let server = kept.start();
    let (txn, jti) = named(&kept.exchange(600));
    kept.covered();
    let archived = kept.archive("archive");
    let (until, snapshot) = (archived["until"].as_u64().unwrap(), archived["snapshot"].as_u64().unwrap());
    assert!(snapshot < until && archived["first"] == 0, "{archived}");
    let alone = run(&kept.site, &["ledger", "verify", "archive", "--key", &vkey(&kept.site)], 0);
    assert!(alone.contains("archived states that records name: 1"), "{alone}");
    server.stop();
    kept.hours(2);
    let server = kept.start();
    let (kept_txn, kept_jti) = named(&kept.exchange(1));
    let first = snapshot / 256 * 256;
    assert!(first >= 512);
    kept.pruned(first);
    kept.covered();
    assert!(!kept.entries(0) && !kept.data().join("ledger/tile/0/000").exists());
    assert!(kept.data().join("ledger/tile/entries/002.p").exists() || kept.entries(2));
    served(&kept, first);
    found(&kept, first, [&txn, &jti, &kept_txn, &kept_jti]);
    // Once more, and by itself and with the archive, while it runs and while it does not.
    let again = kept.archive("archive");
    assert!(again["until"].as_u64().unwrap() > until && again["first"] == 0, "{again}");
    let other = kept.archive("other");
    assert!(other["first"].as_u64().unwrap() >= first, "{other}");
    run(&kept.site, &["ledger", "verify", "other", "--key", &vkey(&kept.site)], 0);
    kept.covered();
    server.stop();
    whole(&kept, first);
    let rebuilt = kept.run("state rebuild", &[], 0);
    assert!(!rebuilt.contains("was another"), "{rebuilt}");
    let server = kept.start();
    kept.covered();
    assert_eq!(kept.verify(&[], 0)["first"], kept.first());
    copied(&kept);
    // That more is pruned than was recorded is noticed.
    kept.exchange(300);
    server.stop();
    let moved = |by: &str| Connection::open(kept.data().join("commit.sqlite")).unwrap().execute_batch(by).unwrap();
    moved("UPDATE retention SET first = first + 256");
    let config = kept.site.fixture.config.to_str().unwrap().to_owned();
    let refused = kept.run("serve", &["--config", &config], 2);
    assert!(refused.contains("records were removed that are not recorded as pruned"), "{refused}");
    assert!(kept.verify(&[], 1)["reason"].as_str().unwrap().contains("were pruned"));
    moved("UPDATE retention SET first = first - 256");
    // The tiles of hashes that are left are made again from what is kept; what only an archive has is named.
    let first = kept.first();
    fs::remove_dir_all(kept.data().join("ledger/tile/0")).unwrap();
    kept.start().stop();
    assert_eq!(kept.verify(&["--archive", "archive"], 0)["first"], 0);
    fs::remove_dir_all(kept.data().join("ledger/tile/1")).unwrap();
    let refused = kept.run("serve", &["--config", &config], 2);
    assert!(refused.contains(&format!("the records before {first} are pruned")), "{refused}");
}

/// A run that was broken off is run again; where something is not as it was signed, nothing is said to be archived.
#[test]
fn a_run_that_was_broken_off_is_run_again() {
    let kept = Kept::new("archive-broken-off");
    let server = kept.start();
    kept.exchange(300);
    server.stop();
    let before = kept.site.folder.join("before");
    copy(kept.data(), &before);
    let whole = kept.archive("archive");
    assert_eq!((&whole["first"], &whole["added"]), (&json!(0), &whole["until"]));
    let archive = kept.site.folder.join("archive");
    // The files in the order in which they are written, the last first: a crash before any of them.
    let gone = ["checkpoint", "checkpoints", "vkey", "state", "tile/1", "tile/0/001.p", "tile/entries/000.lz4", "tile"];
    for gone in gone.map(|gone| archive.join(gone)) {
        // As if it had not been said: by the data of before.
        fs::remove_dir_all(kept.data()).unwrap();
        copy(&before, kept.data());
        let _unfinished = fs::remove_file(archive.join("checkpoint"));
        let _file = fs::remove_file(&gone);
        let _folder = fs::remove_dir_all(&gone);
        fs::create_dir_all(archive.join("tile/0")).unwrap();
        fs::write(archive.join("tile/0/.000.new"), "half").unwrap();
        let again = kept.archive("archive");
        assert_eq!((&again["first"], &again["until"]), (&whole["first"], &whole["until"]), "without {}", gone.display());
        run(&kept.site, &["ledger", "verify", "archive"], 0);
        kept.verify(&[], 0);
    }
    // Once it was said, and nothing has come since.
    assert_eq!(kept.archive("archive")["added"], 0);
    kept.start().stop();
    assert!(kept.archive("archive")["added"].as_u64().unwrap() > 0);
    run(&kept.site, &["ledger", "verify", "archive", "--key", &vkey(&kept.site)], 0);
}

#[test]
fn what_is_not_proved_is_not_archived() {
    let kept = Kept::new("archive-unproved");
    let server = kept.start();
    kept.exchange(300);
    kept.covered();
    server.stop();
    // A tile that is read to be archived: its entry is another by now.
    let path = kept.data().join("ledger/tile/entries/001.p");
    let newest =
        fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).max_by_key(|path| fs::metadata(path).unwrap().len());
    let path = newest.unwrap();
    let good = fs::read(&path).unwrap();
    let text = String::from_utf8_lossy(&good).replacen("orchestrator", "orchestratos", 1);
    fs::write(&path, text.as_bytes()).unwrap();
    let told = kept.run("archive", &["archive"], 2);
    assert!(told.contains("was changed"), "{told}");
    let folder = kept.site.folder.join("archive");
    assert!(!folder.join("checkpoint").exists(), "what is not proved has no checkpoint");
    assert_eq!(one(kept.data(), "SELECT count(*) FROM records WHERE record LIKE '%\"what\":\"archived\"%'"), 0);
    fs::write(&path, good).unwrap();
    kept.archive("archive");
    // What is not ours is left alone, and an archive in the data folder is none.
    fs::create_dir(kept.site.folder.join("other")).unwrap();
    fs::write(kept.site.folder.join("other/notes.txt"), "mine").unwrap();
    assert!(kept.run("archive", &["other"], 2).contains("holds something else"));
    let within = kept.data().join("archive");
    assert!(kept.run("archive", &[within.to_str().unwrap()], 2).contains("lies in the data folder"));
}

/// Bytes of everything in the data folder, with nothing in a write-ahead log any more, and without the pages of databases that
/// are used again: how many these are depends on when it was pruned.
fn bytes(data: &Path) -> u64 {
    for name in ["commit.sqlite", "subjects.sqlite"] {
        let database = Connection::open(data.join(name)).unwrap();
        database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    }
    let free = ["commit.sqlite", "subjects.sqlite"].map(|name| {
        let database = Connection::open(data.join(name)).unwrap();
        database.query_row("PRAGMA freelist_count", [], |row| row.get::<_, u64>(0)).unwrap()
    });
    super::growth::below(data) - free.iter().sum::<u64>() * 4_096
}

#[test]
fn the_disk_does_not_grow_with_the_exchanges() {
    let mut kept = Kept::new("retention-bound");
    let mut sizes = Vec::new();
    for _ in 0..5 {
        let server = kept.start();
        // As far from the beginning of a bundle every time.
        let far = kept.count() % 256;
        kept.exchange(512 + usize::try_from((356 - far) % 256).unwrap());
        kept.covered();
        let archived = kept.archive("archive");
        server.stop();
        kept.hours(2);
        let server = kept.start();
        kept.pruned(archived["snapshot"].as_u64().unwrap() / 256 * 256);
        server.stop();
        sizes.push(bytes(kept.data()));
    }
    // What stays of 512 exchanges and more, which took 560 KB: hashes of higher levels, checkpoints, pages that are not full.
    let each = (sizes[4].saturating_sub(sizes[1])) / 3;
    println!("{each} bytes for each round of 512 exchanges: {sizes:?}");
    assert!(each < 64 * 1024, "{each} bytes for each round of 512 exchanges: {sizes:?}");
    let whole = kept.verify(&["--archive", "archive"], 0);
    assert_eq!((&whole["first"], &whole["entries"]), (&json!(0), &whole["size"]), "{whole}");
}

/// The page of the document, done as it stands; the hours pass before what is pruned is asked for.
#[test]
fn keeping_and_archiving_is_as_its_page_says() {
    let mut kept = Kept::new("retention-page");
    let mut server = Some(kept.start());
    let (old, _) = named(&kept.exchange(260));
    let (txn, _) = named(&kept.exchange(1));
    kept.exchange(300);
    let (_, behind) = DOCUMENT.split_once("\n## Keeping and archiving\n").expect("the page exists");
    for step in steps(behind.split("\n## ").next().unwrap()) {
        if step.command.starts_with("countersign replay OLD --data") {
            server.take().unwrap().stop();
            kept.hours(2);
            server = Some(kept.start());
            kept.pruned(512);
            kept.covered();
        }
        let here = |text: &str| text.replace("TXN", &txn).replace("OLD", &old);
        let command = here(&step.command);
        let printed = String::from_utf8(shell(&kept.site.folder, &command).output().unwrap().stdout).unwrap();
        let shown: Vec<String> = step.output.iter().map(|line| here(line)).collect();
        let lines: Vec<&str> = printed.lines().map(str::trim_end).collect();
        assert!(matches(&shown, &lines), "$ {command}\nshown:\n{}\nprinted:\n{printed}", shown.join("\n"));
    }
    assert!(server.is_some(), "the page asks for what is pruned");
}

/// The index of the first record, and what is answered for those before.
fn served(kept: &Kept, first: u64) {
    let socket = Socket::of(kept.data());
    let (status, told) = socket.get("/ledger/first");
    assert_eq!((status, String::from_utf8(told).unwrap()), (200, format!("{first}\n")));
    for path in ["entries/000", "0/000"] {
        let (status, told) = socket.get(&format!("/ledger/tile/{path}"));
        assert!(status == 410 && String::from_utf8_lossy(&told).contains("in an archive"), "{path}: {status}");
    }
    assert_eq!(socket.get("/ledger/tile/1/000.p/1").0, 200);
    let metrics = get(kept.site.ops, "/metrics").unwrap().text;
    for line in [format!("countersign_ledger_first_index {first}"), "countersign_archive_behind_seconds 72".to_owned()] {
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    assert!(kept.site.ready());
}

/// What is pruned is found in the archive alone, without what is personal.
fn found(kept: &Kept, first: u64, [txn, jti, kept_txn, kept_jti]: [&String; 4]) {
    let pruned = format!("the records before {first} are pruned");
    assert!(kept.run("replay", &[txn], 1).contains(&pruned));
    let replayed = kept.run("replay", &[txn, "--archive", "archive", "--disclose"], 0);
    assert!(replayed.contains(jti.as_str()) && replayed.contains("proved in the signed tree"), "{replayed}");
    assert!(replayed.contains("a person (sealed"), "{replayed}");
    assert!(kept.run("ledger prove", &[jti], 1).contains(&pruned));
    kept.run("ledger prove", &[jti, "--archive", "archive"], 0);
    let replayed = kept.run("replay", &[kept_txn, "--disclose"], 0);
    assert!(replayed.contains("proved in the signed tree") && !replayed.contains("a person (sealed"), "{replayed}");
    kept.run("ledger prove", &[kept_jti], 0);
    // Inventories count what is kept, and a name is looked for there.
    kept.run("agent list", &[], 0);
    let unknown = kept.run("revoke", &["--instance", "assistant", "nobody"], 1);
    assert!(unknown.contains("nothing known by that name"), "{unknown}");
}

/// The data folder by itself, and with every archive.
fn whole(kept: &Kept, first: u64) {
    let told = kept.verify(&[], 0);
    assert_eq!(
        (&told["first"], &told["state_folded"], &told["store_compared"]),
        (&json!(first), &json!(true), &json!(true)),
        "{told}"
    );
    let together = kept.verify(&["--archive", "archive"], 0);
    assert_eq!((&together["first"], &together["entries"]), (&json!(0), &together["size"]), "{together}");
    let lost = kept.verify(&["--archive", "other"], 0);
    assert!(lost["first"].as_u64().unwrap() > 0, "what an archive that begins later shows: {lost}");
    let words = run(&kept.site, &["ledger", "verify", kept.data().to_str().unwrap()], 0);
    assert!(words.contains(&format!("it has the entries from {first} on")), "{words}");
}

/// An export and a backup are of what is kept; a restore goes on from it.
fn copied(kept: &Kept) {
    kept.run("ledger export", &["exported"], 0);
    let told = run(&kept.site, &["ledger", "verify", "exported", "--json"], 0);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["first"], &told["state_folded"]), (&json!(kept.first()), &json!(true)), "{told}");
    kept.run("backup", &["backup"], 0);
    let states = |folder: &Path| fs::read_dir(folder.join("ledger/state")).unwrap().count();
    assert_eq!((states(&kept.site.folder.join("backup")), states(kept.data())), (2, 2));
}

/// A backup of what was kept, an archive of what came after it, and the log: nothing that was signed is lost between them.
#[test]
fn a_backup_of_what_is_kept_goes_on_with_what_an_archive_has() {
    let mut kept = pruned("retention-restore");
    let server = kept.start();
    kept.exchange(1);
    kept.covered();
    kept.run("backup", &["backup"], 0);
    let (txn, _) = named(&kept.exchange(300));
    kept.covered();
    kept.archive("later");
    let last = named(&kept.exchange(1)).0;
    kept.covered();
    server.kill();
    let (records, first) = (kept.count(), kept.first());
    fs::write(kept.data().join("commit.sqlite"), "damaged").unwrap();
    let told = kept.run("restore", &["backup", "--records", "later"], 2);
    assert!(told.contains("go on too") && told.contains("are missing"), "{told}");
    let data = kept.data().to_str().unwrap().to_owned();
    let told = kept.run("restore", &["backup", "--records", "later", "--records", &data, "--yes", "--json"], 0);
    let done: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert_eq!((&done["missing"], &done["held"]), (&json!(0), &json!(false)), "{done}");
    kept.ahead += 65;
    fs::write(&kept.clock, kept.ahead.to_string()).unwrap();
    let server = kept.start();
    kept.exchange(1);
    kept.covered();
    assert!(kept.count() > records && kept.first() == first);
    for txn in [&txn, &last] {
        assert!(kept.run("replay", &[txn], 0).contains("proved in the signed tree"));
    }
    server.stop();
    let told = kept.verify(&[], 0);
    assert_eq!((&told["first"], &told["state_folded"], &told["store_compared"]), (&json!(first), &json!(true), &json!(true)));
    let together = kept.verify(&["--archive", "archive"], 0);
    assert_eq!((&together["first"], &together["entries"]), (&json!(0), &together["size"]), "{together}");
}
