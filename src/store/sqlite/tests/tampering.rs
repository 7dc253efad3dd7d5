//! Everything that can be done to one row of a small store while no server runs: a start notices it.
//!
//! Records are the ledger's to see (`tests/it/ledger/tampering.rs`), those in bundles too (`trimming.rs`). Disclosures and the
//! keys of subjects are encrypted with authentication (`commit/tests/rules.rs`), decide nothing, and are meant to be deleted. The
//! number of those keys decides nothing either: an old copy of them is noticed by it.

use std::collections::BTreeSet;

use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::*;
use crate::catalog::StatusBits;
use crate::commit::contract::ConfiguredPrincipal;
use crate::commit::tests::listing::listed;
use crate::commit::tests::tasks::{opening, terms, working};
use crate::commit::tests::{Hand, START, death, holding, issue, keys, opened};
use crate::commit::{StatusChange, Transition};
use crate::ledger::record::StateCause;
use crate::lifecycle::TaskTerms;
use crate::oauth::RuleName;

/// The tables of which every row is tried.
const TABLES: [&str; 8] =
    ["state", "checkpoint", "task_terms", "heartbeats", "unrecorded", "single_use", "status_lists", "status"];

/// The others, see above.
const OTHERS: [&str; 5] = ["records", "bundled", "bundles", "disclosures", "keys_added"];

fn begin(scratch: &Scratch) -> Result<Commit, StoreReason> {
    let store = Box::new(SqliteStore::new(&scratch.0).unwrap());
    Commit::start(store, Arc::new(Hand(AtomicI64::new(START))), keys(1), Limits::default())
}

fn named(id: u8, kind: GenerationKind, name: &str) -> Revocable {
    let of_txn = matches!(kind, GenerationKind::Hop | GenerationKind::Task);
    let txn = of_txn.then(|| Txn::from_bytes([9; 16]));
    Revocable { key: GenerationKey([id; 16]), kind, name: Some(name.to_owned()), txn }
}

fn turned(turn: Transition, thing: Revocable) -> StatusChange {
    StatusChange { things: vec![thing], ..holding(turn, &[0]) }
}

fn configured() -> BTreeSet<ConfiguredPrincipal> {
    let (rule, api) = (RuleName::parse("acme-idp").unwrap(), Resource::parse("https://crm.example").unwrap());
    BTreeSet::from([
        ConfiguredPrincipal::Agent(ClientId::parse("orchestrator").unwrap()),
        ConfiguredPrincipal::Rule(rule.clone()),
        ConfiguredPrincipal::Issuer(rule, Digest([5; 32])),
        ConfiguredPrincipal::Api(api.clone()),
        ConfiguredPrincipal::ApiTerm(api, Digest([6; 32])),
    ])
}

/// A store with something of everything, and records after its checkpoint.
fn filled() -> Scratch {
    let scratch = Scratch::new();
    let commit = begin(&scratch).unwrap();
    let heartbeat = Some(std::time::Duration::from_mins(10));
    let waited = |id: u8, parent: Option<u8>, on: &[u8]| {
        opened(id, on, TaskTerms { heartbeat, ..terms(id, if parent.is_some() { 3 } else { 9 }, 50_000, parent, on) })
    };
    block_on(async {
        commit.remember(configured(), None).await.unwrap();
        commit.submit(issue(1, &[1], &[1, 2])).await.unwrap();
        commit.submit(waited(101, None, &[50, 51])).await.unwrap();
        commit.submit(waited(102, Some(101), &[50, 51, 101])).await.unwrap();
        commit.submit(opening(103, 2, 40_000, None, &[52])).await.unwrap();
        commit.submit(working(2, 101, &[50, 51])).await.unwrap();
        for (id, bits) in [(3, StatusBits::One), (4, StatusBits::Two), (5, StatusBits::Two)] {
            commit.submit(listed(&commit, id, bits, &[1, id]).0).await.unwrap();
        }
        commit.hold(turned(Transition::Suspend, named(52, GenerationKind::Agent, "sleeper")), Vec::new()).await.unwrap();
        commit.hold(turned(Transition::Retire, named(53, GenerationKind::Agent, "leaver")), Vec::new()).await.unwrap();
        let task = named(102, GenerationKind::Task, &TaskId::from_bytes([102; 16]).to_string());
        commit.hold(turned(Transition::Suspend, task), Vec::new()).await.unwrap();
        let hop = named(54, GenerationKind::Hop, &Jti::from_bytes([54; 16]).to_string());
        commit.end(Revocation { ends: vec![hop], until: Some(time(START + 60_000)), ..death(&[0]) }).await.unwrap();
        commit.end(Revocation { ends: vec![named(55, GenerationKind::Rule, "idp")], ..death(&[0]) }).await.unwrap();
        commit.beat(TaskId::from_bytes([101; 16]), ShareKey::NOBODY, Vec::new()).await.unwrap();
        commit.checkpoint(StateCause::Interval).await.unwrap();
        commit.submit(working(6, 101, &[50, 51])).await.unwrap();
        commit.end(death(&[56])).await.unwrap();
        commit.submit(issue(7, &[1], &[7])).await.unwrap();
        commit.close().await;
    });
    scratch
}

/// A table as it lies there.
struct Table {
    name: &'static str,
    columns: Vec<String>,
    /// The columns of its primary key.
    keys: Vec<bool>,
    rows: Vec<Vec<Value>>,
}

impl Table {
    fn read(database: &Connection, name: &'static str) -> Self {
        let mut query = database.prepare(&format!("PRAGMA table_info({name})")).unwrap();
        let columns: Vec<(String, bool)> =
            query.query_map([], |row| Ok((row.get(1)?, row.get::<_, i64>(5)? > 0))).unwrap().collect::<Result<_, _>>().unwrap();
        let (columns, keys): (Vec<String>, Vec<bool>) = columns.into_iter().unzip();
        let mut query = database.prepare(&format!("SELECT {} FROM {name}", columns.join(", "))).unwrap();
        let row = |row: &rusqlite::Row<'_>| (0..columns.len()).map(|at| row.get(at)).collect();
        let rows = query.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap();
        drop(query);
        Self { name, columns, keys, rows }
    }

    /// Everything that is tried: each deletion, change, swap and insertion, as rows to delete and rows to insert.
    fn changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (at, row) in self.rows.iter().enumerate() {
            changes.push(Change::new(Kind::Deleted, &[row], &[]));
            for (column, value) in row.iter().enumerate() {
                for value in others(value) {
                    let mut changed = row.clone();
                    changed[column] = value;
                    changes.push(Change::new(if self.keys[column] { Kind::Renamed } else { Kind::Changed }, &[row], &[&changed]));
                }
            }
            for other in self.rows.iter().skip(at + 1) {
                let (one, two) = (self.with_key(row, other), self.with_key(other, row));
                if one != *other && one != *row {
                    changes.push(Change::new(Kind::Swapped, &[row, other], &[&one, &two]));
                }
            }
            changes.push(Change::new(Kind::Inserted, &[], &[&self.fresh(row)]));
        }
        changes
    }

    /// The row `of` under the key of `key`.
    fn with_key(&self, key: &[Value], of: &[Value]) -> Vec<Value> {
        let columns = self.keys.iter().zip(key.iter().zip(of));
        columns.map(|(is_key, (key, of))| if *is_key { key.clone() } else { of.clone() }).collect()
    }

    /// The row under another key.
    fn fresh(&self, row: &[Value]) -> Vec<Value> {
        let other = |value: &Value| match value {
            Value::Integer(number) => Value::Integer(number + 1_000),
            Value::Blob(bytes) => Value::Blob(bytes.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at > 0)).collect()),
            other => other.clone(),
        };
        self.keys.iter().zip(row).map(|(is_key, value)| if *is_key { other(value) } else { value.clone() }).collect()
    }
}

/// The values that are tried in place of one.
fn others(value: &Value) -> Vec<Value> {
    let flipped = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1 << (at % 7);
        bytes
    };
    match value {
        Value::Integer(number) => vec![Value::Integer(number + 1), Value::Integer(number - 1)],
        Value::Blob(bytes) => (0..bytes.len()).map(|at| Value::Blob(flipped(bytes, at))).collect(),
        Value::Text(text) => {
            let flipped = (0..text.len()).map(|at| String::from_utf8(flipped(text.as_bytes(), at)).unwrap());
            flipped.map(Value::Text).collect()
        }
        Value::Null | Value::Real(_) => panic!("no table has such"),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Deleted,
    Changed,
    /// The key of the row was changed.
    Renamed,
    Swapped,
    Inserted,
}

#[derive(Debug)]
struct Change {
    kind: Kind,
    gone: Vec<Vec<Value>>,
    there: Vec<Vec<Value>>,
}

impl Change {
    fn new(kind: Kind, gone: &[&Vec<Value>], there: &[&Vec<Value>]) -> Self {
        let owned = |rows: &[&Vec<Value>]| rows.iter().map(|row| (*row).clone()).collect();
        Self { kind, gone: owned(gone), there: owned(there) }
    }

    /// Makes it; false where the schema does not allow it, as for a second checkpoint or a place that is taken.
    fn make(&self, database: &Connection, table: &Table) -> bool {
        let is = |column: &String| format!("{column} IS ?");
        let key = table.columns.iter().map(is).collect::<Vec<_>>().join(" AND ");
        let places = vec!["?"; table.columns.len()].join(", ");
        let transaction = database.unchecked_transaction().unwrap();
        for row in &self.gone {
            let sql = format!("DELETE FROM {} WHERE {key}", table.name);
            assert_eq!(transaction.execute(&sql, params_from_iter(row)).unwrap(), 1);
        }
        for row in &self.there {
            let sql = format!("INSERT INTO {} VALUES ({places})", table.name);
            match transaction.execute(&sql, params_from_iter(row)) {
                Ok(_) => {}
                Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == rusqlite::ErrorCode::ConstraintViolation => {
                    return false;
                }
                Err(other) => panic!("{other}"),
            }
        }
        transaction.commit().unwrap();
        true
    }

    /// The reason for which it changes nothing that anybody reads.
    fn is_harmless(&self, table: &str) -> Option<&'static str> {
        match (table, self.kind) {
            ("single_use" | "status", Kind::Renamed | Kind::Swapped) => {
                Some("the key is the number of the row, which says nothing; what counts is the set of the other columns")
            }
            ("task_terms", Kind::Inserted) => Some("no record of a task has that index; one that comes to have it replaces it"),
            ("status_lists", Kind::Inserted) => Some("no place is in the list, which is not read for that reason"),
            _ => None,
        }
    }
}

/// What the message of a start says of the entry with this key.
fn name_of(key: &Value) -> String {
    let Value::Blob(key) = key else { panic!("a key") };
    let text = || String::from_utf8(key[1..].to_vec()).unwrap().split(' ').next().unwrap().to_owned();
    match (key[0], key.get(1)) {
        (1, Some(52)) => "agent sleeper".to_owned(),
        (1, Some(53)) => "agent leaver".to_owned(),
        (1, Some(54)) => format!("hop {}", Jti::from_bytes([54; 16])),
        (1, Some(55)) => "rule idp".to_owned(),
        (1 | 2, Some(id)) => format!("task {}", TaskId::from_bytes([*id; 16])),
        (3, None) => "the configuration".to_owned(),
        _ => text(),
    }
}

/// Puts the database back as it was.
fn reset(scratch: &Scratch, bytes: &[u8]) -> Connection {
    for rest in ["commit.sqlite-wal", "commit.sqlite-shm"] {
        let _absent = fs::remove_file(scratch.0.join(rest));
    }
    fs::write(folder::database(&scratch.0), bytes).unwrap();
    let database = Connection::open(folder::database(&scratch.0)).unwrap();
    database.pragma_update(None, "synchronous", "OFF").unwrap();
    database
}

#[test]
fn every_change_of_a_row_is_noticed() {
    let scratch = filled();
    let bytes = fs::read(folder::database(&scratch.0)).unwrap();
    let database = reset(&scratch, &bytes);
    let mut query = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let all: BTreeSet<String> = query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    drop(query);
    assert_eq!(all, TABLES.iter().chain(&OTHERS).map(|name| (*name).to_owned()).collect(), "no table is left out");
    let tables = TABLES.map(|name| Table::read(&database, name));
    drop(database);
    for table in &tables {
        assert!(!table.rows.is_empty(), "{}", table.name);
        for change in table.changes() {
            tried(&scratch, &bytes, table, &change);
        }
    }
    drop(reset(&scratch, &bytes));
    begin(&scratch).unwrap();
}

fn tried(scratch: &Scratch, bytes: &[u8], table: &Table, change: &Change) {
    if !change.make(&reset(scratch, bytes), table) {
        return;
    }
    let refused = begin(scratch).map(|commit| block_on(commit.close())).err();
    assert_eq!(refused.is_none(), change.is_harmless(table.name).is_some(), "{}: {change:?}: {refused:?}", table.name);
    if let (Some(reason), "state", Kind::Deleted | Kind::Changed | Kind::Renamed | Kind::Swapped) =
        (&refused, table.name, change.kind)
    {
        let told = reason.to_string();
        for row in &change.gone {
            let name = name_of(&row[0]);
            assert!(told.contains(&name), "{name} is not in: {told}");
        }
    }
}

#[test]
fn tables_of_an_earlier_version_beside_a_checkpoint_are_refused() {
    let scratch = filled();
    let database = Connection::open(folder::database(&scratch.0)).unwrap();
    let forged = "DELETE FROM single_use; DELETE FROM heartbeats; DELETE FROM status; DELETE FROM status_lists;
        DELETE FROM unrecorded;
        CREATE TABLE lives (key BLOB, number INTEGER, ended INTEGER, forget INTEGER, hold INTEGER, due INTEGER);
        CREATE TABLE tasks (key BLOB, fixed BLOB); CREATE TABLE in_force (kind TEXT, name TEXT);";
    database.execute_batch(forged).unwrap();
    drop(database);
    let refused = begin(&scratch).map(drop).unwrap_err();
    assert!(matches!(refused, StoreReason::Corrupt(_)), "{refused}");
    // Nor without the checkpoint, which the records tell of.
    Connection::open(folder::database(&scratch.0)).unwrap().execute_batch("DELETE FROM checkpoint; DELETE FROM state").unwrap();
    let refused = begin(&scratch).map(drop).unwrap_err();
    assert!(matches!(refused, StoreReason::Corrupt(_)), "{refused}");
}
