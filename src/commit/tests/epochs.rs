//! Going back in time begins an epoch: what was issued, opened or spent before counts no longer, what ended for good stays so,
//! and things are issued again at once.

use std::collections::BTreeSet;

use super::tasks::opening;
use super::*;
use crate::commit::fold::Fold;
use crate::ledger::record::{LostCheckpoint, StateCause};
use crate::lifecycle::{GenerationState, InactiveStatus, StateView, liveness};

pub(super) const FAR: i64 = 400 * 86_400_000;

pub(super) fn in_epoch(number: u64) -> Generation {
    Generation { key: GenerationKey::EPOCH, number }
}

/// A hop of the epoch `number` that depends on life 0 of `generations`, by the clock of now.
pub(super) fn hop(rig: &Rig, id: u8, number: u64, generations: &[u8]) -> RecordHop {
    let mut hop = issue(id, generations, &[]);
    hop.generations.extend((number > 0).then_some(in_epoch(number)));
    RecordHop { deadline: Time::from_millis(rig.clock.now().millis() + 60_000), ..hop }
}

fn value(rig: &Rig, id: u8, issued: i64) -> SingleUse {
    let now = rig.clock.now().millis();
    let (issued, expires) = (Time::from_millis(now + issued), Time::from_millis(now + 300_000));
    SingleUse { digest: [id; 32], expires, issued, kind: SingleUseKind::Assertion, share: ShareKey::NOBODY }
}

fn generation(commit: &Commit, id: u8) -> GenerationState {
    commit.state().generations(&[GenerationKey([id; 16])])[0]
}

fn lives(commit: &Commit, on: &[Generation], rig: &Rig) -> bool {
    liveness::alive(&*commit.state(), on, rig.clock.now()).is_ok()
}

/// Row 1 of the kind: one exchange under a clock far ahead, and the clock is right again.
#[test]
fn one_command_ends_the_epoch_of_a_clock_that_was_ahead() {
    let rig = Rig::new();
    let mut commit = rig.start();
    block_on(commit.submit(hop(&rig, 1, 0, &[1]))).unwrap();
    rig.step(FAR);
    block_on(commit.submit(hop(&rig, 2, 0, &[1]))).unwrap();
    rig.step(-FAR);
    assert_eq!(block_on(commit.submit(hop(&rig, 3, 0, &[1]))).unwrap_err(), CommitReason::ClockBehind);
    assert_eq!(block_on(commit.correct_clock("NTP".to_owned())), Ok(1));
    for _ in 0..2 {
        assert_eq!(commit.state().floor(), rig.clock.now());
        assert!(!lives(&commit, &issue(1, &[1], &[]).generations, &rig), "of the epoch before");
        assert_eq!(block_on(commit.submit(hop(&rig, 4, 0, &[1]))).unwrap_err(), CommitReason::Died);
        assert_eq!(block_on(commit.submit(hop(&rig, 4, 2, &[1]))).unwrap_err(), CommitReason::Died, "of none yet");
        block_on(commit.submit(hop(&rig, 5, 1, &[1]))).unwrap();
        assert!(lives(&commit, &hop(&rig, 5, 1, &[1]).generations, &rig));
        assert_eq!(block_on(commit.hindrances()), []);
        block_on(commit.close());
        commit = rig.start();
    }
    assert_eq!(rig.kinds().iter().filter(|kind| **kind == Kind::Epoch).count(), 1);
}

#[test]
fn an_epoch_is_refused_where_nothing_is_ahead_of_the_clock() {
    let rig = Rig::new();
    let commit = rig.start();
    let correct = || block_on(commit.correct_clock(String::new()));
    block_on(commit.submit(hop(&rig, 1, 0, &[]))).unwrap();
    for step in [0, 5_000, -1_000, -4_000 + 4_000] {
        rig.step(step);
        assert_eq!(correct(), Err(CommitReason::ClockRight), "{step}");
    }
    assert_eq!(block_on(commit.correct_clock("x".repeat(1_025))), Err(CommitReason::TooLarge));
    block_on(commit.end(death(&[1]))).unwrap();
    rig.step(-1_001);
    assert_eq!(correct(), Ok(1));
    assert_eq!(correct(), Err(CommitReason::ClockRight), "once is enough");
    rig.step(-60_000);
    assert_eq!(correct(), Ok(2));
}

/// The memory of what was spent before goes with the time by which it was forgotten, so nothing that was made before counts.
#[test]
fn what_was_made_before_an_epoch_is_not_spent_in_it() {
    let rig = Rig::new();
    let mut commit = rig.start();
    let spend = |commit: &Commit, value: SingleUse| block_on(commit.spend(ShareKey::NOBODY, vec![value]));
    let spent = value(&rig, 1, 0);
    spend(&commit, spent).unwrap();
    rig.step(FAR);
    block_on(commit.submit(hop(&rig, 1, 0, &[]))).unwrap();
    rig.step(-FAR);
    assert_eq!(spend(&commit, spent), Err(CommitReason::ClockBehind));
    block_on(commit.correct_clock(String::new())).unwrap();
    let made = [(-100_000, false), (0, false), (60_000, false), (60_001, true)].map(|(at, counts)| (value(&rig, 2, at), counts));
    for _ in 0..2 {
        assert_eq!(spend(&commit, spent), Err(CommitReason::Forgotten));
        for (value, counts) in &made {
            assert_eq!(commit.look(&[*value], rig.clock.now()).is_ok(), *counts, "{value:?}");
        }
        block_on(commit.close());
        commit = rig.start();
    }
    spend(&commit, made[3].0).unwrap();
    assert_eq!(spend(&commit, made[3].0), Err(CommitReason::Spent));
}

#[test]
fn what_has_a_date_is_forgotten_with_its_epoch_and_what_has_none_stays() {
    let rig = Rig::new();
    let mut commit = rig.start();
    let dated = Revocation { until: Some(Time::from_millis(START + FAR)), ..death(&[1]) };
    block_on(async {
        commit.submit(opening(20, 9, 80_000_000, None, &[])).await.unwrap();
        commit.end(dated).await.unwrap();
        commit.hold(holding(Transition::Retire, &[2]), vec![]).await.unwrap();
        commit.hold(holding(Transition::Suspend, &[3]), vec![]).await.unwrap();
    });
    rig.step(FAR);
    block_on(commit.end(death(&[4]))).unwrap();
    rig.step(-FAR);
    block_on(commit.correct_clock(String::new())).unwrap();
    for _ in 0..2 {
        assert_eq!(generation(&commit, 1), GenerationState::default(), "nothing could present what ended with it");
        assert_eq!(generation(&commit, 2).inactive, Some(InactiveStatus::Retired));
        assert_eq!(generation(&commit, 3).inactive, Some(InactiveStatus::Suspended));
        let ended = generation(&commit, 4);
        assert_eq!((ended.number, ended.ended), (1, Some(rig.clock.now())), "or no evidence of now would count for long");
        assert!(commit.state().tasks().is_empty());
        assert!(rig.disk.content().terms.is_empty());
        block_on(commit.close());
        commit = rig.start();
    }
}

/// Else its suspension, which has no date, would be remembered for ever.
#[test]
fn a_suspended_task_of_an_epoch_before_is_forgotten_when_its_time_is_over() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        commit.submit(opening(20, 9, 80_000_000, None, &[])).await.unwrap();
        let task = commit.state().tasks()[0].terms.revocable();
        commit.hold(StatusChange { things: vec![task], ..holding(Transition::Suspend, &[1]) }, vec![]).await.unwrap();
        rig.step(2_000);
        commit.end(death(&[1])).await.unwrap();
        rig.step(-2_000);
        commit.correct_clock(String::new()).await.unwrap();
    });
    assert_eq!(commit.state().tasks().len(), 1);
    assert!(!lives(&commit, &commit.state().tasks()[0].terms.generations, &rig));
    rig.step(90_000_000);
    block_on(commit.end(death(&[2]))).unwrap();
    rig.step(90_000_000);
    for id in [3, 4] {
        block_on(commit.end(death(&[id]))).unwrap();
    }
    assert_eq!(commit.state().tasks(), []);
    assert_eq!(commit.state().len(), 5, "four agents and the epoch");
}

/// A store in which an epoch begins because a copy took its place.
pub(super) fn restored(rig: &Rig, number: u64, holds: bool) -> Result<Rebuilt, contract::StoreReason> {
    let before = LostCheckpoint { origin: "log.example".into(), root: Digest([7; 32]), size: 99 };
    let epoch = RestoredEpoch { number, before: holds.then_some(before), reason: "set back".to_owned() };
    let mut store = MemoryStore::new(&rig.disk, &rig.faults);
    rebuild(&mut store, keys(1), &*rig.clock, Some(&epoch), |_, _| {})
}

/// What was issued and spent in time that is lost does not come back either, for no later epoch has the number of one of then.
#[test]
fn an_epoch_without_records_that_were_signed_is_held_until_an_operator_accepts() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(commit.submit(issue(1, &[], &[1]))).unwrap();
    block_on(commit.close());
    let first = first_epoch_of_log(1);
    restored(&rig, first, true).unwrap();
    assert!(restored(&rig, first, true).is_err(), "none has the number of one before");
    let mut commit = rig.start();
    let digest = Digest([1; 32]);
    for (by, held) in [(None, true), (Some("files"), true), (Some("ops"), false), (Some("files"), false)] {
        block_on(commit.remember(BTreeSet::new(), by.map(|by| (digest, by)))).unwrap();
        assert_eq!((commit.state().epoch(), commit.state().is_held()), (first, held), "{by:?}");
        let number = commit.state().epoch();
        assert_eq!(lives(&commit, &[in_epoch(number)], &rig), !held);
        assert!(!lives(&commit, &[in_epoch(1)], &rig), "of a clock that was corrected in time that is lost");
        block_on(commit.close());
        commit = rig.start();
    }
    assert_eq!(block_on(commit.spend(ShareKey::NOBODY, issue(0, &[], &[1]).single_use)), Err(CommitReason::Forgotten));
    block_on(commit.submit(hop(&rig, 3, first, &[]))).unwrap();
    block_on(commit.close());
    restored(&rig, first + 1, false).unwrap();
    let commit = rig.start();
    assert!(!commit.state().is_held(), "nothing that was signed is lost");
    assert_eq!(block_on(commit.submit(hop(&rig, 4, first, &[]))).unwrap_err(), CommitReason::Died);
    assert_eq!([0, 1, first - 1, first, first + 9].map(log_of_epoch), [0, 0, 0, 1, 1]);
}

/// Terms of tasks lie in the store alone. Those of a task that only the lost store had are missed by nobody, for it is over; one
/// that was suspended would else be remembered without them.
#[test]
fn tasks_whose_terms_are_lost_are_over_and_forgotten() {
    let rig = Rig::new();
    let suspend = |commit: &Commit, id: u8| {
        let task = commit.state().task(&TaskId::from_bytes([id; 16])).unwrap().terms.revocable();
        let change = StatusChange { things: vec![task], ..holding(Transition::Suspend, &[1]) };
        block_on(commit.hold(change, vec![])).unwrap();
    };
    let commit = rig.start();
    block_on(commit.submit(opening(20, 9, 80_000_000, None, &[]))).unwrap();
    block_on(commit.submit(opening(21, 9, 80_000_000, None, &[]))).unwrap();
    suspend(&commit, 20);
    block_on(commit.close());
    let copy = rig.disk.content().clone();
    let commit = rig.start();
    for id in 22..25 {
        block_on(commit.submit(opening(id, 9, 80_000_000, None, &[]))).unwrap();
    }
    suspend(&commit, 23);
    suspend(&commit, 24);
    block_on(commit.end(death(&[5]))).unwrap();
    block_on(commit.close());
    let records = rig.disk.rows();
    *rig.disk.content() = copy;
    let has = rig.disk.rows().len();
    let mut store = MemoryStore::new(&rig.disk, &rig.faults);
    contract::CommitStore::open(&mut store).unwrap();
    contract::CommitStore::fold_in(&mut store, &records[has..]).unwrap();
    drop(store);
    assert!(rig.tried().is_err(), "nobody starts on it before the epoch begins");
    restored(&rig, 1, false).unwrap();
    for _ in 0..2 {
        let commit = rig.start();
        let tasks: Vec<TaskId> = commit.state().tasks().iter().map(|task| task.terms.id).collect();
        assert_eq!(tasks, [TaskId::from_bytes([20; 16])], "its terms are there, and its suspension ends with its time");
        assert_eq!(generation(&commit, 5).number, 1);
        let dead = hop(&rig, 30, 0, &[20]);
        assert!(!lives(&commit, &dead.generations, &rig));
        assert_eq!(rig.disk.content().terms.len(), 1);
        block_on(commit.close());
    }
    assert_eq!(rig.disk.rows()[has..records.len()], records[has..], "as they were");
}

/// Until when an end is remembered is asked of the tasks that are left, whether or not the server was started again meanwhile.
#[test]
fn a_task_that_stays_beyond_its_epoch_counts_for_the_ends_of_its_transaction() {
    for restarts in [false, true] {
        let rig = Rig::new();
        let mut commit = rig.start();
        rig.step(FAR);
        block_on(async {
            for id in [20, 21] {
                let deadline = Time::from_millis(START + FAR + 60_000);
                commit.submit(RecordHop { deadline, ..opening(id, 9, 2 * FAR, None, &[]) }).await.unwrap();
            }
            let things = vec![commit.state().task(&TaskId::from_bytes([20; 16])).unwrap().terms.revocable()];
            commit.hold(StatusChange { things, ..holding(Transition::Suspend, &[1]) }, vec![]).await.unwrap();
            rig.step(-FAR);
            commit.correct_clock(String::new()).await.unwrap();
            commit.checkpoint(StateCause::Interval).await.unwrap();
        });
        if restarts {
            block_on(commit.close());
            commit = rig.start();
        }
        let until = Some(Time::from_millis(START + 90_000));
        block_on(commit.end(Revocation { until, ..death(&[7]) })).unwrap();
        block_on(commit.checkpoint(StateCause::Interval)).unwrap();
        block_on(commit.close());
        let mut fold = Fold::default();
        for row in rig.disk.rows() {
            fold.take(row.index, &Record::parse(&row.record).unwrap()).unwrap();
        }
    }
}
