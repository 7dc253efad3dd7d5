//! Velocity limits: what is issued counts, exactly, and nothing else does.

use super::*;
use crate::catalog::ScopeEffect;

fn counted(id: u8, agent: &str, per_hour: u32, on: &[u8]) -> RecordHop {
    let agent = ClientId::parse(agent).unwrap();
    let token = CountedToken { agent, limits: vec![(ScopeEffect::Irreversible, per_hour)] };
    RecordHop { counted: Some(Box::new(token)), deadline: Time::from_millis(START + 9_000_000), ..issue(id, on, &[]) }
}

fn used(commit: &Commit, rig: &Rig, agent: &str) -> u32 {
    commit.velocities().used(&ClientId::parse(agent).unwrap(), ScopeEffect::Irreversible, rig.clock.now())
}

fn is_over(refused: &CommitReason) -> bool {
    matches!(refused, CommitReason::Velocity(ScopeEffect::Irreversible, 20, seconds) if *seconds > 0)
}

#[test]
fn of_many_at_once_as_many_are_issued_as_the_limit_says_and_others_do_not_notice() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        let mut asked = tokio::task::JoinSet::new();
        for id in 0..60 {
            let commit = commit.clone();
            asked.spawn(async move { commit.submit(counted(id, "hasty", 20, &[])).await });
        }
        let (issued, refused): (Vec<_>, Vec<_>) = asked.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!((issued.len(), refused.len()), (20, 40));
        assert!(refused.into_iter().all(|refused| is_over(&refused.unwrap_err())));
        commit.submit(counted(100, "other", 20, &[])).await.unwrap();
        commit.submit(issue(101, &[], &[])).await.unwrap();
        assert_eq!([used(&commit, &rig, "hasty"), used(&commit, &rig, "other")], [20, 1]);
    });
}

#[test]
fn what_is_refused_for_another_reason_does_not_count_and_the_hour_moves() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        commit.end(death(&[1])).await.unwrap();
        for id in 0..30 {
            assert_eq!(commit.submit(counted(id, "a", 20, &[1])).await.unwrap_err(), CommitReason::Died);
        }
        assert_eq!(used(&commit, &rig, "a"), 0);
        for id in 30..50 {
            rig.step(60_000);
            commit.submit(counted(id, "a", 20, &[])).await.unwrap();
        }
        assert!(is_over(&commit.submit(counted(50, "a", 20, &[])).await.unwrap_err()));
        // The first is an hour ago, and then the second.
        rig.step(41 * 60_000 + 1_000);
        commit.submit(counted(51, "a", 20, &[])).await.unwrap();
        assert!(is_over(&commit.submit(counted(52, "a", 20, &[])).await.unwrap_err()));
        rig.step(60_000);
        commit.submit(counted(53, "a", 20, &[])).await.unwrap();
    });
}

/// A batch of which nobody knows whether it is durable counts: its tokens may be recorded, and are withheld.
#[test]
fn what_failed_with_the_store_is_never_given_back() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        rig.faults.set(memory::Fault::FlushLost, 1);
        assert_eq!(commit.submit(counted(1, "a", 20, &[])).await.unwrap_err(), CommitReason::Unavailable);
        eventually(|| commit.is_available()).await;
        assert_eq!(used(&commit, &rig, "a"), 1);
    });
}
