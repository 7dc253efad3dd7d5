//! What is stored is compared at every start, and what is recorded wherever it is read.

use super::listing::listed;
use super::memory::Content;
use super::tasks::{opening, terms, working};
use super::*;
use crate::catalog::StatusBits;
use crate::commit::contract::StoreReason;
use crate::commit::fold::Fold;
use crate::commit::fold_reason::FoldReason;
use crate::ledger::record::{StateCause, StateRecord};
use crate::lifecycle::{InactiveStatus, StateView};

const TASK: u8 = 101;

/// A store that was used for everything there is, with a checkpoint before its newest records.
fn used() -> Rig {
    let mut rig = Rig::new();
    rig.limits.checkpoint_records = 4;
    let commit = rig.start();
    block_on(async {
        let heartbeat = Some(std::time::Duration::from_secs(600));
        let lasting = TaskTerms { heartbeat, ..terms(TASK, 9, 3_600_000, None, &[]) };
        commit.submit(opened(TASK, &[], lasting)).await.unwrap();
        commit.hold(holding(Transition::Suspend, &[1]), Vec::new()).await.unwrap();
        commit.hold(holding(Transition::Retire, &[2]), Vec::new()).await.unwrap();
        let named = ["a", "b"].map(|id| contract::ConfiguredPrincipal::Agent(ClientId::parse(id).unwrap()));
        commit.remember(named.into(), None).await.unwrap();
        commit.end(death(&[3])).await.unwrap();
        commit.submit(working(1, TASK, &[])).await.unwrap();
        commit.submit(issue(2, &[], &[5])).await.unwrap();
        commit.submit(listed(&commit, 3, StatusBits::One, &[7]).0).await.unwrap();
        rig.step(1_000);
        commit.beat(TaskId::from_bytes([TASK; 16]), ShareKey::NOBODY, Vec::new()).await.unwrap();
        commit.close().await;
    });
    drop(rig.start());
    rig
}

/// The answer of a start after this change of the store, which is then taken back.
fn started(rig: &Rig, change: impl FnOnce(&mut Content)) -> Result<(), StoreReason> {
    let before = rig.disk.content().clone();
    change(&mut rig.disk.content());
    let started = rig.tried().map(drop);
    *rig.disk.content() = before;
    started
}

#[test]
fn a_stored_state_that_its_digest_does_not_name_is_refused() {
    let rig = used();
    let rows = rig.disk.content().state.clone();
    assert!(rows.len() >= 6, "{rows:?}");
    let refused =
        |change: &dyn Fn(&mut Content)| matches!(started(&rig, |content| change(content)), Err(StoreReason::Diverged(_)));
    for (key, value) in &rows {
        assert!(refused(&|content| drop(content.state.remove(key))), "without {key:?}");
        for other in rows.values().filter(|other| *other != value && other.len() == value.len()) {
            assert!(refused(&|content| drop(content.state.insert(key.clone(), other.clone()))), "{key:?}");
        }
    }
    assert!(refused(&|content| content.state.clear()));
    // An agent is active again.
    let key = [&[1], [2; 16].as_slice()].concat();
    let reason = started(&rig, |content| drop(content.state.remove(&key))).unwrap_err();
    assert!(reason.to_string().contains("recorded is generation 1, retired"), "{reason}");
    started(&rig, |_| {}).unwrap();
}

#[test]
fn a_record_that_names_another_state_is_told() {
    let take = |fold: &mut Fold, digest| {
        let record = StateRecord::new(Time::from_millis(START), StateCause::Interval, digest, 0);
        fold.take(0, &Record::State(record))
    };
    let mut fold = Fold::default();
    let digest = fold.hash.digest();
    assert_eq!(take(&mut fold, digest), Ok(()));
    assert_eq!(take(&mut fold, Digest([7; 32])), Err(FoldReason::Digest(0)));
}

#[test]
fn a_state_that_another_writer_recorded_must_be_ours() {
    let rig = Rig::new();
    let (one, other) = (rig.start(), rig.start());
    block_on(async {
        one.end(death(&[1])).await.unwrap();
        // What the other has of it in memory is not what was recorded.
        let ended = effect::Thing {
            key: GenerationKey([2; 16]),
            kind: GenerationKind::Agent,
            number: 1,
            txn: None,
            task: None,
            agent: None,
        };
        other.state().apply(0, &Effect::End { at: rig.clock.now(), things: vec![ended], until: None }, rig.clock.now());
        one.checkpoint(StateCause::Interval).await.unwrap();
        assert_eq!(other.spend(ShareKey::NOBODY, Vec::new()).await, Err(CommitReason::Unavailable));
        // It reads everything again, and goes on by what is recorded.
        eventually(|| other.state().len() == 1).await;
    });
}

#[test]
fn what_no_record_holds_is_compared_with_its_sum() {
    let rig = used();
    let refused =
        |change: &dyn Fn(&mut Content)| matches!(started(&rig, |content| change(content)), Err(StoreReason::Unrecorded));
    let task = TaskId::from_bytes([TASK; 16]);
    assert!(refused(&|content| assert!(content.single_use.pop_first().is_some())));
    assert!(refused(&|content| assert!(content.single_use.insert((Time::from_millis(START + 60_000), [77; 32])))));
    assert!(refused(&|content| assert!(content.beats.remove(&task).is_some())));
    assert!(refused(&|content| assert!(content.beats.insert(task, Time::from_millis(START + 9_000)).is_some())));
    assert!(refused(&|content| assert!(content.status.pop().is_some())));
    assert!(refused(&|content| content.status[0].place.index ^= 1));
    assert!(refused(&|content| content.status[0].generations.clear()));
    started(&rig, |_| {}).unwrap();
}

#[test]
fn terms_of_a_task_that_its_record_does_not_name_are_refused() {
    let rig = used();
    // Sealed under the right key for the right task, by whoever has the key: for ten times as long.
    let (_, generous) = TermsSealer::new(keys(1).terms).seal(terms(TASK, 9, 36_000_000, None, &[])).unwrap().into_parts();
    let reason = started(&rig, |content| content.terms.values_mut().for_each(|sealed| *sealed = generous.clone()));
    assert!(matches!(reason, Err(StoreReason::Corrupt(_))), "{reason:?}");
    let reason = started(&rig, |content| content.terms.clear());
    assert!(matches!(reason, Err(StoreReason::Corrupt(_))), "{reason:?}");
}

#[test]
fn nothing_is_issued_while_a_change_acts_that_cannot_be_written() {
    let rig = Rig::new();
    let commit = rig.start();
    // No record can have a time after 9999.
    let late = 253_402_300_800_000;
    rig.step(late - START);
    let hop = RecordHop { deadline: Time::from_millis(late + 60_000), ..issue(1, &[], &[]) };
    block_on(async {
        assert_eq!(commit.end(death(&[1])).await, Err(CommitReason::Unavailable));
        assert_eq!(commit.state().generations(&[GenerationKey([1; 16])])[0].number, 1, "it acts");
        assert_eq!(commit.submit(hop).await.unwrap_err(), CommitReason::Unavailable);
    });
    assert!(rig.kinds().is_empty());
}

#[test]
fn what_is_suspended_is_remembered_though_its_end_may_be_forgotten() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        commit.end(Revocation { until: Some(Time::from_millis(START + 10_000)), ..death(&[1]) }).await.unwrap();
        commit.hold(holding(Transition::Suspend, &[1]), Vec::new()).await.unwrap();
        for _ in 0..3 {
            rig.step(70_000);
            commit.spend(ShareKey::NOBODY, Vec::new()).await.unwrap();
            commit.checkpoint(StateCause::Interval).await.unwrap();
        }
        commit.close().await;
    });
    for commit in [commit, rig.start()] {
        let known = commit.state().generations(&[GenerationKey([1; 16])])[0];
        assert_eq!((known.number, known.inactive), (1, Some(InactiveStatus::Suspended)));
    }
}

#[test]
fn only_who_counts_for_as_much_resumes_a_task() {
    let rig = Rig::new();
    let commit = rig.start();
    let task = || Revocable {
        kind: GenerationKind::Task,
        name: Some(TaskId::from_bytes([TASK; 16]).to_string()),
        txn: Some(Txn::from_bytes([9; 16])),
        ..thing(TASK)
    };
    let hold = async |commit: &Commit, turn, by: &str| {
        let change = StatusChange { turn, things: vec![task()], by: ClientId::parse(by).unwrap(), reason: "x".into() };
        commit.hold(change, Vec::new()).await
    };
    block_on(async {
        commit.submit(opening(TASK, 9, 3_600_000, None, &[])).await.unwrap();
        hold(&commit, Transition::Suspend, "ops").await.unwrap();
        assert_eq!(hold(&commit, Transition::Resume, "orchestrator").await, Err(CommitReason::Outranked));
        hold(&commit, Transition::Suspend, "orchestrator").await.unwrap();
        assert_eq!(hold(&commit, Transition::Resume, "orchestrator").await, Err(CommitReason::Outranked));
        commit.close().await;
        let commit = rig.start();
        assert_eq!(hold(&commit, Transition::Resume, "orchestrator").await, Err(CommitReason::Outranked));
        hold(&commit, Transition::Resume, "ops").await.unwrap();
        hold(&commit, Transition::Suspend, "orchestrator").await.unwrap();
        hold(&commit, Transition::Resume, "orchestrator").await.unwrap();
    });
}
