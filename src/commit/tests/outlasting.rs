//! Nothing that decides is forgotten, and a suspension destroys nothing, however much time passes.

use std::collections::HashSet;
use std::time::Duration;

use super::tasks::{opening, terms};
use super::*;
use crate::commit::RecordedState;
use crate::commit::effect::Thing;
use crate::ledger::record::StateCause;
use crate::lifecycle::{InactiveStatus, StateView};

const TASK: u8 = 101;
const AGENT: u8 = 1;
const HOUR: i64 = 3_600_000;

/// The generation and the status of each.
fn standing(commit: &Commit) -> Vec<(u64, Option<InactiveStatus>)> {
    let known = commit.state().generations(&[1, 2, 3].map(|id| GenerationKey([id; 16])));
    known.into_iter().map(|known| (known.number, known.inactive)).collect()
}

#[test]
fn what_is_suspended_retired_or_ended_stays_so_when_the_task_that_depended_on_it_is_forgotten() {
    for checkpoints in [false, true] {
        let rig = Rig::new();
        let mut commit = rig.start();
        block_on(async {
            commit.submit(opening(TASK, 3, 5_000, None, &[1, 2, 3])).await.unwrap();
            commit.hold(holding(Transition::Suspend, &[1]), Vec::new()).await.unwrap();
            commit.hold(holding(Transition::Retire, &[2]), Vec::new()).await.unwrap();
            commit.end(death(&[3])).await.unwrap();
            let expected = [(0, Some(InactiveStatus::Suspended)), (1, Some(InactiveStatus::Retired)), (1, None)];
            for pause in [70_000, 330_000, 90_000_000] {
                rig.step(pause);
                commit.spend(ShareKey::NOBODY, Vec::new()).await.unwrap();
                if checkpoints {
                    commit.checkpoint(StateCause::Interval).await.unwrap();
                }
                assert_eq!(standing(&commit), expected, "{pause} ms later");
                commit.close().await;
                commit = rig.start();
                assert_eq!(standing(&commit), expected, "{pause} ms later, after a restart");
                for on in [1, 2, 3] {
                    let deadline = Time::from_millis(rig.clock.now().millis() + 60_000);
                    let refused = commit.submit(RecordHop { deadline, ..issue(on, &[on], &[]) }).await;
                    assert_eq!(refused.unwrap_err(), CommitReason::Died, "{on}, {pause} ms later");
                }
            }
            assert!(commit.state().task(&TaskId::from_bytes([TASK; 16])).is_none(), "the task itself is forgotten");
        });
    }
}

/// A task of nine hours with a heartbeat of ten seconds, on an agent.
fn waited_for() -> RecordHop {
    let heartbeat = Some(Duration::from_secs(10));
    opened(TASK, &[AGENT], TaskTerms { heartbeat, ..terms(TASK, 9, 9 * HOUR, None, &[AGENT]) })
}

/// True while the task, and the agent that it is on, may act.
fn works(commit: &Commit, rig: &Rig) -> bool {
    let on = [AGENT, TASK].map(|id| Generation { key: GenerationKey([id; 16]), number: 0 });
    crate::lifecycle::liveness::alive(&*commit.state(), &on, rig.clock.now()).is_ok()
}

/// From now on it is waited for as for one that is new.
async fn goes_on(commit: &Commit, rig: &Rig) {
    assert!(works(commit, rig));
    rig.step(9_999);
    commit.beat(TaskId::from_bytes([TASK; 16]), ShareKey::NOBODY, Vec::new()).await.unwrap();
    rig.step(9_999);
    assert!(works(commit, rig));
    rig.step(1);
    assert!(!works(commit, rig), "its heartbeat is missed");
}

#[test]
fn a_task_goes_on_when_its_agent_was_suspended_for_hours() {
    let rig = Rig::new();
    let mut commit = rig.start();
    block_on(async {
        commit.submit(waited_for()).await.unwrap();
        rig.step(9_000);
        commit.hold(holding(Transition::Suspend, &[AGENT]), Vec::new()).await.unwrap();
        for _hour in 0..7 {
            rig.step(HOUR);
            commit.spend(ShareKey::NOBODY, Vec::new()).await.unwrap();
            assert!(!works(&commit, &rig));
            commit.close().await;
            commit = rig.start();
        }
        commit.hold(holding(Transition::Resume, &[AGENT]), Vec::new()).await.unwrap();
        goes_on(&commit, &rig).await;
    });
}

#[test]
fn a_task_goes_on_when_the_configuration_suspended_its_agent_for_hours() {
    let rig = Rig::new();
    let mut commit = rig.start();
    let suspended = || HashSet::from([GenerationKey([AGENT; 16])]);
    block_on(async {
        commit.submit(waited_for()).await.unwrap();
        rig.step(9_000);
        commit.suspend_configured(suspended());
        for _hour in 0..7 {
            commit.spend(ShareKey::NOBODY, Vec::new()).await.unwrap();
            rig.step(HOUR);
            commit.spend(ShareKey::NOBODY, Vec::new()).await.unwrap();
            commit.close().await;
            let store = MemoryStore::new(&rig.disk, &rig.faults);
            let (keys, limits) = (keys(rig.root), rig.limits.clone());
            commit = Commit::start_suspending(Box::new(store), rig.clock.clone(), keys, limits, suspended()).unwrap();
        }
        commit.suspend_configured(HashSet::new());
        commit.spend(ShareKey::NOBODY, Vec::new()).await.unwrap();
        goes_on(&commit, &rig).await;
        assert!(!rig.kinds().contains(&Kind::Death));
    });
}

/// Whoever folds all records at once and whoever looked in between forget the same, to the millisecond.
#[test]
fn a_later_end_is_forgotten_at_its_time_whether_or_not_somebody_looked_before() {
    let at = |millis: i64| Time::from_millis(START + millis);
    let hop =
        |number| Thing { key: GenerationKey([7; 16]), kind: GenerationKind::Hop, number, txn: None, task: None, agent: None };
    let mut unseen = RecordedState::default();
    for (number, until) in [(1, 10_000), (2, 20_000)] {
        unseen.apply(number, &Effect::End { at: at(0), things: vec![hop(number)], until: Some(at(until)) }).unwrap();
    }
    let mut looked = unseen.clone();
    looked.forget(at(15_000));
    for (now, left) in [(19_999, 1), (20_000, 1), (20_999, 1), (21_000, 0)] {
        for state in [&unseen, &looked] {
            let mut state = state.clone();
            state.forget(at(now));
            assert_eq!(state.generations().len(), left, "{now} ms");
        }
    }
}
