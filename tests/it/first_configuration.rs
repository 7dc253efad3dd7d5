//! `docs/first-configuration.md`, done as it stands: every command of it, with the output that it shows.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command};
use std::thread;

use countersign::jose::{Algorithm, SigningKey, generate_key};
use serde_json::json;

use crate::support::page::{Step, fits, matches, shell, steps};
use crate::support::{free, get, patience, scratch};

const DOCUMENT: &str = include_str!("../../docs/first-configuration.md");

/// An identity provider: metadata and keys over HTTP, and an ID token that it signed.
fn identity_provider(client: &str) -> (String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let key = SigningKey::from_pem(&generate_key(Algorithm::ES256).unwrap(), Algorithm::ES256).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({ "iss": issuer, "sub": "alice", "aud": client, "azp": client, "iat": now, "exp": now + 600 });
    let token = key.sign("JWT", claims.to_string().as_bytes()).unwrap();
    let metadata = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/jwks") }).to_string();
    let keys = format!("{{\"keys\":[{}]}}", key.public_jwk());
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap_or(0);
            let body = if request[..read].starts_with(b"GET /jwks") { &keys } else { &metadata };
            let head = format!("Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close", body.len());
            let _gone = stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").as_bytes());
        }
    });
    (issuer, token)
}

/// The reader's shell, in an empty folder, with `countersign` on its path and ports that are free here.
struct Shell<'a> {
    folder: &'a Path,
    ops: SocketAddr,
    server: Option<Child>,
}

impl Shell<'_> {
    fn command(&self, line: &str) -> Command {
        let mut command = shell(self.folder, line);
        command.env("COUNTERSIGN__LISTEN__OPS", self.ops.to_string());
        command
    }

    fn run(&self, line: &str) -> String {
        String::from_utf8(self.command(line).output().unwrap().stdout).unwrap()
    }

    /// Once; where a command reads what the server publishes behind its commit, until it prints what is shown.
    fn run_until(&self, line: &str, shown: &[String]) -> String {
        let mut printed = self.run(line);
        let fits = |printed: &str| matches(shown, &printed.lines().map(str::trim_end).collect::<Vec<_>>());
        if ["countersign replay", "countersign ledger"].iter().any(|command| line.starts_with(command)) {
            patience::until(line, || {
                printed = self.run(line);
                fits(&printed)
            });
        }
        assert!(fits(&printed), "$ {line}\nshown:\n{}\nprinted:\n{printed}", shown.join("\n"));
        printed
    }

    /// In its other terminal.
    fn serve(&mut self, line: &str) {
        let log = fs::File::create(self.folder.join("server.log")).unwrap();
        let mut server = self.command(&format!("exec {line}")).stdout(log).spawn().unwrap();
        let ready = || get(self.ops, "/readyz").is_ok_and(|reply| reply.status == 200);
        patience::until("the server is ready", || {
            assert!(server.try_wait().unwrap().is_none(), "{}", fs::read_to_string(self.folder.join("server.log")).unwrap());
            ready()
        });
        self.server = Some(server);
    }
}

impl Drop for Shell<'_> {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ended = server.kill();
            let _ended = server.wait();
        }
    }
}

#[test]
fn every_step_of_the_document_prints_what_it_shows() {
    let folder = scratch("first-configuration");
    let (issuer, id_token) = identity_provider("0oa1b2c3");
    fs::write(folder.join("id_token"), id_token).unwrap();
    let here = |text: &str| text.replace("https://login.acme.example", &issuer);
    let public = free();
    let here = |text: &str| here(text).replace("127.0.0.1:8693", &public.to_string());
    let mut shell = Shell { folder: &folder, ops: free(), server: None };
    let mut txn = String::new();
    let steps = steps(DOCUMENT);
    assert!(steps.len() >= 8, "the document shows every step");
    for Step { command, output } in steps {
        let command = here(&command).replace("TXN", &txn);
        if command.starts_with("countersign serve") {
            shell.serve(&command);
            continue;
        }
        let shown: Vec<String> = output.iter().map(|line| here(line)).collect();
        let printed = shell.run_until(&command, &shown);
        if let Some((_, told)) = printed.split_once(", transaction ") {
            txn = told.trim().to_owned();
        }
    }
    drop(shell);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn nothing_is_overwritten() {
    let folder = scratch("init-again");
    let init = |target: &str| {
        let binary = env!("CARGO_BIN_EXE_countersign");
        Command::new(binary).args(["init", target, "--json"]).current_dir(&folder).output().unwrap()
    };
    let first = init("conf");
    assert!(first.status.success());
    let told: serde_json::Value = serde_json::from_slice(&first.stdout).unwrap();
    assert!(told["files"].as_array().unwrap().iter().all(|file| folder.join(file.as_str().unwrap()).is_file()), "{told}");
    let settings = fs::read(folder.join("conf/countersign.toml")).unwrap();
    let again = init("conf");
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("conf is not empty"), "{again:?}");
    assert_eq!(fs::read(folder.join("conf/countersign.toml")).unwrap(), settings);
    fs::remove_dir_all(&folder).unwrap();
}

/// Whatever the values and the folder are called, what was written is what was said, and the command that is printed checks it.
#[test]
fn any_value_and_folder_is_written_as_it_is() {
    let folder = scratch("init-words");
    let binary = env!("CARGO_BIN_EXE_countersign");
    let control = "assistant.toml:14: `client` must have 1 to 255 bytes without control characters";
    for (at, client, told) in [(0, "@IDP@ \" \\ @ISSUER@", "the configuration is valid"), (1, "a\u{7f}", control)] {
        let mut init = Command::new(binary);
        let init = init.args(["init", &format!("it's {at}"), "--json", "--idp-client", client]).current_dir(&folder).output();
        let init = init.unwrap();
        assert!(init.status.success(), "{init:?}");
        let next: serde_json::Value = serde_json::from_slice(&init.stdout).unwrap();
        let command = next["next"][0].as_str().unwrap().replacen("countersign", &format!("'{binary}'"), 1);
        let check = Command::new("sh").args(["-c", &command]).current_dir(&folder).output().unwrap();
        assert!(String::from_utf8_lossy(&check.stdout).contains(told), "{command}: {check:?}");
        let agent = fs::read_to_string(folder.join(format!("it's {at}/agents/assistant.toml"))).unwrap();
        assert!(agent.contains(r#"client = "@IDP@ \" \\ @ISSUER@""#) || agent.contains(r#"client = "a\u007f""#), "{agent}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_ellipsis_stands_for_anything() {
    assert!(fits("a … c", "a b c") && fits("a…", "a") && fits("a", "a") && !fits("a … d", "a b c") && !fits("a", "ab"));
    let shown = ["a", "…", "c"].map(str::to_owned);
    assert!(matches(&shown, &["a", "b", "b", "c"]) && matches(&shown, &["a", "c"]) && !matches(&shown, &["a", "b"]));
}
