//! The one writer: takes what waits, judges each command, writes one batch, answers.
//!
//! There is no timer: while one batch is being flushed the next one gathers. Every command of a batch sees the effects of those
//! before it. After a failure nothing is committed until the store was opened afresh and shown to hold exactly what was
//! acknowledged; a batch whose flush failed may turn out to be durable, and then its hops are recorded as withheld.

mod recovery;
mod stage;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::change::Change;
use super::command::{RecordHop, RefusalRecord};
use super::contract::{CommitStore, ConfiguredPrincipal, StoredGeneration};
use super::durable::Durable;
use super::limits::Limits;
use super::mirror::State;
use super::per_client::OfClient;
use super::quota::Quota;
use super::receipt::{Answer, CommitReason, Receipt};
use super::register::StatusLists;
use super::spent::ReplayCache;
use super::subject_keys::SubjectKeys;
use crate::oauth::{Clock, GenerationKey, Jti, SingleUse, Time, Txn};
use recovery::UncertainBatch;
use stage::{Effect, Staged};

/// At most so many commands are written in one transaction.
const BATCH_MAX: usize = 1024;

/// How often a batch lets others run before it is written. A yield on a busy core takes some milliseconds.
const YIELDS_MAX: usize = 8;

/// Who waits for the end of a command that has no receipt.
pub(super) type Done = oneshot::Sender<Result<(), CommitReason>>;

/// One command on its way to the writer. The permit is its place in the queue, and is given back when it is done.
#[derive(Debug)]
pub(super) enum Job {
    Issue(RecordHop, Reply, OwnedSemaphorePermit),
    Refusal(Recordable),
    Change(Unrecorded, Done),
    Resume(Unrecorded, Done),
    Spend(Spending, Done),
    Remember(BTreeSet<ConfiguredPrincipal>, Done),
    Beat(GenerationKey, Spending, Done),
    Withhold(WithheldHop),
    Close(oneshot::Sender<()>),
}

/// Where the receipt goes, and where it goes back to when nobody takes it.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) to: oneshot::Sender<Result<Answer, CommitReason>>,
    pub(super) jobs: Sender<Job>,
}

/// A refusal within its quota.
#[derive(Debug)]
pub(super) struct Recordable {
    pub(super) refusal: RefusalRecord<'static>,
    pub(super) _place: OwnedSemaphorePermit,
}

/// A change on its way to the record, with its reserved place.
#[derive(Debug)]
pub(super) struct Unrecorded {
    pub(super) change: Change,
    /// Since when it acts.
    pub(super) acting: Option<Time>,
    /// The lives that begin or go on; empty until the change acts.
    pub(super) lives: Vec<StoredGeneration>,
    /// What is spent with it.
    pub(super) single_use: Vec<SingleUse>,
    pub(super) _of_client: Option<OfClient>,
    /// None for what nobody asked for.
    pub(super) _place: Option<OwnedSemaphorePermit>,
}

/// Single-use values of a request that changes nothing else.
#[derive(Debug)]
pub(super) struct Spending {
    pub(super) single_use: Vec<SingleUse>,
    pub(super) _place: OwnedSemaphorePermit,
}

/// A recorded hop whose token never left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WithheldHop {
    pub(super) index: u64,
    pub(super) jti: Jti,
    pub(super) txn: Txn,
}

impl WithheldHop {
    pub(super) fn of(receipt: &Receipt) -> Self {
        Self { index: receipt.index, jti: receipt.jti, txn: receipt.txn }
    }
}

/// Everything that changes state, in one thread.
pub(super) struct Writer {
    store: Box<dyn CommitStore>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    jobs: Receiver<Job>,
    mirror: Arc<State>,
    register: Arc<StatusLists>,
    quota: Arc<Quota>,
    spent: ReplayCache,
    keys: SubjectKeys,
    /// The index of the next record.
    next: u64,
    /// The same, for others to see.
    durable: Durable,
    /// The newest committed time.
    newest: Time,
    /// Hops to be recorded as withheld.
    owed: Vec<WithheldHop>,
    /// Changes that act already and are not recorded yet. While there is one, nothing is issued.
    unrecorded: Vec<Unrecorded>,
    /// Set while the store is not to be used: what is unknown about it, and when it failed last.
    failed: Option<(UncertainBatch, Instant)>,
    closing: Vec<oneshot::Sender<()>>,
    /// Whether the clock was last seen too far behind.
    behind: bool,
}

/// What the writer is made of.
pub(super) struct Parts {
    pub(super) store: Box<dyn CommitStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: Limits,
    pub(super) jobs: Receiver<Job>,
    pub(super) mirror: Arc<State>,
    pub(super) register: Arc<StatusLists>,
    pub(super) quota: Arc<Quota>,
    pub(super) keys: SubjectKeys,
    pub(super) durable: Durable,
}

impl Writer {
    /// Works until it is told to close and nothing waits any more, or until nobody is left to ask. Returns whom to tell, once the
    /// store is closed too.
    pub(super) fn run(mut self) -> Vec<oneshot::Sender<()>> {
        while let Some(jobs) = self.gather() {
            self.turn(jobs);
        }
        if self.unfinished() {
            self.recover_now();
            self.turn(Vec::new());
        }
        if self.unfinished() {
            tracing::error!(changes = self.unrecorded.len(), withheld = self.owed.len(), "the store failed to the end");
        }
        std::mem::take(&mut self.closing)
    }

    /// One job, and whatever else waits; none when the work is over. Before it looks what else waits it lets run whoever
    /// wants to, until that has brought nothing twice: on an idle machine that is nobody, on a busy one those whose commands
    /// then share a flush.
    fn gather(&mut self) -> Option<Vec<Job>> {
        let mut jobs: Vec<Job> = self.wait()?.into_iter().collect();
        let mut in_vain = 0;
        for _ in 0..YIELDS_MAX {
            let before = jobs.len();
            std::thread::yield_now();
            jobs.extend(self.jobs.try_iter().take(BATCH_MAX - before));
            in_vain += u32::from(jobs.len() == before);
            if in_vain == 2 || jobs.len() == BATCH_MAX {
                break;
            }
        }
        Some(jobs)
    }

    /// Waits for a job; while something is left to do without being asked, or time may end a task, no longer than the pause
    /// between two attempts.
    fn wait(&self) -> Option<Option<Job>> {
        if !self.closing.is_empty() {
            return self.jobs.try_recv().ok().map(Some);
        }
        let pause = match (self.unfinished(), self.mirror.has_tasks()) {
            (true, _) => self.limits.retry,
            (false, true) => self.limits.sweep,
            (false, false) => return self.jobs.recv().ok().map(Some),
        };
        match self.jobs.recv_timeout(pause) {
            Ok(job) => Some(Some(job)),
            Err(RecvTimeoutError::Timeout) => Some(None),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    pub(super) fn unfinished(&self) -> bool {
        self.failed.is_some() || !self.owed.is_empty() || !self.unrecorded.is_empty()
    }

    /// Everything that waited. What is resumed acts when that is durable, and whatever comes after must see it, so a
    /// resumption is the last command of its batch.
    pub(super) fn turn(&mut self, jobs: Vec<Job>) {
        let mut jobs = jobs.into_iter();
        loop {
            let mut batch = Vec::new();
            for job in jobs.by_ref() {
                let last = matches!(job, Job::Resume(..));
                batch.push(job);
                if last {
                    break;
                }
            }
            self.write(batch);
            if jobs.len() == 0 {
                return;
            }
        }
    }

    /// One batch, from judging to answering.
    fn write(&mut self, jobs: Vec<Job>) {
        self.recover_when_due();
        let mut staged = self.begin();
        for job in jobs {
            self.stage(job, &mut staged);
        }
        if staged.batch.rows.is_empty() {
            // What is forgotten durably may be asked for again under a clock that was set back, unless a record shows the time.
            staged.batch.forget = None;
        }
        if staged.failure.is_none() && !staged.batch.is_empty() {
            staged.failure = self.store.commit(&staged.batch).err();
        }
        match staged.failure.take() {
            None => self.settle(staged),
            Some(failure) => self.fail(staged, &failure),
        }
        self.mirror.set_stuck(self.failed.is_some() || !self.unrecorded.is_empty());
    }

    /// The batch is durable: now, and only now, receipts leave.
    fn settle(&mut self, staged: Staged) {
        if !staged.batch.rows.is_empty() {
            self.next += staged.batch.rows.len() as u64;
            self.newest = staged.batch.at;
            self.durable.set(self.next);
        }
        for effect in staged.effects {
            match effect {
                Effect::Hop(receipt, reply, _place) => {
                    let answer = Answer::new(receipt, reply.jobs);
                    // An answer that nobody takes reports itself when it is dropped, here or later.
                    let _untaken = reply.to.send(Ok(answer));
                }
                Effect::Change(_, Some(reply)) => {
                    let _untaken = reply.send(Ok(()));
                }
                Effect::Resume(resumed, reply) => {
                    self.mirror.put(&resumed.change, &resumed.lives);
                    let _untaken = reply.send(Ok(()));
                }
                Effect::Spent(_spending, reply) => {
                    let _untaken = reply.send(Ok(()));
                }
                Effect::Remembered(known, reply) => {
                    self.register.remember(known);
                    let _untaken = reply.send(Ok(()));
                }
                Effect::Change(_, None) | Effect::Refusal(_) | Effect::Withheld(_) => {}
            }
        }
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("next", &self.next).finish_non_exhaustive()
    }
}
