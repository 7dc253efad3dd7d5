//! The real writer on what is durable, for one turn.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tokio::sync::oneshot;

use super::*;
use crate::commit::change::{PendingChange, StateChange};
use crate::commit::command::{CommitCommand, Message, Reply, WriterMemory};
use crate::commit::commands::{
    ChangeCommand, HeartbeatCommand, HopCommand, KeyEventsCommand, ResumeCommand, SpendCommand, UntakenReceipt,
};
use crate::commit::contract::{KeyList, StoreReason};
use crate::commit::receipt::Durable;
use crate::commit::replay_cache::ReplayCache;
use crate::commit::subject_keys::SubjectKeys;
use crate::commit::tests::memory::Fault;
use crate::commit::unrecorded::UnrecordedSum;
use crate::commit::writer::{Writer, WriterParts};
use crate::ledger::record::{KeyCheck, KeyEvent, KeyRole};
use crate::lifecycle::{GenerationState, StateView, Task};

const AGENT: GenerationKey = GenerationKey([1; 16]);
const SUBJECT: GenerationKey = GenerationKey([2; 16]);
const INSTANCE: GenerationKey = GenerationKey([4; 16]);
const TASK: GenerationKey = GenerationKey([3; 16]);
const OPENING: u8 = 99;

/// The end of the task; no clock comes near it.
const DEADLINE: i64 = START + 3_600_000;

pub(super) fn hop_key(id: u8) -> GenerationKey {
    GenerationKey([100 + id; 16])
}

/// A writer, freshly started on a copy of what is durable.
pub(super) struct Machine {
    writer: Writer,
    disk: Disk,
    faults: Faults,
    state: Arc<State>,
    to: Sender<Message>,
    millis: i64,
}

/// The durable content after a turn, and whether memory said the same.
pub(super) struct After {
    pub(super) content: Content,
    pub(super) fresh: Machine,
    pub(super) agrees: bool,
}

/// A command, and where its answer comes.
pub(super) struct Asked {
    command: Box<dyn CommitCommand>,
    answer: Heard,
}

enum Heard {
    Hop(oneshot::Receiver<Result<UntakenReceipt, CommitReason>>),
    Plain(oneshot::Receiver<Result<(), CommitReason>>),
}

impl Machine {
    pub(super) fn start(content: &Content, millis: i64) -> Self {
        Self::tried(content, millis, listed(KeyEvent::Begin)).unwrap()
    }

    /// True where a start passes with a key folder that lacks the key.
    pub(super) fn starts_without_key(content: &Content, millis: i64) -> bool {
        match Self::tried(content, millis, KeyList::new()) {
            Ok(_) => true,
            Err(StoreReason::Keys(_)) => false,
            Err(other) => panic!("{other}"),
        }
    }

    fn tried(content: &Content, millis: i64, listed: KeyList) -> Result<Self, StoreReason> {
        let (disk, faults) = (Disk::holding(content.clone()), Faults::default());
        let (to, messages): (_, Receiver<Message>) = channel();
        let limits = Limits { retry: Duration::ZERO, checkpoint_pause: Duration::ZERO, ..Limits::default() };
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
        let (state, durable) = (Arc::clone(&memory.state), Durable::default());
        let (store, clock) = (Box::new(MemoryStore::new(&disk, &faults)), Arc::new(Hand(AtomicI64::new(millis))));
        let writer = Writer::start(WriterParts { store, clock, limits, messages, memory, durable, listed })?;
        Ok(Self { writer, disk, faults, state, to, millis })
    }

    /// The generations that a hop with this ancestry depends on, by the rule of admission.
    pub(super) fn join(&self, inherited: Vec<Generation>) -> Result<Vec<Generation>, liveness::NotAlive> {
        let mut joining = vec![AGENT, SUBJECT, INSTANCE];
        joining.retain(|key| inherited.iter().all(|known| known.key != *key));
        let lives = self.state.generations(&joining);
        liveness::join(&*self.state, inherited, joining.into_iter().zip(lives), Time::from_millis(self.millis))
    }

    /// The generations that a task opened now depends on, itself included.
    pub(super) fn opening(&self) -> Result<Vec<Generation>, liveness::NotAlive> {
        let mut within = self.join(Vec::new())?;
        within.push(Generation { key: TASK, number: 0 });
        Ok(within)
    }

    pub(super) fn alive(&self, generations: &[Generation]) -> bool {
        liveness::alive(&*self.state, generations, Time::from_millis(self.millis)).is_ok()
    }

    /// True once time has ended the task.
    pub(super) fn overdue(&self) -> bool {
        self.state.generations(&[TASK])[0].until.is_some_and(|until| until <= Time::from_millis(self.millis))
    }

    /// The newest event of the key that is recorded.
    pub(super) fn key(&self) -> Option<KeyEvent> {
        let events = [KeyEvent::Begin, KeyEvent::Retire, KeyEvent::Revoke];
        // An event that is no news is not recorded again.
        events.into_iter().rfind(|event| self.state.unrecorded_keys(&listed(*event)).is_empty())
    }

    /// True where a key folder that lists the key as in use is contradicted.
    pub(super) fn revives_key(&self) -> bool {
        !self.state.revived_keys(&listed(KeyEvent::Begin)).is_empty()
    }

    /// The rest of the task's budget.
    pub(super) fn left(&self) -> Option<u64> {
        self.state.task(&task_id()).map(|task| task.left)
    }

    pub(super) fn ask(&self, ask: Ask, node: &mut Node) -> Asked {
        match ask {
            Ask::Issue(id) => {
                let grown = node.admitted.iter().find(|grown| grown.id == id).unwrap();
                let (hop, task) = (issue(id, &[], &[grown.value]), grown.in_task.then(task_id));
                let effect = task.map_or(Effect::Nothing, Effect::Charge);
                let record = record(hop.jti, hop.txn, task);
                // Nothing that was spent may be spent again, however long ago.
                let single_use = hop.single_use.iter().map(|value| SingleUse { expires: Time::from_millis(DEADLINE), ..*value });
                let (single_use, deadline) = (single_use.collect(), Time::from_millis(grown.until));
                let generations = grown.generations.clone();
                self.hop(RecordHop { generations, record, effect, single_use, deadline, ..hop })
            }
            Ask::Open => {
                let within = self.opening().unwrap_or_else(|dead| vec![Generation { key: dead.key, number: 99 }]);
                let generations = within.iter().copied().filter(|on| on.key != TASK).collect();
                self.hop(RecordHop {
                    generations,
                    deadline: Time::from_millis(DEADLINE),
                    ..opened(OPENING, &[], TaskTerms { opened: Time::from_millis(self.millis), ..terms(within) })
                })
            }
            Ask::Revoke(id) => {
                let until = node.tokens.iter().find(|token| token.id == id).map(|token| token.until + LIFETIME_MILLIS);
                let until = until.map(Time::from_millis);
                self.change(StateChange::Revocation(Revocation { until, ..ending(hop_key(id)) }))
            }
            Ask::EndSubject => self.change(StateChange::Revocation(ending(SUBJECT))),
            Ask::EndInstance => self.change(StateChange::Revocation(ending(INSTANCE))),
            Ask::Complete => self.change(StateChange::Revocation(ending(TASK))),
            Ask::Agent(turn) => self.change(StateChange::Status(turning(turn, AGENT))),
            Ask::Instance(turn) => self.change(StateChange::Status(turning(turn, INSTANCE))),
            Ask::Task(turn) => self.change(StateChange::Status(turning(turn, TASK))),
            Ask::Beat => {
                let (to, answer) = Reply::new();
                let spend = SpendCommand { single_use: Vec::new(), reply: to, place: place() };
                Asked { command: Box::new(HeartbeatCommand { task: task_id(), spend }), answer: Heard::Plain(answer) }
            }
            Ask::Key(event) => {
                let (reply, answer) = Reply::new();
                let command = Box::new(KeyEventsCommand { listed: listed(event), reply });
                Asked { command, answer: Heard::Plain(answer) }
            }
        }
    }

    fn hop(&self, mut issue: RecordHop) -> Asked {
        issue.disclosed.values = Zeroizing::default();
        let (to, answer) = oneshot::channel();
        let command = Box::new(HopCommand::new(issue, to, self.to.clone(), place()));
        Asked { command, answer: Heard::Hop(answer) }
    }

    fn change(&self, change: StateChange) -> Asked {
        let (to, answer) = Reply::new();
        let resumes = matches!(&change, StateChange::Status(change) if change.turn == Transition::Resume);
        let change = PendingChange::new(change, Vec::new(), Some(place()));
        let command: Box<dyn CommitCommand> =
            if resumes { Box::new(ResumeCommand::new(change, to)) } else { Box::new(ChangeCommand::asked(change, to)) };
        Asked { command, answer: Heard::Plain(answer) }
    }

    /// One turn, and whatever recovery follows; what was answered, and a writer started afresh on what is durable then. Nobody
    /// hears an answer from a process that was killed.
    pub(super) fn run(mut self, asked: Vec<Asked>, fate: Fate) -> (Vec<Option<Result<(), CommitReason>>>, After) {
        match fate {
            Fate::Lost => self.faults.set(Fault::FlushLost, 1),
            Fate::Landed => self.faults.set(Fault::FlushLanded, 1),
            Fate::Durable | Fate::KilledBefore | Fate::KilledAfter => {}
        }
        let before = self.disk.content().clone();
        let (commands, answers): (Vec<_>, Vec<_>) = asked.into_iter().map(|asked| (asked.command, asked.answer)).unzip();
        self.writer.write_all(commands);
        finish(&mut self.writer);
        let killed = matches!(fate, Fate::KilledBefore | Fate::KilledAfter);
        let answers = answers.into_iter().map(|answer| answer.take().filter(|_| !killed)).collect();
        let content = if fate == Fate::KilledBefore { before } else { self.disk.content().clone() };
        let fresh = Self::start(&content, self.millis);
        let agrees = fate == Fate::KilledBefore || self.seen() == fresh.seen();
        (answers, After { content, fresh, agrees })
    }

    /// Everything that memory holds.
    fn seen(&self) -> (Vec<GenerationState>, Option<Task>, Option<KeyEvent>) {
        let keys: Vec<_> = [AGENT, SUBJECT, INSTANCE, TASK].into_iter().chain((0..8).map(hop_key)).collect();
        (self.state.generations(&keys), self.state.task(&task_id()), self.key())
    }
}

impl Heard {
    fn take(self) -> Option<Result<(), CommitReason>> {
        match self {
            Self::Plain(mut answer) => answer.try_recv().ok(),
            Self::Hop(mut answer) => {
                answer.try_recv().ok().map(|answer| answer.and_then(|answer| answer.take().map(drop).ok_or(CommitReason::Busy)))
            }
        }
    }
}

fn place() -> crate::commit::limits::QueuePlace {
    crate::commit::limits::Queue::new(Capacity::Queue, 1).place(crate::oauth::ShareKey::NOBODY).unwrap()
}

/// The list of a key folder with the one key.
fn listed(event: KeyEvent) -> KeyList {
    [(KeyCheck { of: KeyRole::Signing, id: "key".to_owned() }, event)].into()
}

fn ending(key: GenerationKey) -> Revocation {
    let mut death = death(&[0]);
    death.ends[0] = named(key);
    death
}

fn task_id() -> TaskId {
    TaskId::from_bytes([3; 16])
}

/// The thing with this pseudonym.
fn named(key: GenerationKey) -> Revocable {
    let txn = Some(Txn::from_bytes([9; 16]));
    match key {
        AGENT => Revocable { key, ..thing(0) },
        SUBJECT => Revocable { key, kind: GenerationKind::Subject, ..thing(0) },
        INSTANCE => Revocable { key, kind: GenerationKind::Instance, ..thing(0) },
        TASK => Revocable { key, kind: GenerationKind::Task, name: Some(task_id().to_string()), txn },
        _ => Revocable { key, kind: GenerationKind::Hop, name: None, txn },
    }
}

fn turning(turn: Transition, key: GenerationKey) -> StatusChange {
    let mut holding = holding(turn, &[0]);
    holding.things[0] = named(key);
    holding
}

fn terms(generations: Vec<Generation>) -> TaskTerms {
    let agent = ClientId::parse("orchestrator").unwrap();
    TaskTerms {
        id: task_id(),
        key: TASK,
        txn: Txn::from_bytes([9; 16]),
        parent: None,
        opener: agent.clone(),
        holder: agent,
        opened: Time::from_millis(START),
        deadline: Time::from_millis(DEADLINE),
        heartbeat: Some(Duration::from_millis(HEARTBEAT_MILLIS.unsigned_abs())),
        budget: BUDGET,
        authority: Vec::new(),
        purpose: String::new(),
        data_classes: Vec::new(),
        generations,
    }
}
