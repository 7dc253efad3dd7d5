//! `ledger find` against the records read one by one: every term of every record, a token that leaked, a subject until it is
//! forgotten; by the folder and by the socket; with an index that was lost, damaged or is of other records.

use std::collections::BTreeSet;
use std::fs;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::desk::{output, run};
use crate::support::{Ledger, Party, Reply, Site, claims, form, post_form};

const ASSISTANT: (&str, &str) = ("resource", "https://assistant.example");
const CRM: (&str, &str) = ("resource", "https://crm.example");

/// The indexes that are found, in their order.
fn found(site: &Site, arguments: &[&str]) -> Vec<u64> {
    let data = site.fixture.data.to_str().unwrap();
    let told = [&["ledger", "find", "--data", data, "--json", "--all"], arguments].concat();
    let lines =
        std::process::Command::new(env!("CARGO_BIN_EXE_countersign")).args(told).current_dir(&site.folder).output().unwrap();
    assert!(matches!(lines.status.code(), Some(0 | 1)), "{arguments:?}: {lines:?}");
    indexes(std::str::from_utf8(&lines.stdout).unwrap())
}

fn indexes(lines: &str) -> Vec<u64> {
    let index = |line: &str| serde_json::from_str::<Value>(line).unwrap()["index"].as_u64().unwrap();
    lines.lines().map(index).collect()
}

fn exchange(site: &Site, party: &Party, subject: &str, more: &[(&str, &str)]) -> Reply {
    post_form(site.public, "/token", &form(&Party::request(&party.assertion(), subject, more))).unwrap()
}

/// True where `value` stands in one of the members at `pointers`: alone, as an element, or among scopes.
fn says(record: &Value, pointers: &[&str], value: &str) -> bool {
    let has = |found: &Value| match found {
        Value::String(text) => text.split(' ').any(|word| word == value),
        Value::Array(values) => values.iter().any(|one| one == value),
        _ => false,
    };
    pointers.iter().any(|pointer| match pointer.split_once("/*") {
        Some((list, member)) => {
            let list = record.pointer(list).and_then(Value::as_array).into_iter().flatten();
            list.into_iter().any(|one| one.pointer(member).is_some_and(has))
        }
        None => record.pointer(pointer).is_some_and(has),
    })
}

/// What an option looks at, as `docs/ledger.md` says it.
const LOOKS_AT: [(&str, &[&str]); 11] = [
    ("--actor", &["/actor", "/chain/*/sub"]),
    ("--agent", &["/actor", "/client", "/agent", "/holder", "/by", "/chain/*/sub"]),
    ("--api", &["/audience", "/handed_to", "/authority/*/api"]),
    ("--scope", &["/scope", "/requested", "/authority/*/scope"]),
    ("--policy", &["/policies"]),
    ("--rule", &["/inputs/rule"]),
    ("--data-class", &["/inputs/touched", "/data_classes"]),
    ("--txn", &["/txn"]),
    ("--jti", &["/jti", "/parent"]),
    ("--error-id", &["/error_id"]),
    ("--kind", &["/kind"]),
];

/// A chain of two hops, one more that has nothing to do with it, and a refusal: tokens, and the answer that refused.
pub fn happened(site: &Site) -> (Vec<String>, Reply) {
    let [first, second] = ["orchestrator", "analyst"].map(|agent| Party::new(&site.profile(), agent));
    let person = first.id_token(json!({ "acr": "high", "amr": ["hwk"] }));
    let one =
        exchange(site, &first, &person, &[ASSISTANT, ("scope", "customers.lookup customers.export"), ("scope_mode", "narrow")]);
    assert_eq!(one.status, 200, "{}", one.text);
    let one = one.text_of("access_token");
    let two = exchange(site, &second, &one, &[CRM]);
    assert_eq!(two.status, 200, "{}", two.text);
    let other = exchange(site, &first, &first.id_token(json!({})), &[CRM]);
    assert_eq!(other.status, 200, "{}", other.text);
    let refused = exchange(site, &second, &one, &[("resource", "https://nowhere.example")]);
    assert_eq!(refused.status, 400, "{}", refused.text);
    (vec![person, one, two.text_of("access_token"), other.text_of("access_token")], refused)
}

#[test]
fn whatever_a_record_says_finds_it_and_no_other() {
    let site = Site::new("finding");
    let server = site.start();
    let (tokens, refused) = happened(&site);
    let error_id = refused.text_of("error_id");
    site.wait("the refusal is recorded", || {
        Ledger::read(&site.fixture.data).refusals().iter().any(|one| one["error_id"] == *error_id)
    });
    let records = Ledger::read(&site.fixture.data).everything();
    let all: Vec<u64> = (0..records.len() as u64).collect();
    assert_eq!(found(&site, &[]), all);
    let values = ["researcher", "orchestrator", "analyst", "https://crm.example", "contacts.read", "idp", "hop", &error_id];
    let hops = records.iter().filter(|record| record["kind"] == "hop");
    let ids = hops.clone().flat_map(|hop| ["txn", "jti"].map(|name| hop[name].as_str().unwrap_or_default().to_owned()));
    let policies = hops.flat_map(|hop| hop["policies"].as_array().cloned().unwrap_or_default());
    let policies = policies.filter_map(|policy| policy.as_str().map(str::to_owned)).collect::<BTreeSet<_>>();
    let values = values.map(str::to_owned).into_iter().chain(ids).chain(policies).collect::<BTreeSet<_>>();
    let mut asked = 0;
    for (option, pointers) in LOOKS_AT {
        for value in &values {
            let uuid = value.len() == 36 && value.matches('-').count() == 4;
            if uuid != ["--txn", "--jti"].contains(&option) {
                continue;
            }
            let expected: Vec<u64> = all.iter().copied().filter(|at| says(&records[*at as usize], pointers, value)).collect();
            assert_eq!(found(&site, &[option, value]), expected, "{option} {value}");
            asked += usize::from(!expected.is_empty());
        }
    }
    assert!(asked >= 15, "{asked}");
    by_pages_time_and_socket(&site, &records);
    leaked(&site, &tokens, &records);
    refusal(&site, &error_id);
    server.kill();
    assert_eq!(found(&site, &[]), all, "also where no server runs");
    of_a_subject(&site, &tokens);
    lost_and_damaged(&site, &all);
}

fn by_pages_time_and_socket(site: &Site, records: &[Value]) {
    let data = site.fixture.data.to_str().unwrap();
    let hops: Vec<u64> = (0..).zip(records).filter(|(_, record)| record["kind"] == "hop").map(|(at, _)| at).collect();
    let socket = site.fixture.data.join("ops.sock");
    let by_socket = output(site, &["ledger", "find", "--socket", socket.to_str().unwrap(), "--json", "--kind", "hop"]);
    assert_eq!(indexes(&by_socket), hops);
    let mut after = Vec::new();
    let mut paged = Vec::new();
    for _ in &hops {
        let page =
            output(site, &[&["ledger", "find", "--data", data, "--json", "--kind", "hop", "--limit", "1"][..], &after].concat());
        paged.extend(indexes(&page));
        let last = paged.last().unwrap().to_string();
        after = vec!["--after", Box::leak(last.into_boxed_str())];
    }
    assert_eq!(paged, hops);
    let day = ["--since", "2000-01-01T00:00:00Z", "--until", "2000-01-02T00:00:00Z"];
    assert!(found(site, &day).is_empty());
    assert_eq!(found(site, &["--since", "2000-01-01T00:00:00Z", "--kind", "hop"]), hops);
    let words = output(site, &["ledger", "find", "--data", data, "--kind", "hop"]);
    assert!(words.lines().all(|line| line.chars().count() <= 80), "{words}");
    let csv = output(site, &["ledger", "find", "--data", data, "--kind", "hop", "--csv"]);
    assert_eq!(csv.lines().count(), hops.len() + 1, "{csv}");
    run(site, &["ledger", "find", "--data", data, "--outcome", "perhaps"], 2);
    run(site, &["ledger", "find", "--data", data, "--jti", "not-a-uuid"], 2);
}

/// What came of a token, ours or a foreign one: its record and everything below it, and nothing beside it.
fn leaked(site: &Site, tokens: &[String], records: &[Value]) {
    let file = site.folder.join("leaked");
    let of = |token: &str| {
        fs::write(&file, token).unwrap();
        found(site, &["--token", file.to_str().unwrap()])
    };
    let kinds = |at: &[u64]| at.iter().map(|at| records[*at as usize]["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let [person, one, two, other] = tokens else { panic!("four tokens") };
    assert_eq!(kinds(&of(person)), ["hop", "hop", "refusal"]);
    assert_eq!(of(one), of(person), "all that came of the first came of the token of the first hop");
    let second = of(two);
    assert_eq!(
        (kinds(&second), records[second[0] as usize]["jti"].clone()),
        (vec!["hop".to_owned()], claims(two)["jti"].clone())
    );
    assert_eq!(kinds(&of(other)), ["hop"]);
}

fn refusal(site: &Site, error_id: &str) {
    let data = site.fixture.data.to_str().unwrap();
    let told = output(site, &["ledger", "find", "--data", data, "--error-id", error_id]);
    assert!(told.contains(error_id) && told.contains("refusal, refused"), "{told}");
}

/// Nobody finds a subject whose key is gone, and until then only who has the keys.
fn of_a_subject(site: &Site, tokens: &[String]) {
    let subject = format!("idp:{}", claims(&tokens[0])["sub"].as_str().unwrap());
    let hops = found(site, &["--kind", "hop"]);
    assert_eq!(found(site, &["--kind", "hop", "--subject", &subject]), hops);
    assert!(found(site, &["--subject", "idp:somebody-else"]).is_empty());
    let data = site.fixture.data.to_str().unwrap();
    let told = output(site, &["ledger", "find", "--data", data, "--kind", "hop", "--subject", &subject]);
    assert!(!told.contains(&subject) && told.contains("a person (sealed"), "{told}");
    let told = output(site, &["ledger", "find", "--data", data, "--kind", "hop", "--disclose"]);
    assert!(told.contains(&subject[4..]), "{told}");
    // Whoever has the store and the index, and not the keys, cannot tell which marks are whose.
    let (store, index) =
        (Connection::open(site.fixture.data.join("commit.sqlite")), Connection::open(site.fixture.data.join("find.sqlite")));
    let subject: String = store.unwrap().query_row("SELECT lower(hex(subject)) FROM disclosures", [], |row| row.get(0)).unwrap();
    let marks = |sql: &str| index.as_ref().unwrap().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert!(marks("SELECT count(*) FROM words WHERE field = 16") > 0);
    assert_eq!(marks(&format!("SELECT count(*) FROM words WHERE value = '{subject}'")), 0);
    drop(index);
    let connection = Connection::open(site.fixture.data.join("subjects.sqlite")).unwrap();
    connection.execute("DELETE FROM subject_keys", []).unwrap();
    drop(connection);
    assert!(found(site, &["--subject", &subject]).is_empty(), "it died with the key");
    assert_eq!(found(site, &["--kind", "hop"]), hops);
}

fn lost_and_damaged(site: &Site, all: &[u64]) {
    let (data, index) = (site.fixture.data.to_str().unwrap(), site.fixture.data.join("find.sqlite"));
    output(site, &["ledger", "find", "--data", data, "--compare"]);
    let connection = Connection::open(&index).unwrap();
    connection.execute("DELETE FROM bitmaps WHERE word = (SELECT id FROM words WHERE value = 'hop')", []).unwrap();
    drop(connection);
    let told = run(site, &["ledger", "find", "--data", data, "--compare"], 1);
    assert!(told.contains("NOT IN ORDER: the terms are not those of the records"), "{told}");
    output(site, &["ledger", "find", "--data", data, "--rebuild", "--kind", "hop"]);
    output(site, &["ledger", "find", "--data", data, "--compare"]);
    // An index of other records: as of a copy of the data that has others.
    let connection = Connection::open(&index).unwrap();
    connection.execute("UPDATE extent SET last = zeroblob(32)", []).unwrap();
    connection.execute("DELETE FROM ids", []).unwrap();
    drop(connection);
    assert_eq!(found(site, &[]), all);
    output(site, &["ledger", "find", "--data", data, "--compare"]);
    for end in ["", "-wal", "-shm"] {
        let _may_be_gone = fs::remove_file(format!("{}{end}", index.display()));
    }
    fs::write(
        &index,
        b"this is no database, but long enough to look like one to whoever reads the first hundred bytes of it......",
    )
    .unwrap();
    assert_eq!(found(site, &[]), all);
}
