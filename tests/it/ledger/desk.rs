//! What the ledger's tests need: the command, the socket, the foreign program.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Ledger, Site, scratch};

/// `DATA/ops.sock`, spoken to in plain HTTP.
pub struct Socket(PathBuf);

impl Socket {
    pub fn of(data: &Path) -> Self {
        Self(data.join("ops.sock"))
    }

    /// Status and body.
    pub fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let (head, body) = request(UnixStream::connect(&self.0).unwrap(), path);
        (head[9..12].parse().unwrap(), body)
    }
}

/// Head and body of the answer over TCP; the body need not be text.
pub fn fetch(address: SocketAddr, path: &str) -> (String, Vec<u8>) {
    request(TcpStream::connect(address).unwrap(), path)
}

fn request(mut stream: impl Read + Write, path: &str) -> (String, Vec<u8>) {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let body = answer.split_off(body);
    (String::from_utf8(answer).unwrap(), body)
}

/// Runs the command in the site's folder; it must end with that code. What it printed, on both streams where it is not 0.
pub fn run(site: &Site, arguments: &[&str], code: i32) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_countersign")).args(arguments).current_dir(&site.folder).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let told = text(&output.stdout) + &text(if code == 0 { &[] } else { &output.stderr });
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}{}", text(&output.stderr));
    told
}

/// What the command prints when it succeeds.
pub fn output(site: &Site, arguments: &[&str]) -> String {
    run(site, arguments, 0)
}

/// The first verifier key of the log.
pub fn vkey(site: &Site) -> String {
    let keys = fs::read_to_string(site.fixture.data.join("ledger/vkey")).unwrap();
    keys.lines().next().unwrap().to_owned()
}

/// Origin and size of a checkpoint.
pub fn head(note: &str) -> (&str, u64) {
    let mut lines = note.lines();
    (lines.next().unwrap(), lines.next().unwrap().parse().unwrap())
}

/// Waits until the server shows a checkpoint over every record; how many they are.
pub fn covered(site: &Site) -> u64 {
    let socket = Socket::of(&site.fixture.data);
    let size = || {
        let (status, note) = socket.get("/ledger/checkpoint");
        if status == 200 { head(std::str::from_utf8(&note).unwrap()).1 } else { 0 }
    };
    site.wait("the checkpoint covers the records", || size() == Ledger::read(&site.fixture.data).len() as u64);
    size()
}

/// Copies a folder with everything in it but sockets.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match fs::metadata(&path).unwrap() {
            found if found.is_dir() => copy(&path, &target),
            found if found.is_file() => drop(fs::copy(&path, &target).unwrap()),
            _ => {}
        }
    }
}

/// The Go program on golang.org/x/mod/sumdb, built for the test `name`; none where that is not possible here, which is printed.
pub fn foreign(name: &str) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/foreign/go");
    let go = |arguments: &[&str]| Command::new("go").args(arguments).current_dir(&source).output().ok();
    if !go(&["mod", "download"]).is_some_and(|output| output.status.success()) {
        assert!(std::env::var_os("COUNTERSIGN_FOREIGN").is_none(), "go, or the module golang.org/x/mod, is not at hand");
        println!("skipped: go, or the module golang.org/x/mod, is not at hand");
        return None;
    }
    let program = scratch(&format!("ledger-check-{name}")).join("ledger-check");
    let output = go(&["build", "-o", program.to_str().unwrap(), "."]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(program)
}

/// The foreign program verifies the folder, and that it extends the older checkpoints.
pub fn accepts(program: &Path, key: &str, older: &[PathBuf], folder: &Path) {
    let mut command = Command::new(program);
    command.args(["-key", key]);
    for old in older {
        command.arg("-old").arg(old);
    }
    let output = command.arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
