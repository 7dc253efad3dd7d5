//! Files keep the owner and the mode of their folder, whoever runs the command.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use super::{countersign, done, keys, stop, told, words};
use crate::support::Site;

/// The user and group that the folders belong to.
const SOMEBODY: u32 = 65534;

/// Everything below `folder`, and itself.
fn everything(folder: &Path, found: &mut Vec<PathBuf>) {
    found.push(folder.to_owned());
    let Ok(entries) = fs::read_dir(folder) else { return assert!(!folder.exists(), "{}", folder.display()) };
    for entry in entries.map(|entry| entry.unwrap().path()) {
        match entry.is_dir() && !entry.is_symlink() {
            true => everything(&entry, found),
            false => found.push(entry),
        }
    }
}

/// Everything in `folders` belongs to somebody, and is closed to others.
fn closed_and_theirs(folders: &[&Path], after: &str) {
    let mut found = Vec::new();
    folders.iter().for_each(|folder| everything(folder, &mut found));
    assert!(found.len() > folders.len());
    for path in found {
        // A server that runs replaces files: what is gone by now belongs to nobody.
        let Ok(seen) = fs::symlink_metadata(&path) else {
            assert!(!path.exists(), "{}", path.display());
            continue;
        };
        assert_eq!((seen.uid(), seen.gid()), (SOMEBODY, SOMEBODY), "after {after}: {}", path.display());
        assert_eq!(seen.permissions().mode() & 0o077, 0, "after {after}: {}", path.display());
    }
}

#[test]
fn what_the_superuser_does_leaves_files_that_the_server_can_use() {
    let site = Site::new("tools-owners");
    if chown(&site.folder, Some(SOMEBODY), Some(SOMEBODY)).is_err() {
        eprintln!("left out: only the superuser works on folders of others");
        return;
    }
    let (keys, data) = (keys(&site), &site.fixture.data);
    chown(data, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    let server = site.start();
    closed_and_theirs(&[data, &keys], "a start");
    for (command, arguments) in
        [("keys rotate", &["--all"][..]), ("agent suspend", &["orchestrator"]), ("trust forget", &["a.example"])]
    {
        told(data, command, arguments);
        closed_and_theirs(&[data, &keys], command);
    }
    stop(server);
    for (command, arguments) in [
        ("keys rotate", &["--all"][..]),
        ("agent resume", &["orchestrator"]),
        ("state rebuild", &[]),
        ("keys adopt", &["--yes"]),
        ("keys generate", &[]),
    ] {
        done(&told(data, command, arguments));
        closed_and_theirs(&[data, &keys], command);
    }
    let own = site.folder.join("first");
    done(&countersign().arg("init").arg(&own).output().unwrap());
    let mut made = Vec::new();
    everything(&own, &mut made);
    assert!(made.iter().all(|path| fs::metadata(path).unwrap().uid() == SOMEBODY));
    as_somebody(data);
}

/// The server's own user goes on with what the superuser left.
fn as_somebody(data: &Path) {
    let run = |arguments: &[&str]| {
        let mut command = countersign();
        command.args(arguments).uid(SOMEBODY).gid(SOMEBODY).output()
    };
    if !run(&["--version"]).is_ok_and(|output| output.status.success()) {
        eprintln!("left out: others cannot run this binary");
        return;
    }
    for command in [["task", "list"], ["keys", "list"], ["state", "rebuild"]] {
        let output = run(&[command[0], command[1], "--data", data.to_str().unwrap()]).unwrap();
        assert!(output.status.success(), "{command:?}: {}", words(&output));
    }
}
