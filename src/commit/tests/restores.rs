//! Random histories with wrong clocks and restores: any earlier copy takes the place of the store, with and without records that
//! survive elsewhere, and is broken off at every step. Nothing revives, nothing counts twice, no log has two roots for one size,
//! and one command is the way out.
//!
//! `COUNTERSIGN_HISTORIES` sets how many; the default takes some seconds.

use std::collections::{BTreeMap, BTreeSet};

use super::epochs::{FAR, hop, in_epoch, restored};
use super::histories::{Bench, Dice, place};
use super::memory::{Content, Fault};
use super::tasks::terms;
use super::*;
use crate::commit::change::StateChange;
use crate::commit::command::Reply;
use crate::commit::commands::{CheckpointCommand, ConfiguredCommand, EpochCommand, SpendCommand};
use crate::commit::contract::{CommitStore, Stored};
use crate::commit::fold::Fold;
use crate::crypto::Digest;
use crate::ledger::Frontier;
use crate::ledger::merkle::leaf_hash;
use crate::ledger::record::StateCause;
use crate::lifecycle::{StateView, liveness};

/// Agents from this number on are suspended and retired; those before it end, again and again.
const HELD: u8 = 10;

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
    /// Copies of the store.
    copies: Vec<Content>,
    /// How often one that misses what was signed took the place of the store.
    logs: u64,
    /// The root that was signed at each size of each log.
    signed: BTreeMap<(u64, u64), Digest>,
    /// The agents whose retirement was signed, with the number of records by then.
    retired: Vec<(u8, u64)>,
}

fn pick(dice: &mut Dice, of: u64) -> usize {
    usize::try_from(dice.roll(of)).unwrap()
}

fn history(seed: u64) {
    let (mut dice, mut bench, mut seen) = (Dice(seed), Bench::new(), Seen { truth: START, ..Seen::default() });
    for _ in 0..60 {
        match dice.roll(18) {
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
            12 => seen.copies.push(bench.rig.disk.content().clone()),
            13 if !seen.copies.is_empty() => restore(&mut dice, &mut bench, &mut seen, seed),
            14 => turn(&mut dice, &mut bench, &mut seen),
            15 => open(&mut dice, &mut bench, &mut seen),
            16 => sign(&bench, &mut seen, seed),
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

/// Suspends or retires an agent or a task.
fn turn(dice: &mut Dice, bench: &mut Bench, seen: &mut Seen) {
    let transition = [Transition::Suspend, Transition::Retire, Transition::Suspend][pick(dice, 3)];
    let id = HELD + u8::try_from(dice.roll(3)).unwrap();
    let mut change = holding(transition, &[id]);
    let task = bench.state.tasks().first().map(|task| task.terms.revocable());
    if let Some(task) = task.filter(|_| transition == Transition::Suspend && dice.roll(3) > 0) {
        change.things = vec![task];
    }
    bench.change(StateChange::Status(change));
    if transition == Transition::Retire {
        seen.retired.push((id, bench.rig.disk.rows().len() as u64));
    }
}

/// Opens a task.
fn open(dice: &mut Dice, bench: &mut Bench, seen: &mut Seen) {
    seen.next += 1;
    // The pseudonym of a task is not that of an agent.
    let (id, now, number) = (seen.next | 128, bench.now(), bench.state.epoch());
    let mut terms = terms(id, 3, 0, None, &[]);
    (terms.opened, terms.deadline) = (Time::from_millis(now), Time::from_millis(now + [50_000, 5_000_000][pick(dice, 2)]));
    terms.generations.extend((number > 0).then_some(in_epoch(number)));
    let opened = opened(id, &[], terms);
    let generations = (number > 0).then_some(in_epoch(number)).into_iter().collect();
    bench.submit(RecordHop { generations, deadline: Time::from_millis(now + 60_000), ..opened });
}

fn root(rows: &[Stored]) -> Digest {
    let mut tree = Frontier::empty();
    rows.iter().for_each(|row| tree.append(leaf_hash(&row.record), |_, _| ()));
    tree.root()
}

/// A checkpoint over all records is signed.
fn sign(bench: &Bench, seen: &mut Seen, seed: u64) {
    let (rows, log) = (bench.rig.disk.rows(), log_of_epoch(bench.state.epoch()));
    let root = root(&rows);
    let before = *seen.signed.entry((log, rows.len() as u64)).or_insert(root);
    assert_eq!(before, root, "seed {seed}: two roots at size {} of log {log}", rows.len());
}

/// How often each thing has ended by these records.
fn ends(rows: &[Stored]) -> [u64; 3] {
    let mut ends = [0; 3];
    for row in rows {
        if let Record::Revocation(revocation) = Record::parse(&row.record).unwrap() {
            let ids = revocation.ends.iter().map(|end| usize::from(end.key.0[0]));
            ids.filter(|id| *id < 3).for_each(|id| ends[id] += 1);
        }
    }
    ends
}

/// Any copy takes the place of the store, by a right clock. Of what it misses, and what was signed, some may survive.
fn restore(dice: &mut Dice, bench: &mut Bench, seen: &mut Seen, seed: u64) {
    seen.error = 0;
    bench.rig.clock.0.store(seen.truth, Ordering::SeqCst);
    bench.restart();
    let (lost, copy) = (bench.rig.disk.rows(), seen.copies[pick(dice, seen.copies.len() as u64)].clone());
    let newest = seen.signed.keys().next_back().copied();
    *bench.rig.disk.content() = copy;
    let has = bench.rig.disk.rows();
    let survives = has.len() <= lost.len() && has == lost[..has.len()] && dice.roll(4) > 0;
    // What survives is believed up to a checkpoint of the log that goes on.
    let proved = seen.signed.keys().filter(|(log, size)| {
        let size = usize::try_from(*size).unwrap();
        survives && *log == seen.logs && (has.len() + 1..=lost.len()).contains(&size)
    });
    let proved: Vec<u64> = proved.map(|(_, size)| *size).collect();
    let end = match proved.len() as u64 {
        0 => has.len() as u64,
        some => proved[usize::try_from(if dice.roll(2) == 0 { some - 1 } else { dice.roll(some) }).unwrap()],
    };
    let records = lost.get(has.len()..usize::try_from(end).unwrap()).unwrap_or_default();
    let (own, of_copy) = state_of(&bench.rig, records);
    let missing = own != seen.logs || newest.is_some_and(|newest| newest > (own, end));
    seen.logs += u64::from(missing);
    let number = if missing { first_epoch_of_log(seen.logs) } else { of_copy + 1 };
    broken_off(dice, bench, records, (number, missing), seed);
    bench.restart();
    seen.ends = ends(&bench.rig.disk.rows());
    assert_eq!((bench.state.is_held(), bench.state.epoch()), (missing, number), "seed {seed}");
    let state = Arc::clone(&bench.state);
    let has = |id: u8| state.generations(&[GenerationKey([id; 16])])[0].inactive.is_some();
    let signed = |at: u64| newest.is_some_and(|(_, size)| at <= size);
    let gone = seen.retired.iter().find(|(id, at)| !missing && signed(*at) && !has(*id));
    assert_eq!(gone, None, "seed {seed}: an agent that was retired is back");
    judge(bench, seen, seed);
    let (reply, answer) = Reply::new();
    let (in_force, origin) = (BTreeSet::new(), Some((Digest([1; 32]), "ops")));
    assert!(bench.give(Box::new(ConfiguredCommand { in_force, origin, reply }), answer), "seed {seed}");
    // Whoever accepts looks whom lost records had retired; what is not signed was never told of.
    seen.retired.retain(|(id, at)| !missing && *at <= end && has(*id));
    seen.next += 1;
    let hop = hop(&bench.rig, seen.next, number, &[]);
    assert!(bench.submit(hop), "seed {seed}: things are issued again");
    sign(bench, seen, seed);
}

/// The number of the log and of the epoch in which the copy and these records end.
fn state_of(rig: &Rig, records: &[Stored]) -> (u64, u64) {
    let mut fold = Fold::default();
    for row in rig.disk.rows().iter().chain(records) {
        fold.take(row.index, &Record::parse(&row.record).unwrap()).unwrap();
    }
    let number = fold.state.epoch().number;
    (log_of_epoch(number), number)
}

/// Folds the records in, in pages, and begins the epoch; each step fails now and then, and is then begun again. Nobody starts on
/// what was folded in before that.
fn broken_off(dice: &mut Dice, bench: &Bench, records: &[Stored], (number, missing): (u64, bool), seed: u64) {
    let rig = &bench.rig;
    let fault = |dice: &mut Dice| {
        rig.faults.heal();
        if dice.roll(3) == 0 {
            rig.faults.set([Fault::FlushLost, Fault::FlushLanded, Fault::Apply, Fault::Open][pick(dice, 4)], 1);
        }
    };
    let first = rig.disk.rows().len();
    for _ in 0..100 {
        fault(dice);
        let (mut store, landed) = (MemoryStore::new(&rig.disk, &rig.faults), rig.disk.rows().len() - first);
        let page = &records[landed..(landed + 3).min(records.len())];
        let folded = store.open().and_then(|_| store.fold_in(page));
        drop(store);
        let page_landed = rig.disk.rows().len() > first;
        rig.faults.heal();
        if page_landed && dice.roll(3) == 0 {
            assert!(rig.tried().is_err(), "seed {seed}: a server starts in the midst of a restore");
        }
        if folded.is_ok() && rig.disk.rows().len() == first + records.len() {
            fault(dice);
            // Where it landed and that was not told, nothing is left to do.
            let done = restored(rig, number, missing).is_ok() || state_of(rig, &[]).1 == number;
            rig.faults.heal();
            if done {
                return;
            }
        }
    }
    panic!("seed {seed}: the restore does not end");
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
        let (digest, kind, share) = ([id; 32], SingleUseKind::Assertion, ShareKey::NOBODY);
        seen.values.push(SingleUse { digest, expires, issued, kind, share });
    }
    let value = seen.values[pick(dice, seen.values.len() as u64)];
    let (reply, answer) = Reply::new();
    let told = bench.give(Box::new(SpendCommand { single_use: vec![value], reply, place: place() }), answer);
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
        let taken = fold.take(row.index, &Record::parse(&row.record).unwrap());
        taken.unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
    }
    let rows = |mut rows: Vec<contract::StateRow>| {
        rows.sort_unstable();
        rows
    };
    assert_eq!(rows(fold.state.rows()), rows(bench.state.rows()), "seed {seed}");
}

#[test]
fn nothing_revives_and_nothing_counts_twice_in_another_epoch() {
    // One of them restores many times, and takes as long as ten of the others.
    let count = std::env::var("COUNTERSIGN_HISTORIES").map_or(150, |count| count.parse::<u64>().unwrap().div_ceil(10));
    let first = std::env::var("COUNTERSIGN_SEED").map_or(0, |seed| seed.parse().unwrap());
    std::thread::scope(|scope| {
        for part in 0..2 {
            scope.spawn(move || (first + part..first + count).step_by(2).for_each(history));
        }
    });
}
