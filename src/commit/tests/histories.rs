//! Random histories, far longer than those that can be walked one by one, and past the times at which forgetting begins: state
//! is always the fold of all records, and everything lives exactly when a model says so that knows nothing of generations,
//! digests and forgetting.
//!
//! `COUNTERSIGN_HISTORIES` sets how many; the default takes some seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::channel;

use tokio::sync::oneshot;

use super::memory::Fault;
use super::*;
use crate::commit::change::{PendingChange, StateChange};
use crate::commit::command::{CommitCommand, Message, Reply, WriterMemory};
use crate::commit::commands::{
    ChangeCommand, CheckpointCommand, HeartbeatCommand, HopCommand, KeyEventsCommand, ResumeCommand, SpendCommand,
};
use crate::commit::fold::{Fold, StateHash};
use crate::commit::receipt::Durable;
use crate::commit::replay_cache::ReplayCache;
use crate::commit::subject_keys::SubjectKeys;
use crate::commit::unrecorded::UnrecordedSum;
use crate::commit::writer::{Writer, WriterParts};
use crate::ledger::record::{KeyCheck, KeyEvent, KeyRole, StateCause};
use crate::lifecycle::{StateView, liveness};

const STEPS: u64 = 40;
const AGENTS: u8 = 2;
/// Running copies, one of each agent.
const COPY: u8 = 10;
/// Tasks and hops are numbered from here on.
const TASK: u8 = 100;
const HOP: u8 = 150;
const HEARTBEAT: i64 = 30_000;

/// Numbers that look random; each history has a seed of its own, which is told when it fails.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// One of `0..sides` (SplitMix64).
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// A thing as the model knows it.
#[derive(Clone, Default)]
struct Known {
    ends: u64,
    suspended: bool,
    retired: bool,
}

#[derive(Clone)]
struct KnownTask {
    on: Vec<(u8, u64)>,
    deadline: i64,
    heartbeat: bool,
    due: i64,
    left: u64,
}

/// A token: everything that it depends on, with how often each had ended then, and until when it can be presented.
#[derive(Clone)]
struct Token {
    hop: u8,
    on: Vec<(u8, u64)>,
    until: i64,
}

/// The model: names, counts and times.
#[derive(Clone, Default)]
struct Model {
    things: BTreeMap<u8, Known>,
    tasks: BTreeMap<u8, KnownTask>,
    tokens: Vec<Token>,
    /// Each key with the newest event in its life.
    keys: BTreeMap<KeyCheck, KeyEvent>,
}

impl Model {
    fn thing(&mut self, id: u8) -> &mut Known {
        self.things.entry(id).or_default()
    }

    fn of(&self, id: u8) -> Known {
        self.things.get(&id).cloned().unwrap_or_default()
    }

    /// True while each of these is as it was, and may act, and no task among them is over.
    fn lives(&self, on: &[(u8, u64)], now: i64) -> bool {
        on.iter().all(|(id, ends)| {
            let known = self.of(*id);
            let over = self.tasks.get(id).is_some_and(|task| task.due <= now && known.ends == 0);
            known.ends == *ends && !known.suspended && !known.retired && !over
        })
    }

    fn now_of(&self, on: &[u8]) -> Vec<(u8, u64)> {
        on.iter().map(|id| (*id, self.of(*id).ends)).collect()
    }

    fn is_paused(&self, task: &KnownTask, own: u8) -> bool {
        task.on.iter().map(|(id, _)| *id).chain([own]).any(|id| self.of(id).suspended || self.of(id).retired)
    }

    /// Suspends, resumes or retires `id`, and moves the times of the tasks under it.
    fn turn(&mut self, transition: Transition, id: u8, now: i64) {
        let before: BTreeSet<u8> = self.paused();
        let known = self.thing(id);
        let task = (TASK..HOP).contains(&id);
        match transition {
            Transition::Suspend if known.retired || task && known.ends > 0 => {}
            Transition::Suspend => known.suspended = true,
            Transition::Resume if known.retired => {}
            Transition::Resume => known.suspended = false,
            Transition::Retire => (known.ends, known.suspended, known.retired) = (known.ends + 1, false, true),
        }
        let after = self.paused();
        for (own, task) in &mut self.tasks {
            if task.due <= now || !task.heartbeat {
                continue;
            }
            match (before.contains(own), after.contains(own)) {
                (false, true) => task.due = task.deadline,
                (true, false) => task.due = task.deadline.min(now + HEARTBEAT),
                _ => {}
            }
        }
    }

    fn paused(&self) -> BTreeSet<u8> {
        self.tasks.iter().filter(|(own, task)| self.is_paused(task, **own)).map(|(own, _)| *own).collect()
    }

    fn end(&mut self, id: u8) {
        let known = self.thing(id);
        known.ends += 1;
        // Nothing joins a task or hop that has ended.
        if id >= TASK {
            known.suspended = false;
        }
    }
}

/// The writer under test, on a store in memory.
pub(super) struct Bench {
    pub(super) rig: Rig,
    writer: Option<Writer>,
    pub(super) state: Arc<State>,
    to: std::sync::mpsc::Sender<Message>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let mut rig = Rig::new();
        rig.limits.retry = std::time::Duration::ZERO;
        rig.limits.checkpoint_records = 7;
        rig.limits.checkpoint_pause = std::time::Duration::from_secs(20);
        let (to, _) = channel();
        let mut bench = Self { rig, writer: None, state: Arc::default(), to };
        bench.restart();
        bench
    }

    pub(super) fn restart(&mut self) {
        self.writer = None;
        self.rig.faults.heal();
        let (to, messages) = channel();
        let limits = self.rig.limits.clone();
        let memory = WriterMemory {
            state: Arc::default(),
            lists: StatusLists::new(limits.status),
            velocities: Arc::default(),
            replay: ReplayCache::new(limits.single_use),
            keys: SubjectKeys::new(keys(1).root, limits.subject_keys),
            terms: TermsSealer::new(keys(1).terms),
            hash: StateHash::default(),
            sum: UnrecordedSum::new(keys(1).sums),
            forgets: false,
        };
        self.state = Arc::clone(&memory.state);
        let store = Box::new(MemoryStore::new(&self.rig.disk, &self.rig.faults));
        let (clock, durable, listed) = (self.rig.clock.clone(), Durable::default(), self.rig.listed.clone());
        let parts = WriterParts { store, clock, limits, messages, memory, durable, listed };
        self.writer = Some(Writer::start(parts).unwrap());
        self.to = to;
    }

    /// The present: the clock's, or the floor where the clock is behind that.
    pub(super) fn now(&self) -> i64 {
        self.rig.clock.now().max(self.state.floor()).millis()
    }

    /// Gives one command, and goes on until nothing is left to do. True where it was answered `Ok`.
    pub(super) fn give<T>(
        &mut self,
        command: Box<dyn CommitCommand>,
        mut answer: oneshot::Receiver<Result<T, CommitReason>>,
    ) -> bool {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(vec![command]);
        finish(writer);
        matches!(answer.try_recv(), Ok(Ok(_)))
    }

    pub(super) fn submit(&mut self, mut hop: RecordHop) -> bool {
        hop.disclosed.values = Zeroizing::default();
        let (to, mut answer) = oneshot::channel();
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(vec![Box::new(HopCommand::new(hop, to, self.to.clone(), place()))]);
        finish(writer);
        answer.try_recv().is_ok_and(|answer| answer.is_ok_and(|receipt| receipt.take().is_some()))
    }

    pub(super) fn change(&mut self, change: StateChange) -> bool {
        let (reply, answer) = Reply::new();
        let resumes = matches!(&change, StateChange::Status(change) if change.turn == Transition::Resume);
        let change = PendingChange::new(change, Vec::new(), Some(place()));
        let command: Box<dyn CommitCommand> =
            if resumes { Box::new(ResumeCommand::new(change, reply)) } else { Box::new(ChangeCommand::asked(change, reply)) };
        self.give(command, answer)
    }

    fn alive(&self, on: &[(u8, u64)]) -> bool {
        let on: Vec<Generation> =
            on.iter().map(|(id, number)| Generation { key: GenerationKey([*id; 16]), number: *number }).collect();
        liveness::alive(&*self.state, &on, self.rig.clock.now()).is_ok()
    }
}

pub(super) fn place() -> crate::commit::limits::QueuePlace {
    crate::commit::limits::Queue::new(Capacity::Queue, 1).place(crate::oauth::ShareKey::NOBODY).unwrap()
}

/// The thing `id`, of the kind that its number says.
fn named(id: u8) -> Revocable {
    let txn = Some(Txn::from_bytes([9; 16]));
    match id {
        TASK..HOP => {
            let name = Some(TaskId::from_bytes([id; 16]).to_string());
            Revocable { kind: GenerationKind::Task, name, txn, ..thing(id) }
        }
        HOP.. => Revocable { kind: GenerationKind::Hop, txn, ..thing(id) },
        COPY.. => Revocable { kind: GenerationKind::Instance, ..thing(id) },
        _ => thing(id),
    }
}

/// One history. The dice decide everything.
fn history(seed: u64) {
    let told = Told(seed);
    let (mut dice, mut bench, mut model) = (Dice(seed), Bench::new(), Model::default());
    let (mut next_hop, mut next_task) = (HOP, TASK);
    for _ in 0..STEPS {
        match dice.roll(22) {
            0..5 if next_hop < u8::MAX => {
                exchange(&mut dice, &mut bench, &mut model, next_hop);
                next_hop += 1;
            }
            5..7 if next_task < HOP - 1 => {
                open(&mut dice, &mut bench, &mut model, next_task);
                next_task += 1;
            }
            7..11 => turn(&mut dice, &mut bench, &mut model),
            11..14 => end(&mut dice, &mut bench, &mut model),
            14 => {
                if let Some(task) = model.tasks.keys().copied().nth(usize::try_from(dice.roll(3)).unwrap()) {
                    beat(&mut bench, &mut model, task);
                }
            }
            15 => {
                let (reply, answer) = Reply::new();
                bench.give(Box::new(CheckpointCommand { cause: StateCause::Interval, reply }), answer);
            }
            16 => bench.restart(),
            18 => turn_key(&mut dice, &mut bench, &mut model),
            17 => {
                // The process dies: what was not durable is gone, and what is acts again.
                let fault = [Fault::FlushLost, Fault::FlushLanded, Fault::Begin][usize::try_from(dice.roll(3)).unwrap()];
                bench.rig.faults.set(fault, 1);
            }
            20 => bench.rig.step([-500, -900, -5_000, -70_000, -400_000][usize::try_from(dice.roll(5)).unwrap()]),
            _ => bench.rig.step([500, 5_000, 20_000, 70_000, 400_000][usize::try_from(dice.roll(5)).unwrap()]),
        }
        judge(&bench, &model, seed);
    }
    bench.restart();
    judge(&bench, &model, seed);
    folded(&bench, &model, seed);
    std::mem::forget(told);
}

/// Tells the seed of a history that failed.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        eprintln!("COUNTERSIGN_SEED={} COUNTERSIGN_HISTORIES=1", self.0);
    }
}

/// What time has ended by now stays ended: the writer records it before it does anything else.
fn settle_overdue(model: &mut Model, now: i64) {
    let over: Vec<u8> = model.tasks.iter().filter(|(_, task)| task.due <= now).map(|(id, _)| *id).collect();
    for id in over {
        if model.of(id).ends == 0 {
            model.end(id);
        }
    }
}

/// Suspends, resumes or retires something.
fn turn(dice: &mut Dice, bench: &mut Bench, model: &mut Model) {
    let now = bench.now();
    let transition = [Transition::Suspend, Transition::Resume, Transition::Resume, Transition::Suspend, Transition::Retire];
    let transition = transition[usize::try_from(dice.roll(5)).unwrap()];
    let candidates: Vec<u8> = (0..AGENTS).chain([COPY]).chain(model.tasks.keys().copied()).collect();
    let id = candidates[usize::try_from(dice.roll(candidates.len() as u64)).unwrap()];
    let transition = if id >= TASK && transition == Transition::Retire { Transition::Suspend } else { transition };
    let things = vec![named(id)];
    let change = StatusChange { turn: transition, things, by: ClientId::parse("ops").unwrap(), reason: "x".into() };
    let before = bench.rig.disk.rows().len();
    bench.change(StateChange::Status(change));
    // A resumption that nobody heard of may be durable; what takes away is so in the end.
    let resumed = |row: &contract::Stored| Record::parse(&row.record).unwrap().kind() == Kind::Resumption;
    if transition != Transition::Resume || bench.rig.disk.rows().iter().skip(before).any(resumed) {
        settle_overdue(model, now);
        model.turn(transition, id, now);
    }
}

/// A key begins, is retired or is revoked, or is listed again as before.
fn turn_key(dice: &mut Dice, bench: &mut Bench, model: &mut Model) {
    let of = KeyRole::ALL[usize::try_from(dice.roll(6)).unwrap()];
    let event = [KeyEvent::Begin, KeyEvent::Retire, KeyEvent::Revoke][usize::try_from(dice.roll(3)).unwrap()];
    let check = KeyCheck { of, id: format!("key-{}", dice.roll(3)) };
    bench.rig.listed.insert(check.clone(), event);
    let newest = model.keys.entry(check).or_insert(event);
    *newest = event.max(*newest);
    let ((reply, answer), listed) = (Reply::new(), bench.rig.listed.clone());
    bench.give(Box::new(KeyEventsCommand { listed, reply }), answer);
}

/// Ends something.
fn end(dice: &mut Dice, bench: &mut Bench, model: &mut Model) {
    let now = bench.now();
    let mut candidates: Vec<(u8, Option<i64>)> = (0..AGENTS).chain([COPY]).map(|id| (id, None)).collect();
    candidates.extend(model.tasks.iter().map(|(id, task)| (*id, Some(task.deadline + 60_000))));
    candidates.extend(model.tokens.iter().map(|token| (token.hop, Some(token.until + 60_000))));
    let (id, until) = candidates[usize::try_from(dice.roll(candidates.len() as u64)).unwrap()];
    let until = until.map(Time::from_millis);
    bench.change(StateChange::Revocation(Revocation { ends: vec![named(id)], until, ..death(&[0]) }));
    settle_overdue(model, now);
    model.end(id);
}

fn exchange(dice: &mut Dice, bench: &mut Bench, model: &mut Model, hop: u8) {
    let now = bench.now();
    let from = usize::try_from(dice.roll(4)).unwrap();
    let (mut on, task, cap) = match (from, model.tokens.get(usize::try_from(dice.roll(8)).unwrap()), model.tasks.iter().last()) {
        (0, Some(token), _) => {
            let mut on = token.on.clone();
            on.push((token.hop, 0));
            (on, None, token.until)
        }
        (1 | 2, _, Some((id, task))) => {
            let mut on = task.on.clone();
            on.push((*id, 0));
            (on, Some(*id), task.deadline)
        }
        _ => (model.now_of(&[u8::try_from(dice.roll(u64::from(AGENTS))).unwrap(), COPY]), None, i64::MAX),
    };
    on.dedup();
    // Nothing outlives what it comes from.
    let until = cap.min(now + [5_000, 60_000, 300_000][usize::try_from(dice.roll(3)).unwrap()]);
    let generations = on.iter().map(|(id, number)| Generation { key: GenerationKey([*id; 16]), number: *number }).collect();
    let (record_of, effect) = match task {
        Some(task) => (Some(TaskId::from_bytes([task; 16])), Effect::Charge(TaskId::from_bytes([task; 16]))),
        None => (None, Effect::Nothing),
    };
    let plain = issue(hop, &[], &[]);
    let record = record(plain.jti, plain.txn, record_of);
    let expected = model.lives(&on, now) && task.is_none_or(|task| model.tasks[&task].left > 0);
    let landed = bench.submit(RecordHop { record, generations, effect, deadline: Time::from_millis(until), ..plain });
    assert!(!landed || expected, "hop {hop} was issued from what does not live: {on:?}");
    settle_overdue(model, now);
    // Whether or not the caller heard of it, what is recorded is charged.
    let recorded = bench.rig.disk.rows().iter().any(|row| row.jti == Some(Jti::from_bytes([hop; 16])));
    if recorded {
        if let Some(task) = task.and_then(|task| model.tasks.get_mut(&task)) {
            task.left -= 1;
        }
        model.tokens.push(Token { hop, on, until });
    }
}

fn open(dice: &mut Dice, bench: &mut Bench, model: &mut Model, id: u8) {
    let now = bench.now();
    let parent = model.tasks.iter().last().filter(|_| dice.roll(2) == 0).map(|(id, task)| (*id, task.clone()));
    let on: Vec<(u8, u64)> = match &parent {
        Some((parent, task)) => task.on.iter().copied().chain([(*parent, 0)]).collect(),
        None => model.now_of(&[u8::try_from(dice.roll(u64::from(AGENTS))).unwrap(), COPY]),
    };
    let lasting = [5_000, 100_000, 3_600_000][usize::try_from(dice.roll(3)).unwrap()];
    let (heartbeat, budget) = (dice.roll(2) == 0, 1 + dice.roll(3));
    let counts = on.clone();
    let mut terms = tasks::terms(id, budget, 0, parent.as_ref().map(|(id, _)| *id), &[]);
    terms.opened = Time::from_millis(now);
    terms.deadline = Time::from_millis(now + lasting);
    terms.heartbeat = heartbeat.then(|| std::time::Duration::from_millis(HEARTBEAT.unsigned_abs()));
    let generation = |(id, number): &(u8, u64)| Generation { key: GenerationKey([*id; 16]), number: *number };
    terms.generations = counts.iter().map(generation).chain([generation(&(id, 0))]).collect();
    let deadline = Time::from_millis(now + 400_000);
    let hop = opened(id, &[], terms);
    bench.submit(RecordHop { generations: counts.iter().map(generation).collect(), deadline, ..hop });
    settle_overdue(model, now);
    let recorded = bench.rig.disk.rows().iter().any(|row| row.jti == Some(Jti::from_bytes([id; 16])));
    if recorded {
        if let Some((parent, _)) = parent {
            model.tasks.get_mut(&parent).unwrap().left -= budget;
        }
        let deadline = now + lasting;
        let mut task = KnownTask { on, deadline, heartbeat, due: deadline, left: budget };
        if heartbeat && !model.is_paused(&task, id) {
            task.due = deadline.min(now + HEARTBEAT);
        }
        model.tasks.insert(id, task);
    }
}

fn beat(bench: &mut Bench, model: &mut Model, id: u8) {
    let now = bench.now();
    let (reply, answer) = Reply::new();
    let spend = SpendCommand { single_use: Vec::new(), reply, place: place() };
    let came = bench.give(Box::new(HeartbeatCommand { task: TaskId::from_bytes([id; 16]), spend }), answer);
    settle_overdue(model, now);
    let paused = model.is_paused(&model.tasks[&id], id);
    let task = model.tasks.get_mut(&id).unwrap();
    let durable = bench.rig.disk.beat_of(TaskId::from_bytes([id; 16])) == Some(now);
    if (came || durable) && task.heartbeat && !paused {
        task.due = task.deadline.min(now + HEARTBEAT);
    }
}

/// Every token that could still be presented lives just when the model says so, and tasks have the time and the budget that it
/// says is left.
fn judge(bench: &Bench, model: &Model, seed: u64) {
    let now = bench.now();
    for token in model.tokens.iter().filter(|token| token.until > now) {
        let mut on = token.on.clone();
        on.push((token.hop, 0));
        assert_eq!(bench.alive(&on), model.lives(&on, now), "seed {seed}: token {} on {:?}", token.hop, token.on);
    }
    for (id, task) in model.tasks.iter().filter(|(_, task)| task.deadline > now) {
        let known = bench.state.task(&TaskId::from_bytes([*id; 16])).map(|task| task.left);
        // What is over with something above it, by hand or by time, has no time to speak of, and may be forgotten.
        let over = |(above, ends): &(u8, u64)| {
            model.of(*above).ends != *ends || model.tasks.get(above).is_some_and(|above| above.due <= now)
        };
        let (with_above, own) = (task.on.iter().any(over), (*id, 0));
        assert!(known == Some(task.left) || known.is_none() && (with_above || over(&own)), "seed {seed}: task {id} {known:?}");
        if with_above {
            continue;
        }
        let known = bench.state.generations(&[GenerationKey([*id; 16])])[0];
        let until = known.until.map(Time::millis).filter(|until| known.number == 0 && *until > now);
        let due = Some(task.due).filter(|due| model.of(*id).ends == 0 && *due > now);
        assert_eq!(until, due, "seed {seed}: the time of task {id}");
    }
}

/// The state is the fold of all records there ever were, entry by entry.
fn folded(bench: &Bench, model: &Model, seed: u64) {
    let mut fold = Fold::default();
    for row in bench.rig.disk.rows() {
        fold.take(row.index, &Record::parse(&row.record).unwrap()).unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
    }
    let (mut live, mut anew) = (bench.state.rows(), fold.state.rows());
    live.sort();
    anew.sort();
    assert_eq!(live, anew, "seed {seed}");
    let keys = fold.state.keys().iter().map(|(check, known)| (check.clone(), known.event));
    assert!(keys.eq(model.keys.clone()), "seed {seed}: {:?}, expected {:?}", fold.state.keys(), model.keys);
}

#[test]
fn no_random_history_revives_and_state_is_the_fold_of_the_records() {
    let count = std::env::var("COUNTERSIGN_HISTORIES").map_or(2_000, |count| count.parse().unwrap());
    let first = std::env::var("COUNTERSIGN_SEED").map_or(0, |seed| seed.parse().unwrap());
    std::thread::scope(|scope| {
        for part in 0..2 {
            scope.spawn(move || (first + part..first + count).step_by(2).for_each(history));
        }
    });
}
