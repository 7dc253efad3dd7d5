//! Going back in time begins an epoch: what was issued, opened or spent before counts no longer, what ended for good stays so,
//! and things are issued again at once.

use std::collections::BTreeSet;

use super::histories::{Bench, Dice, place};
use super::memory::Fault;
use super::tasks::opening;
use super::*;
use crate::commit::change::StateChange;
use crate::commit::command::Reply;
use crate::commit::commands::{CheckpointCommand, ConfiguredCommand, EpochCommand, SpendCommand};
use crate::commit::fold::Fold;
use crate::ledger::record::{LostCheckpoint, StateCause};
use crate::lifecycle::{GenerationState, InactiveStatus, StateView, liveness};

const FAR: i64 = 400 * 86_400_000;

fn in_epoch(number: u64) -> Generation {
    Generation { key: GenerationKey::EPOCH, number }
}

/// A hop of the epoch `number` that depends on life 0 of `generations`, by the clock of now.
fn hop(rig: &Rig, id: u8, number: u64, generations: &[u8]) -> RecordHop {
    let mut hop = issue(id, generations, &[]);
    hop.generations.extend((number > 0).then_some(in_epoch(number)));
    RecordHop { deadline: Time::from_millis(rig.clock.now().millis() + 60_000), ..hop }
}

fn value(rig: &Rig, id: u8, issued: i64) -> SingleUse {
    let now = rig.clock.now().millis();
    let (issued, expires) = (Time::from_millis(now + issued), Time::from_millis(now + 300_000));
    SingleUse { digest: [id; 32], expires, issued, kind: SingleUseKind::Assertion, share: ShareKey::NOBODY }
}

fn generation(commit: &Commit, id: u8) -> GenerationState {
    commit.state().generations(&[GenerationKey([id; 16])])[0]
}

fn lives(commit: &Commit, on: &[Generation], rig: &Rig) -> bool {
    liveness::alive(&*commit.state(), on, rig.clock.now()).is_ok()
}

/// Row 1 of the kind: one exchange under a clock far ahead, and the clock is right again.
#[test]
fn one_command_ends_the_epoch_of_a_clock_that_was_ahead() {
    let rig = Rig::new();
    let mut commit = rig.start();
    block_on(commit.submit(hop(&rig, 1, 0, &[1]))).unwrap();
    rig.step(FAR);
    block_on(commit.submit(hop(&rig, 2, 0, &[1]))).unwrap();
    rig.step(-FAR);
    assert_eq!(block_on(commit.submit(hop(&rig, 3, 0, &[1]))).unwrap_err(), CommitReason::ClockBehind);
    assert_eq!(block_on(commit.correct_clock("NTP".to_owned())), Ok(1));
    for _ in 0..2 {
        assert_eq!(commit.state().floor(), rig.clock.now());
        assert!(!lives(&commit, &issue(1, &[1], &[]).generations, &rig), "of the epoch before");
        assert_eq!(block_on(commit.submit(hop(&rig, 4, 0, &[1]))).unwrap_err(), CommitReason::Died);
        assert_eq!(block_on(commit.submit(hop(&rig, 4, 2, &[1]))).unwrap_err(), CommitReason::Died, "of none yet");
        block_on(commit.submit(hop(&rig, 5, 1, &[1]))).unwrap();
        assert!(lives(&commit, &hop(&rig, 5, 1, &[1]).generations, &rig));
        assert_eq!(block_on(commit.hindrances()), []);
        block_on(commit.close());
        commit = rig.start();
    }
    assert_eq!(rig.kinds().iter().filter(|kind| **kind == Kind::Epoch).count(), 1);
}

#[test]
fn an_epoch_is_refused_where_nothing_is_ahead_of_the_clock() {
    let rig = Rig::new();
    let commit = rig.start();
    let correct = || block_on(commit.correct_clock(String::new()));
    block_on(commit.submit(hop(&rig, 1, 0, &[]))).unwrap();
    for step in [0, 5_000, -1_000, -4_000 + 4_000] {
        rig.step(step);
        assert_eq!(correct(), Err(CommitReason::ClockRight), "{step}");
    }
    assert_eq!(block_on(commit.correct_clock("x".repeat(1_025))), Err(CommitReason::TooLarge));
    block_on(commit.end(death(&[1]))).unwrap();
    rig.step(-1_001);
    assert_eq!(correct(), Ok(1));
    assert_eq!(correct(), Err(CommitReason::ClockRight), "once is enough");
    rig.step(-60_000);
    assert_eq!(correct(), Ok(2));
}

/// The memory of what was spent before goes with the time by which it was forgotten, so nothing that was made before counts.
#[test]
fn what_was_made_before_an_epoch_is_not_spent_in_it() {
    let rig = Rig::new();
    let mut commit = rig.start();
    let spend = |commit: &Commit, value: SingleUse| block_on(commit.spend(ShareKey::NOBODY, vec![value]));
    let spent = value(&rig, 1, 0);
    spend(&commit, spent).unwrap();
    rig.step(FAR);
    block_on(commit.submit(hop(&rig, 1, 0, &[]))).unwrap();
    rig.step(-FAR);
    assert_eq!(spend(&commit, spent), Err(CommitReason::ClockBehind));
    block_on(commit.correct_clock(String::new())).unwrap();
    let made = [(-100_000, false), (0, false), (60_000, false), (60_001, true)].map(|(at, counts)| (value(&rig, 2, at), counts));
    for _ in 0..2 {
        assert_eq!(spend(&commit, spent), Err(CommitReason::Forgotten));
        for (value, counts) in &made {
            assert_eq!(commit.look(&[*value], rig.clock.now()).is_ok(), *counts, "{value:?}");
        }
        block_on(commit.close());
        commit = rig.start();
    }
    spend(&commit, made[3].0).unwrap();
    assert_eq!(spend(&commit, made[3].0), Err(CommitReason::Spent));
}

#[test]
fn what_has_a_date_is_forgotten_with_its_epoch_and_what_has_none_stays() {
    let rig = Rig::new();
    let mut commit = rig.start();
    let dated = Revocation { until: Some(Time::from_millis(START + FAR)), ..death(&[1]) };
    block_on(async {
        commit.submit(opening(20, 9, 80_000_000, None, &[])).await.unwrap();
        commit.end(dated).await.unwrap();
        commit.hold(holding(Transition::Retire, &[2]), vec![]).await.unwrap();
        commit.hold(holding(Transition::Suspend, &[3]), vec![]).await.unwrap();
    });
    rig.step(FAR);
    block_on(commit.end(death(&[4]))).unwrap();
    rig.step(-FAR);
    block_on(commit.correct_clock(String::new())).unwrap();
    for _ in 0..2 {
        assert_eq!(generation(&commit, 1), GenerationState::default(), "nothing could present what ended with it");
        assert_eq!(generation(&commit, 2).inactive, Some(InactiveStatus::Retired));
        assert_eq!(generation(&commit, 3).inactive, Some(InactiveStatus::Suspended));
        let ended = generation(&commit, 4);
        assert_eq!((ended.number, ended.ended), (1, Some(rig.clock.now())), "or no evidence of now would count for long");
        assert!(commit.state().tasks().is_empty());
        assert!(rig.disk.content().terms.is_empty());
        block_on(commit.close());
        commit = rig.start();
    }
}

/// Else its suspension, which has no date, would be remembered for ever.
#[test]
fn a_suspended_task_of_an_epoch_before_is_forgotten_when_its_time_is_over() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        commit.submit(opening(20, 9, 80_000_000, None, &[])).await.unwrap();
        let task = commit.state().tasks()[0].terms.revocable();
        commit.hold(StatusChange { things: vec![task], ..holding(Transition::Suspend, &[1]) }, vec![]).await.unwrap();
        rig.step(2_000);
        commit.end(death(&[1])).await.unwrap();
        rig.step(-2_000);
        commit.correct_clock(String::new()).await.unwrap();
    });
    assert_eq!(commit.state().tasks().len(), 1);
    assert!(!lives(&commit, &commit.state().tasks()[0].terms.generations, &rig));
    rig.step(90_000_000);
    block_on(commit.end(death(&[2]))).unwrap();
    rig.step(90_000_000);
    for id in [3, 4] {
        block_on(commit.end(death(&[id]))).unwrap();
    }
    assert_eq!(commit.state().tasks(), []);
    assert_eq!(commit.state().len(), 5, "four agents and the epoch");
}

/// What is known of a history besides the store.
#[derive(Default)]
struct Seen {
    /// The time of everybody else.
    truth: i64,
    /// By so much the clock of the server is wrong.
    error: i64,
    spent: BTreeSet<u8>,
    values: Vec<SingleUse>,
    /// Tokens that were recorded: the epoch, a thing and its number.
    tokens: Vec<(u64, u8, u64)>,
    ends: [u64; 3],
    next: u8,
    /// Copies of the store, each with how often each thing had ended then.
    copies: Vec<(memory::Content, [u64; 3])>,
    /// How often one that misses what was signed took the place of the store.
    logs: u64,
}

fn pick(dice: &mut Dice, of: u64) -> usize {
    usize::try_from(dice.roll(of)).unwrap()
}

fn history(seed: u64) {
    let (mut dice, mut bench, mut seen) = (Dice(seed), Bench::new(), Seen { truth: START, ..Seen::default() });
    for _ in 0..60 {
        match dice.roll(15) {
            0..4 => exchange(&mut dice, &mut bench, &mut seen, seed),
            4..6 => spend(&mut dice, &mut bench, &mut seen, seed),
            6 => {
                let id = pick(&mut dice, 3);
                bench.change(StateChange::Revocation(death(&[u8::try_from(id).unwrap()])));
                seen.ends[id] += 1;
            }
            7 => {
                let (reply, answer) = Reply::new();
                bench.give(Box::new(CheckpointCommand { cause: StateCause::Interval, reply }), answer);
            }
            8 => bench.restart(),
            9 => bench.rig.faults.set([Fault::FlushLost, Fault::FlushLanded, Fault::Begin][pick(&mut dice, 3)], 1),
            10 => correct(&mut bench, &mut seen, seed),
            12 => {
                let copy = (bench.rig.disk.content().clone(), seen.ends);
                seen.copies.push(copy);
            }
            13 if !seen.copies.is_empty() => restore(&mut dice, &mut bench, &mut seen, seed),
            11 => seen.truth += [500, 5_000, 61_000, 400_000][pick(&mut dice, 4)],
            _ => seen.error = [0, 0, 0, 5_000, 61_000, 400_000, FAR, -5_000, -400_000][pick(&mut dice, 9)],
        }
        bench.rig.clock.0.store(seen.truth + seen.error, Ordering::SeqCst);
        judge(&bench, &seen, seed);
    }
    bench.restart();
    judge(&bench, &seen, seed);
    folded(&bench, seed);
}

/// The operator says that the clock is right only where it is.
fn correct(bench: &mut Bench, seen: &mut Seen, seed: u64) {
    seen.error = 0;
    bench.rig.clock.0.store(seen.truth, Ordering::SeqCst);
    bench.rig.faults.heal();
    let before = (bench.state.epoch(), bench.state.floor());
    let (reply, answer) = Reply::new();
    let (by, reason) = (ClientId::operators(), String::new());
    let corrected = bench.give(Box::new(EpochCommand { by, reason, reply, number: 0 }), answer);
    assert_eq!(corrected, before.1.millis() - seen.truth > 1_000, "seed {seed}");
    assert_eq!(bench.state.epoch(), before.0 + u64::from(corrected), "seed {seed}");
    seen.next += 1;
    let hop = hop(&bench.rig, seen.next, bench.state.epoch(), &[]);
    assert!(bench.submit(hop), "seed {seed}: things are issued again");
}

/// Any copy takes the place of the store, by a right clock; what it misses may have been signed.
fn restore(dice: &mut Dice, bench: &mut Bench, seen: &mut Seen, seed: u64) {
    seen.error = 0;
    bench.rig.clock.0.store(seen.truth, Ordering::SeqCst);
    bench.restart();
    let (copy, ends) = seen.copies[pick(dice, seen.copies.len() as u64)].clone();
    *bench.rig.disk.content() = copy;
    (seen.ends, seen.logs) = (ends, seen.logs + 1);
    let number = first_epoch_of_log(seen.logs);
    restored(&bench.rig, number, true).unwrap();
    bench.restart();
    assert!(bench.state.is_held() && bench.state.epoch() == number, "seed {seed}");
    judge(bench, seen, seed);
    let (reply, answer) = Reply::new();
    let (in_force, origin) = (BTreeSet::new(), Some((Digest([1; 32]), "ops")));
    assert!(bench.give(Box::new(ConfiguredCommand { in_force, origin, reply }), answer), "seed {seed}");
    seen.next += 1;
    let hop = hop(&bench.rig, seen.next, number, &[]);
    assert!(bench.submit(hop), "seed {seed}: things are issued again");
}

fn exchange(dice: &mut Dice, bench: &mut Bench, seen: &mut Seen, seed: u64) {
    let (on, epoch) = (pick(dice, 3), bench.state.epoch().saturating_sub(dice.roll(2)));
    let number = seen.ends[on].saturating_sub(dice.roll(2));
    seen.next += 1;
    let (id, on) = (seen.next, u8::try_from(on).unwrap());
    let mut hop = hop(&bench.rig, id, epoch, &[]);
    hop.generations.push(Generation { key: GenerationKey([on; 16]), number });
    bench.submit(hop);
    if bench.rig.disk.rows().iter().any(|row| row.jti == Some(Jti::from_bytes([id; 16]))) {
        assert_eq!(epoch, bench.state.epoch(), "seed {seed}: it came of an epoch before");
        seen.tokens.push((epoch, on, number));
    }
}

/// A value is made by the right clock, and taken for as long as the wrong one says.
fn spend(dice: &mut Dice, bench: &mut Bench, seen: &mut Seen, seed: u64) {
    let known = seen.values.len();
    if known < 20 {
        let expires = seen.truth + seen.error + [20_000, 60_000, 300_000, 90_000_000][pick(dice, 4)];
        let (expires, issued) = (Time::from_millis(expires), Time::from_millis(seen.truth));
        let id = u8::try_from(known).unwrap();
        seen.values.push(SingleUse {
            digest: [id; 32],
            expires,
            issued,
            kind: SingleUseKind::Assertion,
            share: ShareKey::NOBODY,
        });
    }
    let value = seen.values[pick(dice, seen.values.len() as u64)];
    let (reply, answer) = Reply::new();
    let told = bench.give(Box::new(SpendCommand { single_use: vec![value], reply, _place: place() }), answer);
    let stored = bench.rig.disk.content().single_use.iter().any(|(_, digest)| *digest == value.digest);
    if told || stored && !seen.spent.contains(&value.digest[0]) {
        assert!(seen.spent.insert(value.digest[0]), "seed {seed}: value {} counted twice", value.digest[0]);
    }
}

fn judge(bench: &Bench, seen: &Seen, seed: u64) {
    let epoch = bench.state.epoch();
    for (of, on, number) in &seen.tokens {
        let mut generations = vec![Generation { key: GenerationKey([*on; 16]), number: *number }];
        generations.extend((*of > 0).then_some(in_epoch(*of)));
        let held = bench.state.is_held();
        let alive = liveness::alive(&*bench.state, &generations, bench.rig.clock.now()).is_ok();
        assert_eq!(alive, !held && *of == epoch && *number == seen.ends[usize::from(*on)], "seed {seed}: of epoch {of}");
    }
}

/// All records, folded from the first, lead to the state of now.
fn folded(bench: &Bench, seed: u64) {
    let mut fold = Fold::default();
    for row in bench.rig.disk.rows() {
        fold.take(row.index, &Record::parse(&row.record).unwrap()).unwrap();
    }
    let rows = |mut rows: Vec<contract::StateRow>| {
        rows.sort_unstable();
        rows
    };
    assert_eq!(rows(fold.state.rows()), rows(bench.state.rows()), "seed {seed}");
}

#[test]
fn nothing_revives_and_nothing_counts_twice_in_another_epoch() {
    let count = std::env::var("COUNTERSIGN_HISTORIES").map_or(1_000, |count| count.parse().unwrap());
    (0..count).for_each(history);
}

/// A store in which an epoch begins because a copy took its place.
fn restored(rig: &Rig, number: u64, holds: bool) -> Result<Rebuilt, contract::StoreReason> {
    let before = LostCheckpoint { origin: "log.example".into(), root: Digest([7; 32]), size: 99 };
    let epoch = RestoredEpoch { number, before: holds.then_some(before), reason: "set back".to_owned() };
    let mut store = MemoryStore::new(&rig.disk, &rig.faults);
    rebuild(&mut store, keys(1), &*rig.clock, Some(&epoch), |_, _| {})
}

/// What was issued and spent in time that is lost does not come back either, for no later epoch has the number of one of then.
#[test]
fn an_epoch_without_records_that_were_signed_is_held_until_an_operator_accepts() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(commit.submit(issue(1, &[], &[1]))).unwrap();
    block_on(commit.close());
    let first = first_epoch_of_log(1);
    restored(&rig, first, true).unwrap();
    assert!(restored(&rig, first, true).is_err(), "none has the number of one before");
    let mut commit = rig.start();
    let digest = Digest([1; 32]);
    for (by, held) in [(None, true), (Some("files"), true), (Some("ops"), false), (Some("files"), false)] {
        block_on(commit.remember(BTreeSet::new(), by.map(|by| (digest, by)))).unwrap();
        assert_eq!((commit.state().epoch(), commit.state().is_held()), (first, held), "{by:?}");
        let number = commit.state().epoch();
        assert_eq!(lives(&commit, &[in_epoch(number)], &rig), !held);
        assert!(!lives(&commit, &[in_epoch(1)], &rig), "of a clock that was corrected in time that is lost");
        block_on(commit.close());
        commit = rig.start();
    }
    assert_eq!(block_on(commit.spend(ShareKey::NOBODY, issue(0, &[], &[1]).single_use)), Err(CommitReason::Forgotten));
    block_on(commit.submit(hop(&rig, 3, first, &[]))).unwrap();
    block_on(commit.close());
    restored(&rig, first + 1, false).unwrap();
    let commit = rig.start();
    assert!(!commit.state().is_held(), "nothing that was signed is lost");
    assert_eq!(block_on(commit.submit(hop(&rig, 4, first, &[]))).unwrap_err(), CommitReason::Died);
    assert_eq!([0, 1, first - 1, first, first + 9].map(log_of_epoch), [0, 0, 0, 1, 1]);
}
