//! The server's own keys against the real binary: whose they are, that they follow one another without ending anything, and
//! that a revoked one ends at once.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Ledger, Party, Reply, Server, Site, form, get, post_form};

const CRM: &str = "https://crm.example";

fn keys(site: &Site) -> PathBuf {
    site.fixture.config.parent().unwrap().parent().unwrap().join("keys")
}

fn run(site: &Site, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(arguments).arg("--config").arg(&site.fixture.config).current_dir(&site.folder);
    command.output().unwrap()
}

/// What a command that ends with `code` printed.
fn said(site: &Site, arguments: &[&str], code: i32) -> String {
    let output = run(site, arguments);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    text
}

/// The words with which a start on `data` is refused.
fn refused(site: &Site, data: &Path) -> String {
    said(site, &["serve", "--data", data.to_str().unwrap()], 2)
}

fn exchange(site: &Site, subject: &str) -> Reply {
    let party = Party::new(&site.profile(), "orchestrator");
    post_form(site.public, "/token", &form(&Party::request(&party.assertion(), subject, &[("resource", CRM)]))).unwrap()
}

fn issued(site: &Site) -> String {
    let party = Party::new(&site.profile(), "orchestrator");
    let reply = exchange(site, &party.id_token(json!({})));
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text_of("access_token")
}

fn kid(token: &str) -> String {
    part(token, 0)["kid"].as_str().unwrap().to_owned()
}

fn published(site: &Site) -> String {
    get(site.public, "/jwks").unwrap().body().to_owned()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&entry.path(), &to),
            kind if kind.is_file() => drop(fs::copy(entry.path(), to).unwrap()),
            _ => {}
        }
    }
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
}

fn stop(server: Server) {
    server.kill();
}

#[test]
fn keys_belong_to_one_data_folder_and_one_server() {
    let site = Site::new("own-keys-owner");
    let server = site.start();
    let token = issued(&site);
    // The addresses are taken too, so another data folder on the same keys must not even come so far.
    let elsewhere = site.folder.join("elsewhere");
    let other_ports = ["COUNTERSIGN__LISTEN__PUBLIC", "COUNTERSIGN__LISTEN__OPS", "COUNTERSIGN__TLS__MTLS"];
    let second = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["serve", "--data", elsewhere.to_str().unwrap(), "--config", site.fixture.config.to_str().unwrap()])
        .envs(other_ports.map(|name| (name, "127.0.0.1:0")))
        .current_dir(&site.folder)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(words.contains("another server uses the key folder"), "{words}");
    stop(server);
    assert!(refused(&site, &elsewhere).contains("belongs to the data folder"));
    let copied = site.folder.join("copied");
    copy(&site.fixture.data, &copied);
    assert!(refused(&site, &copied).contains("is a copy of"));
    let adopt = ["keys", "adopt", "--data", copied.to_str().unwrap()];
    said(&site, &adopt, 2);
    said(&site, &[&adopt[..], &["--yes"]].concat(), 0);
    assert!(refused(&site, &site.fixture.data).contains("belongs to the data folder"), "the original is refused now");
    said(&site, &["keys", "adopt", "--yes", "--data", site.fixture.data.to_str().unwrap()], 0);
    let _server = site.start();
    assert!(site.active(&token));
}

#[test]
fn a_key_that_is_lost_or_another_is_refused_with_its_name() {
    let site = Site::new("own-keys-lost");
    let server = site.start();
    issued(&site);
    site.wait("a checkpoint is remembered", || keys(&site).join("ledger.head").exists());
    stop(server);
    for name in ["keyring.json", "secrets.json", "ledger.json", "ledger.head", "owner.json", "root.key"] {
        let away = site.folder.join("away");
        fs::rename(keys(&site).join(name), &away).unwrap();
        let words = refused(&site, &site.fixture.data);
        assert!(words.contains(&format!("{name} is missing")), "{name}: {words}");
        fs::rename(away, keys(&site).join(name)).unwrap();
    }
    let _server = site.start();
}

/// Everything that could tell is deleted with the key: only the records know which it was.
#[test]
fn another_key_is_refused_by_the_records_where_nothing_else_can_tell() {
    let site = Site::new("own-keys-records");
    stop(site.start());
    let (folder, data, kept) = (keys(&site), site.fixture.data.clone(), site.folder.join("kept"));
    copy(&folder, &kept.join("keys"));
    copy(&data, &kept.join("data"));
    for of in ["pseudonym", "anc", "root", "state", "ledger", "signing"] {
        let file = format!("{of}.key");
        let is_gone = |name: &str| match of {
            "ledger" => name.starts_with("ledger"),
            "signing" => name == "keyring.json" || name.ends_with(".pem") && !name.starts_with("ledger"),
            _ => name == file || ["secrets.json", "uses.json"].contains(&name),
        };
        for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()) {
            let name = entry.file_name().into_string().unwrap();
            if name == "owner.json" || is_gone(&name) {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        ["keys.known", "data.id"].iter().for_each(|name| fs::remove_file(data.join(name)).unwrap());
        if of != "ledger" && of != "signing" {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(file)).unwrap();
            writeln!(file, "{}", "A".repeat(43)).unwrap();
        }
        let words = refused(&site, &data);
        assert!(
            words.contains("the key folder lacks keys that the records name: ") && words.contains(&format!("the {of} key")),
            "{words}"
        );
        [&folder, &data].iter().for_each(|folder| fs::remove_dir_all(folder).unwrap());
        copy(&kept.join("keys"), &folder);
        copy(&kept.join("data"), &data);
        said(&site, &["keys", "adopt", "--yes", "--data", data.to_str().unwrap()], 0);
    }
    let _server = site.start();
}

/// The key folder is looked at while the server runs too.
#[test]
fn other_keys_are_refused_while_the_server_runs() {
    let site = Site::new("own-keys-swapped");
    let _server = site.start();
    let token = issued(&site);
    let (folder, other, kept) = (keys(&site), site.folder.join("other"), site.folder.join("kept"));
    said(&site, &["keys", "generate", "--dir", other.to_str().unwrap()], 0);
    copy(&folder, &kept);
    let put = |from: &Path| {
        // The list comes last: it is what tells of a change.
        for name in ["pseudonym.key", "anc.key", "root.key", "state.key", "uses.json", "secrets.json"] {
            fs::copy(from.join(name), folder.join(name)).unwrap();
        }
    };
    let log = || fs::read_to_string(site.log()).unwrap();
    put(&other);
    site.wait("they are refused", || log().contains("the key folder lacks keys that the records name: "));
    assert!(site.active(&token), "those of before stay in use");
    let taken_up = log().matches("the changed keys are in use").count();
    put(&kept);
    site.wait("those of before are taken up", || log().matches("the changed keys are in use").count() > taken_up);
    assert!(site.active(&token));
    issued(&site);
}

/// A list of before the revocation is put back from a backup.
#[test]
fn a_revoked_key_does_not_come_back_with_the_list_of_before() {
    let site = Site::new("own-keys-back");
    let server = site.start();
    let data = site.fixture.data.to_str().unwrap();
    let (kid, before) = (kid(&issued(&site)), published(&site));
    said(&site, &["keys", "rotate", "--all"], 0);
    site.wait("the new keys are published", || published(&site) != before);
    let pem = format!("{kid}.pem");
    let kept = ["keyring.json", &pem].map(|name| (name, fs::read(keys(&site).join(name)).unwrap()));
    said(&site, &["keys", "revoke", &kid, "--data", data], 0);
    site.wait("it is recorded", || {
        Ledger::read(&site.fixture.data).everything().iter().any(|record| record["event"] == "revoke" && record["id"] == kid)
    });
    stop(server);
    for (name, bytes) in kept {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(keys(&site).join(name)).unwrap();
        file.write_all(&bytes).unwrap();
    }
    let _server = site.start();
    assert!(!published(&site).contains(&kid));
    assert!(said(&site, &["keys", "list"], 0).contains("no more: revoked"));
}

/// What lives goes on, what is suspended stays so, and what is revoked afterwards ends, whichever key it was issued under.
#[test]
fn every_key_is_followed_by_another_while_the_server_runs() {
    let site = Site::new("own-keys-rotation");
    let server = site.start();
    let data = site.fixture.data.to_str().unwrap();
    let token = issued(&site);
    said(&site, &["agent", "suspend", "analyst", "--data", data], 0);
    let before = published(&site);
    said(&site, &["keys", "rotate", "--all"], 0);
    site.wait("the new keys are published", || published(&site) != before);
    assert!(site.active(&token), "what lives goes on");
    let next = exchange(&site, &token);
    assert_eq!(next.status, 200, "{}", next.text);
    let analyst = Party::new(&site.profile(), "analyst");
    let body = form(&Party::request(&analyst.assertion(), &analyst.vouched("idp-twin", json!({})), &[("resource", CRM)]));
    assert_eq!(post_form(site.public, "/token", &body).unwrap().status, 401, "what is suspended stays so");
    stop(server);
    let _server = site.start();
    assert!(site.active(&token) && site.active(&next.text_of("access_token")));
    said(&site, &["revoke", "--agent", "orchestrator", "--data", data], 0);
    assert!(!site.active(&token), "issued under the earlier key");
    assert!(!site.active(&next.text_of("access_token")));
}

#[test]
fn a_revoked_signing_key_is_dead_at_once() {
    let site = Site::new("own-keys-revoked");
    for running in [true, false] {
        let server = site.start();
        let data = site.fixture.data.to_str().unwrap();
        let token = issued(&site);
        let kid = kid(&token);
        assert!(published(&site).contains(&kid) && site.active(&token));
        assert!(said(&site, &["keys", "revoke", "nobody", "--data", data], 1).contains("lists no key nobody"));
        let server = if running {
            Some(server)
        } else {
            stop(server);
            None
        };
        let done = said(&site, &["keys", "revoke", &kid, "--data", data, "--reason", "stolen"], 0);
        assert!(done.contains("revoked key") && !done.contains("stays published"), "{done}");
        let _server = server.unwrap_or_else(|| site.start());
        assert!(!published(&site).contains(&kid), "running {running}");
        assert!(!site.active(&token), "running {running}");
        assert_eq!(exchange(&site, &token).text_of("error"), "invalid_request", "as a subject token");
        assert_ne!(self::kid(&issued(&site)), kid, "another signs");
        assert!(said(&site, &["keys", "list"], 0).contains("no more: revoked"));
    }
}

#[test]
fn a_revoked_ledger_key_signs_no_more() {
    let site = Site::new("own-keys-ledger");
    let _server = site.start();
    issued(&site);
    let data = site.fixture.data.to_str().unwrap();
    let vkey = || fs::read_to_string(site.fixture.data.join("ledger/vkey")).unwrap().lines().last().unwrap().to_owned();
    let old = vkey();
    said(&site, &["keys", "revoke", &old, "--data", data], 0);
    site.wait("another key signs", || vkey() != old);
    issued(&site);
    let key = vkey();
    site.wait("a checkpoint is signed by it", || {
        let verify = ["ledger", "verify", data, "--key", &key];
        Command::new(env!("CARGO_BIN_EXE_countersign")).args(verify).output().unwrap().status.success()
    });
    // The old key alone shows nothing any more, and the log says so itself.
    let words = Command::new(env!("CARGO_BIN_EXE_countersign")).args(["ledger", "verify", data, "--key", &old]).output().unwrap();
    assert_eq!(words.status.code(), Some(1));
    let both = ["ledger", "verify", data, "--key", &old, "--key", &key];
    let words = Command::new(env!("CARGO_BIN_EXE_countersign")).args(both).output().unwrap();
    assert!(words.status.success(), "{}", String::from_utf8_lossy(&words.stdout));
}

/// The subject of the transaction of a token, as `replay` shows it.
fn replayed(site: &Site, token: &str) -> String {
    let (data, keys) = (site.fixture.data.to_str().unwrap().to_owned(), keys(site));
    let claims: Value = part(token, 1);
    let txn = claims["txn"].as_str().unwrap();
    let replay = ["replay", txn, "--data", &data, "--keys", keys.to_str().unwrap(), "--json"];
    let output = Command::new(env!("CARGO_BIN_EXE_countersign")).args(replay).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn part(token: &str, number: usize) -> Value {
    use base64::Engine;
    let part = token.split('.').nth(number).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn root_files(site: &Site) -> Vec<String> {
    let names = fs::read_dir(keys(site)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("root")).collect()
}

fn subjects(site: &Site) -> Connection {
    Connection::open(site.fixture.data.join("subjects.sqlite")).unwrap()
}

/// A token about the person `sub`.
fn issued_about(site: &Site, sub: &str) -> String {
    let party = Party::new(&site.profile(), "orchestrator");
    let reply = exchange(site, &party.id_token(json!({ "sub": sub })));
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text_of("access_token")
}

/// What was disclosed stays readable, who was erased stays so, and the root key of before is gone: on a running server and, where
/// none runs, with the next start.
#[test]
fn every_wrapped_key_follows_the_root_key_which_is_then_destroyed() {
    let site = Site::new("own-keys-root");
    let (file, copy) = (site.fixture.data.join("subjects.sqlite"), site.folder.join("copy"));
    let server = site.start();
    let first = root_files(&site);
    let bob = issued_about(&site, "bob");
    let of_bob = wrapped(&site).keys().next().unwrap().clone();
    let alice = issued_about(&site, "alice");
    assert!(replayed(&site, &bob).contains("bob") && replayed(&site, &alice).contains("alice"));
    subjects(&site).execute("DELETE FROM subject_keys WHERE subject = ?1", [of_bob]).unwrap();
    let before = wrapped(&site);
    said(&site, &["keys", "rotate", "root"], 0);
    site.wait("the root key of before is destroyed", || root_files(&site).len() == 1 && root_files(&site) != first);
    let after = wrapped(&site);
    assert!(after.keys().eq(before.keys()) && after.values().all(|key| !before.values().any(|other| other == key)));
    assert!(replayed(&site, &alice).contains("alice") && !replayed(&site, &bob).contains("bob"));
    site.wait("that is recorded", || retired_roots(&site) == 1);
    issued_about(&site, "alice");
    let carol = issued_about(&site, "carol");
    stop(server);
    subjects(&site).execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    let second = root_files(&site);
    said(&site, &["keys", "rotate", "root"], 0);
    assert_eq!(root_files(&site).len(), 2, "nobody wraps while no server runs");
    let server = site.start();
    site.wait("the next start finishes it", || root_files(&site).len() == 1 && root_files(&site) != second);
    assert!(replayed(&site, &alice).contains("alice") && replayed(&site, &carol).contains("carol"));
    assert!(!replayed(&site, &bob).contains("bob"));
    stop(server);
    // Without a log beside it.
    drop(wrapped(&site));
    let newest = fs::read(&file).unwrap();
    fs::copy(&copy, &file).unwrap();
    assert!(refused(&site, &site.fixture.data).contains("subjects.sqlite is from before the root key"));
    drop(wrapped(&site));
    fs::write(&file, newest).unwrap();
    let _server = site.start();
    assert!(replayed(&site, &issued_about(&site, "alice")).contains("alice"));
}

/// The number of root keys that are recorded as retired.
fn retired_roots(site: &Site) -> u64 {
    let sql = r#"SELECT count(*) FROM records WHERE CAST(record AS TEXT) LIKE '%"event":"retire"%"of":"root"%'"#;
    Connection::open(site.fixture.data.join("commit.sqlite")).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The wrapped keys of subjects.
fn wrapped(site: &Site) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let connection = subjects(site);
    let mut query = connection.prepare("SELECT subject, wrapped FROM subject_keys").unwrap();
    query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
}
