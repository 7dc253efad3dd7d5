//! The contract between the one writer and its commands: each is judged by facts alone, staged into a batch, and told what
//! became of it. The commands themselves are in [`commands`](super::commands), one file each.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::change::PendingChange;
use super::contract::{Batch, CommitStore, KeyList, Row, StoreReason};
use super::effect::Effect;
use super::fold::StateHash;
use super::hindrance::Hindrance;
use super::limits::Limits;
use super::receipt::CommitReason;
use super::replay_cache::ReplayCache;
use super::state::State;
use super::status_lists::StatusLists;
use super::subject_keys::{Disclosed, SealFailure, SubjectKeys};
use super::tasks::{SealedTask, TermsSealer};
use super::unrecorded::UnrecordedSum;
use super::velocity::Velocities;
use crate::crypto::Digest;
use crate::oauth::{GenerationKey, Jti, ShareKey, SingleUse, StatusPlace, Time, Txn};

/// No command spends more values.
pub(super) const SINGLE_USE_MAX: usize = 8;

/// One command on its way through the writer. Exactly one of `settle`, `fail` and `refuse` is called at the end.
pub(super) trait CommitCommand: Send {
    /// The state the writer must be in before this is judged; the strictest, where a command does not say otherwise.
    fn requires(&self) -> Requires {
        Requires::Issuance
    }

    /// The single-use values that it spends: the store is asked for them as the lock is taken.
    fn single_use(&self) -> &[SingleUse] {
        &[]
    }

    /// The client whose command it is, which takes turns with others. Nobody's, a death's above all, waits for no turn.
    fn share(&self) -> ShareKey {
        ShareKey::NOBODY
    }

    /// True where it acts only once it is durable: nothing after it may then share its batch.
    fn ends_batch(&self) -> bool {
        false
    }

    /// True where it begins an epoch: it has a batch of its own, at the time that the clock says, whatever the floor is.
    fn begins_epoch(&self) -> bool {
        false
    }

    /// The verdict, by the facts at the instant of commit and nothing else.
    ///
    /// # Errors
    /// The reason for which it is refused; it has then changed nothing.
    fn judge(&self, facts: &CommitFacts<'_>) -> Result<(), CommitReason>;

    /// Puts its rows into the batch, and its effect into memory, where the commands behind it see it. A batch that fails undoes
    /// the latter when the store is read again.
    ///
    /// # Errors
    /// The reason for which it cannot be recorded; the batch is then as before.
    fn stage(&mut self, staging: &mut Staging<'_>) -> Result<(), CommitReason>;

    /// Tells the verdict to the caller, where there is one.
    fn answer(&mut self, verdict: Result<(), CommitReason>);

    /// Follows once it is durable.
    fn settle(mut self: Box<Self>, _: &WriterMemory) {
        self.answer(Ok(()));
    }

    /// Follows when nobody knows whether it is durable: the caller is told that it is not, `batch` the work that is left.
    fn fail(mut self: Box<Self>, _batch: &mut UncertainBatch) {
        self.answer(Err(CommitReason::Unavailable));
    }

    /// Follows when it was refused; `pending` takes what has to be recorded all the same.
    fn refuse(mut self: Box<Self>, reason: CommitReason, _pending: &mut Pending) {
        self.answer(Err(reason));
    }
}

/// The state in which the writer takes a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Requires {
    /// Any: it acts at once, and is recorded when it can be.
    Nothing,
    /// The store can be used; nothing is recorded.
    Access,
    /// The store takes records, and the clock is believed.
    Store,
    /// The store takes records, every revocation that acts is recorded, and the clock is believed and not behind the newest
    /// record.
    Issuance,
}

/// The caller of a command that has no receipt, until it is answered.
pub(super) struct Reply<T = ()>(Option<oneshot::Sender<Result<T, CommitReason>>>);

impl<T> Reply<T> {
    /// To a caller, with the end at which it waits.
    pub(super) fn new() -> (Self, oneshot::Receiver<Result<T, CommitReason>>) {
        let (to, answer) = oneshot::channel();
        (Self(Some(to)), answer)
    }

    /// To nobody.
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn send(&mut self, verdict: Result<T, CommitReason>) {
        let _untaken = self.0.take().map(|to| to.send(verdict));
    }
}

/// A message to the writer's thread.
pub(super) enum Message {
    /// To be judged, written and answered.
    Command(Box<dyn CommitCommand>),
    /// The end: it is told when everything that waited is done and the store is closed.
    Close(oneshot::Sender<()>),
}

/// Everything that a command is judged by.
pub(super) struct CommitFacts<'a> {
    /// The time of the commit.
    pub(super) at: Time,
    pub(super) state: &'a State,
    pub(super) replay: &'a ReplayCache,
    pub(super) lists: &'a StatusLists,
    pub(super) velocities: &'a Velocities,
    pub(super) limits: &'a Limits,
}

/// The part of the store that the writer has in memory. The store is the truth.
pub(super) struct WriterMemory {
    pub(super) state: Arc<State>,
    pub(super) lists: Arc<StatusLists>,
    pub(super) velocities: Arc<Velocities>,
    pub(super) replay: ReplayCache,
    pub(super) keys: SubjectKeys,
    pub(super) terms: TermsSealer,
    pub(super) hash: StateHash,
    pub(super) sum: UnrecordedSum,
    /// Something was forgotten that still lies in the store.
    pub(super) forgets: bool,
}

impl WriterMemory {
    /// Forgets what may be forgotten at `at` and stands in no record; false where that is nothing.
    fn forget(&mut self, at: Time) -> bool {
        let forgotten = self.replay.forget(at) | self.lists.has_forgotten();
        self.forgets |= forgotten;
        forgotten
    }
}

/// A recorded hop whose token never left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WithheldHop {
    pub(super) index: u64,
    pub(super) jti: Jti,
    pub(super) txn: Txn,
}

/// Left to be recorded, without anybody asking for it.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Hops whose tokens never left.
    pub(super) withheld: Vec<WithheldHop>,
    /// Changes that act already. While there is one, nothing is issued.
    pub(super) changes: Vec<PendingChange>,
    /// Keys of this server that something happened to.
    pub(super) keys: KeyList,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.withheld.is_empty() && self.changes.is_empty() && self.keys.is_empty()
    }

    /// Adds keys; of one that is there already the newest event counts.
    pub(super) fn add_keys(&mut self, listed: KeyList) {
        for (check, event) in listed {
            let known = self.keys.entry(check).or_insert(event);
            *known = event.max(*known);
        }
    }
}

/// A batch of which nobody knows whether it is durable.
#[derive(Debug, Default)]
pub(super) struct UncertainBatch {
    /// The index and the bytes of its last record, if it has one: a batch is durable as a whole or not at all.
    pub(super) last: Option<(u64, Vec<u8>)>,
    /// The places that its tokens have in status lists, to be given back if it is not durable.
    pub(super) places: Vec<StatusPlace>,
    /// Hops whose callers were told that nothing was issued: to be withheld if they are durable.
    pub(super) hops: Vec<WithheldHop>,
    /// To be recorded again if it is not durable.
    pub(super) lost: Pending,
}

/// A batch as it grows, while the store is locked.
pub(super) struct Staging<'a> {
    pub(super) batch: Batch,
    pub(super) memory: &'a mut WriterMemory,
    pub(super) pending: &'a mut Pending,
    pub(super) limits: &'a Limits,
    pub(super) store: &'a mut dyn CommitStore,
    /// The index of the first record of the batch.
    pub(super) next: u64,
    /// False while the store is not to be used.
    pub(super) locked: bool,
    /// The store failed while the batch was put together.
    pub(super) failure: Option<StoreReason>,
    /// The clock stands too far behind the newest record for anything to be issued.
    pub(super) clock_behind: bool,
    /// The clock is not believed, so that nothing is recorded.
    pub(super) clock_doubted: bool,
    /// The commands that were staged, in order.
    pub(super) staged: Vec<Box<dyn CommitCommand>>,
}

impl Staging<'_> {
    /// Judges and stages `command`, or refuses it.
    pub(super) fn take(&mut self, mut command: Box<dyn CommitCommand>) {
        let verdict = self.admit(command.requires()).and_then(|()| command.judge(&self.facts()));
        match verdict.and_then(|()| command.stage(self)) {
            Ok(()) => self.staged.push(command),
            Err(reason) => command.refuse(reason, self.pending),
        }
    }

    /// Forgets in memory what may be forgotten by now: from here on the present is never earlier.
    pub(super) fn forget(&mut self) {
        if self.is_usable() && self.memory.forget(self.batch.at) {
            self.memory.state.raise_floor(self.batch.at);
        }
    }

    /// Writes the batch, if there is anything to write, and gives the lock back.
    pub(super) fn finish(mut self) -> (Batch, Vec<Box<dyn CommitCommand>>, Result<(), StoreReason>) {
        // After a restart the newest record alone tells the time up to which things may have been forgotten, so a batch without
        // one forgets nothing durably.
        self.batch.forget = (self.memory.forgets && !self.batch.rows.is_empty()).then_some(self.batch.at);
        let sum = &mut self.memory.sum;
        let written = match self.failure {
            Some(failure) => Err(failure),
            None if !self.locked => Ok(()),
            None if self.batch.is_empty() => {
                self.store.abandon();
                Ok(())
            }
            None => match sum.seal(&mut self.batch) {
                Ok(()) => self.store.write(&self.batch),
                Err(reason) => Err(StoreReason::Failed(Box::new(reason))),
            },
        };
        (self.batch, self.staged, written)
    }

    /// Gives the record of the hop `jti` in `txn` the next index, with the disclosures sealed for it.
    ///
    /// # Errors
    /// `Unavailable` while the store is not to be used.
    pub(super) fn record(
        &mut self,
        (jti, txn): (Option<Jti>, Option<Txn>),
        record: Vec<u8>,
        sealed: SealedFor,
    ) -> Result<u64, CommitReason> {
        self.admit(Requires::Store)?;
        let index = self.next + self.batch.rows.len() as u64;
        self.batch.rows.push(Row { index, jti, txn, record, sealed });
        Ok(index)
    }

    /// Takes up the effect of the record at `index`.
    pub(super) fn apply(&mut self, index: u64, effect: &Effect) {
        self.memory.apply(index, effect, self.batch.at);
    }

    /// Begins the task that the record at `index` opened.
    pub(super) fn open(&mut self, index: u64, task: SealedTask) {
        let (terms, sealed) = task.into_parts();
        self.batch.terms.push((index, sealed));
        self.memory.state.open(terms, self.batch.at);
    }

    /// Spends `values` with this batch.
    pub(super) fn spend(&mut self, values: &[SingleUse]) {
        self.memory.replay.spend(values, self.batch.at);
        self.batch.single_use.extend(values);
    }

    /// Encrypts clear values for the record with the digest `record`.
    ///
    /// # Errors
    /// `Unavailable` when their subject's key cannot be had; where that is the store's fault, the batch has failed.
    pub(super) fn seal(&mut self, disclosed: &Disclosed, record: &Digest) -> Result<SealedFor, CommitReason> {
        if disclosed.values.is_empty() {
            return Ok(None);
        }
        match self.memory.keys.seal(self.store, disclosed.subject, record, &disclosed.values) {
            Ok((sealed, made)) => {
                self.batch.subject_keys.extend(made);
                return Ok(Some((disclosed.subject, sealed)));
            }
            Err(SealFailure::Store(failure)) => self.failure = Some(failure),
            Err(SealFailure::Key(reason)) => {
                tracing::error!(subject = ?disclosed.subject, %reason, "a subject's key cannot be used");
            }
        }
        Err(CommitReason::Unavailable)
    }

    /// The reasons for which an exchange would be refused now, whoever asked for it.
    pub(super) fn hindrances(&self) -> Vec<Hindrance> {
        let WriterMemory { state, lists, replay, .. } = &*self.memory;
        let reasons = [
            (!self.is_usable() || !self.clock_doubted && !self.pending.changes.is_empty(), Hindrance::Store),
            (self.clock_behind, Hindrance::ClockBehind),
            (self.clock_doubted, Hindrance::ClockDoubted),
            (!replay.has_room(), Hindrance::SingleUse),
            (state.len() > self.limits.generations, Hindrance::LiveEntries),
            (state.tasks_len() >= self.limits.tasks, Hindrance::Tasks),
            (lists.len() >= self.limits.status, Hindrance::StatusTokens),
        ];
        reasons.into_iter().filter(|(holds, _)| *holds).map(|(_, hindrance)| hindrance).collect()
    }

    /// The one guard before every command.
    fn admit(&self, requires: Requires) -> Result<(), CommitReason> {
        let (issues, records) = (requires == Requires::Issuance, requires >= Requires::Store);
        if requires == Requires::Nothing {
            Ok(())
        } else if !self.is_usable() {
            Err(CommitReason::Unavailable)
        } else if records && self.clock_doubted {
            Err(CommitReason::ClockDoubted)
        } else if issues && !self.pending.changes.is_empty() {
            Err(CommitReason::Unavailable)
        } else if issues && self.clock_behind {
            Err(CommitReason::ClockBehind)
        } else {
            Ok(())
        }
    }

    fn is_usable(&self) -> bool {
        self.locked && self.failure.is_none()
    }

    fn facts(&self) -> CommitFacts<'_> {
        let WriterMemory { state, lists, velocities, replay, .. } = &*self.memory;
        CommitFacts { at: self.batch.at, state, replay, lists, velocities, limits: self.limits }
    }
}

/// The subject whom disclosures are about, and the disclosures encrypted under that subject's key.
type SealedFor = Option<(GenerationKey, Vec<u8>)>;
