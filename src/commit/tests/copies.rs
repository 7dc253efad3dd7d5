//! The end of a running copy is forgotten when nothing from before it could be presented; what the copy did since goes on.

use std::time::Duration;

use super::tasks::opening;
use super::*;
use crate::lifecycle::{EVIDENCE_LIFETIME_MAX, EVIDENCE_SKEW, INSTANCE_REMEMBERED, StateView};

const COPY: u8 = 60;

/// The end of the running copy, to be forgotten as early as may be.
fn ended() -> Revocation {
    let copy = Revocable { kind: GenerationKind::Instance, ..thing(COPY) };
    Revocation { ends: vec![copy], until: Some(Time::from_millis(0)), ..death(&[]) }
}

fn number(commit: &Commit) -> u64 {
    commit.state().generations(&[GenerationKey([COPY; 16])])[0].number
}

/// A hop of the copy in that generation.
fn hop(rig: &Rig, id: u8, number: u64) -> RecordHop {
    let now = rig.clock.0.load(Ordering::SeqCst);
    RecordHop {
        generations: vec![Generation { key: GenerationKey([COPY; 16]), number }],
        deadline: Time::from_millis(now + 60_000),
        ..issue(id, &[], &[])
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap()
}

#[test]
fn the_end_of_a_running_copy_is_forgotten_and_what_came_after_it_lives_on() {
    let rig = Rig::new();
    let mut commit = rig.start();
    block_on(async {
        commit.submit(hop(&rig, 1, 0)).await.unwrap();
        commit.end(ended()).await.unwrap();
        let first = number(&commit);
        assert_eq!(first, u64::try_from(START).unwrap(), "the time of the end");
        let late = EVIDENCE_LIFETIME_MAX + EVIDENCE_SKEW;
        for step in [0, 60_000, millis(late) - 60_000] {
            rig.step(step);
            assert_eq!(commit.submit(hop(&rig, 2, 0)).await.unwrap_err(), CommitReason::Died);
            commit.submit(hop(&rig, 3, first)).await.unwrap();
            assert_eq!(number(&commit), first, "remembered while anything from before could be presented");
        }
        rig.step(millis(INSTANCE_REMEMBERED - late) + 1_000);
        commit.submit(issue_at(&rig, 4)).await.unwrap();
        assert_eq!((number(&commit), commit.state().len()), (0, 0));
        for again in [false, true] {
            if again {
                commit.close().await;
                commit = rig.start();
            }
            commit.submit(hop(&rig, 5, first)).await.unwrap();
            commit.submit(hop(&rig, 6, 0)).await.unwrap();
        }
        commit.end(ended()).await.unwrap();
        commit.end(ended()).await.unwrap();
        let second = number(&commit);
        assert!(second > first + 1);
        for number in [0, first, second - 1] {
            assert_eq!(commit.submit(hop(&rig, 7, number)).await.unwrap_err(), CommitReason::Died);
        }
        commit.submit(hop(&rig, 8, second)).await.unwrap();
    });
}

#[test]
fn it_is_remembered_as_long_as_a_task_that_could_depend_on_it() {
    let rig = Rig::new();
    let commit = rig.start();
    let days = Duration::from_hours(24 * 9);
    block_on(async {
        commit.submit(opening(1, 3, millis(days), None, &[COPY])).await.unwrap();
        commit.end(ended()).await.unwrap();
        rig.step(millis(days));
        commit.submit(issue_at(&rig, 1)).await.unwrap();
        assert_ne!(number(&commit), 0);
        rig.step(61_000);
        commit.submit(issue_at(&rig, 2)).await.unwrap();
        assert_eq!(number(&commit), 0);
    });
}

/// A hop of somebody else.
fn issue_at(rig: &Rig, id: u8) -> RecordHop {
    RecordHop { generations: Vec::new(), ..hop(rig, id, 0) }
}

#[test]
fn an_end_that_has_no_date_is_never_forgotten_also_when_a_dated_one_follows() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        commit.end(Revocation { until: None, ..ended() }).await.unwrap();
        assert_eq!(number(&commit), 1);
        commit.end(ended()).await.unwrap();
        rig.step(millis(Duration::from_hours(24 * 400)));
        commit.submit(issue_at(&rig, 1)).await.unwrap();
        assert_eq!(number(&commit), u64::try_from(START).unwrap());
    });
}
