//! Tasks: budgets, time, and every short history of a parent and a child.

use std::time::Duration;

use super::memory::Fault;
use super::*;
use crate::lifecycle::{InactiveStatus, StateView};

const PARENT: u8 = 101;
const CHILD: u8 = 102;

/// Opens task `id` for `lasting` milliseconds; it depends on life 0 of `on` and itself.
pub(crate) fn opening(id: u8, budget: u64, lasting: i64, out_of: Option<u8>, on: &[u8]) -> RecordHop {
    opened(id, on, terms(id, budget, lasting, out_of, on))
}

/// The terms of that task.
pub(crate) fn terms(id: u8, budget: u64, lasting: i64, out_of: Option<u8>, on: &[u8]) -> TaskTerms {
    let key = |id: &u8| Generation { key: GenerationKey([*id; 16]), number: 0 };
    let agent = ClientId::parse("orchestrator").unwrap();
    TaskTerms {
        id: TaskId::from_bytes([id; 16]),
        key: GenerationKey([id; 16]),
        txn: Txn::from_bytes([9; 16]),
        parent: out_of.map(|parent| TaskId::from_bytes([parent; 16])),
        opener: agent.clone(),
        holder: agent,
        opened: Time::from_millis(START),
        deadline: Time::from_millis(START + lasting),
        heartbeat: None,
        budget,
        authority: Vec::new(),
        purpose: "review".to_owned(),
        data_classes: vec!["pii".to_owned()],
        generations: on.iter().chain([&id]).map(key).collect(),
    }
}

/// A hop in task `task`, which lies under `above`.
pub(crate) fn working(id: u8, task: u8, above: &[u8]) -> RecordHop {
    let on: Vec<u8> = above.iter().copied().chain([task]).collect();
    let (hop, task) = (issue(id, &on, &[]), TaskId::from_bytes([task; 16]));
    RecordHop { record: record(hop.jti, hop.txn, Some(task)), effect: Effect::Charge(task), ..hop }
}

pub(super) fn left(commit: &Commit, task: u8) -> u64 {
    commit.state().task(&TaskId::from_bytes([task; 16])).unwrap().left
}

fn ending(task: u8) -> Revocation {
    let ends = vec![Revocable {
        key: GenerationKey([task; 16]),
        kind: GenerationKind::Task,
        name: Some(TaskId::from_bytes([task; 16]).to_string()),
        txn: Some(Txn::from_bytes([9; 16])),
    }];
    Revocation { ends, until: Some(Time::from_millis(START + 120_000)), ..death(&[0]) }
}

#[test]
fn what_was_not_recorded_was_not_spent() {
    for fault in [Fault::Begin, Fault::Apply, Fault::FlushLost, Fault::FlushLanded] {
        let rig = Rig::new();
        let commit = rig.start();
        block_on(async {
            commit.submit(opening(PARENT, 3, 60_000, None, &[1])).await.unwrap();
            rig.faults.set(fault, 1);
            assert_eq!(commit.submit(working(1, PARENT, &[1])).await.unwrap_err(), CommitReason::Unavailable);
            let expected = if fault == Fault::FlushLanded { 2 } else { 3 };
            // What landed without an answer is recorded as withheld, in a batch of its own.
            let records = if fault == Fault::FlushLanded { 3 } else { 1 };
            eventually(|| rig.kinds().len() == records && left(&commit, PARENT) == expected).await;
            rig.faults.set(fault, 1);
            let child = commit.submit(opening(CHILD, 2, 60_000, Some(PARENT), &[1, PARENT])).await;
            assert_eq!(child.unwrap_err(), CommitReason::Unavailable);
            let expected = if fault == Fault::FlushLanded { 0 } else { 3 };
            eventually(|| left(&commit, PARENT) == expected).await;
            let known = commit.state().task(&TaskId::from_bytes([CHILD; 16])).is_some();
            assert_eq!(known, fault == Fault::FlushLanded, "a task is opened with its record or not at all");
            commit.close().await;
            let commit = rig.start();
            assert_eq!(left(&commit, PARENT), expected, "{fault:?}");
        });
    }
}

#[test]
fn no_task_is_paid_out_of_one_that_cannot_pay() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        commit.submit(opening(PARENT, 3, 60_000, None, &[])).await.unwrap();
        let richer = commit.submit(opening(CHILD, 4, 60_000, Some(PARENT), &[PARENT])).await;
        assert_eq!(richer.unwrap_err(), CommitReason::Budget);
        commit.submit(opening(CHILD, 3, 60_000, Some(PARENT), &[PARENT])).await.unwrap();
        assert_eq!(commit.submit(working(1, PARENT, &[])).await.unwrap_err(), CommitReason::Budget);
        commit.submit(working(2, CHILD, &[PARENT])).await.unwrap();
        let unknown = commit.submit(working(3, 77, &[])).await;
        assert_eq!(unknown.unwrap_err(), CommitReason::Died, "no state: nothing is issued");
        assert_eq!((left(&commit, PARENT), left(&commit, CHILD)), (0, 2));
    });
}

#[test]
fn when_as_many_tasks_are_remembered_as_may_be_none_is_opened_and_all_work() {
    let mut rig = Rig::new();
    rig.limits.tasks = 1;
    let commit = rig.start();
    block_on(async {
        commit.submit(opening(PARENT, 3, 60_000, None, &[])).await.unwrap();
        let child = opening(CHILD, 1, 30_000, Some(PARENT), &[PARENT]);
        let refused = commit.submit(child).await.unwrap_err();
        assert!(matches!(refused, CommitReason::Full(Capacity::Tasks, _)), "{refused:?}");
        assert_eq!(left(&commit, PARENT), 3, "what is not opened costs nothing");
        commit.submit(working(1, PARENT, &[])).await.unwrap();
        commit.end(ending(PARENT)).await.unwrap();
        let other = || opening(103, 1, 180_000, None, &[]);
        let deadline = Time::from_millis(START + 180_000);
        commit.submit(RecordHop { deadline, ..other() }).await.unwrap();
        commit.close().await;
        rig.limits.tasks = 0;
        let commit = rig.start();
        let reason = commit.submit(RecordHop { deadline, ..working(2, 103, &[]) }).await;
        assert!(reason.is_ok(), "a lower limit takes nothing away: {reason:?}");
    });
}

#[test]
fn time_ends_a_task_and_the_writer_records_it_without_being_asked() {
    let mut rig = Rig::new();
    rig.limits.sweep = Duration::from_millis(1);
    let commit = rig.start();
    block_on(async {
        let heartbeat = Some(Duration::from_secs(10));
        let silent = TaskTerms { heartbeat, ..terms(PARENT, 3, 60_000, None, &[]) };
        commit.submit(opened(PARENT, &[], silent)).await.unwrap();
        rig.step(9_000);
        commit.beat(TaskId::from_bytes([PARENT; 16]), ShareKey::NOBODY, Vec::new()).await.unwrap();
        rig.step(9_000);
        commit.submit(working(1, PARENT, &[])).await.unwrap();
        rig.faults.set(Fault::FlushLost, 1);
        assert_eq!(
            commit.beat(TaskId::from_bytes([PARENT; 16]), ShareKey::NOBODY, Vec::new()).await,
            Err(CommitReason::Unavailable)
        );
        while commit.spend(ShareKey::NOBODY, Vec::new()).await.is_err() {}
        rig.step(1_000);
        assert_eq!(commit.submit(working(2, PARENT, &[])).await.unwrap_err(), CommitReason::Died, "that heartbeat is lost");
        assert_eq!(commit.beat(TaskId::from_bytes([PARENT; 16]), ShareKey::NOBODY, Vec::new()).await, Err(CommitReason::Died));
        rig.step(2_000);
        eventually(|| rig.kinds().contains(&Kind::Death)).await;
        commit.close().await;
    });
    assert_eq!(rig.kinds(), [Kind::Task, Kind::Hop, Kind::Death]);
    let rows = rig.rows();
    let Record::Revocation(death) = Record::parse(&rows[2].record).unwrap() else { panic!("a death") };
    assert_eq!((&*death.by, &*death.reason, rows[2].txn), ("server", "its heartbeat was missed", Some(Txn::from_bytes([9; 16]))));
}

/// Nine hours, with a heartbeat of ten seconds.
fn silent() -> RecordHop {
    let heartbeat = Some(Duration::from_secs(10));
    opened(PARENT, &[], TaskTerms { heartbeat, ..terms(PARENT, 9, 9 * HOUR, None, &[]) })
}

fn turning(turn: Transition) -> StatusChange {
    StatusChange { turn, things: ending(PARENT).ends, by: ClientId::parse("orchestrator").unwrap(), reason: "x".into() }
}

/// The task is over; it is suspended.
fn stands(commit: &Commit, rig: &Rig) -> (bool, bool) {
    let on = [Generation { key: GenerationKey([PARENT; 16]), number: 0 }];
    match crate::lifecycle::liveness::alive(&*commit.state(), &on, rig.clock.now()) {
        Ok(()) => (false, false),
        Err(dead) => (dead.is_final(), !dead.is_final()),
    }
}

const HOUR: i64 = 3_600_000;
const OVER: (bool, bool) = (true, false);
const SUSPENDED: (bool, bool) = (false, true);
const ACTIVE: (bool, bool) = (false, false);

#[test]
fn while_a_task_is_suspended_nobody_waits_for_its_heartbeat_and_then_anew() {
    let rig = Rig::new();
    let mut commit = rig.start();
    block_on(async {
        commit.submit(silent()).await.unwrap();
        rig.step(9_000);
        commit.hold(turning(Transition::Suspend), Vec::new()).await.unwrap();
        for _hour in 0..7 {
            rig.step(HOUR);
            commit.spend(ShareKey::NOBODY, Vec::new()).await.unwrap();
            assert_eq!(stands(&commit, &rig), SUSPENDED);
            commit.close().await;
            commit = rig.start();
        }
        commit.beat(TaskId::from_bytes([PARENT; 16]), ShareKey::NOBODY, Vec::new()).await.unwrap();
        rig.step(60_000);
        commit.hold(turning(Transition::Suspend), Vec::new()).await.unwrap();
        assert_eq!(stands(&commit, &rig), SUSPENDED, "a heartbeat does not start the waiting, nor a second suspension");
        commit.hold(turning(Transition::Resume), Vec::new()).await.unwrap();
        commit.close().await;
        commit = rig.start();
        rig.step(9_999);
        assert_eq!(stands(&commit, &rig), ACTIVE);
        commit.hold(turning(Transition::Resume), Vec::new()).await.unwrap();
        rig.step(1);
        assert_eq!(stands(&commit, &rig), OVER, "to resume what is not suspended is no heartbeat");
        rig.step(1_000);
        commit.spend(ShareKey::NOBODY, Vec::new()).await.unwrap();
        eventually(|| rig.kinds().last() == Some(&Kind::Death)).await;
    });
}

#[test]
fn a_suspended_task_ends_at_its_deadline_and_the_end_is_recorded() {
    let mut rig = Rig::new();
    rig.limits.sweep = Duration::from_millis(1);
    let commit = rig.start();
    block_on(async {
        commit.submit(silent()).await.unwrap();
        commit.hold(turning(Transition::Suspend), Vec::new()).await.unwrap();
        rig.step(9 * HOUR - 1);
        assert_eq!(stands(&commit, &rig), SUSPENDED);
        rig.step(1);
        assert_eq!(stands(&commit, &rig), OVER);
        rig.step(1_000);
        eventually(|| rig.kinds().last() == Some(&Kind::Death)).await;
    });
    let rows = rig.rows();
    let Record::Revocation(death) = Record::parse(&rows[2].record).unwrap() else { panic!("a death") };
    assert_eq!((&*death.by, &*death.reason), ("server", "its deadline passed"));
}

#[test]
fn neither_suspending_nor_resuming_brings_back_what_was_silent_too_long() {
    for fault in [None, Some(Fault::Begin), Some(Fault::FlushLost), Some(Fault::FlushLanded)] {
        let rig = Rig::new();
        let commit = rig.start();
        block_on(async {
            commit.submit(silent()).await.unwrap();
            rig.step(10_000);
            if let Some(fault) = fault {
                rig.faults.set(fault, 1);
                let expires = Time::from_millis(START + HOUR);
                let value = SingleUse {
                    digest: [1; 32],
                    expires,
                    issued: Time::from_millis(START),
                    kind: SingleUseKind::Assertion,
                    share: ShareKey::NOBODY,
                };
                assert_eq!(commit.spend(ShareKey::NOBODY, vec![value]).await, Err(CommitReason::Unavailable));
            }
            let _refused_while_the_store_fails = commit.hold(turning(Transition::Suspend), Vec::new()).await;
            assert_eq!(stands(&commit, &rig), OVER, "{fault:?}");
            while commit.hold(turning(Transition::Resume), Vec::new()).await.is_err() {}
            assert_eq!(stands(&commit, &rig), OVER, "{fault:?}");
            commit.close().await;
            assert_eq!(stands(&rig.start(), &rig), OVER, "{fault:?}");
        });
    }
}

#[test]
fn a_task_that_was_silent_too_long_stays_over_where_it_is_suspended_in_that_instant_and_the_process_dies() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        commit.submit(silent()).await.unwrap();
        rig.step(10_000);
        commit.hold(turning(Transition::Suspend), Vec::new()).await.unwrap();
        // Nobody closes it.
        let commit = rig.start();
        assert_eq!(stands(&commit, &rig), OVER);
        commit.hold(turning(Transition::Resume), Vec::new()).await.unwrap();
        assert_eq!(stands(&commit, &rig), OVER);
    });
}

#[test]
fn a_suspension_that_could_not_be_recorded_stops_the_waiting_when_it_acts() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        commit.submit(silent()).await.unwrap();
        rig.step(5_000);
        rig.faults.set(Fault::FlushLost, 1);
        rig.faults.set(Fault::Open, 3);
        assert_eq!(commit.hold(turning(Transition::Suspend), Vec::new()).await, Err(CommitReason::Unavailable));
        rig.step(HOUR);
        assert_eq!(stands(&commit, &rig), SUSPENDED);
        eventually(|| rig.kinds().last() == Some(&Kind::Suspension)).await;
        assert_eq!(stands(&commit, &rig), SUSPENDED);
        commit.close().await;
        assert_eq!(stands(&rig.start(), &rig), SUSPENDED);
    });
}

#[test]
fn what_a_task_depends_on_is_remembered_as_ended_as_long_as_the_task() {
    let rig = Rig::new();
    let commit = rig.start();
    let soon = Some(Time::from_millis(START + 5_000));
    block_on(async {
        commit.submit(opening(PARENT, 9, 40_000, None, &[1])).await.unwrap();
        let hop = |id: u8, txn: u8| Revocable { kind: GenerationKind::Hop, txn: Some(Txn::from_bytes([txn; 16])), ..thing(id) };
        commit.end(Revocation { until: soon, ends: vec![hop(1, 9), hop(2, 8)], ..death(&[1]) }).await.unwrap();
        rig.step(30_000);
        // What no task depends on is forgotten by now.
        commit.submit(issue(3, &[2], &[])).await.unwrap();
        assert_eq!(commit.submit(working(4, PARENT, &[1])).await.unwrap_err(), CommitReason::Died);
        commit.close().await;
        let commit = rig.start();
        assert_eq!(commit.submit(working(5, PARENT, &[1])).await.unwrap_err(), CommitReason::Died);
        rig.step(200_000);
        commit.spend(ShareKey::NOBODY, Vec::new()).await.unwrap();
        eventually(|| commit.state().task(&TaskId::from_bytes([PARENT; 16])).is_none()).await;
    });
}

/// A step in the history of a parent and its child.
#[derive(Clone, Copy, Debug)]
enum Step {
    OpenChild,
    Work(u8),
    Suspend(u8),
    Resume(u8),
    End(u8),
    Restart,
}

const STEPS: [Step; 10] = [
    Step::OpenChild,
    Step::Work(PARENT),
    Step::Work(CHILD),
    Step::Suspend(PARENT),
    Step::Suspend(CHILD),
    Step::Resume(PARENT),
    Step::Resume(CHILD),
    Step::End(PARENT),
    Step::End(CHILD),
    Step::Restart,
];

/// One task, as simple as it can be: what is left, whether it is suspended, whether it has ended.
#[derive(Clone, Copy, Default)]
struct One(Option<u64>, bool, bool);

#[derive(Default)]
struct Model {
    parent: One,
    child: One,
}

impl Model {
    fn of(&mut self, id: u8) -> &mut One {
        if id == PARENT { &mut self.parent } else { &mut self.child }
    }

    /// True while `id` and everything above it lives, and it has something left.
    fn works(&self, id: u8) -> bool {
        let lives = |one: &One| one.0.is_some() && !one.1 && !one.2;
        let own = if id == PARENT { &self.parent } else { &self.child };
        lives(&self.parent) && lives(own) && own.0 > Some(0)
    }

    /// True where the step is answered `Ok`.
    fn step(&mut self, step: Step) -> bool {
        match step {
            Step::OpenChild => {
                let opens = self.works(PARENT) && self.child.0.is_none();
                if opens {
                    (self.parent.0, self.child.0) = (self.parent.0.map(|left| left - 1), Some(1));
                }
                opens
            }
            Step::Work(id) => {
                let works = self.works(id);
                if works {
                    let one = self.of(id);
                    one.0 = one.0.map(|left| left - 1);
                }
                works
            }
            Step::Suspend(id) => {
                let one = self.of(id);
                one.1 = !one.2;
                true
            }
            Step::Resume(id) => {
                self.of(id).1 = false;
                true
            }
            Step::End(id) => {
                let one = self.of(id);
                (one.1, one.2) = (false, true);
                true
            }
            Step::Restart => true,
        }
    }
}

async fn taken(commit: &mut Commit, rig: &Rig, step: Step, number: u8) -> bool {
    let turn =
        |turn, id: u8| StatusChange { turn, things: ending(id).ends, by: ClientId::parse("ops").unwrap(), reason: "x".into() };
    match step {
        Step::OpenChild => commit.submit(opening(CHILD, 1, 60_000, Some(PARENT), &[PARENT])).await.is_ok(),
        Step::Work(PARENT) => commit.submit(working(number, PARENT, &[])).await.is_ok(),
        Step::Work(id) => commit.submit(working(number, id, &[PARENT])).await.is_ok(),
        Step::Suspend(id) => commit.hold(turn(Transition::Suspend, id), Vec::new()).await.is_ok(),
        Step::Resume(id) => commit.hold(turn(Transition::Resume, id), Vec::new()).await.is_ok(),
        Step::End(id) => commit.end(ending(id)).await.is_ok(),
        Step::Restart => {
            commit.close().await;
            *commit = rig.start();
            true
        }
    }
}

/// Every history of so many steps. One task id is never opened twice, so a second opening of the child is left out.
#[test]
fn every_short_history_ends_as_the_model_says() {
    let length: usize = std::env::var("COUNTERSIGN_HISTORY").ok().and_then(|length| length.parse().ok()).unwrap_or(3);
    for number in 0..STEPS.len().pow(u32::try_from(length).unwrap()) {
        let history: Vec<Step> = (0..length).map(|at| STEPS[number / STEPS.len().pow(at as u32) % STEPS.len()]).collect();
        if history.iter().filter(|step| matches!(step, Step::OpenChild)).count() > 1 {
            continue;
        }
        let rig = Rig::new();
        let (mut commit, mut model) = (rig.start(), Model::default());
        block_on(async {
            commit.submit(opening(PARENT, 2, 60_000, None, &[])).await.unwrap();
            model.parent.0 = Some(2);
            for (at, step) in (1..).zip(&history) {
                assert_eq!(taken(&mut commit, &rig, *step, at).await, model.step(*step), "{history:?} at {at}");
            }
            for (id, one) in [(PARENT, model.parent), (CHILD, model.child)] {
                let task = commit.state().task(&TaskId::from_bytes([id; 16]));
                assert_eq!(task.map(|task| task.left), one.0, "{history:?}");
                let life = commit.state().generations(&[GenerationKey([id; 16])])[0];
                assert_eq!((life.number > 0, life.inactive == Some(InactiveStatus::Suspended)), (one.2, one.1), "{history:?}");
            }
            commit.close().await;
        });
    }
}
