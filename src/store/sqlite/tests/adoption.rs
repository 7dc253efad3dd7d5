//! A data folder of the version before this one is taken up: once, recorded, told.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::params;

use super::*;
use crate::commit::contract::ConfiguredPrincipal;
use crate::commit::tests::{Hand, START, issue, keys};
use crate::ledger::record::{Kind, StateCause};
use crate::lifecycle::{InactiveStatus, StateView};
use crate::oauth::RuleName;

/// The records that the version before wrote.
const RECORDS: u64 = 13;

/// Its folder.
fn earlier() -> Scratch {
    let scratch = Scratch::new();
    fs::create_dir(&scratch.0).unwrap();
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o700)).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/earlier/commit.sqlite");
    fs::copy(source, folder::database(&scratch.0)).unwrap();
    scratch
}

/// A server of this version begins on it, 25 s after the other one did.
fn begun(scratch: &Scratch) -> Commit {
    let store = Box::new(SqliteStore::new(&scratch.0).unwrap());
    let clock = Hand(AtomicI64::new(START + 25_000));
    Commit::start(store, Arc::new(clock), keys(1), Limits::default()).unwrap()
}

fn key(id: u8) -> GenerationKey {
    GenerationKey([id; 16])
}

fn in_force() -> BTreeSet<ConfiguredPrincipal> {
    let rule = || RuleName::parse("acme-idp").unwrap();
    BTreeSet::from([
        ConfiguredPrincipal::Agent(ClientId::parse("orchestrator").unwrap()),
        ConfiguredPrincipal::Rule(rule()),
        ConfiguredPrincipal::Issuer(rule(), Digest([5; 32])),
    ])
}

/// Everything that was is.
fn is_taken_up(commit: &Commit) {
    let state = commit.state();
    let known = state.generations(&[50, 52, 53, 54, 55, 102, 103].map(key));
    let known: Vec<_> = known.into_iter().map(|known| (known.number, known.inactive)).collect();
    let (suspended, retired) = (Some(InactiveStatus::Suspended), Some(InactiveStatus::Retired));
    assert_eq!(known, [(0, None), (0, suspended), (1, retired), (1, None), (1, None), (0, suspended), (1, None)]);
    let task = |id: u8| state.task(&TaskId::from_bytes([id; 16])).unwrap();
    assert_eq!([101, 102, 103].map(|id| task(id).left), [4, 2, 2]);
    let ops = Some(ClientId::parse("ops").unwrap());
    assert_eq!([101, 102, 103].map(|id| task(id).suspended_by), [None, ops, None]);
    for id in [101, 102, 103] {
        assert_eq!(task(id).terms.purpose, "review of customer 4711");
        assert_eq!(task(id).terms.key, key(id));
    }
    assert_eq!(task(102).terms.parent, Some(TaskId::from_bytes([101; 16])));
    assert_eq!(task(101).terms.heartbeat, Some(std::time::Duration::from_mins(10)));
    assert_eq!(commit.in_force(), Some(in_force()));
}

/// The kinds of the records that this version wrote, and the causes of those of the state.
fn written(scratch: &Scratch) -> (Vec<Kind>, Vec<StateCause>) {
    let rows = SqliteReader::open(&scratch.0).unwrap().records(Select::All, RECORDS, 99).unwrap();
    let records: Vec<Record<'_>> = rows.iter().map(|row| Record::parse(&row.record).unwrap()).collect();
    let cause = |record: &Record<'_>| if let Record::State(state) = record { Some(state.cause) } else { None };
    (records.iter().map(Record::kind).collect(), records.iter().filter_map(cause).collect())
}

/// True where any file of the folder has these bytes.
fn holds(scratch: &Scratch, bytes: &[u8]) -> bool {
    let mut files = fs::read_dir(&scratch.0).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    files.any(|file| file.windows(bytes.len()).any(|window| window == bytes))
}

#[test]
fn it_is_taken_up_once_and_that_is_recorded() {
    let scratch = earlier();
    for _start in 0..2 {
        let commit = begun(&scratch);
        is_taken_up(&commit);
        block_on(async {
            for id in [1, 2, 3, 4, 101, 102, 103] {
                assert_eq!(commit.submit(issue(9, &[], &[id])).await.unwrap_err(), CommitReason::Spent, "{id}");
            }
            assert_eq!(commit.submit(issue(9, &[54], &[])).await.unwrap_err(), CommitReason::Died);
            commit.close().await;
        });
        let adoption = (vec![Kind::Configuration, Kind::State], vec![StateCause::Adoption]);
        assert_eq!(written(&scratch), adoption);
        let database = Connection::open(folder::database(&scratch.0)).unwrap();
        for table in ["lives", "tasks", "in_force", "freed"] {
            assert!(!database.table_exists(None, table).unwrap(), "{table}");
        }
        let beats: u64 = database.query_row("SELECT count(*) FROM heartbeats", [], |row| row.get(0)).unwrap();
        assert_eq!(beats, 3, "every task is waited for anew");
    }
}

#[test]
fn terms_that_lay_there_unsealed_are_sealed_and_no_file_has_them_any_more() {
    let scratch = earlier();
    let root = SealKey::new(&[1; 32]).unwrap();
    let database = Connection::open(folder::database(&scratch.0)).unwrap();
    let mut query = database.prepare("SELECT key, fixed FROM tasks").unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let tasks: Vec<([u8; 16], Vec<u8>)> = rows.collect::<Result<_, _>>().unwrap();
    drop(query);
    for (key, sealed) in tasks {
        let bare = root.open(&[b"countersign/task-terms/1/".as_slice(), &key].concat(), &sealed).unwrap();
        database.execute("UPDATE tasks SET fixed = ?2 WHERE key = ?1", params![key, bare.as_slice()]).unwrap();
    }
    drop(database);
    assert!(holds(&scratch, b"customer"));
    let commit = begun(&scratch);
    is_taken_up(&commit);
    assert!(!holds(&scratch, b"customer"), "while the server runs");
    block_on(commit.close());
    assert!(!holds(&scratch, b"customer"));
    is_taken_up(&begun(&scratch));
}

#[test]
fn where_what_was_kept_is_not_what_the_records_say_the_records_count() {
    for damage in [
        "UPDATE lives SET hold = NULL WHERE hold = 2",
        "UPDATE lives SET number = 0, ended = NULL WHERE number = 1",
        "UPDATE lives SET number = number + 1, hold = 1",
        "DELETE FROM lives",
        "UPDATE tasks SET left = left + 5, suspended_by = 'orchestrator'",
    ] {
        let scratch = earlier();
        Connection::open(folder::database(&scratch.0)).unwrap().execute_batch(damage).unwrap();
        let commit = begun(&scratch);
        is_taken_up(&commit);
        block_on(commit.close());
    }
}

#[test]
fn a_task_whose_terms_are_damaged_keeps_it_from_being_taken_up() {
    let scratch = earlier();
    let damage = "UPDATE tasks SET fixed = zeroblob(length(fixed))";
    Connection::open(folder::database(&scratch.0)).unwrap().execute_batch(damage).unwrap();
    let store = Box::new(SqliteStore::new(&scratch.0).unwrap());
    let clock = Hand(AtomicI64::new(START + 25_000));
    let refused = Commit::start(store, Arc::new(clock), keys(1), Limits::default());
    assert!(matches!(refused, Err(StoreReason::Corrupt(_))));
}
