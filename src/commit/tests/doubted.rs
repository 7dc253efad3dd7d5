//! A clock that is ahead of what can be believed: nothing is recorded by it, what is revoked acts, and everything goes on when it
//! is right or accepted.

use std::time::Duration;

use super::hindered::hindrances_of;
use super::*;
use crate::commit::fold::Fold;
use crate::ledger::record::StateCause;
use crate::lifecycle::StateView;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// The two clocks of a machine: the time, and what has passed.
#[derive(Debug, Default)]
struct Machine {
    wall: AtomicI64,
    passed: AtomicI64,
}

impl Timepieces for Arc<Machine> {
    fn wall(&self) -> Time {
        Time::from_millis(self.wall.load(Ordering::SeqCst))
    }

    fn passed(&self) -> Duration {
        Duration::from_millis(self.passed.load(Ordering::SeqCst).unsigned_abs())
    }
}

impl Machine {
    fn at(wall: i64) -> Arc<Self> {
        Arc::new(Self { wall: AtomicI64::new(wall), passed: AtomicI64::new(7) })
    }

    /// Somebody sets the clock.
    fn set(&self, by: i64) {
        self.wall.fetch_add(by, Ordering::SeqCst);
    }

    /// Time passes.
    fn pass(&self, millis: i64) {
        self.wall.fetch_add(millis, Ordering::SeqCst);
        self.passed.fetch_add(millis, Ordering::SeqCst);
    }
}

/// The clock of a machine on which a server begins that knows it was `newest` once.
fn begun(wall: i64, newest: i64, vouched: Option<i64>) -> (Arc<Machine>, CheckedClock<Arc<Machine>>) {
    let machine = Machine::at(wall);
    let clock = CheckedClock::new(Arc::clone(&machine), vouched.map(Time::from_millis));
    clock.begin(Time::from_millis(newest));
    (machine, clock)
}

fn reads(clock: &dyn Clock) -> (i64, bool) {
    (clock.now().millis(), clock.doubt().is_some())
}

#[test]
fn a_leap_of_more_than_a_day_is_doubted_until_the_clock_is_right_or_accepted() {
    let (machine, clock) = begun(START, 0, None);
    assert_eq!(reads(&clock), (START, false), "a new server believes its clock");
    machine.pass(50 * DAY);
    assert_eq!(reads(&clock), (START + 50 * DAY, false), "however long it runs");
    let mut now = START + 50 * DAY;
    machine.set(DAY);
    now += DAY;
    assert_eq!(reads(&clock), (now, false));
    machine.set(DAY + 1);
    assert_eq!(reads(&clock), (now, true));
    machine.pass(9 * HOUR);
    now += 9 * HOUR;
    assert_eq!(reads(&clock), (now, true), "the time that passes counts");
    machine.set(-DAY - 1);
    assert_eq!(reads(&clock), (now, false), "right again");
    machine.set(400 * DAY);
    assert_eq!(reads(&clock), (now, true));
    clock.accept();
    assert_eq!(reads(&clock), (now + 400 * DAY, false));
    machine.set(-400 * DAY);
    assert_eq!(reads(&clock), (now, false), "one that is behind is told as it is");
    machine.set(400 * DAY);
    assert_eq!(reads(&clock), (now + 400 * DAY, false), "and may come back");
}

#[test]
fn a_start_more_than_thirty_days_after_the_newest_record_is_doubted() {
    for (days, doubted) in [(-400, false), (0, false), (30, false), (31, true), (400, true)] {
        let (_, clock) = begun(START + days * DAY, START, None);
        let believed = if doubted { START } else { START + days * DAY };
        assert_eq!(reads(&clock), (believed, doubted), "{days} days");
        let (_, clock) = begun(START + days * DAY, START, Some(START + 390 * DAY));
        assert_eq!(reads(&clock), (START + days * DAY, false), "{days} days, vouched for");
    }
    // One that was behind at the start is put right.
    let (machine, clock) = begun(START - 400 * DAY, START, None);
    assert_eq!(reads(&clock), (START - 400 * DAY, false));
    machine.set(429 * DAY);
    assert_eq!(reads(&clock), (START + 29 * DAY, false));
    machine.set(2 * DAY);
    assert_eq!(reads(&clock), (START + 29 * DAY, true), "from then on it leaps no more than by a day");
}

fn started(rig: &Rig, machine: &Arc<Machine>) -> (Commit, Arc<CheckedClock<Arc<Machine>>>) {
    let (store, clock) = (MemoryStore::new(&rig.disk, &rig.faults), Arc::new(CheckedClock::new(Arc::clone(machine), None)));
    let commit = Commit::start(Box::new(store), Arc::clone(&clock) as Arc<dyn Clock>, keys(1), rig.limits.clone()).unwrap();
    (commit, clock)
}

/// A hop that is asked for by a right clock.
fn hop(id: u8, clock: &dyn Clock, on: &[u8]) -> RecordHop {
    let deadline = clock.now().plus(Duration::from_mins(1));
    RecordHop { deadline, ..issue(id, on, &[]) }
}

fn number_and_end(commit: &Commit, id: u8) -> (u64, Option<i64>) {
    let state = commit.state().generations(&[GenerationKey([id; 16])])[0];
    (state.number, state.ended.map(Time::millis))
}

/// The state that is in memory is the fold of the records.
fn folded(rig: &Rig, commit: &Commit) {
    let mut fold = Fold::default();
    for row in rig.disk.rows() {
        fold.take(row.index, &Record::parse(&row.record).unwrap()).unwrap();
    }
    let (mut live, mut anew) = (commit.state().rows(), fold.state.rows());
    live.sort();
    anew.sort();
    assert_eq!(live, anew);
}

#[test]
fn while_the_clock_is_doubted_nothing_is_recorded_and_what_is_revoked_acts() {
    for accepted in [false, true] {
        let (rig, machine) = (Rig::new(), Machine::at(START));
        let (commit, clock) = started(&rig, &machine);
        block_on(async {
            commit.submit(hop(1, &*clock, &[1])).await.unwrap();
            machine.set(400 * DAY);
            let reason = commit.submit(hop(2, &*clock, &[2])).await.unwrap_err();
            assert_eq!(reason, CommitReason::ClockDoubted);
            assert_eq!(commit.hindrances().await, hindrances_of(reason));
            for _twice in 0..2 {
                assert_eq!(commit.end(death(&[1])).await, Err(CommitReason::ClockDoubted));
            }
            let retired = commit.hold(holding(Transition::Retire, &[3]), Vec::new()).await;
            assert_eq!(retired, Err(CommitReason::ClockDoubted));
            assert_eq!(commit.checkpoint(StateCause::Interval).await, Err(CommitReason::ClockDoubted));
            commit.refuse(super::rules::refusal("a", START), Vec::new()).await.unwrap();
            assert_eq!(number_and_end(&commit, 1), (2, Some(START)), "it acts");
            assert_eq!(commit.hindrances().await, [Hindrance::ClockDoubted]);
            assert_eq!(rig.disk.rows().len(), 1, "nothing is recorded");
            machine.pass(HOUR);
            if accepted {
                clock.accept()
            } else {
                machine.set(-400 * DAY)
            }
            let right = clock.now().millis();
            eventually(|| rig.rows().len() == 4).await;
            assert_eq!(commit.hindrances().await, []);
            // What was vouched for meanwhile ends too.
            assert_eq!(number_and_end(&commit, 1), (2, Some(right)));
            assert_eq!(number_and_end(&commit, 3), (1, Some(right)));
            commit.submit(hop(4, &*clock, &[2])).await.unwrap();
            assert_eq!(commit.submit(hop(5, &*clock, &[1])).await.unwrap_err(), CommitReason::Died);
            assert_eq!(rig.kinds(), [Kind::Hop, Kind::Death, Kind::Death, Kind::Retirement, Kind::Hop]);
            folded(&rig, &commit);
            commit.close().await;
        });
        let (again, _) = started(&rig, &machine);
        assert_eq!(number_and_end(&again, 1).0, 2);
    }
}

#[test]
fn a_start_by_a_doubted_clock_records_nothing_until_it_is_accepted() {
    let (rig, machine) = (Rig::new(), Machine::at(START));
    let (commit, clock) = started(&rig, &machine);
    block_on(async {
        commit.submit(hop(1, &*clock, &[1])).await.unwrap();
        commit.close().await;
        machine.set(40 * DAY);
        let (commit, clock) = started(&rig, &machine);
        assert_eq!(commit.submit(hop(2, &*clock, &[2])).await.unwrap_err(), CommitReason::ClockDoubted);
        assert_eq!(commit.end(death(&[1])).await, Err(CommitReason::ClockDoubted));
        assert_eq!(rig.disk.rows().len(), 1);
        clock.accept();
        eventually(|| rig.rows().len() == 2).await;
        assert_eq!(number_and_end(&commit, 1), (1, Some(START + 40 * DAY)), "not the time of the newest record");
        commit.submit(hop(2, &*clock, &[2])).await.unwrap();
        folded(&rig, &commit);
    });
}
