//! The real writer on what is durable, for one turn.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tokio::sync::oneshot;

use super::*;
use crate::commit::change::Change;
use crate::commit::command::NewTask;
use crate::commit::durable::Durable;
use crate::commit::mirror::State;
use crate::commit::quota::Quota;
use crate::commit::register::StatusLists;
use crate::commit::subject_keys::SubjectKeys;
use crate::commit::tests::memory::Fault;
use crate::commit::writer::{Job, Parts, Reply, Spending, Unrecorded, Writer};
use crate::lifecycle::{GenerationState, StateView, Task, TaskTerms};
use crate::oauth::TaskId;

const AGENT: GenerationKey = GenerationKey([1; 16]);
const SUBJECT: GenerationKey = GenerationKey([2; 16]);
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
    mirror: Arc<State>,
    to: Sender<Job>,
    millis: i64,
}

/// What is durable after a turn, and whether memory said the same.
pub(super) struct After {
    pub(super) content: Content,
    pub(super) fresh: Machine,
    pub(super) agrees: bool,
}

/// A command, and where its answer comes.
pub(super) struct Asked {
    job: Job,
    answer: Heard,
}

enum Heard {
    Hop(oneshot::Receiver<Result<crate::commit::receipt::Answer, CommitReason>>),
    Plain(oneshot::Receiver<Result<(), CommitReason>>),
}

impl Machine {
    pub(super) fn start(content: &Content, millis: i64) -> Self {
        let (disk, faults) = (Disk::holding(content.clone()), Faults::default());
        let (to, jobs): (_, Receiver<Job>) = channel();
        let mirror = Arc::new(State::default());
        let limits = Limits { retry: Duration::ZERO, ..Limits::default() };
        let store = MemoryStore { disk: disk.clone(), faults: faults.clone(), open: false, newest: 1 };
        let writer = Writer::start(Parts {
            store: Box::new(store),
            clock: Arc::new(Hand(AtomicI64::new(millis))),
            jobs,
            mirror: Arc::clone(&mirror),
            register: StatusLists::new(limits.status),
            quota: Arc::new(Quota::new(limits.refusals_per_minute)),
            keys: SubjectKeys::new(Arc::new(SealKey::new(&[1; 32]).unwrap()), limits.subject_keys),
            durable: Durable::default(),
            limits,
        });
        Self { writer: writer.unwrap(), disk, faults, mirror, to, millis }
    }

    /// What a hop with this ancestry depends on, by the rule of admission.
    pub(super) fn join(&self, inherited: Vec<Generation>) -> Result<Vec<Generation>, liveness::NotAlive> {
        let mut joining = vec![AGENT, SUBJECT];
        joining.retain(|key| inherited.iter().all(|known| known.key != *key));
        let lives = self.mirror.lives(&joining);
        liveness::join(&*self.mirror, inherited, joining.into_iter().zip(lives), Time::from_millis(self.millis))
    }

    /// What a task opened now depends on, itself included.
    pub(super) fn opening(&self) -> Result<Vec<Generation>, liveness::NotAlive> {
        let mut within = self.join(Vec::new())?;
        within.push(Generation { key: TASK, number: 0 });
        Ok(within)
    }

    pub(super) fn alive(&self, generations: &[Generation]) -> bool {
        liveness::alive(&*self.mirror, generations, Time::from_millis(self.millis)).is_ok()
    }

    /// Whether time has ended the task.
    pub(super) fn overdue(&self) -> bool {
        self.mirror.lives(&[TASK])[0].until.is_some_and(|until| until <= Time::from_millis(self.millis))
    }

    /// What is left of the task's budget.
    pub(super) fn left(&self) -> Option<u64> {
        self.mirror.task(&TASK).map(|task| task.left)
    }

    pub(super) fn job(&self, ask: Ask, node: &mut Node) -> Asked {
        match ask {
            Ask::Issue(id) => {
                let grown = node.admitted.iter().find(|grown| grown.id == id).unwrap();
                let charge = grown.in_task.then_some(TASK);
                self.hop(RecordHop { generations: grown.generations.clone(), charge, ..issue(id, &[], &[grown.value]) })
            }
            Ask::Open => {
                let within = self.opening().unwrap_or_else(|dead| vec![Generation { key: dead.key, number: 99 }]);
                let generations = within.iter().copied().filter(|on| on.key != TASK).collect();
                let opens = NewTask { key: TASK, task: fixed(within), out_of: None };
                self.hop(RecordHop { generations, opens: Some(opens), ..issue(OPENING, &[], &[]) })
            }
            Ask::Revoke(id) => self.change(Change::Death(ending(hop_key(id)))),
            Ask::EndSubject => self.change(Change::Death(ending(SUBJECT))),
            Ask::Complete => self.change(Change::Death(ending(TASK))),
            Ask::Agent(turn) => self.change(Change::Holding(turning(turn, AGENT))),
            Ask::Task(turn) => self.change(Change::Holding(turning(turn, TASK))),
            Ask::Beat => {
                let (to, answer) = oneshot::channel();
                let job = Job::Beat(TASK, Spending { single_use: Vec::new(), _place: place() }, to);
                Asked { job, answer: Heard::Plain(answer) }
            }
        }
    }

    fn hop(&self, mut issue: RecordHop) -> Asked {
        issue.disclosed.values = Zeroizing::default();
        let (to, answer) = oneshot::channel();
        let job = Job::Issue(issue, Reply { to, jobs: self.to.clone() }, place());
        Asked { job, answer: Heard::Hop(answer) }
    }

    fn change(&self, change: Change) -> Asked {
        let (to, answer) = oneshot::channel();
        let resumes = matches!(&change, Change::Holding(holding) if holding.turn == Transition::Resume);
        let unrecorded = Unrecorded {
            change,
            acting: None,
            lives: Vec::new(),
            single_use: Vec::new(),
            _place: Some(place()),
            _of_client: None,
        };
        let job = if resumes { Job::Resume(unrecorded, to) } else { Job::Change(unrecorded, to) };
        Asked { job, answer: Heard::Plain(answer) }
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
        let (jobs, answers): (Vec<_>, Vec<_>) = asked.into_iter().map(|asked| (asked.job, asked.answer)).unzip();
        self.writer.turn(jobs);
        while self.writer.unfinished() {
            self.writer.turn(Vec::new());
        }
        let killed = matches!(fate, Fate::KilledBefore | Fate::KilledAfter);
        let answers = answers.into_iter().map(|answer| answer.take().filter(|_| !killed)).collect();
        let content = if fate == Fate::KilledBefore { before } else { self.disk.content().clone() };
        let fresh = Self::start(&content, self.millis);
        let agrees = fate == Fate::KilledBefore || self.state() == fresh.state();
        (answers, After { content, fresh, agrees })
    }

    /// What memory says of everything.
    fn state(&self) -> (Vec<GenerationState>, Option<Task>) {
        let keys: Vec<_> = [AGENT, SUBJECT, TASK].into_iter().chain((0..8).map(hop_key)).collect();
        (self.mirror.lives(&keys), self.mirror.task(&TASK))
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

fn place() -> tokio::sync::OwnedSemaphorePermit {
    Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().unwrap()
}

fn ending(key: GenerationKey) -> Revocation {
    let mut death = death(&[0]);
    death.ends[0].key = key;
    death
}

fn turning(turn: Transition, key: GenerationKey) -> StatusChange {
    let mut holding = holding(turn, &[0]);
    holding.things[0].key = key;
    holding
}

fn fixed(generations: Vec<Generation>) -> TaskTerms {
    let agent = ClientId::parse("orchestrator").unwrap();
    TaskTerms {
        id: TaskId::from_bytes([3; 16]),
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
