//! Two writers on one store, as two replicas are: each judges by what the other committed, which it learns under the lock.

use std::collections::BTreeSet;

use super::listing::{EXPIRES, api, listed, told};
use super::memory::Fault;
use super::tasks::{left, opening, working};
use super::*;
use crate::catalog::StatusBits;
use crate::commit::contract::ConfiguredPrincipal;
use crate::lifecycle::status::TAKEN_MAX;
use crate::lifecycle::{InactiveStatus, StateView};

#[test]
fn each_writer_judges_by_what_the_other_committed() {
    let rig = Rig::new();
    let (one, other) = (rig.start(), rig.start());
    block_on(async {
        one.submit(issue(1, &[1], &[1])).await.unwrap();
        one.end(death(&[1])).await.unwrap();
        one.hold(holding(Transition::Suspend, &[2]), Vec::new()).await.unwrap();
        assert_eq!(other.submit(issue(2, &[1], &[])).await.unwrap_err(), CommitReason::Died);
        assert_eq!(other.submit(issue(3, &[2], &[])).await.unwrap_err(), CommitReason::Died);
        assert_eq!(other.submit(issue(4, &[], &[1])).await.unwrap_err(), CommitReason::Spent);
        other.hold(holding(Transition::Resume, &[2]), Vec::new()).await.unwrap();
        let receipt = one.submit(issue(5, &[2], &[])).await.unwrap();
        assert_eq!(receipt.index(), 4, "what was refused has no record");
        other.hold(holding(Transition::Retire, &[2]), Vec::new()).await.unwrap();
        let resumed = one.hold(holding(Transition::Resume, &[2]), Vec::new()).await;
        assert_eq!(resumed, Err(CommitReason::Retired));
        let configured = BTreeSet::from([ConfiguredPrincipal::Agent(ClientId::parse("a").unwrap())]);
        one.remember(configured.clone(), None).await.unwrap();
        other.spend(ShareKey::NOBODY, Vec::new()).await.unwrap();
        assert_eq!(other.in_force(), Some(configured));
        assert_eq!(other.durable().records(), 7);
    });
    let state = |commit: &Commit| commit.state().generations(&[1, 2].map(|id| GenerationKey([id; 16])));
    assert_eq!(state(&one), state(&other));
    assert_eq!(state(&one)[1].inactive, Some(InactiveStatus::Retired));
}

#[test]
fn an_uncertain_batch_is_found_among_what_the_other_committed_meanwhile() {
    for fault in [Fault::FlushLost, Fault::FlushLanded] {
        let rig = Rig::new();
        let failing = Rig { disk: rig.disk.clone(), ..Rig::new() };
        let (one, other) = (rig.start(), failing.start());
        let configured = BTreeSet::from([ConfiguredPrincipal::Agent(ClientId::parse("a").unwrap())]);
        block_on(async {
            one.submit(issue(1, &[], &[])).await.unwrap();
            failing.faults.set(fault, 1);
            failing.faults.set(Fault::Open, u32::MAX);
            let (uncertain, _) = listed(&other, 2, StatusBits::One, &[]);
            assert_eq!(other.submit(uncertain).await.unwrap_err(), CommitReason::Unavailable, "{fault:?}");
            let (hop, place) = listed(&one, 3, StatusBits::One, &[5]);
            one.submit(hop).await.unwrap();
            one.end(death(&[1])).await.unwrap();
            one.remember(configured.clone(), None).await.unwrap();
            // More than a store shows of its newest records when it is opened.
            for id in 100..180 {
                one.submit(issue(id, &[], &[])).await.unwrap();
            }
            failing.faults.heal();
            eventually(|| other.is_available()).await;
            assert_eq!(other.in_force(), Some(configured), "{fault:?}");
            let landed = usize::from(fault == Fault::FlushLanded);
            assert_eq!(other.status_lists().len(), 1 + landed, "{fault:?}");
            assert_eq!(other.submit(issue(4, &[1], &[])).await.unwrap_err(), CommitReason::Died);
            one.end(death(&[5])).await.unwrap();
            other.submit(issue(6, &[], &[])).await.unwrap();
            eventually(|| told(&other, place) == Some(1)).await;
            assert_eq!(rig.kinds().iter().filter(|kind| **kind == Kind::Withheld).count(), landed, "{fault:?}");
        });
    }
}

#[test]
fn a_place_of_a_list_that_the_other_took_first_is_taken() {
    let rig = Rig::new();
    let (one, other) = (rig.start(), rig.start());
    let reserve = |commit: &Commit| {
        commit.status_lists().reserve((&api(), StatusBits::One), Time::from_millis(EXPIRES), ShareKey::NOBODY).unwrap()
    };
    // So many that they have places in common.
    let mine: Vec<ReservedPlace> = (0..20).map(|_| reserve(&one)).collect();
    let mut theirs: Vec<ReservedPlace> = (0..TAKEN_MAX).map(|_| reserve(&other)).collect();
    let common = |mine: &ReservedPlace| theirs.iter().position(|theirs| theirs.place() == mine.place());
    let (mine, at) = mine.into_iter().find_map(|mine| common(&mine).map(|at| (mine, at))).unwrap();
    let place = mine.place();
    let hop = |id, place| {
        let issue = issue(id, &[7], &[]);
        let registration = Registration {
            place,
            expires: Time::from_millis(EXPIRES),
            share: ShareKey::NOBODY,
            generations: issue.generations.clone(),
        };
        RecordHop { status: Some(Box::new(registration)), ..issue }
    };
    block_on(async {
        one.submit(hop(1, mine)).await.unwrap();
        assert_eq!(other.submit(hop(2, theirs.swap_remove(at))).await.unwrap_err(), CommitReason::Busy);
        assert_eq!(rig.kinds(), [Kind::Hop]);
        one.end(death(&[7])).await.unwrap();
        other.spend(ShareKey::NOBODY, Vec::new()).await.unwrap();
        eventually(|| told(&other, place) == Some(1)).await;
    });
    drop(theirs);
    assert_eq!(other.status_lists().len(), 1);
    let again: Vec<ReservedPlace> = (1..TAKEN_MAX).map(|_| reserve(&other)).collect();
    assert!(again.iter().all(|again| again.place().list == place.list && again.place() != place), "it counts once");
}

#[test]
fn time_runs_forwards_whoever_commits() {
    let rig = Rig::new();
    let behind = Rig { disk: rig.disk.clone(), ..Rig::new() };
    let (one, other) = (rig.start(), behind.start());
    block_on(async {
        rig.step(900);
        let first = one.submit(issue(1, &[], &[])).await.unwrap();
        let second = other.submit(issue(2, &[], &[])).await.unwrap();
        assert_eq!(second.at(), first.at(), "the newest committed time stands in for a clock that is behind it");
        rig.step(200);
        one.submit(issue(3, &[], &[])).await.unwrap();
        assert_eq!(other.submit(issue(4, &[], &[])).await.unwrap_err(), CommitReason::ClockBehind);
    });
}

#[test]
fn contested_values_budgets_and_indexes_count_once() {
    let rig = Rig::new();
    let writers = [rig.start(), rig.start()];
    block_on(writers[0].submit(opening(101, 60, 60_000, None, &[]))).unwrap();
    let attempt = |thread: usize, value: u8| {
        let receipt = block_on(writers[thread % 2].submit(contested(thread, value)));
        receipt.map(|receipt| (value, receipt.index()))
    };
    let outcomes: Vec<Result<(u8, u64), CommitReason>> = std::thread::scope(|scope| {
        let attempt = &attempt;
        let work = |thread: usize| scope.spawn(move || (0..90).map(|value| attempt(thread, value)).collect::<Vec<_>>());
        let threads: Vec<_> = (0..4).map(work).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let won: Vec<(u8, u64)> = outcomes.iter().filter_map(|outcome| outcome.ok()).collect();
    let distinct = |of: fn(&(u8, u64)) -> u64| won.iter().map(of).collect::<BTreeSet<u64>>();
    assert_eq!(won.len(), 60, "as many as the budget has");
    assert_eq!(distinct(|(value, _)| u64::from(*value)).len(), 60, "no value twice");
    assert_eq!(distinct(|(_, index)| *index), (1..61).collect(), "no index twice, and none left out");
    let expected = [CommitReason::Spent, CommitReason::Budget];
    assert!(outcomes.iter().filter_map(|outcome| outcome.err()).all(|reason| expected.contains(&reason)));
    writers.iter().for_each(|writer| block_on(writer.spend(ShareKey::NOBODY, Vec::new())).unwrap());
    assert_eq!(writers.each_ref().map(|writer| left(writer, 101)), [0, 0]);
}

/// A hop in the task that spends a value for which other threads compete.
fn contested(thread: usize, value: u8) -> RecordHop {
    let hop = working(u8::try_from(thread).unwrap() * 10 + value % 10, 101, &[]);
    RecordHop { single_use: issue(0, &[], &[value]).single_use, ..hop }
}
