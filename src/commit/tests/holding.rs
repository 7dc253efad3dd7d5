//! Suspending, resuming, retiring.

use super::memory::Fault;
use super::*;
use crate::lifecycle::{InactiveStatus, StateView};

fn hold_of(commit: &Commit, id: u8) -> (u64, Option<InactiveStatus>) {
    let life = commit.state().generations(&[GenerationKey([id; 16])])[0];
    (life.number, life.inactive)
}

#[test]
fn what_is_suspended_issues_nothing_and_comes_back_as_it_was() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        commit.submit(issue(1, &[1], &[])).await.unwrap();
        commit.hold(holding(Transition::Suspend, &[1]), Vec::new()).await.unwrap();
        assert_eq!(commit.submit(issue(2, &[1], &[])).await.unwrap_err(), CommitReason::Died);
        commit.submit(issue(3, &[2], &[])).await.unwrap();
        commit.close().await;
    });
    let commit = rig.start();
    block_on(async {
        assert_eq!(hold_of(&commit, 1), (0, Some(InactiveStatus::Suspended)), "a restart forgets nothing");
        commit.hold(holding(Transition::Resume, &[1]), Vec::new()).await.unwrap();
        commit.submit(issue(4, &[1], &[])).await.unwrap();
        commit.close().await;
    });
    assert_eq!(rig.kinds(), [Kind::Hop, Kind::Suspension, Kind::Hop, Kind::Resumption, Kind::Hop]);
    assert_eq!(hold_of(&rig.start(), 1), (0, None));
}

#[test]
fn what_is_retired_never_comes_back_and_nothing_joins_it() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        commit.hold(holding(Transition::Retire, &[1]), Vec::new()).await.unwrap();
        let mut joining = issue(1, &[1], &[]);
        assert_eq!(commit.submit(joining).await.unwrap_err(), CommitReason::Died, "the old life");
        joining = issue(1, &[1], &[]);
        joining.generations[0].number = 1;
        assert_eq!(commit.submit(joining).await.unwrap_err(), CommitReason::Died, "the new life");
        assert_eq!(commit.hold(holding(Transition::Resume, &[2, 1]), Vec::new()).await, Err(CommitReason::Retired));
        commit.hold(holding(Transition::Suspend, &[1]), Vec::new()).await.unwrap();
        commit.end(death(&[1])).await.unwrap();
        commit.end(Revocation { until: Some(rig.clock.now()), ..death(&[1]) }).await.unwrap();
    });
    rig.step(600_000);
    block_on(commit.spend(ShareKey::NOBODY, Vec::new())).unwrap();
    assert_eq!(hold_of(&commit, 1), (3, Some(InactiveStatus::Retired)), "the stricter holds, and for ever");
    assert_eq!(rig.kinds(), [Kind::Retirement, Kind::Suspension, Kind::Death, Kind::Death]);
}

#[test]
fn what_ends_while_it_is_suspended_is_both() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        commit.hold(holding(Transition::Suspend, &[1]), Vec::new()).await.unwrap();
        commit.end(death(&[1])).await.unwrap();
        assert_eq!(hold_of(&commit, 1), (1, Some(InactiveStatus::Suspended)));
        commit.hold(holding(Transition::Resume, &[1]), Vec::new()).await.unwrap();
        assert_eq!(commit.submit(issue(1, &[1], &[])).await.unwrap_err(), CommitReason::Died);
        let mut next = issue(2, &[1], &[]);
        next.generations[0].number = 1;
        commit.submit(next).await.unwrap();
    });
}

#[test]
fn a_suspension_that_cannot_be_recorded_acts_and_a_resumption_does_not() {
    for fault in [Fault::Begin, Fault::FlushLost] {
        let rig = Rig::new();
        let commit = rig.start();
        block_on(async {
            commit.hold(holding(Transition::Suspend, &[2]), Vec::new()).await.unwrap();
            rig.faults.set(fault, 1);
            rig.faults.set(Fault::Open, u32::MAX);
            let resume = commit.hold(holding(Transition::Resume, &[2]), Vec::new());
            assert_eq!(resume.await, Err(CommitReason::Unavailable), "{fault:?}");
            assert_eq!(hold_of(&commit, 2), (0, Some(InactiveStatus::Suspended)));
            let suspend = commit.hold(holding(Transition::Suspend, &[1]), Vec::new());
            assert_eq!(suspend.await, Err(CommitReason::Unavailable));
            let retire = commit.hold(holding(Transition::Retire, &[3]), Vec::new());
            assert_eq!(retire.await, Err(CommitReason::Unavailable));
            assert_eq!(
                (hold_of(&commit, 1), hold_of(&commit, 3)),
                ((0, Some(InactiveStatus::Suspended)), (1, Some(InactiveStatus::Retired)))
            );
            assert_eq!(commit.submit(issue(1, &[], &[])).await.unwrap_err(), CommitReason::Unavailable, "nothing is issued");
            rig.faults.heal();
            eventually(|| commit.is_available()).await;
            commit.submit(issue(2, &[], &[])).await.unwrap();
            commit.close().await;
        });
        let commit = rig.start();
        for (id, expected) in [
            (1, (0, Some(InactiveStatus::Suspended))),
            (2, (0, Some(InactiveStatus::Suspended))),
            (3, (1, Some(InactiveStatus::Retired))),
        ] {
            assert_eq!(hold_of(&commit, id), expected, "{fault:?}");
        }
        assert_eq!(rig.kinds(), [Kind::Suspension, Kind::Suspension, Kind::Retirement, Kind::Hop]);
    }
}

#[test]
fn a_resumption_that_was_durable_after_all_acts_when_that_is_known() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        commit.hold(holding(Transition::Suspend, &[1]), Vec::new()).await.unwrap();
        rig.faults.set(Fault::FlushLanded, 1);
        assert_eq!(commit.hold(holding(Transition::Resume, &[1]), Vec::new()).await, Err(CommitReason::Unavailable));
        eventually(|| hold_of(&commit, 1) == (0, None)).await;
    });
}

#[test]
fn commands_sent_together_act_one_after_the_other() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        let turn = |turn| commit.hold(holding(turn, &[1]), Vec::new());
        let (first, second, issued, third, refused) = tokio::join!(
            turn(Transition::Suspend),
            turn(Transition::Resume),
            commit.submit(issue(1, &[1], &[])),
            turn(Transition::Suspend),
            commit.submit(issue(2, &[1], &[])),
        );
        assert_eq!((first, second, third), (Ok(()), Ok(()), Ok(())));
        issued.unwrap();
        assert_eq!(refused.unwrap_err(), CommitReason::Died);
        commit.close().await;
    });
    assert_eq!(rig.kinds(), [Kind::Suspension, Kind::Resumption, Kind::Hop, Kind::Suspension]);
    assert_eq!(hold_of(&rig.start(), 1), (0, Some(InactiveStatus::Suspended)));
}

#[test]
fn values_are_spent_with_a_turn_or_not_at_all() {
    let rig = Rig::new();
    let commit = rig.start();
    let value = |id| {
        vec![SingleUse {
            digest: [id; 32],
            expires: Time::from_millis(START + 60_000),
            issued: Time::from_millis(START),
            kind: SingleUseKind::Assertion,
            share: ShareKey::NOBODY,
        }]
    };
    block_on(async {
        commit.hold(holding(Transition::Suspend, &[1]), value(1)).await.unwrap();
        assert_eq!(commit.hold(holding(Transition::Resume, &[1]), value(1)).await, Err(CommitReason::Spent));
        assert_eq!(hold_of(&commit, 1), (0, Some(InactiveStatus::Suspended)));
        commit.hold(holding(Transition::Resume, &[1]), value(2)).await.unwrap();
        assert_eq!(commit.spend(ShareKey::NOBODY, value(2)).await, Err(CommitReason::Spent));
    });
}
