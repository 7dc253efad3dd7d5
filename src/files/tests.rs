#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener as Socket;
use std::process::Command;

use super::*;

/// An empty folder; removed when the test succeeded.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("countersign-files-{name}-{}", std::process::id()));
        let _absent = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    /// The folder belongs to somebody else; false, and said, where whoever runs this cannot give it away.
    fn given_away(&self) -> bool {
        let given = std::os::unix::fs::chown(&self.0, Some(SOMEBODY), Some(SOMEBODY)).is_ok();
        if !given {
            eprintln!("left out: only the superuser gives folders away");
        }
        given
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _kept = fs::remove_dir_all(&self.0);
    }
}

const SOMEBODY: u32 = 65534;

fn owner(path: &Path) -> (u32, u32) {
    let found = fs::symlink_metadata(path).unwrap();
    (found.uid(), found.gid())
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

/// Something of every kind that can stand at a path, with what is told of it; nothing where it is read.
fn kinds(scratch: &Scratch) -> Vec<(PathBuf, Option<&'static str>)> {
    fs::write(scratch.at("file"), "x").unwrap();
    fs::create_dir(scratch.at("folder")).unwrap();
    assert!(Command::new("mkfifo").arg(scratch.at("fifo")).status().unwrap().success());
    drop(Socket::bind(scratch.at("socket")).unwrap());
    let mut kinds: Vec<(PathBuf, Option<&'static str>)> = vec![
        (scratch.at("file"), None),
        (scratch.at("folder"), Some("it is a folder, not a file")),
        (scratch.at("fifo"), Some("it is a FIFO, not a file")),
        (scratch.at("socket"), Some("it is a socket, not a file")),
        (PathBuf::from("/dev/zero"), Some("it is a device, not a file")),
        (scratch.at("absent"), Some("No such file")),
    ];
    // And each of them behind two symbolic links, as a config map is laid out.
    for (number, (path, told)) in kinds.clone().into_iter().enumerate() {
        symlink(&path, scratch.at(&format!("..{number}"))).unwrap();
        symlink(format!("..{number}"), scratch.at(&format!("link-{number}"))).unwrap();
        kinds.push((scratch.at(&format!("link-{number}")), told));
    }
    kinds
}

#[test]
fn only_regular_files_are_read_and_nothing_is_waited_for() {
    let scratch = Scratch::new("kinds");
    for (path, told) in kinds(&scratch) {
        let answers = [open(&path).map(drop), read(&path, 9).map(drop), read_text(&path, 9).map(drop)];
        for answer in answers {
            match (told, answer) {
                (None, answer) => answer.unwrap(),
                (Some(told), answer) => {
                    let words = answer.unwrap_err().to_string();
                    assert!(words.contains(told), "{}: {words}", path.display());
                }
            }
        }
    }
    assert!(read_if_there(&scratch.at("absent"), 9).unwrap().is_none());
    assert!(read_if_there(&scratch.at("fifo"), 9).is_err());
}

#[test]
fn what_is_too_long_or_no_text_is_refused() {
    let scratch = Scratch::new("long");
    let path = scratch.at("a");
    fs::write(&path, [b'x'; 2048]).unwrap();
    assert_eq!(read(&path, 2048).unwrap().len(), 2048);
    assert!(read(&path, 2047).unwrap_err().to_string().contains("longer than 1 KiB"));
    fs::write(&path, [0xff]).unwrap();
    assert_eq!(read_text(&path, 9).unwrap_err().kind(), ErrorKind::InvalidData);
}

#[test]
fn what_is_written_is_whole_and_never_goes_through_a_link() {
    let scratch = Scratch::new("links");
    let (path, elsewhere) = (scratch.at("a"), scratch.at("elsewhere"));
    fs::write(&elsewhere, "theirs").unwrap();
    for name in ["a", ".a.new", "lock"] {
        symlink(&elsewhere, scratch.at(name)).unwrap();
    }
    replace(&path, b"ours", Access::Owner).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"ours");
    assert!(keep(&scratch.at("lock")).unwrap_err().to_string().contains("symbolic link"));
    assert_eq!(create(&scratch.at("lock"), b"x", Access::Owner).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&elsewhere).unwrap(), b"theirs");
    assert_eq!(scratch.names(), ["a", "elsewhere", "lock"], "nothing is left beside");
}

#[test]
fn what_is_made_is_for_its_owner_alone() {
    let scratch = Scratch::new("modes");
    replace(&scratch.at("made/deep/a"), b"x", Access::Owner).unwrap();
    drop(keep(&scratch.at("lock")).unwrap());
    drop(bind(&scratch.at("socket")).unwrap());
    drop(bind(&scratch.at("socket")).unwrap());
    for (name, wanted) in [("made", 0o700), ("made/deep", 0o700), ("made/deep/a", 0o600), ("lock", 0o600), ("socket", 0o600)] {
        assert_eq!(mode(&scratch.at(name)), wanted, "{name}");
    }
}

#[test]
fn what_the_superuser_makes_belongs_to_whom_the_folder_belongs_to() {
    let scratch = Scratch::new("owners");
    if !scratch.given_away() {
        return;
    }
    replace(&scratch.at("made/deep/a"), b"x", Access::Owner).unwrap();
    replace(&scratch.at("made/deep/a"), b"y", Access::Owner).unwrap();
    create(&scratch.at("once"), b"x", Access::Everybody).unwrap();
    drop(keep(&scratch.at("lock")).unwrap());
    drop(bind(&scratch.at("socket")).unwrap());
    for name in ["made", "made/deep", "made/deep/a", "once", "lock", "socket"] {
        assert_eq!(owner(&scratch.at(name)), (SOMEBODY, SOMEBODY), "{name}");
    }
    let theirs = scratch.at("theirs");
    fs::write(&theirs, "x").unwrap();
    drop(keep(&theirs).unwrap());
    assert_eq!(owner(&theirs), (0, 0), "what was there is left as it is");
}
