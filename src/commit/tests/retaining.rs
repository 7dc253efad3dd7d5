//! What is archived, held and pruned is recorded, follows from what is recorded, and is in force after a start.

use super::*;
use crate::commit::fold::Fold;
use crate::commit::fold_reason::FoldReason;
use crate::commit::retained::RetentionState;
use crate::ledger::record::{RetentionRecord, RetentionStep, StateCause};

fn archived(until: u64, snapshot: u64) -> RetentionRecord<'static> {
    RetentionRecord::archived(Time::from_millis(0), "ops", until, snapshot)
}

fn holding(what: RetentionStep, txn: u8) -> RetentionRecord<'static> {
    RetentionRecord::holding(Time::from_millis(0), "ops", what, Txn::from_bytes([txn; 16]), "case 7")
}

fn pruned(first: u64) -> RetentionRecord<'static> {
    RetentionRecord::pruned(Time::from_millis(0), "server", first)
}

/// What is recorded of how long records are kept, when one after the other was asked for; and after a start.
fn recorded(asked: &[(RetentionRecord<'static>, bool)]) -> RetentionState {
    let rig = Rig::new();
    let commit = rig.start();
    for (record, follows) in asked {
        let expected = if *follows { Ok(()) } else { Err(CommitReason::Kept) };
        assert_eq!(block_on(commit.retain(record.clone())), expected, "{record:?}");
    }
    assert_eq!(rig.kinds().len(), asked.iter().filter(|(_, follows)| *follows).count());
    let state = commit.state().retention();
    block_on(commit.checkpoint(StateCause::Stop)).unwrap();
    block_on(commit.close());
    // From the records alone, and as the stored state has it.
    let mut fold = Fold::default();
    for stored in rig.disk.rows() {
        fold.take(stored.index, &Record::parse(&stored.record).unwrap()).unwrap();
    }
    assert_eq!((fold.state.retention(), &rig.start().state().retention()), (&state, &state));
    state
}

#[test]
fn nothing_is_pruned_that_no_archive_has() {
    let state = recorded(&[
        (pruned(256), false),
        (archived(700, 699), true),
        (pruned(768), false),
        (pruned(300), false),
        (pruned(256), true),
        (pruned(0), false),
        (pruned(512), true),
        (archived(600, 500), false),
        (archived(1_024, 1_023), true),
        (pruned(1_024), false),
        (pruned(768), true),
    ]);
    assert_eq!((state.first, state.archive.unwrap().until), (768, 1_024));
}

#[test]
fn nothing_is_pruned_beyond_the_archived_state() {
    let state = recorded(&[(archived(2_000, 300), true), (pruned(512), false), (pruned(256), true)]);
    assert_eq!(state.first, 256);
}

#[test]
fn only_what_is_held_is_released() {
    use RetentionStep::{Held, Released};
    let state = recorded(&[
        (holding(Released, 1), false),
        (holding(Held, 1), true),
        (holding(Held, 2), true),
        (holding(Held, 1), true),
        (holding(Released, 2), true),
        (holding(Released, 2), false),
    ]);
    let held: Vec<_> = state.holds.iter().map(|(txn, hold)| (*txn, hold.by.as_str(), hold.reason.as_str())).collect();
    assert_eq!(held, [(Txn::from_bytes([1; 16]), "ops", "case 7")]);
}

#[test]
fn records_that_prune_what_no_archive_has_do_not_follow() {
    let taken = |record| Fold::default().take(7, &Record::Retention(record));
    assert_eq!(taken(pruned(256)), Err(FoldReason::Retention(7)));
    assert_eq!(taken(holding(RetentionStep::Released, 1)), Err(FoldReason::Retention(7)));
    assert_eq!(taken(archived(300, 299)), Ok(()));
}

#[test]
fn a_reason_is_no_longer_than_others() {
    let rig = Rig::new();
    let commit = rig.start();
    let long = RetentionRecord { reason: Some("x".repeat(1_025).into()), ..holding(RetentionStep::Held, 1) };
    assert_eq!(block_on(commit.retain(long)), Err(CommitReason::TooLarge));
    assert!(commit.state().retention().holds.is_empty() && rig.kinds().is_empty());
}
