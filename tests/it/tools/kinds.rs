//! What stands where a file is read: a FIFO, a socket, a folder, a device, or a symbolic link to a file.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{keys, stop, words};
use crate::support::Site;

/// Puts something else at a path.
type Kind = (&'static str, fn(&Path));

const KINDS: [Kind; 4] = [
    ("a FIFO", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())),
    ("a socket", |path| drop(UnixListener::bind(path).unwrap())),
    ("a folder", |path| fs::create_dir(path).unwrap()),
    ("a device", |path| symlink("/dev/zero", path).unwrap()),
];

/// A command that is ended, with the exit code 124, where it waits for what never comes.
fn bounded(arguments: &[&str], folder: &Path, option: &str) -> Output {
    let mut command = Command::new("timeout");
    command.args(["200", env!("CARGO_BIN_EXE_countersign")]).args(arguments).arg(option).arg(folder);
    command.current_dir("/").output().unwrap()
}

/// Something of every kind at `path` while `look` looks, then what was there again.
fn each_kind(path: &Path, look: impl Fn(&str)) {
    let away = path.with_file_name("away");
    let there = path.exists();
    if there {
        fs::rename(path, &away).unwrap();
    }
    for (kind, put) in KINDS {
        put(path);
        look(kind);
        fs::remove_file(path).or_else(|_| fs::remove_dir(path)).unwrap();
    }
    if there {
        fs::rename(&away, path).unwrap();
    }
}

/// One file of each folder and each extension below `folder`.
fn samples(folder: &Path, found: &mut BTreeMap<(PathBuf, String), PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        match path.is_dir() {
            true => samples(&path, found),
            false => {
                let extension = path.extension().unwrap_or_default().to_str().unwrap().to_owned();
                found.entry((folder.to_owned(), extension)).or_insert(path);
            }
        }
    }
}

#[test]
fn a_configuration_is_read_from_regular_files_only() {
    let site = Site::new("tools-kinds-conf");
    let (config, conf) = (&site.fixture.config, site.fixture.config.parent().unwrap());
    let mut files = BTreeMap::new();
    samples(conf, &mut files);
    let mut files: Vec<PathBuf> = files.into_values().collect();
    let strays = ["agents/x.toml", "apis/x.toml", "trust/x.toml", "policies/x.cedar"].map(|name| conf.join(name));
    let needed = [&strays[..], &[config.clone(), conf.join("agents/orchestrator.toml")]].concat();
    files.extend(needed.iter().cloned());
    let mut told = 0;
    for path in &files {
        each_kind(path, |kind| {
            let output = bounded(&["check"], config, "--config");
            let (code, words) = (output.status.code(), words(&output));
            let says = words.contains(&format!("it is {kind}, not a file"));
            assert!(matches!(code, Some(0 | 1)), "{kind} at {}: {code:?}: {words}", path.display());
            assert!(says || !needed.contains(path), "{kind} at {}: {words}", path.display());
        });
        told += 1;
    }
    assert!(told > 8, "only {told} files");
    // As a config map lies: each file a link into a folder that is itself a link.
    for path in files.iter().filter(|path| path.exists()) {
        let held = path.with_file_name("..held");
        fs::create_dir_all(&held).unwrap();
        symlink("..held", path.with_file_name("..data")).or_else(|_| fs::metadata(&held).map(drop)).unwrap();
        let name = path.file_name().unwrap();
        if !path.is_symlink() {
            fs::rename(path, held.join(name)).unwrap();
            symlink(Path::new("..data").join(name), path).unwrap();
        }
    }
    let output = bounded(&["check"], config, "--config");
    assert!(output.status.success(), "{}", words(&output));
}

#[test]
fn keys_and_data_are_read_from_regular_files_only() {
    let site = Site::new("tools-kinds-data");
    stop(site.start());
    let (keys, data) = (keys(&site), &site.fixture.data);
    let pem = fs::read_dir(&keys).unwrap().map(|entry| entry.unwrap().path());
    // Those of the ledger are read by whoever signs a checkpoint.
    let ledgers = |path: &Path| path.file_name().unwrap().to_str().unwrap().starts_with("ledger-");
    let pem = pem.filter(|path| path.extension().is_some_and(|extension| extension == "pem") && !ledgers(path)).min().unwrap();
    let lists =
        ["keyring.json", "ledger.json", "secrets.json", "uses.json", "owner.json", "root.key"].map(|name| keys.join(name));
    let known = ["served.json", "data.id", "keys.known"].map(|name| data.join(name));
    for path in lists.iter().chain(&known).chain([&pem]) {
        assert!(path.exists(), "{}", path.display());
        each_kind(path, |kind| {
            let output = bounded(&["task", "list"], data, "--data");
            let words = words(&output);
            assert_eq!(output.status.code(), Some(2), "{kind} at {}: {words}", path.display());
            assert!(words.contains(path.file_name().unwrap().to_str().unwrap()), "{kind} at {}: {words}", path.display());
        });
    }
    each_kind(&data.join("bundle-sequences.json"), |kind| {
        let output = bounded(&["trust", "forget", "acme.example"], data, "--data");
        assert_eq!(output.status.code(), Some(2), "{kind}: {}", words(&output));
    });
    let output = bounded(&["task", "list"], data, "--data");
    assert!(output.status.success(), "{}", words(&output));
}
