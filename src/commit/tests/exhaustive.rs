//! Every history of a few commands on one agent, one subject and one task, by the rules that the server really uses: hops join as
//! [`liveness::join`] has it, and the one writer judges, on a store that fails and a process that dies. Held against a model that
//! knows nothing of generations: it walks from parent to child.
//!
//! A second walk is about a running copy of the agent too, a third about a key of the server.
//!
//! `COUNTERSIGN_MODEL_DEPTH` sets the length of the histories; the default takes some seconds.

mod ghost;
mod machine;

use std::hash::{Hash, Hasher};

use stateright::{Checker, Model, Property};

use super::memory::Content;
use super::*;
use crate::ledger::record::KeyEvent;
use crate::lifecycle::liveness;
use ghost::{Ghost, Ground, Hop};
use machine::Machine;

/// So much may there be of everything at once.
const TOKENS_MAX: usize = 3;
const ADMITTED_MAX: usize = 2;
const BUDGET: u64 = 1;
/// The task lives so long without a heartbeat, and the clock moves so far at a time, twice at most.
const HEARTBEAT_MILLIS: i64 = 10_000;
const TICK_MILLIS: i64 = 6_000;
const TICKS_MAX: i64 = 2;
/// Once the clock leaps beyond where forgetting begins: so many ticks.
const LEAP: i64 = 40;
/// Tokens live so long, and their ends are remembered for as long again.
const LIFETIME_MILLIS: i64 = 60_000;

/// A token, or one that may become one: its request was admitted, and is not yet committed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Grown {
    id: u8,
    generations: Vec<Generation>,
    /// The single-use value that its request spends.
    value: u8,
    in_task: bool,
    /// Until when it can be presented.
    until: i64,
}

/// One state: what is durable, what clients hold, and what the model thinks of it.
#[derive(Clone)]
struct Node {
    disk: Content,
    ticks: i64,
    next: u8,
    tokens: Vec<Grown>,
    admitted: Vec<Grown>,
    ghost: Ghost,
    /// The first thing that was not as the model says.
    wrong: Option<String>,
    /// The events seen on the way.
    seen: Seen,
}

/// The events that must be reachable, so that the histories are worth something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Seen {
    died_before_commit: bool,
    budget_used_up: bool,
    spent_twice: bool,
    overdue: bool,
    resumed: bool,
    spared: bool,
    withheld: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Act {
    /// A request passes every stage before the commit.
    Admit(From, u8),
    /// The writer takes these together, in this order.
    Together(Vec<Ask>, Fate),
    /// The clock moves.
    Tick,
    /// It moves to where things are forgotten.
    Leap,
}

/// The token or task that a hop is issued from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum From {
    Outside,
    Token(u8),
    Task,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ask {
    /// Commits what was admitted under this id.
    Issue(u8),
    Revoke(u8),
    EndSubject,
    Agent(Transition),
    Instance(Transition),
    EndInstance,
    Task(Transition),
    Open,
    Complete,
    Beat,
    /// Takes up that the key folder lists the key so.
    Key(KeyEvent),
}

/// The fate of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fate {
    Durable,
    /// The flush fails; nothing is durable, and the store is opened again.
    Lost,
    /// The flush is reported as failed, and all is durable.
    Landed,
    /// The process dies before anything is durable, and starts again.
    KilledBefore,
    /// The process dies when all is durable and nobody was answered, and starts again.
    KilledAfter,
}

/// The things that histories are about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Histories {
    /// Agent, subject and task.
    Life,
    /// Agent, running copy of it, and task.
    Instance,
    /// Agent and key.
    Key,
}

impl Model for Histories {
    type State = Node;
    type Action = Act;

    /// Nothing, a task that was just entered, one that is suspended for a while, and a chain: the histories go on from each.
    fn init_states(&self) -> Vec<Node> {
        let alone = |ask| Act::Together(vec![ask], Fate::Durable);
        let opened = [alone(Ask::Open), Act::Admit(From::Task, 0)];
        let chain = [Act::Admit(From::Outside, 0), alone(Ask::Issue(0)), Act::Admit(From::Token(0), 1)];
        let after = |acts: &[Act]| acts.iter().fold(Node::first(), |node, act| self.next_state(&node, act.clone()).unwrap());
        let suspended = [alone(Ask::Open), alone(Ask::Task(Transition::Suspend)), Act::Tick];
        let paused = [alone(Ask::Open), alone(Ask::Instance(Transition::Suspend)), Act::Tick];
        match self {
            Self::Life => vec![Node::first(), after(&opened), after(&suspended), after(&chain)],
            Self::Instance => vec![Node::first(), after(&paused), after(&chain)],
            Self::Key => vec![Node::first()],
        }
    }

    fn actions(&self, node: &Node, acts: &mut Vec<Act>) {
        if node.wrong.is_some() {
            return;
        }
        acts.extend(node.admissions());
        let asks = match self {
            Self::Life => node.asks(),
            Self::Instance => node.asks_with_instance(),
            Self::Key => node.asks_with_key(),
        };
        let fates = [Fate::Durable, Fate::Lost, Fate::Landed, Fate::KilledBefore, Fate::KilledAfter];
        acts.extend(asks.iter().flat_map(|ask| fates.map(|fate| Act::Together(vec![*ask], fate))));
        let issues: Vec<Ask> = asks.iter().copied().filter(|ask| matches!(ask, Ask::Issue(_))).collect();
        for issue in issues {
            for other in asks.iter().filter(|other| **other != issue) {
                acts.extend([vec![issue, *other], vec![*other, issue]].map(|both| Act::Together(both, Fate::Durable)));
            }
        }
        acts.extend((node.ticks < TICKS_MAX).then_some(Act::Tick));
        acts.extend((node.ticks < LEAP).then_some(Act::Leap));
    }

    fn next_state(&self, node: &Node, act: Act) -> Option<Node> {
        let mut node = node.clone();
        match act {
            Act::Tick | Act::Leap => {
                node.ticks += if act == Act::Tick { 1 } else { LEAP };
                let machine = Machine::start(&node.disk, node.millis());
                node.look(&machine);
            }
            Act::Admit(from, value) => node.admit(from, value)?,
            Act::Together(asks, fate) => {
                let machine = node.together(&asks, fate);
                node.look(&machine);
            }
        }
        Some(node)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let right: Property<Self> = Property::always("everything is as the model says", |_, node: &Node| node.wrong.is_none());
        if *self == Self::Key {
            let refused: fn(&Self, &Node) -> bool = |_, node| node.ghost.requires_key();
            let revoked: fn(&Self, &Node) -> bool = |_, node| node.ghost.key() == Some(KeyEvent::Revoke);
            let required = Property::sometimes("no start without the key", refused);
            return vec![right, required, Property::sometimes("the key is revoked", revoked)];
        }
        let common = vec![
            right,
            Property::sometimes("something dies between admission and commit", |_, node: &Node| node.seen.died_before_commit),
            Property::sometimes("a task stays suspended for longer than between two heartbeats", |_, node: &Node| {
                node.seen.spared
            }),
            Property::sometimes("something suspended comes back", |_, node: &Node| node.seen.resumed),
            Property::sometimes("a hop is durable and its token never left", |_, node: &Node| node.seen.withheld),
        ];
        let of_life = [
            Property::sometimes("a budget is used up", |_, node: &Node| node.seen.budget_used_up),
            Property::sometimes("a value comes twice", |_, node: &Node| node.seen.spent_twice),
            Property::sometimes("a heartbeat is missed", |_, node: &Node| node.seen.overdue),
        ];
        common.into_iter().chain(of_life.into_iter().filter(|_| *self == Self::Life)).collect()
    }
}

impl Node {
    fn first() -> Self {
        let (disk, seen) = (Content::default(), Seen::default());
        let ghost = Ghost::default();
        Self { disk, ticks: 0, next: 0, tokens: Vec::new(), admitted: Vec::new(), ghost, wrong: None, seen }
    }

    fn millis(&self) -> i64 {
        START + self.ticks * TICK_MILLIS
    }

    fn admissions(&self) -> Vec<Act> {
        if self.admitted.len() == ADMITTED_MAX || self.tokens.len() + self.admitted.len() == TOKENS_MAX {
            return Vec::new();
        }
        let task = self.ghost.task().filter(|task| task.known).map(|_| From::Task);
        let presentable = self.tokens.iter().filter(|token| token.until > self.millis());
        let tokens = presentable.map(|token| From::Token(token.id));
        let from = [From::Outside].into_iter().chain(task).chain(tokens);
        from.flat_map(|from| [0, 1].map(|value| Act::Admit(from, value))).collect()
    }

    fn asks(&self) -> Vec<Ask> {
        let mut asks: Vec<Ask> = self.admitted.iter().map(|grown| Ask::Issue(grown.id)).collect();
        asks.extend(self.tokens.iter().map(|token| Ask::Revoke(token.id)));
        asks.push(Ask::EndSubject);
        asks.extend([Transition::Suspend, Transition::Resume, Transition::Retire].map(Ask::Agent));
        match self.ghost.task() {
            None => asks.push(Ask::Open),
            Some(_) => {
                asks.extend([Transition::Suspend, Transition::Resume].map(Ask::Task));
                asks.extend([Ask::Complete, Ask::Beat]);
            }
        }
        asks
    }

    /// The same as far as it is about the agent and the task, and what may happen to the running copy.
    fn asks_with_instance(&self) -> Vec<Ask> {
        let mut asks = self.asks();
        asks.retain(|ask| {
            matches!(ask, Ask::Issue(_) | Ask::Open | Ask::Beat | Ask::Agent(Transition::Suspend | Transition::Resume))
        });
        asks.extend([Transition::Suspend, Transition::Resume].map(Ask::Instance));
        asks.push(Ask::EndInstance);
        asks
    }

    /// The same as far as it is about the agent, and the events of the key.
    fn asks_with_key(&self) -> Vec<Ask> {
        let mut asks = self.asks();
        asks.retain(|ask| matches!(ask, Ask::Issue(_) | Ask::Agent(_) | Ask::Revoke(_)));
        asks.extend([KeyEvent::Begin, KeyEvent::Retire, KeyEvent::Revoke].map(Ask::Key));
        asks
    }

    /// A hop joins, by the rule that admission uses; the model must agree whether it may.
    fn admit(&mut self, from: From, value: u8) -> Option<()> {
        let machine = Machine::start(&self.disk, self.millis());
        let mut until = self.millis() + LIFETIME_MILLIS;
        let (inherited, in_task, ground) = match from {
            From::Outside => (Vec::new(), false, Ground::Outside),
            From::Token(id) => {
                let token = self.tokens.iter().find(|token| token.id == id)?;
                until = until.min(token.until);
                (token.generations.clone(), token.in_task, Ground::Token(id))
            }
            From::Task => (self.ghost.task()?.generations.clone(), true, Ground::Task),
        };
        let joined = machine.join(inherited);
        let expected = self.ghost.may_join(ground, self.millis());
        if joined.is_ok() != expected {
            self.wrong = Some(format!("admitted from {from:?}: {}, expected: {expected}", joined.is_ok()));
            return Some(());
        }
        let grown = Grown { id: self.next, generations: joined.ok()?, value, in_task, until };
        self.ghost.admit(grown.id, ground);
        self.next += 1;
        self.admitted.push(grown);
        Some(())
    }

    fn together(&mut self, asks: &[Ask], fate: Fate) -> Machine {
        let machine = Machine::start(&self.disk, self.millis());
        let opening = machine.opening().unwrap_or_default();
        let asked: Vec<_> = asks.iter().map(|ask| machine.ask(*ask, self)).collect();
        let (answers, after) = machine.run(asked, fate);
        let before = self.ghost.clone();
        let mut expected = Vec::new();
        for ask in asks {
            let (hop, now) = (self.hop_of(*ask), self.millis());
            expected.push(self.ghost.judge(*ask, hop, now, fate));
        }
        self.ghost.opened(&opening);
        if fate == Fate::KilledBefore {
            self.ghost = before;
        }
        if answers.iter().zip(&expected).any(|(answer, expected)| answer.as_ref().is_some_and(|answer| answer != expected)) {
            self.wrong = Some(format!("{asks:?} {fate:?}: answered {answers:?}, expected {expected:?}"));
        }
        for (ask, answer) in asks.iter().zip(&answers) {
            self.note(*ask, *answer, fate);
        }
        if !after.agrees {
            self.wrong = Some(format!("{asks:?} {fate:?}: memory and store differ"));
        }
        self.disk = after.content;
        after.fresh
    }

    fn hop_of(&self, ask: Ask) -> Option<Hop> {
        let Ask::Issue(id) = ask else { return None };
        let grown = self.admitted.iter().find(|grown| grown.id == id)?;
        Some(Hop { value: grown.value, in_task: grown.in_task, until: grown.until })
    }

    /// The client takes note of the answer.
    fn note(&mut self, ask: Ask, answer: Option<Result<(), CommitReason>>, fate: Fate) {
        match (ask, answer) {
            (Ask::Issue(id), Some(Ok(()))) => {
                let at = self.admitted.iter().position(|grown| grown.id == id).unwrap();
                let mut token = self.admitted.remove(at);
                token.generations.push(Generation { key: machine::hop_key(id), number: 0 });
                self.tokens.push(token);
            }
            (Ask::Issue(id), _) => self.admitted.retain(|grown| grown.id != id),
            (Ask::Open, answer) => self.ghost.tell_opener(answer == Some(Ok(()))),
            (
                Ask::Agent(Transition::Resume) | Ask::Instance(Transition::Resume) | Ask::Task(Transition::Resume),
                Some(Ok(())),
            ) => self.seen.resumed = true,
            _ => {}
        }
        match answer {
            Some(Err(CommitReason::Died)) => self.seen.died_before_commit = true,
            Some(Err(CommitReason::Budget)) => self.seen.budget_used_up = true,
            Some(Err(CommitReason::Spent)) => self.seen.spent_twice = true,
            _ => {}
        }
        self.seen.withheld |= matches!(ask, Ask::Issue(_)) && matches!(fate, Fate::Landed | Fate::KilledAfter);
    }

    /// Every token lives exactly when the model says so, and the budget is what was not used.
    fn look(&mut self, machine: &Machine) {
        let now = self.millis();
        for token in self.tokens.iter().filter(|token| token.until > now) {
            let living = machine.alive(&token.generations);
            let expected = self.ghost.is_alive(token.id, self.millis());
            if living != expected {
                self.wrong.get_or_insert(format!("token {}: alive {living}, expected {expected}", token.id));
            }
        }
        self.look_at_key(machine);
        if let Some(task) = self.ghost.task() {
            self.seen.overdue |= task.overdue(self.millis());
            self.seen.spared |= task.is_spared() && self.ticks == TICKS_MAX;
            // What ended otherwise has no time any more.
            if machine.overdue() && !task.is_over(self.millis()) {
                self.wrong.get_or_insert("time has ended the task".to_owned());
            }
            let left = machine.left();
            if left != Some(BUDGET - task.charged) {
                self.wrong.get_or_insert(format!("left {left:?}, charged {}", task.charged));
            }
        }
    }
}

impl Node {
    /// What is recorded of the key is what the model says; it is required as long as it is in use, and once revoked stays so.
    fn look_at_key(&mut self, machine: &Machine) {
        let key = self.ghost.key();
        if machine.key() != key {
            self.wrong.get_or_insert(format!("the key: {:?}, expected {key:?}", machine.key()));
        }
        if key.is_some() && Machine::starts_without_key(&self.disk, self.millis()) == self.ghost.requires_key() {
            self.wrong.get_or_insert(format!("without the key, which is {key:?}: started or refused where it must not be"));
        }
        if machine.revives_key() != (key == Some(KeyEvent::Revoke)) {
            self.wrong.get_or_insert(format!("the key, which is {key:?}, is listed as in use"));
        }
    }
}

/// Two states are the same when nothing that could happen tells them apart: the history that led there does not count.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl Hash for Node {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self { disk, ticks, next, tokens, admitted, ghost, wrong, seen } = self;
        (disk.decisive(), ticks, next, tokens, admitted, ghost, wrong, seen).hash(hasher);
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { disk, ticks, next, tokens, admitted, ghost, wrong, seen } = self;
        (disk.decisive(), ticks, next, tokens, admitted, ghost, wrong, seen).fmt(f)
    }
}

#[test]
fn no_history_revives_overspends_or_accepts_twice() {
    walk(Histories::Life, depth());
}

#[test]
fn no_history_revives_a_running_copy_or_what_it_did() {
    walk(Histories::Instance, depth());
}

#[test]
fn no_history_revives_a_key_or_goes_on_without_it() {
    walk(Histories::Key, depth());
}

fn depth() -> usize {
    std::env::var("COUNTERSIGN_MODEL_DEPTH").map_or(4, |depth| depth.parse().unwrap())
}

fn walk(histories: Histories, depth: usize) {
    let checker = histories.checker().threads(2).target_max_depth(depth).spawn_bfs().join();
    println!("{} states, {} of them different", checker.state_count(), checker.unique_state_count());
    if let Some(path) = checker.discovery("everything is as the model says") {
        let wrong = path.last_state().wrong.clone();
        panic!("{wrong:?} after {:#?}", path.into_actions());
    }
    checker.assert_properties();
}
