//! Proofs that travel alone, held against two verifiers that share no code: ours, and the one on Go's own packages. Whatever is
//! changed in one is refused by both.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::desk::{covered, foreign};
use crate::support::{Party, Site, claims, form, post_form};

/// The text of a proof in its parts.
#[derive(Clone)]
struct Parts {
    lines: Vec<String>,
    checkpoint: String,
}

impl Parts {
    fn of(text: &str) -> Self {
        let (head, checkpoint) = text.split_once("\n\n").unwrap();
        Self { lines: head.lines().map(str::to_owned).collect(), checkpoint: checkpoint.to_owned() }
    }

    fn text(&self) -> String {
        format!("{}\n\n{}", self.lines.join("\n"), self.checkpoint)
    }

    /// The same with one line changed: 0 is the first line, 1 the record, 2 the index, then the path.
    fn with(&self, line: usize, text: impl Into<String>) -> String {
        let mut changed = self.clone();
        changed.lines[line] = text.into();
        changed.text()
    }

    fn record(&self) -> Vec<u8> {
        STANDARD.decode(self.lines[1].strip_prefix("extra ").unwrap()).unwrap()
    }

    fn with_record(&self, record: &[u8]) -> String {
        self.with(1, format!("extra {}", STANDARD.encode(record)))
    }

    fn with_checkpoint(&self, checkpoint: impl Into<String>) -> String {
        Self { checkpoint: checkpoint.into(), ..self.clone() }.text()
    }
}

/// Base64 with one bit of its bytes changed.
fn flipped(text: &str, byte: usize) -> String {
    let mut bytes = STANDARD.decode(text).unwrap();
    bytes[byte] ^= 1;
    STANDARD.encode(bytes)
}

struct Stage {
    folder: PathBuf,
    key: String,
    program: Option<PathBuf>,
}

impl Stage {
    fn ours(&self, file: &Path) -> Output {
        let arguments = ["ledger", "verify", file.to_str().unwrap(), "--key", &self.key, "--json"];
        Command::new(env!("CARGO_BIN_EXE_countersign")).args(arguments).output().unwrap()
    }

    /// Whether both accept it, who must agree, and what ours says.
    fn accepts(&self, name: &str, text: &str) -> (bool, Value) {
        let file = self.folder.join("a.tlog-proof");
        fs::write(&file, text).unwrap();
        let ours = self.ours(&file);
        let told: Value = serde_json::from_slice(&ours.stdout).unwrap_or_else(|_| panic!("{name}: {ours:?}"));
        if let Some(program) = &self.program {
            let theirs = Command::new(program).args(["-key", &self.key, "-proof"]).arg(&file).output().unwrap();
            assert_eq!(theirs.status.success(), ours.status.success(), "{name}: {theirs:?} {told}");
        }
        assert_eq!(told["ok"], ours.status.success(), "{name}");
        (ours.status.success(), told)
    }
}

/// Proofs of two hops, and the verifier key of their log.
fn proofs(site: &Site) -> (String, String, String) {
    let party = Party::new(&site.profile(), "orchestrator");
    let hops: Vec<String> = (0..2)
        .map(|_| {
            let subject = party.id_token(json!({}));
            let assertion = party.assertion();
            let request = Party::request(&assertion, &subject, &[("resource", "https://crm.example")]);
            let reply = post_form(site.public, "/token", &form(&request)).unwrap();
            claims(&reply.text_of("access_token"))["jti"].as_str().unwrap().to_owned()
        })
        .collect();
    covered(site);
    let data = site.fixture.data.to_str().unwrap();
    let proof = |jti: &String| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_countersign")).args(["ledger", "prove", jti, "--data", data]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let key = fs::read_to_string(site.fixture.data.join("ledger/vkey")).unwrap().lines().next().unwrap().to_owned();
    (proof(&hops[0]), proof(&hops[1]), key)
}

#[test]
fn a_proof_is_believed_for_the_record_that_it_shows_and_for_no_other() {
    let (site, elsewhere) = (Site::new("proofs-alone"), Site::new("proofs-elsewhere"));
    let (server, other) = (site.start(), elsewhere.start());
    let (first, second, key) = proofs(&site);
    let (foreign_proof, _, foreign_key) = proofs(&elsewhere);
    server.kill();
    other.kill();
    let stage = Stage { folder: site.folder.clone(), key, program: foreign("alone") };
    for text in [&first, &second] {
        let (accepted, told) = stage.accepts("as it is", text);
        assert!(accepted && told["record"]["kind"] == "hop" && told["index"].is_u64(), "{told}");
    }
    let (one, two, theirs) = (Parts::of(&first), Parts::of(&second), Parts::of(&foreign_proof));
    let text = String::from_utf8(one.record()).unwrap();
    assert!(text.contains("contacts.read"));
    let mut forgeries: Vec<(String, String)> = vec![
        ("another scope in the record".into(), one.with_record(text.replace("contacts.read", "contacts.all!").as_bytes())),
        ("the record of another hop".into(), one.with_record(&two.record())),
        ("a record with a blank".into(), one.with_record(format!("{text} ").as_bytes())),
        ("an empty record".into(), one.with_record(b"")),
        ("no record".into(), Parts { lines: [&one.lines[..1], &one.lines[2..]].concat(), ..one.clone() }.text()),
        ("two records".into(), one.with(1, format!("{0}\n{0}", one.lines[1]))),
        ("the record behind the index".into(), {
            let mut swapped = one.clone();
            swapped.lines.swap(1, 2);
            swapped.text()
        }),
        ("the index of another".into(), one.with(2, two.lines[2].clone())),
        ("an index beyond the tree".into(), one.with(2, "index 99999")),
        ("a negative index".into(), one.with(2, "index -1")),
        ("an index with a zero before it".into(), one.with(2, one.lines[2].replace("index ", "index 0"))),
        ("no index".into(), Parts { lines: [&one.lines[..2], &one.lines[3..]].concat(), ..one.clone() }.text()),
        ("another version".into(), one.with(0, "c2sp.org/tlog-proof@v2")),
        ("a line before".into(), format!("x\n{first}")),
        ("carriage returns".into(), first.replace('\n', "\r\n")),
        ("cut in the middle".into(), first[..first.len() / 2].to_owned()),
        ("without its end".into(), first[..first.len() - 1].to_owned()),
        ("with more behind".into(), format!("{first}x\n")),
        ("nothing".into(), String::new()),
        ("no checkpoint".into(), one.with_checkpoint("")),
        ("the checkpoint of another log".into(), one.with_checkpoint(theirs.checkpoint.clone())),
        ("a proof of another log".into(), foreign_proof.clone()),
        ("base64 with other end bits".into(), one.with(3, odd_end(&one.lines[3]))),
    ];
    forgeries.extend(of_the_path(&one));
    forgeries.extend(of_the_checkpoint(&one));
    assert!(forgeries.len() >= 35, "{}", forgeries.len());
    for (name, text) in &forgeries {
        let (accepted, told) = stage.accepts(name, text);
        assert!(!accepted && told["reason"].as_str().is_some_and(|reason| reason.len() > 10), "{name}: {told}");
    }
    let file = site.folder.join("b.tlog-proof");
    fs::write(&file, &first).unwrap();
    let by_another = Stage { key: foreign_key, ..stage };
    assert_eq!(by_another.ours(&file).status.code(), Some(1), "the key of another log");
    let keyless = Command::new(env!("CARGO_BIN_EXE_countersign")).args(["ledger", "verify", file.to_str().unwrap()]).output();
    assert_eq!(keyless.unwrap().status.code(), Some(2), "without a key nothing is said");
}

/// The same hash with bits set that base64 leaves over.
fn odd_end(hash: &str) -> String {
    let end = hash.trim_end_matches('=');
    let last = end.chars().last().unwrap();
    let next = char::from(last as u8 + 1);
    format!("{}{next}=", &end[..end.len() - 1])
}

/// Every hash of the path changed, of elsewhere, left out, doubled and swapped.
fn of_the_path(one: &Parts) -> Vec<(String, String)> {
    let mut forgeries = Vec::new();
    for at in 3..one.lines.len() {
        forgeries.push((format!("hash {at} changed"), one.with(at, flipped(&one.lines[at], 7))));
        forgeries.push((format!("hash {at} of another proof"), one.with(at, STANDARD.encode([7; 32]))));
        let mut without = one.clone();
        without.lines.remove(at);
        forgeries.push((format!("hash {at} left out"), without.text()));
        let mut doubled = one.clone();
        doubled.lines.insert(at, one.lines[at].clone());
        forgeries.push((format!("hash {at} twice"), doubled.text()));
        if at + 1 < one.lines.len() {
            let mut swapped = one.clone();
            swapped.lines.swap(at, at + 1);
            forgeries.push((format!("hashes {at} and the next swapped"), swapped.text()));
        }
    }
    forgeries
}

/// Every line of the checkpoint changed.
fn of_the_checkpoint(one: &Parts) -> Vec<(String, String)> {
    let mut forgeries = Vec::new();
    let note: Vec<&str> = one.checkpoint.lines().collect();
    let replaced = |line: usize, by: String| {
        let mut lines: Vec<String> = note.iter().map(|line| (*line).to_owned()).collect();
        lines[line] = by;
        one.with_checkpoint(lines.join("\n") + "\n")
    };
    forgeries.push(("a smaller tree".into(), replaced(1, "1".into())));
    forgeries.push(("a larger tree".into(), replaced(1, "99999".into())));
    forgeries.push(("another root".into(), replaced(2, flipped(note[2], 0))));
    forgeries.push(("another origin".into(), replaced(0, "elsewhere.example/ledger".into())));
    forgeries.push(("an extension line".into(), replaced(2, format!("{}\nmore", note[2]))));
    let (name, signature) = note[4].rsplit_once(' ').unwrap();
    forgeries.push(("another signature".into(), replaced(4, format!("{name} {}", flipped(signature, 20)))));
    forgeries.push(("a signature by another key's hash".into(), replaced(4, format!("{name} {}", flipped(signature, 0)))));
    forgeries.push(("no signature".into(), one.with_checkpoint(note[..4].join("\n") + "\n")));
    forgeries
}
