//! The log of a real server: served as C2SP tlog-tiles says, accepted by a foreign program, and verified after every kill.

mod alone;
mod bundles;
mod desk;
mod finding;
mod growth;
pub mod retention;
mod tampering;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{fs, thread};

use countersign::ledger::{KeyName, NoteVerifier, Tile, TlogProof, tiles};
use countersign::oauth::Jti;
use serde_json::Value;

use crate::support::patience::{pass, until};
use crate::support::{Ledger, Party, Site, claims, exchange_bytes, form, get, post_form};
use desk::{Socket, copy, covered, fetch, head, output, run, vkey};

const TARGET: (&str, &str) = ("resource", "https://assistant.example");

const PUBLIC: [(&str, &str); 1] = [("COUNTERSIGN__LEDGER__ACCESS", "public")];

/// Exchanges so many tokens.
fn tokens(site: &Site, count: usize) -> Vec<String> {
    let party = Party::new(&site.profile(), "orchestrator");
    let one = |_| {
        let subject = party.id_token(serde_json::json!({}));
        let reply = post_form(site.public, "/token", &form(&Party::request(&party.assertion(), &subject, &[TARGET]))).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.text_of("access_token")
    };
    (0..count).map(one).collect()
}

/// A site on which a start records nothing: no agent is retired.
fn unrecorded(name: &str) -> Site {
    let site = Site::new(name);
    fs::remove_file(site.fixture.config.parent().unwrap().join("agents/retired.toml")).unwrap();
    site
}

fn environment<'a>(pairs: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a Path)> {
    pairs.iter().map(|(name, value)| (*name, Path::new(*value))).collect()
}

/// The status of a path as it stands, with the token as bearer token.
fn status(site: &Site, path: &str, token: Option<&str>) -> u16 {
    let bearer = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{bearer}\r\n", site.public);
    exchange_bytes(site.public, request.as_bytes()).unwrap().status
}

#[test]
fn it_is_served_as_the_specification_says_to_whom_it_concerns() {
    let site = unrecorded("ledger-served");
    let server = site.start_with(&environment(&PUBLIC));
    let held = tokens(&site, 3);
    let size = covered(&site);
    let checkpoint = get(site.public, "/ledger/checkpoint").unwrap();
    assert_eq!(checkpoint.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(checkpoint.header("cache-control").unwrap().starts_with("max-age=1,"));
    assert_eq!(head(checkpoint.body()).1, size);
    let (tile, hashes) = fetch(site.public, &format!("/ledger/tile/0/000.p/{size}"));
    for part in ["HTTP/1.1 200", "content-type: application/octet-stream", "immutable"] {
        assert!(tile.contains(part), "{part}: {tile}");
    }
    assert_eq!(hashes.len() as u64, 32 * size);
    malformed(&site, size);
    proofs(&site, &held);
    let socket = Socket::of(&site.fixture.data);
    for tile in tiles(size) {
        let (status, body) = socket.get(&format!("/ledger/{tile}"));
        assert_eq!((status, body), (200, fs::read(site.fixture.data.join("ledger").join(tile.to_string())).unwrap()), "{tile}");
    }
    server.kill();
    // By default nothing of it is for everybody.
    let _server = site.start();
    let size = covered(&site);
    for path in ["checkpoint".to_owned(), format!("tile/0/000.p/{size}"), format!("tile/entries/000.p/{size}")] {
        assert_eq!(status(&site, &format!("/ledger/{path}"), None), 403, "{path}");
        assert_eq!(status(&site, &format!("/ledger/{path}"), Some(&held[0])), 403, "{path} with a token");
        assert_eq!(socket.get(&format!("/ledger/{path}")).0, 200, "{path} by the socket");
    }
}

/// What names no tile of this log is 404; entries are not for everybody, whatever `access` says.
fn malformed(site: &Site, size: u64) {
    assert!(size < 250);
    let beyond = [format!("0/000.p/{}", size + 1), "0/000".to_owned(), "0/001.p/1".to_owned(), "1/000.p/1".to_owned()];
    let spelled =
        ["0/000.p/0", "0/000.p/256", "0/x1/000", "00/000.p/1", "64/000.p/1", "0/0.p/1", "0/%30%30%30.p/1", "0/000.p/01"];
    let odd = ["0/../0/000.p/1", "entries/000.p/0", "data/000", "", "0"];
    for path in beyond.iter().map(String::as_str).chain(spelled).chain(odd) {
        assert_eq!(status(site, &format!("/ledger/tile/{path}"), None), 404, "{path}");
    }
    for path in
        ["/ledger", "/ledger/", "/ledger/vkey", "/ledger/checkpoints/0", "/ledger/../ledger/checkpoint", "/ledger/proof/x"]
    {
        assert_eq!(status(site, path, None), 404, "{path}");
    }
    assert_eq!(status(site, &format!("/ledger/tile/entries/000.p/{size}"), None), 403);
}

/// A proof is for auditors, and for whoever shows the token itself.
fn proofs(site: &Site, held: &[String]) {
    let jti = |token: &str| claims(token)["jti"].as_str().unwrap().to_owned();
    let path = format!("/ledger/proof/{}", jti(&held[1]));
    let reply = exchange_bytes(
        site.public,
        format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: bearer {}\r\n\r\n", held[1]).as_bytes(),
    );
    let reply = reply.unwrap();
    assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")));
    let proof = TlogProof::parse(reply.body()).unwrap();
    assert_eq!(proof.extra(), None, "the record says more than the token does");
    let records = Ledger::read(&site.fixture.data);
    let record = records.hops().find(|(hop, _)| *hop == Jti::parse(&jti(&held[1])).unwrap()).unwrap().1.to_vec();
    let key = NoteVerifier::parse(&vkey(site)).unwrap();
    let origin: KeyName = key.name().clone();
    proof.verify(&record, &origin, std::slice::from_ref(&key)).unwrap();
    let (told, body) = Socket::of(&site.fixture.data).get(&path);
    let audited = TlogProof::parse(std::str::from_utf8(&body).unwrap()).unwrap();
    assert_eq!((told, audited.extra()), (200, Some(record.as_slice())));
    assert_eq!(
        output(site, &["ledger", "prove", &jti(&held[1]), "--data", site.fixture.data.to_str().unwrap()]),
        audited.to_string()
    );
    let mut forged = held[1].clone();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.insert(forged.len() - 20, last);
    assert_eq!(status(site, &path, None), 401);
    assert_eq!(status(site, &path, Some(&forged)), 401);
    assert_eq!(status(site, &path, Some(&held[0])), 403, "another hop's token");
    let unknown = "/ledger/proof/01a1fa92-3a75-71f3-9c1a-9a75307ce341";
    assert_eq!((status(site, unknown, Some(&held[0])), Socket::of(&site.fixture.data).get(unknown).0), (403, 404));
}

#[test]
fn a_foreign_program_accepts_it_as_served() {
    let Some(program) = desk::foreign("served") else { return };
    let site = Site::new("ledger-foreign");
    let server = site.start();
    let socket = Socket::of(&site.fixture.data);
    let folder = site.folder.join("served");
    let mut older = Vec::new();
    for count in [1, 2, 9] {
        tokens(&site, count);
        let size = covered(&site);
        let paths = tiles(size).map(|tile: Tile| tile.to_string()).chain(["checkpoint".to_owned()]);
        for path in paths {
            let (status, body) = socket.get(&format!("/ledger/{path}"));
            assert_eq!(status, 200, "{path}");
            fs::create_dir_all(folder.join(&path).parent().unwrap()).unwrap();
            fs::write(folder.join(&path), body).unwrap();
        }
        desk::accepts(&program, &vkey(&site), &older, &folder);
        let old = site.folder.join(format!("{size}.checkpoint"));
        fs::copy(folder.join("checkpoint"), &old).unwrap();
        older.push(old);
    }
    server.kill();
    let exported = site.folder.join("exported");
    let data = site.fixture.data.to_str().unwrap();
    run(&site, &["ledger", "export", exported.to_str().unwrap(), "--data", data], 0);
    desk::accepts(&program, &vkey(&site), &older, &exported);
    run(&site, &["ledger", "verify", exported.to_str().unwrap(), "--key", &vkey(&site)], 0);
    run(&site, &["ledger", "export", exported.to_str().unwrap(), "--data", data], 2);
}

#[test]
fn it_verifies_after_every_kill() {
    let site = Site::new("ledger-killed");
    let (mut before, issued) = (Vec::<(u64, String)>::new(), AtomicU64::new(0));
    for round in 0..6 {
        let server = site.start();
        thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let party = Party::new(&site.profile(), "orchestrator");
                let ask = || {
                    let subject = party.id_token(serde_json::json!({}));
                    post_form(site.public, "/token", &form(&Party::request(&party.assertion(), &subject, &[TARGET])))
                };
                while ask().is_ok() {
                    issued.fetch_add(1, Ordering::Relaxed);
                }
            });
            until("some tokens were issued", || issued.load(Ordering::Relaxed) > 4 * (round + 1));
            pass(Duration::from_millis(170 * round));
            server.kill();
            asking.join().unwrap();
        });
        let data = site.fixture.data.to_str().unwrap();
        let report: Value =
            serde_json::from_str(&run(&site, &["ledger", "verify", data, "--json", "--key", &vkey(&site)], 0)).unwrap();
        assert_eq!(report["store_compared"], true);
        // Whatever was once served is still kept, and so was held against the tree.
        for (size, note) in &before {
            let kept = site.fixture.data.join(format!("ledger/checkpoints/{size}"));
            assert!(!kept.exists() || fs::read_to_string(kept).unwrap() == *note, "{size} was signed twice, differently");
        }
        let note = fs::read_to_string(site.fixture.data.join("ledger/checkpoint")).unwrap();
        before.push((head(&note).1, note));
    }
    assert!(before.last().unwrap().0 > 10, "{before:?}");
}

#[test]
fn a_new_key_signs_beside_the_old_one_without_a_restart() {
    let site = Site::new("ledger-rotated");
    let server = site.start();
    tokens(&site, 1);
    covered(&site);
    let first = vkey(&site);
    let config = site.fixture.config.to_str().unwrap();
    let listed = run(&site, &["keys", "rotate", "--ledger", "--config", config, "--json"], 0);
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let second = listed.last().unwrap()["vkey"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    server.hang_up();
    let checkpoint = site.fixture.data.join("ledger/checkpoint");
    site.wait("both keys have signed", || fs::read_to_string(&checkpoint).unwrap().matches('\u{2014}').count() == 2);
    let data = site.fixture.data.to_str().unwrap();
    for key in [&first, &second] {
        run(&site, &["ledger", "verify", data, "--key", key], 0);
    }
    server.kill();
    let _again = site.start();
    run(&site, &["ledger", "verify", data], 0);
    let elsewhere = site.folder.join("copy");
    covered(&site);
    copy(&site.fixture.data, &elsewhere);
    run(&site, &["ledger", "verify", elsewhere.to_str().unwrap()], 0);
}
