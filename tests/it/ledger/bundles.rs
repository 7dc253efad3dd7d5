//! Evidence bundles, held against two verifiers that share no code: ours, and the one in Python. Whatever is changed in one is
//! refused by both, and both name the same place.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use countersign::crypto::Digest;
use countersign::ledger::record::Kind;
use serde_json::{Value, json};

use super::desk::{covered, output, run, vkey};
use super::finding::happened;
use crate::support::{Ledger, Site, claims};

const FOREIGN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/foreign/python/verify.py");

/// A bundle that was changed, and where.
struct Forgery {
    name: String,
    place: String,
    text: String,
}

/// The bundle that is forged, with another one of the same log and one of another.
struct Desk {
    folder: PathBuf,
    key: String,
    text: String,
    bundle: Value,
    other: Value,
    elsewhere: Value,
    forgeries: Vec<Forgery>,
}

/// The canonical text of a bundle.
fn text(bundle: &Value) -> String {
    serde_json::to_string(bundle).unwrap() + "\n"
}

/// A character of base64 replaced by another one, so that other bytes are meant.
fn flipped(text: &str, at: usize) -> String {
    let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

fn ours(key: &str, file: &Path) -> Output {
    let arguments = ["ledger", "verify", file.to_str().unwrap(), "--key", key, "--json"];
    Command::new(env!("CARGO_BIN_EXE_countersign")).args(arguments).output().unwrap()
}

fn theirs(key: &str, file: &Path) -> Option<Output> {
    Command::new("python3").args([FOREIGN, "--key", key]).arg(file).output().ok()
}

impl Desk {
    /// What both verifiers say of a text: whether it is in order, and where it is not.
    fn judged(&self, name: &str, text: &str) -> (bool, String) {
        let file = self.folder.join("judged.json");
        fs::write(&file, text).unwrap();
        let told = |output: &Output| -> (bool, String) {
            let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{name}: {output:?}"));
            assert_eq!(told["ok"], output.status.success(), "{name}: {told}");
            assert!(told["ok"] == true || told["reason"].as_str().is_some_and(|reason| reason.len() > 10), "{name}: {told}");
            (told["ok"] == true, told["place"].as_str().unwrap_or_default().to_owned())
        };
        let ours = told(&ours(&self.key, &file));
        match theirs(&self.key, &file) {
            Some(theirs) => assert_eq!(told(&theirs), ours, "{name}"),
            None => println!("skipped: python3 is not at hand"),
        }
        ours
    }

    fn add(&mut self, name: impl Into<String>, place: impl Into<String>, text: String) {
        self.forgeries.push(Forgery { name: name.into(), place: place.into(), text });
    }

    /// A bundle that is changed, in its canonical form again: whoever forges knows that form.
    fn change(&mut self, name: impl Into<String>, place: impl Into<String>, change: impl FnOnce(&mut Value)) {
        let mut changed = self.bundle.clone();
        change(&mut changed);
        let text = text(&changed);
        self.add(name, place, text);
    }

    /// The same, with the count of records put right.
    fn recount(&mut self, name: impl Into<String>, place: impl Into<String>, change: impl FnOnce(&mut Vec<Value>)) {
        self.change(name, place, |bundle| {
            change(bundle["records"].as_array_mut().unwrap());
            bundle["count"] = json!(bundle["records"].as_array().unwrap().len());
        });
    }
}

/// The bundle of the transaction of a token, with everything disclosed.
fn bundled(site: &Site, token: &str, name: &str) -> String {
    let txn = claims(token)["txn"].as_str().unwrap().to_owned();
    let data = site.fixture.data.to_str().unwrap();
    output(site, &["replay", &txn, "--data", data, "--bundle", name, "--disclose"]);
    fs::read_to_string(site.folder.join(name)).unwrap()
}

fn desk() -> (Site, Desk, Vec<String>, String) {
    let (site, elsewhere) = (Site::new("bundles"), Site::new("bundles-elsewhere"));
    let (server, other) = (site.start(), elsewhere.start());
    // A checkpoint is kept before the second story, so that there is an earlier one.
    happened(&site);
    covered(&site);
    let (tokens, refused) = happened(&site);
    let (foreign, _) = happened(&elsewhere);
    let error_id = refused.text_of("error_id");
    let recorded = || Ledger::read(&site.fixture.data).refusals().iter().any(|one| one["error_id"] == *error_id);
    site.wait("the refusal is recorded", recorded);
    covered(&site);
    covered(&elsewhere);
    let elsewhere = bundled(&elsewhere, &foreign[1], "elsewhere.json");
    let (text, beside) = (bundled(&site, &tokens[1], "evidence.json"), bundled(&site, &tokens[3], "other.json"));
    server.kill();
    other.kill();
    let read = |text: &str| serde_json::from_str(text).unwrap();
    let desk = Desk {
        folder: site.folder.clone(),
        key: vkey(&site),
        bundle: read(&text),
        other: read(&beside),
        elsewhere: read(&elsewhere),
        text,
        forgeries: Vec::new(),
    };
    (site, desk, tokens, error_id)
}

#[test]
fn a_bundle_is_believed_as_it_was_written_and_no_other_way() {
    let (site, mut desk, tokens, error_id) = desk();
    let genuine = desk.text.clone();
    assert_eq!(desk.judged("as it is", &genuine), (true, String::new()));
    assert_eq!(text(&desk.bundle), genuine);
    let kinds = |bundle: &Value| {
        let records = bundle["records"].as_array().unwrap();
        let kind = |record: &Value| serde_json::from_str::<Value>(record["record"].as_str().unwrap()).unwrap()["kind"].clone();
        records.iter().map(kind).collect::<Vec<_>>()
    };
    let story = kinds(&desk.bundle);
    assert!(story.starts_with(&[json!("key")]) && story.ends_with(&[json!("hop"), json!("hop"), json!("refusal")]), "{story:?}");
    assert!(!desk.bundle["earlier"].as_array().unwrap().is_empty());
    chosen(&site, &desk, &tokens, &error_id);
    of_the_file(&mut desk);
    of_the_checkpoints(&mut desk);
    of_the_records(&mut desk);
    of_disclosures_and_schemas(&mut desk);
    assert!(desk.forgeries.len() >= 80, "{}", desk.forgeries.len());
    for Forgery { name, place, text } in &desk.forgeries {
        assert_ne!(*text, genuine, "{name} changes nothing");
        assert_eq!(desk.judged(name, text), (false, place.clone()), "{name}");
    }
    let file = site.folder.join("evidence.json");
    let keyless = Command::new(env!("CARGO_BIN_EXE_countersign")).args(["ledger", "verify"]).arg(&file).output().unwrap();
    assert_eq!(keyless.status.code(), Some(2), "without a key nothing is said");
}

/// What is left undisclosed verifies as well, and a transaction goes by whatever is in it.
fn chosen(site: &Site, desk: &Desk, tokens: &[String], error_id: &str) {
    let (data, jti) = (site.fixture.data.to_str().unwrap(), claims(&tokens[2])["jti"].as_str().unwrap().to_owned());
    for id in [jti.as_str(), error_id] {
        output(site, &["replay", id, "--data", data, "--bundle", "sealed.json"]);
        let sealed = fs::read_to_string(site.folder.join("sealed.json")).unwrap();
        assert!(desk.judged("sealed", &sealed).0 && !sealed.contains("\"disclosures\":["), "{id}: {sealed}");
    }
    output(site, &["replay", &jti, "--data", data, "--bundle", "subject.json", "--disclose-only", "subject"]);
    let subject = fs::read_to_string(site.folder.join("subject.json")).unwrap();
    let of = |text: &str| text.matches("\"disclosures\":[\"").count();
    assert!(desk.judged("subject alone", &subject).0);
    assert_eq!(of(&subject), of(&desk.text), "of each hop that has a subject, that alone");
    assert!(subject.len() < desk.text.len());
    run(site, &["replay", "no-such-id", "--data", data], 2);
    let early = output(site, &["replay", &jti, "--data", data, "--at", "2100-01-01T00:00:00Z"]);
    assert_eq!(early, output(site, &["replay", &jti, "--data", data]));
    run(site, &["replay", &jti, "--data", data, "--at", "2000-01-01T00:00:00Z"], 1);
}

fn of_the_file(desk: &mut Desk) {
    let genuine = desk.text.clone();
    desk.add("an empty object", "file", "{}\n".to_owned());
    desk.add("an array", "file", "{\"a\":[]}\n".to_owned());
    desk.add("no end of line", "file", genuine.trim_end().to_owned());
    desk.add("carriage return", "file", genuine.replace('\n', "\r\n"));
    desk.add("a blank", "file", genuine.replacen(':', ": ", 1));
    desk.add("cut in the middle", "file", genuine[..genuine.len() / 2].to_owned());
    desk.add("more behind", "file", format!("{genuine}{{}}\n"));
    desk.add("an escape that is not needed", "file", genuine.replacen("evidence", "\\u0065vidence", 1));
    desk.add("a member twice", "file", genuine.replacen("\"count\":", "\"count\":1,\"count\":", 1));
    desk.change("a stranger", "file", |bundle| bundle["stranger"] = json!(1));
    desk.change("a stranger in a record", "file", |bundle| bundle["records"][0]["stranger"] = json!(1));
    desk.change("a stranger in a checkpoint", "file", |bundle| bundle["earlier"][0]["stranger"] = json!(1));
    desk.change("a negative index", "file", |bundle| bundle["records"][0]["index"] = json!(-1));
    desk.change("a broken index", "file", |bundle| bundle["records"][0]["index"] = json!(0.5));
    desk.change("an index in words", "file", |bundle| bundle["records"][0]["index"] = json!("0"));
    desk.change("a path of numbers", "file", |bundle| bundle["records"][0]["path"] = json!([1]));
    desk.change("a count that is true", "file", |bundle| bundle["count"] = json!(true));
    desk.change("records that are none", "file", |bundle| bundle["records"] = json!({}));
    desk.change("an empty list of disclosures", "file", |bundle| bundle["records"][0]["disclosures"] = json!([]));
    desk.change("another format", "format", |bundle| bundle["format"] = json!("countersign evidence bundle 2"));
    for member in ["checkpoint", "count", "format", "records", "schemas", "txn"] {
        desk.change(format!("without {member}"), "file", |bundle| drop(bundle.as_object_mut().unwrap().remove(member)));
    }
    let count = desk.bundle["count"].as_u64().unwrap();
    desk.change("one more is counted", "count", |bundle| bundle["count"] = json!(count + 1));
    desk.change("one less is counted", "count", |bundle| bundle["count"] = json!(count - 1));
    desk.change("no records", "count", |bundle| (bundle["records"], bundle["count"]) = (json!([]), json!(0)));
    desk.change("a transaction that is no UUID", "txn", |bundle| bundle["txn"] = json!("x"));
}

fn of_the_checkpoints(desk: &mut Desk) {
    let note = desk.bundle["checkpoint"].as_str().unwrap().to_owned();
    let lines: Vec<String> = note.lines().map(str::to_owned).collect();
    let with = |line: usize, by: String| {
        let mut lines = lines.clone();
        lines[line] = by;
        lines.join("\n") + "\n"
    };
    let (head, signature) = lines[4].rsplit_once(' ').unwrap();
    let of_elsewhere = desk.elsewhere["checkpoint"].as_str().unwrap().to_owned();
    let their_signature = of_elsewhere.lines().nth(4).unwrap().to_owned();
    let rows = [
        ("a smaller tree", with(1, "1".into())),
        ("a larger tree", with(1, "99999".into())),
        ("another root", with(2, flipped(&lines[2], 3))),
        ("another origin", with(0, "elsewhere.example/ledger".into())),
        ("one line more", with(2, format!("{}\nmore", lines[2]))),
        ("a bit of the signature", with(4, format!("{head} {}", flipped(signature, 40)))),
        ("the hash of another key", with(4, format!("{head} {}", flipped(signature, 1)))),
        ("signed by another log", with(4, their_signature)),
        ("no signature", lines[..4].join("\n") + "\n"),
        ("the checkpoint of another log", of_elsewhere),
        ("no checkpoint", String::new()),
    ];
    for (name, checkpoint) in rows {
        desk.change(name, "checkpoint", |bundle| bundle["checkpoint"] = json!(checkpoint));
    }
    let older = desk.bundle["earlier"][0]["checkpoint"].clone();
    desk.change("an older checkpoint", "earlier/0", |bundle| bundle["checkpoint"] = older.clone());
    let of_elsewhere = desk.elsewhere["checkpoint"].clone();
    desk.change("an earlier one of another log", "earlier/0", |bundle| bundle["earlier"][0]["checkpoint"] = of_elsewhere);
    desk.change("an earlier one that is the newest", "earlier/0", |bundle| {
        bundle["earlier"][0]["checkpoint"] = bundle["checkpoint"].clone();
    });
    let path: Vec<String> = serde_json::from_value(desk.bundle["earlier"][0]["path"].clone()).unwrap();
    for at in 0..path.len() {
        let other = flipped(&path[at], 5);
        desk.change(format!("hash {at} of the extension"), "earlier/0", |bundle| bundle["earlier"][0]["path"][at] = json!(other));
    }
    desk.change("a hash of the extension too many", "earlier/0", |bundle| {
        bundle["earlier"][0]["path"].as_array_mut().unwrap().push(json!(path[0]));
    });
    desk.change("no extension", "earlier/0", |bundle| bundle["earlier"][0]["path"] = json!([]));
    desk.change("an earlier one twice", "earlier/1", |bundle| {
        let first = bundle["earlier"][0].clone();
        bundle["earlier"].as_array_mut().unwrap().insert(1, first);
    });
}

fn of_the_records(desk: &mut Desk) {
    let count = desk.bundle["records"].as_array().unwrap().len();
    let (first_hop, second_hop, refusal) = (count - 3, count - 2, count - 1);
    for at in 0..count {
        let place = format!("records/{at}");
        let one = desk.bundle["records"][at].clone();
        let record = one["record"].as_str().unwrap().to_owned();
        let path: Vec<String> = serde_json::from_value(one["path"].clone()).unwrap();
        let at_time = record.replacen("\"at\":1", "\"at\":2", 1);
        desk.change(format!("another time in record {at}"), &place, |bundle| bundle["records"][at]["record"] = json!(at_time));
        desk.change(format!("a blank in record {at}"), &place, |bundle| bundle["records"][at]["record"] = json!(record + " "));
        let last = path.len() - 1;
        let other = flipped(&path[last], 7);
        desk.change(format!("a hash of record {at}"), &place, |bundle| bundle["records"][at]["path"][last] = json!(other));
        desk.change(format!("a hash of record {at} left out"), &place, |bundle| {
            bundle["records"][at]["path"].as_array_mut().unwrap().remove(0);
        });
        desk.change(format!("a hash of record {at} twice"), &place, |bundle| {
            bundle["records"][at]["path"].as_array_mut().unwrap().insert(0, json!(path[0]));
        });
        if path.len() > 1 {
            desk.change(format!("the path of record {at} turned round"), &place, |bundle| {
                bundle["records"][at]["path"].as_array_mut().unwrap().reverse();
            });
        }
        desk.recount(format!("record {at} twice"), format!("records/{}", at + 1), |records| {
            records.insert(at, records[at].clone())
        });
    }
    desk.change("the index of another", format!("records/{refusal}"), |bundle| bundle["records"][refusal]["index"] = json!(9999));
    desk.recount("two records the other way round", format!("records/{first_hop}"), |records| {
        records.swap(first_hop, second_hop)
    });
    desk.recount("without the first hop", format!("records/{first_hop}"), |records| drop(records.remove(first_hop)));
    desk.change("a record dropped, and counted", "count", |bundle| drop(bundle["records"].as_array_mut().unwrap().pop()));
    let strange = desk.other["records"].as_array().unwrap().last().unwrap().clone();
    let at = strange["index"].as_u64().unwrap();
    let before = desk.bundle["records"].as_array().unwrap().iter().filter(|one| one["index"].as_u64().unwrap() < at).count();
    desk.recount("a true record of another transaction", format!("records/{before}"), |records| records.insert(before, strange));
    let theirs = desk.elsewhere["records"].as_array().unwrap().last().unwrap()["record"].clone();
    desk.change("a record of another log", format!("records/{second_hop}"), |bundle| {
        bundle["records"][second_hop]["record"] = theirs;
    });
    let other = desk.other["txn"].clone();
    let named = (0..count).find(|at| desk.bundle["records"][*at]["record"].as_str().unwrap().contains("\"txn\"")).unwrap();
    desk.change("the transaction of another", format!("records/{named}"), |bundle| bundle["txn"] = other);
    let whole = text(&desk.elsewhere);
    desk.add("a bundle of another log", "checkpoint", whole);
}

fn of_disclosures_and_schemas(desk: &mut Desk) {
    let records = desk.bundle["records"].as_array().unwrap();
    let at = records.iter().position(|one| one["disclosures"].is_array()).unwrap();
    let other = records.iter().rposition(|one| one["disclosures"].is_array()).unwrap();
    let (place, one) = (format!("records/{at}"), records[at]["disclosures"][0].as_str().unwrap().to_owned());
    let of_another = desk.other["records"].as_array().unwrap().last().unwrap()["disclosures"][0].clone();
    let middle = flipped(&one, one.len() / 2);
    let mut put = |name: &str, by: Value| desk.change(name, &place, |bundle| bundle["records"][at]["disclosures"][0] = by);
    put("a bit of a disclosure", json!(middle));
    put("a disclosure of another record", of_another);
    put("a disclosure that is none", json!("W10"));
    put("a disclosure that is not base64url", json!("***"));
    put("a disclosure with other end bits", json!(format!("{one}=")));
    desk.change("a disclosure twice", &place, |bundle| {
        bundle["records"][at]["disclosures"].as_array_mut().unwrap().push(json!(one));
    });
    assert_ne!(at, other, "two hops have disclosures");
    desk.change("the disclosures of two records swapped", &place, |bundle| {
        let first = bundle["records"][at]["disclosures"].clone();
        bundle["records"][at]["disclosures"] = bundle["records"][other]["disclosures"].clone();
        bundle["records"][other]["disclosures"] = first;
    });
    desk.change("a schema that says less", "schemas/0", |bundle| bundle["schemas"][0]["additionalProperties"] = json!(true));
    desk.change("two schemas swapped", "schemas/0", |bundle| bundle["schemas"].as_array_mut().unwrap().swap(0, 1));
    desk.change("a schema left out", "schemas", |bundle| drop(bundle["schemas"].as_array_mut().unwrap().pop()));
    desk.change("a schema too many", "schemas", |bundle| {
        let first = bundle["schemas"][0].clone();
        bundle["schemas"].as_array_mut().unwrap().push(first);
    });
}

#[test]
fn the_second_verifier_knows_the_schema_of_every_kind_and_is_short() {
    let program = fs::read_to_string(FOREIGN).unwrap();
    assert!(program.lines().count() <= 800);
    for kind in Kind::ALL {
        let (schema, canonical): (Value, String) = (serde_json::from_str(kind.json_schema()).unwrap(), kind.canonical_schema());
        assert_eq!(canonical.as_bytes(), serde_jcs::to_vec(&schema).unwrap(), "as another implementation of RFC 8785 writes it");
        let hash = Digest::of(canonical.as_bytes()).0.map(|byte| format!("{byte:02x}")).concat();
        let line = format!("\"{}\": \"{hash}\"", kind.name());
        assert!(program.contains(&line), "{line}");
    }
}
