//! What one client fills, others have room beside: for everything that requests can fill.

use super::listing::api;
use super::tasks::{opening, terms, working};
use super::*;
use crate::catalog::StatusBits;
use crate::commit::capacity::Capacity;
use crate::ledger::record::StateCause;
use crate::lifecycle::StateView;

const HOSTILE: &str = "hostile";

fn share(name: &str) -> ShareKey {
    ShareKey::of(&ClientId::parse(name).unwrap())
}

/// A commit with room for sixteen of everything.
fn sixteen() -> Rig {
    let mut rig = Rig::new();
    (rig.limits.single_use, rig.limits.generations, rig.limits.tasks, rig.limits.status) = (16, 16, 16, 16);
    rig
}

fn values(name: &str, from: u8, lasting: i64) -> Vec<SingleUse> {
    let value = |value: SingleUse| SingleUse { share: share(name), expires: Time::from_millis(START + lasting), ..value };
    issue(0, &[], &[from]).single_use.into_iter().map(value).collect()
}

/// Opens as `name`.
fn opened_by(name: &str, id: u8, out_of: Option<u8>) -> RecordHop {
    let agent = ClientId::parse(name).unwrap();
    let on: Vec<u8> = out_of.into_iter().collect();
    let terms = TaskTerms { opener: agent.clone(), holder: agent, ..terms(id, 4, 3_600_000, out_of, &on) };
    RecordHop { share: share(name), deadline: Time::from_millis(START + 3_600_000), ..opened(id, &on, terms) }
}

fn ended_by(name: &str, kind: GenerationKind, id: u8) -> Revocation {
    let task = (kind == GenerationKind::Task).then(|| TaskId::from_bytes([id; 16]).to_string());
    let ends = vec![Revocable { key: GenerationKey([id; 16]), kind, name: task, txn: Some(Txn::from_bytes([9; 16])) }];
    let until = Some(Time::from_millis(START + 3_600_000));
    Revocation { ends, by: ClientId::parse(name).unwrap(), until, ..death(&[]) }
}

fn is_share(reason: CommitReason, of: Capacity) -> bool {
    matches!(reason, CommitReason::Share(bound, seconds) if bound == of && seconds > 0)
}

#[test]
fn single_use_values_of_one_client_leave_half_of_the_memory_to_others() {
    let rig = sixteen();
    let commit = rig.start();
    block_on(async {
        for id in 1..9 {
            commit.spend(share(HOSTILE), values(HOSTILE, id, 60_000)).await.unwrap();
        }
        let more = commit.spend(share(HOSTILE), values(HOSTILE, 9, 60_000)).await.unwrap_err();
        assert!(is_share(more, Capacity::SingleUse), "{more:?}");
        commit.end_spending(ended_by(HOSTILE, GenerationKind::Hop, 1), values(HOSTILE, 10, 60_000)).await.unwrap();
        let hop = RecordHop { single_use: values("honest", 11, 60_000), share: share("honest"), ..issue(1, &[], &[]) };
        commit.submit(hop).await.unwrap();
        rig.step(61_000);
        commit.spend(share(HOSTILE), values(HOSTILE, 12, 120_000)).await.unwrap();
    });
}

/// Whoever signs for an hour fills no more than a quarter, so that short assertions have room, his own too.
#[test]
fn long_values_never_cap_short_ones() {
    let rig = sixteen();
    let commit = rig.start();
    block_on(async {
        let long = [("a", 1), ("a", 2), ("b", 3), ("c", 4)];
        let mut refused = Vec::new();
        for (name, id) in long {
            refused.extend(commit.spend(share(name), values(name, id, 3_600_000)).await.err());
        }
        let fifth = commit.spend(share("d"), values("d", 5, 3_600_000)).await.unwrap_err();
        assert!(matches!(fifth, CommitReason::Full(Capacity::LongSingleUse, _)), "{fifth:?} {refused:?}");
        assert!(refused.is_empty(), "{refused:?}");
        for (name, id) in [("a", 6), ("b", 7), ("d", 8), ("e", 9)] {
            commit.spend(share(name), values(name, id, 300_000)).await.unwrap();
        }
    });
}

#[test]
fn tasks_of_one_client_leave_room_and_give_it_back_when_they_are_over() {
    let rig = sixteen();
    let commit = rig.start();
    block_on(async {
        for id in 101..109 {
            commit.submit(opened_by(HOSTILE, id, None)).await.unwrap();
        }
        let more = commit.submit(opened_by(HOSTILE, 109, None)).await.unwrap_err();
        assert!(is_share(more, Capacity::Tasks), "{more:?}");
        commit.submit(opened_by("honest", 110, None)).await.unwrap();
        for round in 0..20 {
            commit.end(ended_by("ops", GenerationKind::Task, 101 + round % 8)).await.unwrap();
            rig.step(61_000);
            commit.checkpoint(StateCause::Interval).await.unwrap();
            let id = TaskId::from_bytes([101 + round % 8; 16]);
            assert!(commit.state().task(&id).is_none(), "{round}: a minute after its end nothing tells of it");
            if round < 8 {
                commit.submit(opened_by(HOSTILE, 121 + round, None)).await.unwrap();
            }
        }
        assert_eq!(commit.state().tasks_len(), 9);
    });
}

/// With what it depends on: nothing is presented of a task below one that ended, and it keeps no place.
#[test]
fn what_lies_below_a_task_that_ended_is_over_too_unless_it_is_suspended() {
    let rig = sixteen();
    let commit = rig.start();
    let child = |id: u8| TaskId::from_bytes([id; 16]);
    block_on(async {
        commit.submit(opening(101, 9, 3_600_000, None, &[])).await.unwrap();
        for id in [102, 103] {
            commit.submit(opening(id, 2, 3_600_000, Some(101), &[101])).await.unwrap();
        }
        let suspended = Revocable { kind: GenerationKind::Task, name: Some(child(103).to_string()), ..thing(103) };
        let change = StatusChange { things: vec![suspended], ..holding(Transition::Suspend, &[]) };
        commit.hold(change, Vec::new()).await.unwrap();
        commit.end(ended_by("ops", GenerationKind::Task, 101)).await.unwrap();
        rig.step(61_000);
        commit.checkpoint(StateCause::Interval).await.unwrap();
        let deadline = Time::from_millis(START + 3_600_000);
        for id in [102, 103] {
            let hop = RecordHop { deadline, ..working(id, id, &[101]) };
            assert_eq!(commit.submit(hop).await.unwrap_err(), CommitReason::Died, "{id}");
        }
        let state = commit.state();
        assert_eq!([101, 102, 103].map(|id| state.task(&child(id)).is_some()), [false, false, true]);
        rig.step(3_700_000);
        commit.spend(ShareKey::NOBODY, Vec::new()).await.unwrap();
        commit.checkpoint(StateCause::Interval).await.unwrap();
        assert!(state.task(&child(103)).is_none() && state.is_empty(), "{:?}", state.len());
        commit.close().await;
        rig.start().close().await;
    });
}

#[test]
fn the_tasks_of_an_agent_that_is_retired_keep_no_place() {
    let rig = sixteen();
    let commit = rig.start();
    block_on(async {
        for id in 101..109 {
            commit.submit(opened_by(HOSTILE, id, None)).await.unwrap();
        }
        let agent = Revocable { name: Some(HOSTILE.to_owned()), ..thing(1) };
        commit.hold(StatusChange { things: vec![agent], ..holding(Transition::Retire, &[]) }, Vec::new()).await.unwrap();
        assert_eq!(commit.state().tasks_len(), 0);
    });
}

/// Deaths always pass; whoever has ended as much as is left to others gets nothing new that could need another.
#[test]
fn whoever_ends_a_lot_stops_nobody_else() {
    let rig = sixteen();
    let commit = rig.start();
    block_on(async {
        for id in 1..11 {
            commit.end(ended_by(HOSTILE, GenerationKind::Hop, id)).await.unwrap();
        }
        let more = RecordHop { share: share(HOSTILE), ..issue(20, &[], &[]) };
        let more = commit.submit(more).await.unwrap_err();
        assert!(is_share(more, Capacity::LiveEntries), "{more:?}");
        commit.submit(RecordHop { share: share("honest"), ..issue(21, &[], &[]) }).await.unwrap();
        rig.step(3_700_000);
        commit.checkpoint(StateCause::Interval).await.unwrap();
        let deadline = Time::from_millis(START + 7_200_000);
        commit.submit(RecordHop { share: share(HOSTILE), deadline, ..issue(22, &[], &[]) }).await.unwrap();
    });
}

#[test]
fn places_in_status_lists_are_shared() {
    let rig = sixteen();
    let commit = rig.start();
    let reserve = |who: &str| {
        let expires = Time::from_millis(START + 60_000);
        let place = commit.status_lists().reserve((&api(), StatusBits::One), expires, share(who))?;
        commit.status_lists().add(Registration { place, expires, share: share(who), generations: Vec::new() });
        Ok::<(), CommitReason>(())
    };
    (0..8).for_each(|_| reserve(HOSTILE).unwrap());
    let more = reserve(HOSTILE).unwrap_err();
    assert!(is_share(more, Capacity::StatusTokens), "{more:?}");
    reserve("honest").unwrap();
    block_on(commit.close());
}

/// Every bound has a fill: a limit that is added does not compile before somebody says what fills it, or that nothing does.
#[test]
fn how_full_each_bound_is_can_be_told() {
    let rig = sixteen();
    let commit = rig.start();
    let Limits {
        issues,
        revocations,
        refusals,
        single_use,
        generations,
        status,
        tasks,
        // A rate, a cache that forgets, and what nobody fills.
        refusals_per_minute: _,
        subject_keys: _,
        checkpoint_records: _,
        checkpoint_pause: _,
        sweep: _,
        retry: _,
        clock_behind: _,
    } = rig.limits;
    let places = |of: Capacity| match of {
        Capacity::SingleUse => single_use,
        Capacity::LongSingleUse => single_use / 4,
        Capacity::LiveEntries => generations,
        Capacity::Tasks => tasks,
        Capacity::StatusTokens => status,
        Capacity::Queue => issues,
        Capacity::Revocations => revocations,
        Capacity::Refusals => refusals,
    };
    let taken = || Capacity::NAMES.map(|(_, of)| commit.fill(of).taken);
    assert!(Capacity::NAMES.iter().all(|(_, of)| commit.fill(*of).places == places(*of)));
    assert_eq!(taken(), [0; 8]);
    let before = Capacity::Tasks.exhausted();
    block_on(async {
        commit.spend(share("a"), values("a", 1, 60_000)).await.unwrap();
        commit.spend(share("a"), values("a", 2, 3_600_000)).await.unwrap();
        commit.submit(opened_by("a", 101, None)).await.unwrap();
        commit.end(ended_by("a", GenerationKind::Hop, 1)).await.unwrap();
        commit.submit(super::listing::listed(&commit, 3, StatusBits::One, &[]).0).await.unwrap();
        eventually(|| taken() == [2, 1, 1, 1, 1, 0, 0, 0]).await;
        for id in 102..109 {
            commit.submit(opened_by("a", id, None)).await.unwrap();
        }
        assert!(commit.submit(opened_by("a", 109, None)).await.is_err());
        rig.step(4_000_000);
        commit.spend(share("a"), values("a", 4, 5_000_000)).await.unwrap();
        assert_eq!((commit.fill(Capacity::SingleUse).taken, commit.fill(Capacity::LongSingleUse).taken), (1, 1));
    });
    assert!(Capacity::Tasks.exhausted() > before);
}
