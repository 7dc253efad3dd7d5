#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

mod adoption;
mod bystander;
mod tampering;
mod pruning;
mod trimming;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::catalog::StatusBits;
use crate::commit::contract::{
    Heartbeat, NewCheckpoint, RecordReader, Row, Select, StateChangeRow, StateRow, StatusRow, StoredCheckpoint, Unrecorded,
};
use crate::commit::{Commit, CommitKeys, CommitReason, Disclosed, Effect, Limits, RecordHop, Revocable, Revocation, reveal};
use crate::crypto::{Digest, SealKey, random};
use crate::ledger::record::{Record, WithheldRecord};
use crate::lifecycle::status::ListKey;
use crate::oauth::{
    ClientId, Clock, Generation, GenerationKind, Jti, Resource, ShareKey, SingleUse, SingleUseKind, StatusPlace, TaskId, Time,
    Txn,
};

/// A folder of its own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let name = Jti::from_bytes(random().unwrap()).to_string();
        Self(std::env::temp_dir().join(format!("countersign-{name}")))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _absent = fs::remove_dir_all(&self.0);
    }
}

fn time(millis: i64) -> Time {
    Time::from_millis(millis)
}

fn row(index: u64, jti: u8, txn: u8) -> Row {
    let (jti, txn) = (Jti::from_bytes([jti; 16]), Txn::from_bytes([txn; 16]));
    let record = Record::Withheld(WithheldRecord::new(time(1), index, jti, txn)).to_bytes().unwrap();
    Row { index, jti: Some(jti), txn: Some(txn), record, sealed: None }
}

/// One batch, as the writer commits it.
fn commit(store: &mut SqliteStore, batch: &Batch) -> Result<(), StoreReason> {
    store.begin(&mut std::iter::empty())?;
    store.write(batch)
}

fn batch(at: i64, rows: Vec<Row>) -> Batch {
    Batch { rows, ..Batch::at(time(at)) }
}

#[test]
fn what_is_committed_is_there_when_it_is_opened_again() {
    let scratch = Scratch::new();
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    assert_eq!(store.open().unwrap().count, 0);
    let mut sealed = row(1, 2, 7);
    sealed.sealed = Some((GenerationKey([3; 16]), vec![1, 2]));
    let value = |digest, expires| SingleUse {
        digest: [digest; 32],
        expires: time(expires),
        issued: time(0),
        kind: SingleUseKind::Assertion,
        share: ShareKey::NOBODY,
    };
    let entry = |key: u8, before: Option<u8>, after: Option<u8>| StateChangeRow {
        key: vec![key],
        before: before.map(|value| vec![value]),
        after: after.map(|value| vec![value]),
    };
    let checkpoint = |index, changes, forgotten| Some(NewCheckpoint { index, changes, forgotten });
    let task = |id| TaskId::from_bytes([id; 16]);
    let beat = |id, at| Heartbeat { task: task(id), at: time(at) };
    let first = Batch {
        single_use: vec![value(1, 100), value(2, 200)],
        checkpoint: checkpoint(1, vec![entry(1, None, Some(7)), entry(2, None, Some(8))], vec![]),
        terms: vec![(0, vec![5]), (1, vec![6])],
        beats: vec![beat(1, 40), beat(2, 41), beat(1, 42)],
        sum: vec![1],
        subject_keys: vec![(GenerationKey([3; 16]), vec![9])],
        ..batch(50, vec![row(0, 1, 7), sealed])
    };
    commit(&mut store, &first).unwrap();
    let second = checkpoint(2, vec![entry(1, Some(7), Some(9)), entry(2, Some(8), None)], vec![(task(2), 1)]);
    let second = Batch { forget: Some(time(100)), checkpoint: second, sum: vec![2], ..batch(60, vec![row(2, 3, 8)]) };
    commit(&mut store, &second).unwrap();
    assert_eq!(store.subject_key(&GenerationKey([3; 16])).unwrap(), Some(vec![9]));
    assert_eq!(store.subject_key(&GenerationKey([4; 16])).unwrap(), None);
    for again in [true, false] {
        if !again {
            drop(store);
            store = SqliteStore::new(&scratch.0).unwrap();
        }
        let recovered = store.open().unwrap();
        assert_eq!(recovered.count, 3);
        let mut seen = Vec::new();
        let each = &mut |stored: Stored| {
            seen.push(stored);
            Ok(())
        };
        store.records(1, each).unwrap();
        assert_eq!(seen.iter().map(|stored| (stored.index, stored.at)).collect::<Vec<_>>(), [(1, time(50)), (2, time(60))]);
        assert_eq!(seen[1].record, row(2, 3, 8).record);
        let rows = vec![StateRow { key: vec![1], value: vec![9] }];
        assert_eq!(recovered.checkpoint, StoredCheckpoint { index: Some(2), rows });
        assert_eq!(recovered.terms, [(0, vec![5])]);
        let Unrecorded { single_use, beats, sum, .. } = recovered.unrecorded;
        assert_eq!((single_use, beats, sum), (vec![value(2, 200)], vec![beat(1, 42)], Some(vec![2])));
        assert!(recovered.earlier.is_none(), "nothing of before");
    }
}

#[test]
fn replay_reads_while_the_server_writes_and_afterwards() {
    let scratch = Scratch::new();
    assert!(matches!(SqliteReader::open(&scratch.0), Err(StoreReason::Folder(_))));
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    assert!(matches!(SqliteReader::open(&scratch.0), Err(StoreReason::Folder(_))), "nothing is in it yet");
    store.open().unwrap();
    let reader = SqliteReader::open(&scratch.0).unwrap();
    let mut sealed = row(2, 2, 9);
    sealed.sealed = Some((GenerationKey([3; 16]), vec![1, 2]));
    let keys = vec![(GenerationKey([3; 16]), vec![9])];
    commit(&mut store, &Batch { subject_keys: keys, ..batch(5, vec![row(0, 1, 8), row(1, 1, 9), sealed, row(3, 4, 8)]) })
        .unwrap();
    let mut store = Some(store);
    for step in 0..3 {
        let reader = if step == 0 { &reader } else { &SqliteReader::open(&scratch.0).unwrap() };
        let indexes = |select, from, limit| -> Vec<u64> {
            reader.records(select, from, limit).unwrap().iter().map(|stored| stored.index).collect()
        };
        assert_eq!(reader.count().unwrap(), 4);
        assert_eq!(indexes(Select::Txn(Txn::from_bytes([8; 16])), 0, 10), [0, 3]);
        assert_eq!(indexes(Select::Txn(Txn::from_bytes([8; 16])), 1, 10), [3]);
        assert_eq!(indexes(Select::Jti(Jti::from_bytes([1; 16])), 0, 10), [0, 1]);
        assert_eq!(indexes(Select::All, 1, 2), [1, 2]);
        assert_eq!(indexes(Select::All, u64::MAX, 2), [0; 0]);
        let disclosed = reader.disclosures(2).unwrap().unwrap();
        assert_eq!((disclosed.subject, disclosed.wrapped_key, disclosed.sealed), (GenerationKey([3; 16]), vec![9], vec![1, 2]));
        assert_eq!(reader.disclosures(1).unwrap(), None);
        // First killed, as it were, then closed properly.
        match step {
            0 => store.as_mut().unwrap().open = None,
            _ => drop(store.take().map(|mut store| store.open().unwrap())),
        }
    }
}

#[test]
fn a_batch_is_written_whole_or_not_at_all_and_the_store_is_closed_after_a_failure() {
    let scratch = Scratch::new();
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    store.open().unwrap();
    commit(&mut store, &batch(1, vec![row(0, 1, 1)])).unwrap();
    // The second row's index is taken.
    assert!(commit(&mut store, &batch(2, vec![row(1, 2, 1), row(0, 3, 1)])).is_err());
    assert!(commit(&mut store, &batch(2, vec![row(1, 2, 1)])).is_err(), "nothing before it was opened afresh");
    assert!(store.subject_key(&GenerationKey([0; 16])).is_err());
    assert_eq!(store.open().unwrap().count, 1);
    commit(&mut store, &batch(2, vec![row(1, 2, 1)])).unwrap();
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let scratch = Scratch::new();
    let first = SqliteStore::new(&scratch.0).unwrap();
    let second = SqliteStore::new(&scratch.0).unwrap_err();
    assert_eq!(second.to_string(), "another server uses this data folder");
    drop(first);
    SqliteStore::new(&scratch.0).unwrap();
}

#[test]
fn the_folder_and_its_files_are_private() {
    let scratch = Scratch::new();
    fs::create_dir(&scratch.0).unwrap();
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o755)).unwrap();
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    store.open().unwrap();
    commit(&mut store, &batch(1, vec![row(0, 1, 1)])).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&scratch.0), 0o700);
    let files: Vec<_> = fs::read_dir(&scratch.0).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 4, "{files:?}");
    files.iter().for_each(|file| assert_eq!(mode(file), 0o600, "{file:?}"));
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let scratch = Scratch::new();
    fs::create_dir(&scratch.0).unwrap();
    fs::write(scratch.0.join("letters"), "x").unwrap();
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(SqliteStore::new(&scratch.0), Err(StoreReason::Folder(_))));
    assert_eq!(fs::metadata(&scratch.0).unwrap().permissions().mode() & 0o777, 0o755);
}

#[test]
fn a_database_of_a_newer_version_or_another_program_is_refused() {
    let scratch = Scratch::new();
    SqliteStore::new(&scratch.0).unwrap().open().unwrap();
    let change = |sql| Connection::open(folder::database(&scratch.0)).unwrap().execute_batch(sql).unwrap();
    change("PRAGMA user_version = 99");
    assert!(matches!(SqliteStore::new(&scratch.0).unwrap().open(), Err(StoreReason::Newer)));
    assert!(matches!(SqliteReader::open(&scratch.0), Err(StoreReason::Newer)));
    change("PRAGMA user_version = 1; PRAGMA application_id = 7");
    assert!(matches!(SqliteStore::new(&scratch.0).unwrap().open(), Err(StoreReason::Corrupt(_))));
}

#[test]
fn what_an_older_version_saw_spent_stays_spent() {
    let scratch = Scratch::new();
    let store = SqliteStore::new(&scratch.0).unwrap();
    let database = Connection::open(folder::database(&scratch.0)).unwrap();
    schema::lead(&database, 0..4).unwrap();
    for (expires, digest) in [(100, [2_u8; 32]), (100, [1; 32]), (300, [3; 32])] {
        database.execute("INSERT INTO single_use VALUES (?1, ?2)", rusqlite::params![expires, digest]).unwrap();
    }
    drop((store, database));
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    let spent = |digest, expires| SingleUse {
        digest: [digest; 32],
        expires: time(expires),
        issued: time(0),
        kind: SingleUseKind::Assertion,
        share: ShareKey::NOBODY,
    };
    let sorted = |mut values: Vec<SingleUse>| {
        values.sort_by_key(|value| value.digest);
        values
    };
    assert_eq!(sorted(store.open().unwrap().unrecorded.single_use), [spent(1, 100), spent(2, 100), spent(3, 300)]);
    let more = vec![spent(4, 100), spent(5, 100), spent(6, 200)];
    commit(&mut store, &Batch { single_use: more, ..batch(1, Vec::new()) }).unwrap();
    commit(&mut store, &Batch { single_use: vec![spent(7, 200)], forget: Some(time(100)), ..batch(2, Vec::new()) }).unwrap();
    assert_eq!(sorted(store.open().unwrap().unrecorded.single_use), [spent(3, 300), spent(6, 200), spent(7, 200)]);
    drop(store);
    let change = "UPDATE single_use SET digests = substr(digests, 2) WHERE expires = 300";
    Connection::open(folder::database(&scratch.0)).unwrap().execute_batch(change).unwrap();
    let damaged = SqliteStore::new(&scratch.0).unwrap().open();
    assert!(matches!(damaged, Err(StoreReason::Failed(_))), "part of a digest tells of nothing");
}

#[test]
fn the_log_does_not_grow_without_end_while_commits_go_on() {
    let scratch = Scratch::new();
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    store.open().unwrap();
    store.healthy(|open| open.connection.pragma_update(None, "synchronous", "OFF").map_err(failed)).unwrap();
    let mut index = 0;
    for at in 0..300 {
        let rows = (0..250).map(|_| {
            index += 1;
            row(index - 1, 1, 1)
        });
        commit(&mut store, &batch(at, rows.collect())).unwrap();
    }
    let database = fs::metadata(folder::database(&scratch.0)).unwrap().len();
    let log = fs::metadata(scratch.0.join("commit.sqlite-wal")).unwrap().len();
    assert!(log < 40 << 20, "the log has {log} bytes");
    assert!(database > 4 << 20, "the database has {database} bytes");
    drop(store);
    let left = fs::metadata(scratch.0.join("commit.sqlite-wal")).map_or(0, |log| log.len());
    assert_eq!(left, 0);
    assert_eq!(SqliteStore::new(&scratch.0).unwrap().open().unwrap().count, index);
}

#[derive(Debug)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Time {
        time(self.0.load(Ordering::SeqCst))
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

fn start(scratch: &Scratch) -> Commit {
    let store = Box::new(SqliteStore::new(&scratch.0).unwrap());
    let keys = CommitKeys::of_secrets(&[1; 32], &[1; 32]).unwrap();
    let limits = Limits { retry: std::time::Duration::from_millis(5), ..Limits::default() };
    Commit::start(store, Arc::new(Hand(AtomicI64::new(1000))), keys, limits).unwrap()
}

fn issue(id: u8) -> RecordHop {
    RecordHop {
        share: ShareKey::NOBODY,
        jti: Jti::from_bytes([id; 16]),
        txn: Txn::from_bytes([9; 16]),
        record: row(u64::from(id), id, 9).record,
        generations: vec![crate::oauth::Generation { key: GenerationKey([id; 16]), number: 0 }],
        single_use: vec![SingleUse {
            digest: [id; 32],
            expires: time(9000),
            issued: time(0),
            kind: SingleUseKind::Assertion,
            share: ShareKey::NOBODY,
        }],
        deadline: time(9000),
        disclosed: Disclosed { subject: GenerationKey([id; 16]), values: zeroize::Zeroizing::new(vec![id]) },
        status: None,
        effect: Effect::Nothing,
        counted: None,
        opens: None,
    }
}

#[test]
fn places_in_lists_are_there_when_it_is_opened_again() {
    let scratch = Scratch::new();
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    store.open().unwrap();
    let place = |api: &str, bits, expires, index| {
        let list = ListKey::first(&Resource::parse(api).unwrap(), bits, time(expires));
        let generations = vec![
            Generation { key: GenerationKey([3; 16]), number: u64::MAX },
            Generation { key: GenerationKey([4; 16]), number: 0 },
        ];
        StatusRow { place: StatusPlace { index, list: list.id() }, list, expires: time(expires), generations }
    };
    let (early, late) =
        (place("https://a.example", StatusBits::One, 5_000, 7), place("https://b.example", StatusBits::Two, 2_000_000, 131_071));
    let status = vec![(0, early.clone()), (1, late.clone())];
    commit(&mut store, &Batch { status, ..batch(100, vec![row(0, 1, 7), row(1, 2, 7)]) }).unwrap();
    let recovered = store.open().unwrap();
    assert_eq!(recovered.unrecorded.status, [early.clone(), late.clone()]);
    let forget = Some(early.list.forgettable());
    commit(&mut store, &Batch { forget, ..batch(early.list.forgettable().millis(), vec![row(2, 3, 7)]) }).unwrap();
    let recovered = store.open().unwrap();
    assert_eq!(recovered.unrecorded.status, [late]);
}

#[test]
fn the_commit_works_on_it_from_end_to_end() {
    let scratch = Scratch::new();
    let commit = start(&scratch);
    block_on(async {
        let receipt = commit.submit(issue(1)).await.unwrap();
        let end = Revocable { key: GenerationKey([2; 16]), kind: GenerationKind::Subject, name: None, txn: None };
        let by = ClientId::parse("ops").unwrap();
        commit.end(Revocation { ends: vec![end], by, reason: "left".into(), until: None }).await.unwrap();
        commit.close().await;
        let commit = start(&scratch);
        assert_eq!(commit.submit(issue(1)).await.unwrap_err(), CommitReason::Spent);
        assert_eq!(commit.submit(issue(2)).await.unwrap_err(), CommitReason::Died);
        let next = commit.submit(issue(3)).await.unwrap();
        assert_eq!((receipt.index(), next.index()), (0, 2));
        let reader = SqliteReader::open(&scratch.0).unwrap();
        let stored = reader.records(Select::Jti(receipt.jti()), 0, 9).unwrap();
        assert_eq!(Digest::of(&stored[0].record), receipt.record());
        let sealed = reader.disclosures(0).unwrap().unwrap();
        assert_eq!(reveal(&SealKey::new(&[1; 32]).unwrap(), &receipt.record(), &sealed).unwrap().as_slice(), [1]);
    });
}

mod subjects;
