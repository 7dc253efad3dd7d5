//! The keys of the server are entries of the state: a start with another key, or without one, is refused by what was recorded.

use super::memory::Fault;
use super::*;
use crate::commit::contract::{KeyList, StoreReason};
use crate::commit::fold::Fold;
use crate::ledger::record::{KeyCheck, KeyEvent, KeyRole, StateCause};

fn check(of: KeyRole, id: &str) -> KeyCheck {
    KeyCheck { of, id: id.to_owned() }
}

fn all(event: KeyEvent) -> KeyList {
    KeyRole::ALL.into_iter().map(|of| (check(of, "first"), event)).collect()
}

fn recorded(rig: &Rig, listed: &KeyList, cause: Option<StateCause>) {
    let commit = rig.start();
    block_on(async {
        commit.record_keys(listed.clone()).await.unwrap();
        if let Some(cause) = cause {
            commit.checkpoint(cause).await.unwrap();
        }
        commit.close().await;
    });
}

fn refused(rig: &Rig) -> Vec<KeyCheck> {
    match rig.tried() {
        Err(StoreReason::Keys(missing)) => missing,
        Err(other) => panic!("{other}"),
        Ok(_) => Vec::new(),
    }
}

#[test]
fn another_key_or_none_is_refused_by_what_was_recorded() {
    for cause in [None, Some(StateCause::Stop)] {
        let mut rig = Rig::new();
        recorded(&rig, &all(KeyEvent::Begin), cause);
        for of in KeyRole::ALL {
            rig.listed = all(KeyEvent::Begin);
            rig.listed.remove(&check(of, "first"));
            assert_eq!(refused(&rig), [check(of, "first")], "it is lost");
            rig.listed.insert(check(of, "other"), KeyEvent::Begin);
            assert_eq!(refused(&rig), [check(of, "first")], "another is in its place");
        }
        rig.listed = all(KeyEvent::Begin);
        rig.listed.insert(check(KeyRole::Signing, "next"), KeyEvent::Begin);
        assert_eq!(refused(&rig), [], "a further one is none in its place");
    }
}

/// A store of before names no keys.
#[test]
fn where_no_record_names_a_key_every_key_is_taken_up() {
    let mut rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        commit.submit(issue(1, &[], &[])).await.unwrap();
        commit.close().await;
    });
    rig.listed = all(KeyEvent::Begin);
    let listed = rig.listed.clone();
    recorded(&rig, &listed, None);
    recorded(&rig, &listed, None);
    assert_eq!(rig.kinds().into_iter().filter(|kind| *kind == Kind::Key).count(), listed.len(), "once");
}

#[test]
fn a_key_that_is_no_more_may_leave_the_list_and_one_that_was_revoked_stays_so() {
    let mut rig = Rig::new();
    recorded(&rig, &all(KeyEvent::Begin), None);
    rig.listed = all(KeyEvent::Retire);
    recorded(&rig, &all(KeyEvent::Retire), Some(StateCause::Stop));
    rig.listed.retain(|check, _| check.of == KeyRole::Ledger);
    assert_eq!(refused(&rig), []);
    rig.listed.clear();
    assert_eq!(refused(&rig), [check(KeyRole::Ledger, "first")], "those of the ledger are listed for ever");
    rig.listed = all(KeyEvent::Revoke);
    recorded(&rig, &all(KeyEvent::Revoke), None);
    let records = rig.kinds().len();
    recorded(&rig, &all(KeyEvent::Begin), None);
    assert_eq!(rig.kinds().len(), records, "nothing begins again");
    let commit = rig.start();
    assert_eq!(commit.revived_keys(&all(KeyEvent::Begin)).len(), KeyRole::ALL.len());
    assert_eq!(commit.revived_keys(&all(KeyEvent::Revoke)), []);
}

/// Neither a start nor a change of keys waits for a store that takes no records.
#[test]
fn what_could_not_be_recorded_is_before_anything_else_is() {
    for fault in [Fault::FlushLost, Fault::FlushLanded, Fault::Begin] {
        let rig = Rig::new();
        let commit = rig.start();
        rig.faults.set(fault, 1);
        block_on(async {
            assert_eq!(commit.record_keys(all(KeyEvent::Revoke)).await, Err(CommitReason::Unavailable));
            while let Err(reason) = commit.submit(issue(1, &[], &[])).await {
                assert_eq!(reason, CommitReason::Unavailable);
            }
            assert_eq!(commit.revived_keys(&all(KeyEvent::Begin)).len(), KeyRole::ALL.len());
            commit.close().await;
        });
        let recorded: Vec<Kind> = rig.kinds().into_iter().filter(|kind| *kind != Kind::State).collect();
        assert_eq!(recorded, [[Kind::Key; 6].as_slice(), &[Kind::Hop]].concat(), "{fault:?}");
    }
}

/// As a key folder does that is changed while the server runs.
#[test]
fn a_list_that_lacks_a_key_is_refused_at_any_time() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(commit.record_keys(all(KeyEvent::Begin))).unwrap();
    let mut listed = all(KeyEvent::Begin);
    commit.require_keys(&listed).unwrap();
    listed.remove(&check(KeyRole::Pseudonym, "first"));
    assert!(matches!(commit.require_keys(&listed), Err(StoreReason::Keys(missing)) if missing.len() == 1));
    block_on(commit.close());
}

#[test]
fn the_digest_of_the_state_covers_keys() {
    let mut rig = Rig::new();
    rig.listed = all(KeyEvent::Begin);
    recorded(&rig, &all(KeyEvent::Begin), None);
    recorded(&rig, &all(KeyEvent::Retire), Some(StateCause::Stop));
    let rows = rig.disk.rows();
    let folded = |without: Option<u64>| {
        let mut fold = Fold::default();
        for row in rows.iter().filter(|row| Some(row.index) != without) {
            fold.take(row.index, &Record::parse(&row.record).unwrap())?;
        }
        Ok::<_, FoldReason>(fold.state.keys().len())
    };
    assert_eq!(folded(None), Ok(KeyRole::ALL.len()));
    let of_key = |row: &&contract::Stored| Record::parse(&row.record).unwrap().kind() == Kind::Key;
    let retired: Vec<u64> = rows.iter().filter(of_key).map(|row| row.index).skip(KeyRole::ALL.len()).collect();
    assert_eq!(retired.len(), KeyRole::ALL.len());
    for index in retired {
        assert!(matches!(folded(Some(index)), Err(FoldReason::Digest(_))));
    }
}
