//! What keeps an exchange from being recorded is told, and nothing else is: every hindrance is brought about, and what is told is
//! compared with what an exchange is answered.

use super::listing::listed;
use super::memory::Fault;
use super::tasks::opening;
use super::*;
use crate::catalog::StatusBits;

/// The hindrances that `reason` may come from: none where it is a verdict about the request.
pub(super) fn hindrances_of(reason: CommitReason) -> &'static [Hindrance] {
    match reason {
        CommitReason::Died | CommitReason::Retired | CommitReason::Outranked | CommitReason::Budget => &[],
        CommitReason::Spent | CommitReason::Replayed | CommitReason::Redeemed | CommitReason::Forgotten => &[],
        CommitReason::Expired | CommitReason::TooLarge | CommitReason::ClockRight | CommitReason::Kept => &[],
        CommitReason::Busy | CommitReason::Share(..) | CommitReason::Velocity(..) => &[],
        CommitReason::Full(Capacity::Queue | Capacity::Revocations | Capacity::Refusals | Capacity::LongSingleUse, _) => &[],
        CommitReason::Full(Capacity::SingleUse, _) => &[Hindrance::SingleUse],
        CommitReason::Full(Capacity::LiveEntries, _) => &[Hindrance::LiveEntries],
        CommitReason::Full(Capacity::Tasks, _) => &[Hindrance::Tasks],
        CommitReason::Full(Capacity::StatusTokens, _) => &[Hindrance::StatusTokens],
        CommitReason::Unavailable => &[Hindrance::Store, Hindrance::Thread, Hindrance::Closing, Hindrance::Stalled],
        CommitReason::ClockBehind => &[Hindrance::ClockBehind],
        CommitReason::ClockDoubted => &[Hindrance::ClockDoubted],
    }
}

/// A commit with room for four of everything.
fn small() -> Rig {
    let mut rig = Rig::new();
    (rig.limits.single_use, rig.limits.generations, rig.limits.tasks, rig.limits.status) = (4, 4, 4, 4);
    rig.limits.retry = std::time::Duration::from_hours(1);
    rig
}

/// Brings it about.
async fn hinder(rig: &Rig, commit: &Commit, hindrance: Hindrance) {
    match hindrance {
        Hindrance::Thread => {
            rig.faults.set(Fault::Dies, 1);
            assert_eq!(commit.spend(ShareKey::NOBODY, Vec::new()).await, Err(CommitReason::Unavailable));
            assert_eq!(commit.alarm().heard().await, "commit");
        }
        Hindrance::Closing => commit.close().await,
        // Whoever waits says the one, and `doubted` has the other.
        Hindrance::Stalled | Hindrance::ClockDoubted => {}
        Hindrance::Store => {
            rig.faults.set(Fault::Begin, 1);
            assert_eq!(commit.spend(ShareKey::NOBODY, Vec::new()).await, Err(CommitReason::Unavailable));
        }
        Hindrance::ClockBehind => {
            rig.step(5_000);
            commit.end(death(&[9])).await.unwrap();
            rig.step(-5_000);
        }
        Hindrance::SingleUse => commit.spend(ShareKey::NOBODY, issue(0, &[], &[1, 2, 3, 4]).single_use).await.unwrap(),
        Hindrance::LiveEntries => commit.end(death(&[1, 2, 3, 4, 5])).await.unwrap(),
        Hindrance::Tasks => {
            for id in 101..105 {
                commit.submit(opening(id, 1, 60_000, None, &[])).await.unwrap();
            }
        }
        Hindrance::StatusTokens => {
            for id in 1..5 {
                commit.submit(listed(commit, id, StatusBits::One, &[]).0).await.unwrap();
            }
        }
    }
}

/// What something is answered that needs what `hindrance` takes away; the rest of them are answered to everything.
async fn refused(commit: &Commit, hindrance: Hindrance) -> CommitReason {
    match hindrance {
        Hindrance::Tasks => commit.submit(opening(110, 1, 60_000, None, &[])).await.unwrap_err(),
        Hindrance::StatusTokens => {
            let (api, expires) = (super::listing::api(), Time::from_millis(super::listing::EXPIRES));
            commit.status_lists().reserve((&api, StatusBits::One), expires, ShareKey::NOBODY).unwrap_err()
        }
        _ => commit.submit(issue(50, &[], &[50])).await.unwrap_err(),
    }
}

#[test]
fn every_hindrance_is_told_and_is_what_an_exchange_is_refused_for() {
    let elsewhere = [Hindrance::Stalled, Hindrance::ClockDoubted];
    for (_, hindrance) in Hindrance::NAMES.into_iter().filter(|(_, hindrance)| !elsewhere.contains(hindrance)) {
        let rig = small();
        let commit = rig.start();
        block_on(async {
            assert_eq!(commit.hindrances().await, [], "{hindrance:?}");
            hinder(&rig, &commit, hindrance).await;
            assert_eq!(commit.hindrances().await, [hindrance]);
            let reason = refused(&commit, hindrance).await;
            assert!(hindrances_of(reason).contains(&hindrance), "{hindrance:?}: {reason:?}");
            assert_eq!(commit.hindrances().await, [hindrance]);
        });
    }
}

#[test]
fn what_is_the_fault_of_a_request_hinders_nobody() {
    let rig = small();
    let commit = rig.start();
    block_on(async {
        commit.end(death(&[1])).await.unwrap();
        commit.spend(ShareKey::NOBODY, issue(0, &[], &[1]).single_use).await.unwrap();
        let expired = RecordHop { deadline: Time::from_millis(START), ..issue(4, &[], &[]) };
        for hop in [issue(2, &[1], &[]), issue(3, &[], &[1]), expired] {
            let reason = commit.submit(hop).await.unwrap_err();
            assert_eq!((hindrances_of(reason), commit.hindrances().await), (&[][..], vec![]), "{reason:?}");
        }
        commit.submit(issue(5, &[], &[])).await.unwrap();
    });
}

#[test]
fn a_dead_thread_is_named() {
    let alarm = Alarm::default();
    assert!(!alarm.rang());
    let ended = alarm.spawn("well", || {}).unwrap().join();
    assert!(ended.is_ok() && !alarm.rang());
    let died = alarm.spawn("ill", || panic!("a bug")).unwrap().join();
    assert!(died.is_err() && alarm.rang());
    assert_eq!(block_on(alarm.heard()), "ill");
}
