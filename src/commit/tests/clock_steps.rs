//! Random histories under a clock that is put ahead and back: whatever may have been forgotten, nothing that was spent counts
//! twice, and nothing that ended comes back.

use std::collections::{BTreeMap, BTreeSet};

use super::histories::{Bench, Dice, place};
use super::memory::Fault;
use super::*;
use crate::catalog::StatusBits;
use crate::commit::change::StateChange;
use crate::commit::command::Reply;
use crate::commit::commands::{CheckpointCommand, SpendCommand};
use crate::commit::status_lists::StatusLists;
use crate::ledger::record::StateCause;

const STEPS: u64 = 60;
const STEPS_OF_THE_CLOCK: [i64; 10] = [900, 5_000, 61_000, 400_000, 90_000_000, -900, -5_000, -61_000, -400_000, -90_000_000];

/// What was seen to happen.
#[derive(Default)]
struct Seen {
    /// Values that somebody was told are spent, or that a store held.
    spent: BTreeSet<u8>,
    /// Values, with the times at which they expire.
    values: BTreeMap<u8, i64>,
    /// How often each thing ended.
    ends: BTreeMap<u8, u64>,
    /// The floor, as it was last seen of this process.
    floor: i64,
    next: u8,
}

fn history(seed: u64) {
    let (mut dice, mut bench, mut seen) = (Dice(seed), Bench::new(), Seen::default());
    for _ in 0..STEPS {
        match dice.roll(12) {
            0..3 => hop(&mut dice, &mut bench, &mut seen, seed),
            3..6 => spend(&mut dice, &mut bench, &mut seen, seed),
            6 => end(&mut dice, &mut bench, &mut seen),
            7 => {
                let (reply, answer) = Reply::new();
                bench.give(Box::new(CheckpointCommand { cause: StateCause::Interval, reply }), answer);
            }
            8 => {
                bench.restart();
                seen.floor = 0;
            }
            9 => {
                let fault = [Fault::FlushLost, Fault::FlushLanded, Fault::Begin][pick(&mut dice, 3)];
                bench.rig.faults.set(fault, 1);
            }
            _ => bench.rig.step(STEPS_OF_THE_CLOCK[pick(&mut dice, 10)]),
        }
        let (floor, newest) = (bench.state.floor().millis(), bench.rig.disk.rows().last().map_or(0, |row| row.at.millis()));
        assert!(floor >= seen.floor, "seed {seed}: the floor sank");
        assert!(floor >= newest, "seed {seed}: the newest record is above the floor");
        seen.floor = floor;
    }
}

fn pick(dice: &mut Dice, of: u64) -> usize {
    usize::try_from(dice.roll(of)).unwrap()
}

/// A value that is made by the clock of now, or one that was made before.
fn value(dice: &mut Dice, bench: &Bench, seen: &mut Seen) -> (u8, SingleUse) {
    let id = u8::try_from(dice.roll(20)).unwrap();
    let clock = bench.rig.clock.now().millis();
    let lasting = [20_000, 60_000, 300_000][pick(dice, 3)];
    let expires = *seen.values.entry(id).or_insert(clock + lasting);
    let (expires, issued) = (Time::from_millis(expires), Time::from_millis(START));
    (id, SingleUse { digest: [id; 32], expires, issued, kind: SingleUseKind::Assertion, share: ShareKey::NOBODY })
}

fn used(seen: &mut Seen, id: u8, seed: u64) {
    assert!(seen.spent.insert(id), "seed {seed}: value {id} counted twice");
}

fn hop(dice: &mut Dice, bench: &mut Bench, seen: &mut Seen, seed: u64) {
    let ((id, value), on) = (value(dice, bench, seen), u8::try_from(dice.roll(3)).unwrap());
    seen.next += 1;
    let number = seen.ends.get(&on).copied().unwrap_or_default().saturating_sub(dice.roll(2));
    let generations = vec![Generation { key: GenerationKey([on; 16]), number }];
    let deadline = Time::from_millis(bench.rig.clock.now().millis() + 100_000);
    let hop = RecordHop { generations, deadline, single_use: vec![value], ..issue(100 + seen.next, &[], &[]) };
    bench.submit(hop);
    let jti = Some(Jti::from_bytes([100 + seen.next; 16]));
    if bench.rig.disk.rows().iter().any(|row| row.jti == jti) {
        used(seen, id, seed);
        assert_eq!(number, seen.ends.get(&on).copied().unwrap_or_default(), "seed {seed}: it came of what had ended");
    }
}

fn spend(dice: &mut Dice, bench: &mut Bench, seen: &mut Seen, seed: u64) {
    let (id, value) = value(dice, bench, seen);
    let (reply, answer) = Reply::new();
    let told = bench.give(Box::new(SpendCommand { single_use: vec![value], reply, place: place() }), answer);
    let stored = bench.rig.disk.content().single_use.iter().any(|(_, digest)| *digest == value.digest);
    if told || stored && !seen.spent.contains(&id) {
        used(seen, id, seed);
    }
}

fn end(dice: &mut Dice, bench: &mut Bench, seen: &mut Seen) {
    let id = u8::try_from(dice.roll(3)).unwrap();
    bench.change(StateChange::Revocation(death(&[id])));
    *seen.ends.entry(id).or_default() += 1;
}

#[test]
fn nothing_revives_and_nothing_counts_twice_under_a_clock_that_is_put_ahead_and_back() {
    let count = std::env::var("COUNTERSIGN_HISTORIES").map_or(1_000, |count| count.parse().unwrap());
    (0..count).for_each(history);
}

#[test]
fn an_assertion_that_was_forgotten_does_not_count_when_the_clock_is_set_back() {
    for records in [false, true] {
        let rig = Rig::new();
        let commit = rig.start();
        let spend = |commit: &Commit| block_on(commit.spend(ShareKey::NOBODY, issue(0, &[], &[1]).single_use));
        spend(&commit).unwrap();
        rig.step(90_000);
        if records {
            block_on(commit.end(death(&[1]))).unwrap();
        } else {
            block_on(commit.spend(ShareKey::NOBODY, Vec::new())).unwrap();
        }
        rig.step(-90_000);
        assert_eq!(spend(&commit), Err(CommitReason::ClockBehind), "the memory of it is gone");
        block_on(commit.close());
        let commit = rig.start();
        let refused = if records { CommitReason::ClockBehind } else { CommitReason::Spent };
        assert_eq!(spend(&commit), Err(refused), "after a restart the store tells of it, or the newest record of the time");
    }
}

#[test]
fn a_list_that_was_forgotten_is_over_when_the_clock_is_set_back() {
    let state = State::default();
    let lists = StatusLists::new(10);
    let expires = Time::from_millis(START + 60_000);
    let place =
        lists.reserve((&Resource::parse("https://crm.example").unwrap(), StatusBits::One), expires, ShareKey::NOBODY).unwrap();
    lists.add(Registration { place, expires, share: ShareKey::NOBODY, generations: Vec::new() });
    lists.look(&state, Time::from_millis(START));
    assert_eq!(state.floor(), Time::from_millis(0), "nothing is forgotten yet");
    let later = Time::from_millis(START + 125_000);
    lists.look(&state, later);
    assert_eq!(state.floor(), later, "a token of it");
    let later = Time::from_millis(START + 3_600_000);
    lists.look(&state, later);
    assert!(lists.all().is_empty());
    assert_eq!(state.floor(), later, "all of it");
}
