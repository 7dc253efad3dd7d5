//! The handle that everybody else has on the commit.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::alarm::Alarm;
use super::capacity::{Capacity, Fill};
use super::change::{PendingChange, REASON_MAX, StateChange};
use super::command::{CommitCommand, Message, Reply, SINGLE_USE_MAX, WriterMemory};
use super::commands::{
    ChangeCommand, CheckpointCommand, ConfiguredCommand, EpochCommand, HeartbeatCommand, HopCommand, KeyEventsCommand,
    ProbeCommand, RecordHop, RefusalCommand, ResumeCommand, RetentionCommand, RewrapCommand, SpendCommand, SuspendedCommand,
    WithholdCommand,
};
use super::commit_keys::CommitKeys;
use super::contract::{CommitStore, ConfiguredPrincipal, KeyList, StoreReason};
use super::fold::StateHash;
use super::hindrance::Hindrance;
use super::limits::{Limits, Queue, Quota};
use super::receipt::{CommitReason, Durable, Receipt};
use super::replay_cache::{ReplayCache, SpentValues};
use super::state::State;
use super::status_lists::StatusLists;
use super::subject_keys::{RewrapProgress, RewrapStep, SubjectKeys};
use super::tasks::TermsSealer;
use super::unrecorded::UnrecordedSum;
use super::velocity::{CountedToken, Velocities};
use super::writer::{Writer, WriterParts};
use crate::crypto::Digest;
use crate::ledger::record::{KeyCheck, RefusalRecord, RetentionRecord, StateCause};
use crate::lifecycle::{Revocation, StatusChange, Transition};
use crate::oauth::{ClientId, Clock, GenerationKey, ShareKey, SingleUse, TaskId, Time};

/// The pause between two looks at what the status lists say. A look is cheap while nothing has ended.
const LOOK: Duration = Duration::from_millis(200);

/// A handle on the one writer; clones are handles on the same. The writer ends when it is told to, or with the last handle.
#[derive(Clone, Debug)]
pub struct Commit {
    shared: Arc<CommitShared>,
}

#[derive(Debug)]
struct CommitShared {
    writer: Sender<Message>,
    /// Places in the queue, by kind of command.
    issues: Queue,
    revocations: Queue,
    refusals: Queue,
    quota: Arc<Quota>,
    state: Arc<State>,
    spent: Arc<SpentValues>,
    lists: Arc<StatusLists>,
    velocities: Arc<Velocities>,
    subject_keys: Arc<AtomicUsize>,
    terms: TermsSealer,
    durable: Durable,
    limits: Limits,
    closing: AtomicBool,
    alarm: Alarm,
}

impl Commit {
    /// Opens and verifies `store`, loads what the checks need, and starts the writer.
    ///
    /// # Errors
    /// Those of the store; `Corrupt` when its newest records are damaged.
    pub fn start(
        store: Box<dyn CommitStore>,
        clock: Arc<dyn Clock>,
        keys: CommitKeys,
        limits: Limits,
    ) -> Result<Self, StoreReason> {
        Self::start_suspending(store, clock, keys, limits, HashSet::new())
    }

    /// The same, where the configuration suspends things from the beginning.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_suspending(
        store: Box<dyn CommitStore>,
        clock: Arc<dyn Clock>,
        keys: CommitKeys,
        limits: Limits,
        suspended: HashSet<GenerationKey>,
    ) -> Result<Self, StoreReason> {
        let (writer, messages) = channel();
        let memory = WriterMemory {
            state: Arc::new(State::suspending(suspended)),
            lists: StatusLists::new(limits.status),
            velocities: Arc::default(),
            replay: ReplayCache::new(limits.single_use),
            keys: SubjectKeys::new(keys.root, limits.subject_keys),
            terms: TermsSealer::new(keys.terms),
            hash: StateHash::default(),
            sum: UnrecordedSum::new(keys.sums),
            forgets: false,
        };
        let shared = Arc::new(CommitShared {
            writer,
            issues: Queue::new(Capacity::Queue, limits.issues),
            revocations: Queue::new(Capacity::Revocations, limits.revocations),
            refusals: Queue::new(Capacity::Refusals, limits.refusals),
            quota: Arc::new(Quota::new(limits.refusals_per_minute)),
            state: Arc::clone(&memory.state),
            spent: memory.replay.spent(),
            lists: Arc::clone(&memory.lists),
            velocities: Arc::clone(&memory.velocities),
            subject_keys: memory.keys.held(),
            terms: memory.terms.clone(),
            durable: Durable::default(),
            limits: limits.clone(),
            closing: AtomicBool::new(false),
            alarm: Alarm::default(),
        });
        let durable = shared.durable.clone();
        let listed = keys.listed;
        let parts = WriterParts { store, clock: Arc::clone(&clock), limits, messages, memory, durable, listed };
        let writer = Writer::start(parts)?;
        let work = move || {
            // Whoever waits for the end is told after the store was closed with the writer.
            for closed in writer.run() {
                let _gone = closed.send(());
            }
        };
        let (commit, alarm) = (Self { shared: Arc::clone(&shared) }, &shared.alarm);
        let started = alarm.spawn("commit", work).and_then(|_| alarm.spawn("status", commit.looking(clock)));
        started.map(|_| commit).map_err(|cause| StoreReason::Failed(cause.into()))
    }

    /// Keeps the status lists true as long as there is a handle. The first look is done before this returns.
    fn looking(&self, clock: Arc<dyn Clock>) -> impl FnOnce() + Send + 'static {
        self.shared.lists.look(&self.shared.state, clock.now());
        let shared = Arc::downgrade(&self.shared);
        move || {
            loop {
                thread::sleep(LOOK);
                let Some(shared) = shared.upgrade() else { return };
                shared.lists.look(&shared.state, clock.now());
            }
        }
    }

    /// Records a hop. Dropping this future before it is done is safe: if the hop was recorded all the same, it is then
    /// recorded as withheld.
    ///
    /// # Errors
    /// See [`CommitReason`]; nothing was spent and nothing may be issued. After `Unavailable` the hop may turn out to be
    /// recorded; it is then recorded as withheld too.
    pub async fn submit(&self, hop: RecordHop) -> Result<Receipt, CommitReason> {
        if !hop.fits() {
            return Err(CommitReason::TooLarge);
        }
        let place = self.shared.issues.place(hop.share)?;
        let (reply, answer) = oneshot::channel();
        self.send(HopCommand::new(hop, reply, self.writer()?.clone(), place))?;
        let untaken = answer.await.map_err(|_| CommitReason::Unavailable)??;
        untaken.take().ok_or(CommitReason::Unavailable)
    }

    /// Says that the token of a recorded hop will never leave, so that this is recorded too.
    pub fn withhold(&self, receipt: Receipt) {
        let _closed = self.send(WithholdCommand::of(&receipt));
    }

    /// Passes where `values` can still be spent at `now`, as far as the writer has got. It asks memory alone, takes no lock that
    /// is held while the store is written, and spends nothing: what follows from the request spends, in the same commit.
    ///
    /// # Errors
    /// `Spent` and `Replayed`, also for values of a batch that is being written; `Forgotten`; `Expired`; `ClockBehind` where a
    /// value may have been spent and forgotten under a later clock.
    pub fn look(&self, values: &[SingleUse], now: Time) -> Result<(), CommitReason> {
        let floor = self.shared.state.floor();
        values.iter().try_for_each(|value| self.shared.spent.look(value, now, floor))
    }

    /// Has a refusal recorded, or counted where its agent's quota or the queue's is used up. The values of its `login` are looked
    /// at once more for that; without any it waits for nothing.
    ///
    /// # Errors
    /// `Spent`, `Replayed`, `Forgotten`: the login was used meanwhile, so nothing is recorded or counted in its agent's name.
    pub async fn refuse(&self, mut refusal: RefusalRecord<'static>, login: Vec<SingleUse>) -> Result<(), CommitReason> {
        match self.look(&login, refusal.at) {
            Err(reason) if reason.is_used() => return Err(reason),
            _ => {}
        }
        let quota = &self.shared.quota;
        let Some(suppressed) = quota.take(&refusal.agent, refusal.at) else { return Ok(()) };
        let agent = refusal.agent.clone();
        refusal.suppressed = suppressed;
        let waits = !login.is_empty();
        let (reply, answer) = Reply::new();
        let sent = self
            .shared
            .refusals
            .place(ShareKey::of(&agent))
            .and_then(|place| self.send(RefusalCommand { refusal, login, quota: Arc::clone(quota), reply, place }));
        if sent.is_err() {
            quota.give_back(&agent, suppressed + 1);
            return Ok(());
        }
        if !waits {
            return Ok(());
        }
        match answer.await {
            Ok(Err(reason)) if reason.is_used() => Err(reason),
            _ => Ok(()),
        }
    }

    /// Ends things. When it returns `Ok`, the revocation is durable and acts everywhere; nothing is issued after it under what it
    /// ended.
    ///
    /// # Errors
    /// `TooLarge` and `Busy`: nothing happened. `Unavailable`: the revocation acts in memory as long as this process lives, and
    /// nothing is issued until it is recorded; unless the server is closing, in which case nothing may have happened.
    pub async fn end(&self, revocation: Revocation) -> Result<(), CommitReason> {
        self.end_spending(revocation, Vec::new()).await
    }

    /// Ends things and spends what is single-use, at most 8 values: both or neither.
    ///
    /// # Errors
    /// As for [`end`](Self::end); and `Spent`, when nothing happened.
    pub async fn end_spending(&self, revocation: Revocation, single_use: Vec<SingleUse>) -> Result<(), CommitReason> {
        let change = self.change(StateChange::Revocation(revocation), single_use, &self.shared.revocations)?;
        self.ask(|reply| ChangeCommand::asked(change, reply)).await
    }

    /// Suspends, resumes or retires things, and spends what is single-use, at most 8 values: both or neither. When it returns
    /// `Ok`, it is durable and acts everywhere.
    ///
    /// # Errors
    /// A suspension and a retirement as for [`end_spending`](Self::end_spending). A resumption that is not answered `Ok` does
    /// not act, unless it turns out to have been durable after `Unavailable`; and `Retired`, when any of its things is.
    pub async fn hold(&self, change: StatusChange, single_use: Vec<SingleUse>) -> Result<(), CommitReason> {
        if change.turn == Transition::Resume {
            let change = self.change(StateChange::Status(change), single_use, &self.shared.issues)?;
            return self.ask(|reply| ResumeCommand::new(change, reply)).await;
        }
        let change = self.change(StateChange::Status(change), single_use, &self.shared.revocations)?;
        self.ask(|reply| ChangeCommand::asked(change, reply)).await
    }

    fn change(&self, change: StateChange, single_use: Vec<SingleUse>, places: &Queue) -> Result<PendingChange, CommitReason> {
        if !change.fits() || single_use.len() > SINGLE_USE_MAX {
            return Err(CommitReason::TooLarge);
        }
        let place = places.place(ShareKey::of(change.by()))?;
        Ok(PendingChange::new(change, single_use, Some(place)))
    }

    /// Spends what is single-use, at most 8 values, for a request of `who` that changes nothing else. When it returns `Ok`, they
    /// are spent durably, and every revocation that acted before is durable too; with no values it only waits for that.
    ///
    /// # Errors
    /// See [`CommitReason`]; after `Unavailable` the values may be spent.
    pub async fn spend(&self, who: ShareKey, single_use: Vec<SingleUse>) -> Result<(), CommitReason> {
        let spend = self.spending(who, single_use)?;
        self.ask(spend).await
    }

    /// Takes a heartbeat of a task from `who`, and spends what is single-use, at most 8 values: both or neither. When it returns
    /// `Ok`, the task has its time, durably.
    ///
    /// # Errors
    /// `Died` when it is over; see [`CommitReason`].
    pub async fn beat(&self, task: TaskId, who: ShareKey, single_use: Vec<SingleUse>) -> Result<(), CommitReason> {
        let spend = self.spending(who, single_use)?;
        self.ask(|reply| HeartbeatCommand { task, spend: spend(reply) }).await
    }

    fn spending(
        &self,
        who: ShareKey,
        single_use: Vec<SingleUse>,
    ) -> Result<impl FnOnce(Reply) -> SpendCommand + use<>, CommitReason> {
        if single_use.len() > SINGLE_USE_MAX {
            return Err(CommitReason::TooLarge);
        }
        let place = self.shared.issues.place(who)?;
        Ok(move |reply| SpendCommand { single_use, reply, place })
    }

    /// False while the store takes no records, as far as the writer has found out.
    pub fn is_available(&self) -> bool {
        !self.shared.closing.load(Ordering::SeqCst) && !self.shared.state.is_stuck()
    }

    /// The reasons for which an exchange would be refused now, whoever asked for it; none where it would not be. It waits for the
    /// writer, as an exchange does.
    pub async fn hindrances(&self) -> Vec<Hindrance> {
        if self.shared.closing.load(Ordering::SeqCst) {
            return vec![Hindrance::Closing];
        }
        match self.ask(ProbeCommand::new).await {
            Ok(found) if !self.shared.alarm.rang() => found,
            _ => vec![Hindrance::Thread],
        }
    }

    /// The alarm that a thread of the commit is dead.
    pub fn alarm(&self) -> &Alarm {
        &self.shared.alarm
    }

    /// The state as the checks see it.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.shared.state)
    }

    /// The bounds that it was started with.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// How much of `of` is taken now.
    pub fn fill(&self, of: Capacity) -> Fill {
        let CommitShared { issues, revocations, refusals, state, spent, lists, limits, .. } = &*self.shared;
        match of {
            Capacity::SingleUse => spent.fill(limits.single_use),
            Capacity::LongSingleUse => spent.fill_of_long(limits.single_use),
            Capacity::LiveEntries => Fill::of(state.len(), limits.generations),
            Capacity::Tasks => Fill::of(state.tasks_len(), limits.tasks),
            Capacity::StatusTokens => Fill::of(lists.len(), limits.status),
            Capacity::Queue => issues.fill(),
            Capacity::Revocations => revocations.fill(),
            Capacity::Refusals => refusals.fill(),
        }
    }

    /// The keys of subjects that are held in memory.
    pub fn subject_keys(&self) -> Fill {
        Fill::of(self.shared.subject_keys.load(Ordering::Relaxed), self.shared.limits.subject_keys)
    }

    /// How many refusals of clients that proved themselves were counted and not recorded since the start.
    pub fn unrecorded_refusals(&self) -> u64 {
        self.shared.quota.unrecorded()
    }

    /// The status lists.
    pub fn status_lists(&self) -> &Arc<StatusLists> {
        &self.shared.lists
    }

    /// The tokens of the last hour that count against limits of their agents.
    pub fn velocities(&self) -> &Velocities {
        &self.shared.velocities
    }

    /// Counts a token that was issued at `at`, before this process began.
    pub fn recall(&self, token: &CountedToken, at: Time) {
        self.shared.velocities.count(token, at);
    }

    /// The principals in force when a configuration was last taken up; none before one ever was.
    pub fn in_force(&self) -> Option<BTreeSet<ConfiguredPrincipal>> {
        self.shared.state.in_force()
    }

    /// Records the principals in force from now on, durably when it returns `Ok`; with the digest of the configuration that
    /// names them and the party by which it came into force, also where they are those of before.
    ///
    /// # Errors
    /// `Unavailable`: it may be recorded or not.
    pub async fn remember(
        &self,
        in_force: BTreeSet<ConfiguredPrincipal>,
        origin: Option<(Digest, &'static str)>,
    ) -> Result<(), CommitReason> {
        self.ask(|reply| ConfiguredCommand { in_force, origin, reply }).await
    }

    /// Refuses a key folder that `listed` lists, where it lacks keys that records name.
    ///
    /// # Errors
    /// `Keys`.
    pub fn require_keys(&self, listed: &KeyList) -> Result<(), StoreReason> {
        self.shared.state.require_keys(listed)
    }

    /// Records, durably when it returns `Ok`, what happened to the `listed` keys and is not recorded yet.
    ///
    /// # Errors
    /// `Unavailable`: it is recorded when the store takes records again, before anything else is.
    pub async fn record_keys(&self, listed: KeyList) -> Result<(), CommitReason> {
        if self.shared.state.unrecorded_keys(&listed).is_empty() {
            return Ok(());
        }
        self.ask(|reply| KeyEventsCommand { listed, reply }).await
    }

    /// Those of the `listed` keys that the records name as revoked and the list does not.
    pub fn revived_keys(&self, listed: &KeyList) -> Vec<KeyCheck> {
        self.shared.state.revived_keys(listed)
    }

    /// The things that the configuration suspends from now on: tokens that depend on any of them are shown as suspended, and
    /// tasks under them are not waited for.
    pub fn suspend_configured(&self, keys: HashSet<GenerationKey>) {
        self.shared.lists.hold(keys.clone());
        let _closed = self.send(SuspendedCommand { keys });
    }

    /// Records the digest of the state, and stores it: a start begins from there.
    ///
    /// # Errors
    /// See [`CommitReason`].
    pub async fn checkpoint(&self, cause: StateCause) -> Result<(), CommitReason> {
        self.ask(|reply| CheckpointCommand { cause, reply }).await
    }

    /// Ends the epoch of a clock that was wrong, and tells the number of the one that begins. When it returns `Ok`, it is
    /// durable, and everything from before has ended.
    ///
    /// # Errors
    /// `TooLarge` for a `reason` of more than 1,024 bytes; `ClockRight`; `ClockDoubted`; `Unavailable`: it may have begun or not.
    pub async fn correct_clock(&self, reason: String) -> Result<u64, CommitReason> {
        if reason.len() > REASON_MAX {
            return Err(CommitReason::TooLarge);
        }
        self.ask(|reply| EpochCommand { by: ClientId::operators(), reason, reply, number: 0 }).await
    }

    /// Records a step by which records are archived, held, released or pruned; its time is that of the commit.
    ///
    /// # Errors
    /// `TooLarge` for a reason of more than 1,024 bytes; `Kept` where it does not follow from what is recorded; others as of any
    /// record.
    pub async fn retain(&self, record: RetentionRecord<'static>) -> Result<(), CommitReason> {
        if record.reason.as_ref().is_some_and(|reason| reason.len() > REASON_MAX) {
            return Err(CommitReason::TooLarge);
        }
        self.ask(|reply| RetentionCommand { record, reply }).await
    }

    /// Records that the records before `first` are pruned, and waits for that. Not for use on a runtime.
    ///
    /// # Errors
    /// `Kept` where no archive has them; others as of any record.
    pub fn prune(&self, first: u64) -> Result<(), CommitReason> {
        let (reply, answer) = Reply::new();
        let record = RetentionRecord::pruned(Time::from_millis(0), ClientId::server().to_string(), first);
        self.send(RetentionCommand { record, reply })?;
        answer.blocking_recv().map_err(|_| CommitReason::Unavailable)?
    }

    /// Does one step of wrapping the keys of subjects under another root key. Steps follow one another.
    ///
    /// # Errors
    /// `Unavailable`: the step may be done or not, and can be done again.
    pub async fn rewrap(&self, step: RewrapStep) -> Result<RewrapProgress, CommitReason> {
        self.ask(|reply| RewrapCommand::new(step, reply)).await
    }

    /// Seals the terms of tasks.
    pub fn terms_sealer(&self) -> &TermsSealer {
        &self.shared.terms
    }

    /// How far the store is known to be durable.
    pub fn durable(&self) -> Durable {
        self.shared.durable.clone()
    }

    /// Refuses whatever comes from now on, finishes what waits, closes the store.
    pub async fn close(&self) {
        let (to, closed) = oneshot::channel();
        let sent = self.writer().is_ok_and(|writer| writer.send(Message::Close(to)).is_ok());
        self.shared.closing.store(true, Ordering::SeqCst);
        if sent {
            let _gone = closed.await;
        }
    }

    /// Sends a command, and waits for the verdict.
    async fn ask<T, C: CommitCommand + 'static>(&self, command: impl FnOnce(Reply<T>) -> C) -> Result<T, CommitReason> {
        let (reply, answer) = Reply::new();
        self.send(command(reply))?;
        answer.await.map_err(|_| CommitReason::Unavailable)?
    }

    fn send(&self, command: impl CommitCommand + 'static) -> Result<(), CommitReason> {
        self.writer()?.send(Message::Command(Box::new(command))).map_err(|_| CommitReason::Unavailable)
    }

    fn writer(&self) -> Result<&Sender<Message>, CommitReason> {
        if self.shared.closing.load(Ordering::SeqCst) { Err(CommitReason::Unavailable) } else { Ok(&self.shared.writer) }
    }
}
