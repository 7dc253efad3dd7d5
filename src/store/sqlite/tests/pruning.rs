//! Records that are recorded as pruned go, the oldest first, with their files; what is held stays; a crash anywhere is gone on
//! from.

use super::trimming::{all, grown, numbered, records_in};
use super::*;
use crate::commit::contract::{StorePruner, StoreTrimmer};
use crate::ledger::Edge;

const NOTHING: &dyn Fn(&Txn) -> bool = &|_| false;

/// A store of 1,100 records, each third of another transaction, of which 1,024 are left to bundles; each has disclosures.
fn disclosed() -> (Scratch, SqliteStore, SqlitePruner) {
    let (scratch, mut edge) = (Scratch::new(), Edge::empty());
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    store.open().unwrap();
    grown(&mut store, &mut edge, &scratch, 1_100);
    let mut trimmer = SqliteTrimmer::new(&scratch.0);
    (0..4).for_each(|bundle| trimmer.trim(bundle).unwrap());
    let database = Connection::open(folder::database(&scratch.0)).unwrap();
    let disclose = "INSERT INTO disclosures (idx, subject, sealed)
        SELECT idx, zeroblob(16), x'00' FROM (SELECT idx FROM bundled UNION SELECT idx FROM records)";
    assert_eq!(database.execute(disclose, []).unwrap(), 1_100);
    let pruner = SqlitePruner::new(&scratch.0);
    (scratch, store, pruner)
}

fn files(scratch: &Scratch) -> Vec<bool> {
    let there = |path: String| scratch.0.join("ledger").join(path).exists();
    (0..4).flat_map(|n| [there(format!("tile/entries/00{n}.lz4")), there(format!("tile/0/00{n}"))]).collect()
}

fn of_txn(scratch: &Scratch, txn: u8) -> Vec<u64> {
    let reader = SqliteReader::open(&scratch.0).unwrap();
    let found = reader.records(Select::Txn(Txn::from_bytes([txn; 16])), 0, 10_000).unwrap();
    found.iter().map(|stored| stored.index).collect()
}

#[test]
fn what_is_pruned_is_gone_and_everything_else_is_as_before() {
    let (scratch, mut store, mut pruner) = disclosed();
    let (whole, before) = (all(&mut store, 512), of_txn(&scratch, 1));
    let reader = SqliteReader::open(&scratch.0).unwrap();
    (0..2).for_each(|_| pruner.prune(NOTHING).unwrap());
    assert_eq!((pruner.first().unwrap(), reader.first().unwrap(), store.open().unwrap().first), (512, 512, 512));
    assert_eq!(files(&scratch), [true; 8], "files go after the store knows that they are not needed");
    pruner.sweep(1).unwrap();
    assert_eq!(files(&scratch)[..4], [false, false, true, true]);
    (0..2).for_each(|_| pruner.sweep(64).unwrap());
    assert_eq!(files(&scratch), [false, false, false, false, true, true, true, true]);
    // From wherever they are asked for.
    assert!(all(&mut store, 0) == whole && reader.records(Select::All, 0, 10_000).unwrap() == whole);
    assert_eq!(reader.records(Select::All, 100, 1).unwrap()[0].index, 512);
    assert_eq!(of_txn(&scratch, 1), before.into_iter().filter(|index| *index >= 512).collect::<Vec<_>>());
    assert_eq!((reader.count().unwrap(), records_in(&scratch, "disclosures")), (1_100, 588));
    assert_eq!((pruner.time_of(511).unwrap(), pruner.time_of(512).unwrap()), (None, Some(time(500))));
    (0..2).for_each(|_| pruner.prune(NOTHING).unwrap());
    // What still lies in the store is not for it to remove, and the next bundle is the next one.
    assert!(matches!(pruner.prune(NOTHING), Err(StoreReason::Corrupt(_))));
    assert_eq!((pruner.first().unwrap(), SqliteTrimmer::new(&scratch.0).trimmed().unwrap()), (1_024, 1_024));
    assert_eq!(all(&mut store, 0).len(), 76);
}

#[test]
fn what_is_held_stays_until_it_is_released() {
    let (scratch, mut store, mut pruner) = disclosed();
    let reader = SqliteReader::open(&scratch.0).unwrap();
    // A transaction of its own in the second bundle.
    let (held, other) = (Txn::from_bytes([77; 16]), Txn::from_bytes([1; 16]));
    let database = Connection::open(folder::database(&scratch.0)).unwrap();
    database.execute("UPDATE bundled SET txn = ?1 WHERE idx = 300", [held.as_bytes()]).unwrap();
    let is_held = |txn: &Txn| *txn == held;
    (0..3).for_each(|_| pruner.prune(&is_held).unwrap());
    (0..2).for_each(|_| pruner.sweep(64).unwrap());
    assert_eq!(files(&scratch), [false, false, true, true, false, false, true, true]);
    assert_eq!((of_txn(&scratch, 77), pruner.first().unwrap()), (vec![300], 768));
    assert!(of_txn(&scratch, 1).iter().any(|index| (256..512).contains(index)), "the bundle stays whole");
    let disclosed = |index: u64| database.query_row("SELECT count(*) FROM disclosures WHERE idx = ?1", [index], |row| row.get(0));
    let disclosed = |index| disclosed(index).map(|count: u64| count > 0).unwrap();
    assert_eq!([299, 300, 301].map(disclosed), [false, true, false], "what is personal of others goes");
    assert_eq!(reader.records(Select::All, 0, 1).unwrap()[0].index, 768, "whoever reads in a row does not meet it");
    assert_eq!(all(&mut store, 0).len(), 332);
    // Held for somebody else it goes as well.
    pruner.release(&|txn| *txn == other || *txn == held).unwrap();
    assert_eq!(of_txn(&scratch, 77), [300]);
    pruner.release(NOTHING).unwrap();
    pruner.sweep(64).unwrap();
    assert_eq!((of_txn(&scratch, 77).len(), files(&scratch)[2]), (0, false));
    assert!(!disclosed(300));
}

#[test]
fn a_crash_anywhere_is_gone_on_from() {
    let (scratch, mut store, _) = disclosed();
    let whole = all(&mut store, 768);
    // Each step by a process of its own, and none finishes what it began: files stay behind, or some are gone already.
    for step in 0..12 {
        let mut pruner = SqlitePruner::new(&scratch.0);
        if pruner.first().unwrap() < 768 {
            pruner.prune(NOTHING).unwrap();
        }
        if step % 3 == 2 {
            // Half of what is to be removed is gone already.
            let _gone = fs::remove_file(scratch.0.join(format!("ledger/tile/entries/00{}.lz4", (step / 3).min(2))));
            pruner.sweep(1).unwrap();
        }
        assert!(all(&mut store, 768).len() >= 332);
        store.open().unwrap();
    }
    assert_eq!(files(&scratch), [false, false, false, false, false, false, true, true]);
    assert!(all(&mut store, 0) == whole);
}

#[test]
fn personal_values_go_by_their_age_but_not_what_is_held() {
    let (scratch, _store, mut pruner) = disclosed();
    let held = Txn::from_bytes([2; 16]);
    let is_held = |txn: &Txn| *txn == held;
    let (mut from, mut turns) = (Some(0), 0);
    while let Some(next) = from {
        from = pruner.forget(next, 100, time(700), &is_held).unwrap();
        turns += 1;
    }
    assert!((7..12).contains(&turns), "{turns}");
    let is_of_held = |index: &u64| numbered(*index).txn == Some(held);
    let left = 350 + (0..750).filter(is_of_held).count() as u64;
    assert_eq!(records_in(&scratch, "disclosures"), left, "those of the batches up to 700, and what is held of them");
    assert_eq!(pruner.first().unwrap(), 0, "records stay, for nothing is archived");
}
