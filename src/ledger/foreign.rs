//! A Go program built on golang.org/x/mod/sumdb accepts our log as it lies in a folder. Skipped, with a line that says so,
//! where there is no Go or its module cannot be had, unless `COUNTERSIGN_FOREIGN` is set.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::note::tests::{signer, verifiers};
use super::testlog::{TestLog, entry, largest};
use super::{CHECKPOINT_PATH, TileNodes, TlogProof};

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("countersign-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// The program, built; `None` where that is not possible here.
fn build(folder: &Folder) -> Option<PathBuf> {
    let go = |args: &[&str]| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/foreign/go");
        Command::new("go").args(args).current_dir(source).output().ok()
    };
    let program = folder.0.join("ledger-check");
    let at_hand = go(&["mod", "download"]).is_some_and(|output| output.status.success());
    if !at_hand {
        assert!(std::env::var_os("COUNTERSIGN_FOREIGN").is_none(), "go, or the module golang.org/x/mod, is not at hand");
        println!("skipped: go, or the module golang.org/x/mod, is not at hand");
        return None;
    }
    let output = go(&["build", "-o", program.to_str().unwrap(), "."]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(program)
}

fn run(program: &Path, key: &str, more: &[(&str, &Path)], log: &Path) -> Output {
    let mut command = Command::new(program);
    command.args(["-key", key]);
    for (flag, file) in more {
        command.arg(flag).arg(file);
    }
    command.arg(log).output().unwrap()
}

#[test]
fn the_go_checksum_database_accepts_our_log_and_notices_changes() {
    let folder = Folder::new("foreign");
    let Some(program) = build(&folder) else { return };
    let mut log = TestLog::published_at(&[]);
    let mut older: Vec<PathBuf> = Vec::new();
    for size in [0, 1, 255, 256, 257, 65_536, 70_000] {
        accepts(&program, &folder.0, &mut log, size, &older);
        let old = folder.0.join(format!("{size}.checkpoint"));
        fs::write(&old, &log.files[CHECKPOINT_PATH]).unwrap();
        older.push(old);
    }
    notices_changes(&program, &log.known()[0].to_string(), &folder.0.join("log"));
    for size in [1_000_000, 10_000_000].into_iter().filter(|size| *size <= largest()) {
        accepts(&program, &folder.0, &mut log, size, &older);
    }
    accepts_two_keys(&program, &mut log, &folder.0.join("log"));
}

/// The log grown to `size`, its extension of the older checkpoints, and a proof of its middle entry.
fn accepts(program: &Path, folder: &Path, log: &mut TestLog, size: u64, older: &[PathBuf]) {
    let (here, proof) = (folder.join("log"), folder.join(format!("{size}.tlog-proof")));
    log.publish(size);
    log.write(&here);
    let mut more: Vec<(&str, &Path)> = older.iter().map(|old| ("-old", old.as_path())).collect();
    if size > 0 {
        let note = String::from_utf8(log.files[CHECKPOINT_PATH].clone()).unwrap();
        let made = TlogProof::build(&mut TileNodes::new(log, size), size / 2, log.heads.last().unwrap(), &note).unwrap();
        // A proof proves the record that it shows, whatever the log beside it has.
        let forged = folder.join("forged.tlog-proof");
        fs::write(&forged, made.clone().with_extra(b"e".to_vec()).unwrap().to_string()).unwrap();
        assert_eq!(run(program, &log.known()[0].to_string(), &[("-proof", &forged)], &here).status.code(), Some(1));
        fs::write(&proof, made.with_extra(entry(size / 2)).unwrap().to_string()).unwrap();
        more.push(("-proof", &proof));
    }
    let output = run(program, &log.known()[0].to_string(), &more, &here);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "at {size}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("verified {size} entries\n"));
}

fn notices_changes(program: &Path, key: &str, log: &Path) {
    let bundles = ["checkpoint", "tile/entries/100", "tile/entries/273.p/112"];
    let hashes = ["tile/0/100", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"];
    for path in bundles.into_iter().chain(hashes) {
        let good = fs::read(log.join(path)).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        fs::write(log.join(path), bad).unwrap();
        let output = run(program, key, &[], log);
        assert_eq!(output.status.code(), Some(1), "{path}: {output:?}");
        fs::write(log.join(path), good).unwrap();
    }
    assert!(run(program, key, &[], log).status.success());
}

fn accepts_two_keys(program: &Path, log: &mut TestLog, here: &Path) {
    let next = signer("log.example/ledger", 2);
    let note = log.heads.last().unwrap().sign(&[&log.signer, &next]).unwrap();
    log.files.insert(CHECKPOINT_PATH.to_owned(), note.into_bytes());
    log.write(here);
    for key in verifiers(&[&log.signer, &next]) {
        assert!(run(program, &key.to_string(), &[], here).status.success(), "{key}");
    }
    let stranger = verifiers(&[&signer("log.example/ledger", 3)])[0].to_string();
    assert_eq!(run(program, &stranger, &[], here).status.code(), Some(1));
}
