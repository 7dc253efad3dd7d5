//! Judging commands and putting them into a batch.

use std::collections::BTreeSet;

use tokio::sync::OwnedSemaphorePermit;

use super::{Done, Job, RecordHop, Recordable, Reply, Spending, Unrecorded, WithheldHop, Writer};
use crate::commit::change::Change;
use crate::commit::command::SINGLE_USE_MAX;
use crate::commit::contract::{Batch, ConfiguredPrincipal, Row, StoreReason};
use crate::commit::receipt::{CommitReason, Receipt};
use crate::commit::subject_keys::SealFailure;
use crate::crypto::Digest;
use crate::ledger::record::{RECORD_BYTES_MAX, Record, WithheldRecord};
use crate::lifecycle::{StateView, liveness};
use crate::oauth::{GenerationKey, Time};

/// One hop depends on no more things.
const GENERATIONS_MAX: usize = 1024;

/// At most so many ends of tasks are recorded in one transaction.
const SWEEP_MAX: usize = 256;

/// A batch as it grows, and what follows from each of its rows once it is durable.
pub(super) struct Staged {
    pub(super) batch: Batch,
    pub(super) effects: Vec<Effect>,
    /// The store failed while the batch was put together.
    pub(super) failure: Option<StoreReason>,
    /// The clock stands too far behind for anything to be issued.
    behind: bool,
}

type SealedFor = (GenerationKey, Vec<u8>);

/// What follows from one row.
pub(super) enum Effect {
    Hop(Receipt, Reply, OwnedSemaphorePermit),
    Refusal(Recordable),
    Change(Unrecorded, Option<Done>),
    Resume(Unrecorded, Done),
    Spent(Spending, Done),
    Remembered(BTreeSet<ConfiguredPrincipal>, Done),
    Withheld(WithheldHop),
}

impl Writer {
    /// A batch that begins with what is owed. The present never runs backwards: within the tolerance the newest committed time
    /// stands in for a clock that is behind it.
    pub(super) fn begin(&mut self) -> Staged {
        let present = self.clock.now();
        let at = present.max(self.newest).max(self.mirror.floor());
        let batch = Batch::at(at);
        let behind = self.newest.since(present) > self.limits.clock_behind;
        if behind && !self.behind {
            let behind_ms = self.newest.since(present).as_millis();
            tracing::error!(behind_ms, "the clock stands behind the newest record, so nothing is issued until it has caught up");
        }
        self.behind = behind;
        let mut staged = Staged { batch, effects: Vec::new(), failure: None, behind };
        if self.failed.is_none() {
            for hidden in std::mem::take(&mut self.owed) {
                self.stage_withheld(hidden, &mut staged);
            }
            for change in std::mem::take(&mut self.unrecorded) {
                self.stage_change(change, None, &mut staged);
            }
            self.sweep(&mut staged);
            let forgot = self.mirror.forget(at) | self.spent.forget(at) | self.register.has_forgotten();
            staged.batch.forget = forgot.then_some(at);
        }
        staged
    }

    pub(super) fn stage(&mut self, job: Job, staged: &mut Staged) {
        let usable = self.failed.is_none() && staged.failure.is_none();
        match job {
            Job::Issue(issue, reply, place) => self.stage_issue(issue, reply, place, staged),
            Job::Refusal(recordable) if usable => self.stage_refusal(recordable, staged),
            Job::Refusal(recordable) => self.unrecord(&recordable),
            Job::Change(change, reply) => self.stage_asked_change(change, reply, usable, staged),
            Job::Resume(change, reply) => self.stage_resumption(change, reply, usable, staged),
            Job::Spend(spending, reply) => match self.judge_spending(&spending, usable, staged) {
                Ok(()) => staged.effects.push(Effect::Spent(spending, reply)),
                Err(reason) => {
                    let _untaken = reply.send(Err(reason));
                }
            },
            Job::Remember(known, reply) if usable => {
                staged.batch.in_force = Some(known.clone());
                staged.effects.push(Effect::Remembered(known, reply));
            }
            Job::Remember(_, reply) => {
                let _untaken = reply.send(Err(CommitReason::Unavailable));
            }
            Job::Beat(task, spending, reply) => match self.judge_beat(task, &spending, usable, staged) {
                Ok(()) => staged.effects.push(Effect::Spent(spending, reply)),
                Err(reason) => {
                    let _untaken = reply.send(Err(reason));
                }
            },
            Job::Withhold(hidden) if usable => self.stage_withheld(hidden, staged),
            Job::Withhold(hidden) => self.owed.push(hidden),
            Job::Close(reply) => self.closing.push(reply),
        }
    }

    fn stage_issue(&mut self, issue: RecordHop, reply: Reply, place: OwnedSemaphorePermit, staged: &mut Staged) {
        match self.judge(issue, staged) {
            Ok(receipt) => staged.effects.push(Effect::Hop(receipt, reply, place)),
            Err(reason) => {
                let _untaken = reply.to.send(Err(reason));
            }
        }
    }

    /// The checks that must hold at the instant of commit. What is single-use is spent when nothing can refuse the hop any
    /// more but a failure of the store, after which what is spent is read from the store again.
    fn judge(&mut self, issue: RecordHop, staged: &mut Staged) -> Result<Receipt, CommitReason> {
        if self.failed.is_some() || staged.failure.is_some() || !self.unrecorded.is_empty() {
            return Err(CommitReason::Unavailable);
        }
        if staged.behind {
            return Err(CommitReason::ClockBehind);
        }
        if issue.generations.len() > GENERATIONS_MAX || issue.single_use.len() > SINGLE_USE_MAX {
            return Err(CommitReason::TooLarge);
        }
        if issue.record.len() > RECORD_BYTES_MAX {
            return Err(CommitReason::TooLarge);
        }
        if issue.deadline <= staged.batch.at {
            return Err(CommitReason::Expired);
        }
        if self.mirror.len() > self.limits.lives {
            return Err(CommitReason::Busy);
        }
        liveness::alive(&*self.mirror, &issue.generations, staged.batch.at).map_err(|dead| {
            tracing::debug!(jti = %issue.jti, ?dead, "something ended between the checks and the commit");
            CommitReason::Died
        })?;
        self.mirror.affordable(&issue, self.limits.tasks)?;
        let record = Digest::of(&issue.record);
        self.spent.spendable(&issue.single_use, staged.batch.at)?;
        let sealed = self.seal(&issue, &record, staged)?;
        self.spent.spend(&issue.single_use);
        staged.batch.single_use.extend(&issue.single_use);
        self.draw(&issue, staged);
        let (jti, txn, at) = (issue.jti, issue.txn, staged.batch.at);
        let row = Row { index: 0, jti: Some(jti), txn: Some(txn), record: issue.record, sealed };
        let index = self.push(row, staged);
        staged.batch.status.extend(issue.status.map(|registration| (index, self.register.add(*registration))));
        Ok(Receipt { index, jti, txn, record, at })
    }

    /// Takes what `issue` costs out of the budgets, and begins the task that it opens. A batch that fails undoes it when the
    /// store is read again.
    fn draw(&self, issue: &RecordHop, staged: &mut Staged) {
        staged.batch.charges.extend(issue.charge.and_then(|task| self.mirror.charge(task, 1)));
        if let Some(opens) = &issue.opens {
            staged.batch.charges.extend(opens.out_of.and_then(|parent| self.mirror.charge(parent, opens.task.budget)));
            if let Some((task, lives)) = self.mirror.open(opens, staged.batch.at) {
                staged.batch.tasks.push(task);
                staged.batch.lives.extend(lives);
            }
        }
    }

    /// Records the end of tasks that time has ended; nobody waits for it, and they are dead already.
    fn sweep(&mut self, staged: &mut Staged) {
        for (key, task) in self.mirror.overdue(staged.batch.at, SWEEP_MAX) {
            let change = Change::Death(task.overdue(key, staged.batch.at));
            let (acting, lives, single_use) = (None, Vec::new(), Vec::new());
            let swept = Unrecorded { change, acting, lives, single_use, _of_client: None, _place: None };
            self.stage_change(swept, None, staged);
        }
    }

    /// A heartbeat moves the time of a task that is not over. It needs no record: what it holds off has one.
    fn judge_beat(
        &mut self,
        task: GenerationKey,
        spending: &Spending,
        usable: bool,
        staged: &mut Staged,
    ) -> Result<(), CommitReason> {
        if !usable || !self.unrecorded.is_empty() {
            return Err(CommitReason::Unavailable);
        }
        if staged.behind {
            return Err(CommitReason::ClockBehind);
        }
        let known = self.mirror.task(&task).ok_or(CommitReason::Died)?;
        let living = liveness::alive(&*self.mirror, &known.fixed.generations, staged.batch.at);
        if living.is_err_and(|dead| dead.is_final()) {
            return Err(CommitReason::Died);
        }
        self.spent.spendable(&spending.single_use, staged.batch.at)?;
        staged.batch.lives.push(self.mirror.beat(task, staged.batch.at).ok_or(CommitReason::Died)?);
        self.spent.spend(&spending.single_use);
        staged.batch.single_use.extend(&spending.single_use);
        Ok(())
    }

    fn seal(&mut self, issue: &RecordHop, record: &Digest, staged: &mut Staged) -> Result<Option<SealedFor>, CommitReason> {
        let disclosed = &issue.disclosed;
        if disclosed.values.is_empty() {
            return Ok(None);
        }
        match self.keys.seal(&mut *self.store, disclosed.subject, record, &disclosed.values) {
            Ok((sealed, made)) => {
                staged.batch.subject_keys.extend(made);
                Ok(Some((disclosed.subject, sealed)))
            }
            Err(SealFailure::Store(failure)) => {
                staged.failure = Some(failure);
                Err(CommitReason::Unavailable)
            }
            Err(SealFailure::Key(reason)) => {
                tracing::error!(subject = ?disclosed.subject, %reason, "a subject's key cannot be used");
                Err(CommitReason::Unavailable)
            }
        }
    }

    fn judge_spending(&mut self, spending: &Spending, usable: bool, staged: &mut Staged) -> Result<(), CommitReason> {
        if !usable || !self.unrecorded.is_empty() {
            return Err(CommitReason::Unavailable);
        }
        if staged.behind {
            return Err(CommitReason::ClockBehind);
        }
        self.spent.spendable(&spending.single_use, staged.batch.at)?;
        self.spent.spend(&spending.single_use);
        staged.batch.single_use.extend(&spending.single_use);
        Ok(())
    }

    fn stage_refusal(&mut self, recordable: Recordable, staged: &mut Staged) {
        match recordable.refusal.fitted() {
            Ok(record) => {
                let (jti, txn) = (None, recordable.refusal.txn);
                self.push(Row { index: 0, jti, txn, record, sealed: None }, staged);
                staged.effects.push(Effect::Refusal(recordable));
            }
            Err(reason) => {
                tracing::warn!(agent = %recordable.refusal.agent, %reason, "a refusal could not be recorded");
                self.unrecord(&recordable);
            }
        }
    }

    pub(super) fn unrecord(&self, recordable: &Recordable) {
        self.quota.give_back(&recordable.refusal.agent, recordable.refusal.suppressed + 1);
    }

    fn stage_withheld(&mut self, hidden: WithheldHop, staged: &mut Staged) {
        let WithheldHop { index, jti, txn } = hidden;
        let record = Record::Withheld(WithheldRecord::new(staged.batch.at, index, jti, txn));
        match record.to_bytes() {
            Ok(record) => {
                let row = Row { index: 0, jti: Some(jti), txn: Some(txn), record, sealed: None };
                self.push(row, staged);
                staged.effects.push(Effect::Withheld(hidden));
            }
            Err(reason) => tracing::error!(%jti, %reason, "a withheld token could not be recorded"),
        }
    }

    /// A change acts in memory before it is recorded, so that nothing behind it in the queue is issued under what it ends.
    fn act(&self, change: &mut Unrecorded, at: Time) {
        if change.acting.is_none() {
            (change.acting, change.lives) = (Some(at), self.mirror.change(&change.change, at));
        }
    }

    /// A change is refused for a value that was spent before, but neither because there is no room to remember one more, nor
    /// for one that has expired by now, which nothing would accept again.
    fn stage_asked_change(&mut self, mut change: Unrecorded, reply: Done, usable: bool, staged: &mut Staged) {
        change.single_use.retain(|value| value.expires > staged.batch.at);
        let spendable = self.spent.spendable(&change.single_use, staged.batch.at);
        if let Err(reason @ (CommitReason::Spent | CommitReason::Replayed)) = spendable {
            let _untaken = reply.send(Err(reason));
            return;
        }
        if usable {
            return self.stage_change(change, Some(reply), staged);
        }
        self.act(&mut change, staged.batch.at);
        self.spent.spend(&change.single_use);
        self.unrecorded.push(change);
        let _untaken = reply.send(Err(CommitReason::Unavailable));
    }

    /// A change that was asked for now or, without anybody waiting, one that acts already.
    fn stage_change(&mut self, mut change: Unrecorded, reply: Option<Done>, staged: &mut Staged) {
        self.act(&mut change, staged.batch.at);
        change.single_use.retain(|value| value.expires > staged.batch.at);
        self.spent.spend(&change.single_use);
        match self.record_change(&change, staged) {
            Ok(()) => staged.effects.push(Effect::Change(change, reply)),
            Err(reason) => {
                self.unrecorded.push(change);
                let _untaken = reply.map(|reply| reply.send(Err(reason)));
            }
        }
    }

    /// A resumption does not act unless it is durable, and never brings back what is retired.
    fn stage_resumption(&mut self, mut change: Unrecorded, reply: Done, usable: bool, staged: &mut Staged) {
        change.lives = self.mirror.foresee(&change.change, staged.batch.at);
        let staged_now = match self.judge_resumption(&change, usable, staged) {
            Ok(()) => self.record_change(&change, staged),
            Err(reason) => Err(reason),
        };
        match staged_now {
            Ok(()) => {
                self.spent.spend(&change.single_use);
                staged.effects.push(Effect::Resume(change, reply));
            }
            Err(reason) => {
                let _untaken = reply.send(Err(reason));
            }
        }
    }

    fn judge_resumption(&self, change: &Unrecorded, usable: bool, staged: &Staged) -> Result<(), CommitReason> {
        if !usable || !self.unrecorded.is_empty() {
            return Err(CommitReason::Unavailable);
        }
        if staged.behind {
            return Err(CommitReason::ClockBehind);
        }
        self.mirror.resumable(&change.change)?;
        self.spent.spendable(&change.single_use, staged.batch.at)
    }

    /// Puts the record of a change into the batch, with the lives that it leads to and what is spent with it.
    fn record_change(&self, change: &Unrecorded, staged: &mut Staged) -> Result<(), CommitReason> {
        let numbers = change.lives.iter().map(|stored| stored.life.number);
        // The handle has checked the length, so this is a clock before 1970 or after 9999.
        let record = change.change.record(staged.batch.at, numbers).map_err(|reason| {
            tracing::error!(%reason, "a change could not be recorded");
            CommitReason::Unavailable
        })?;
        let txn = Record::parse(&record).ok().and_then(|record| record.txn());
        self.push(Row { index: 0, jti: None, txn, record, sealed: None }, staged);
        staged.batch.lives.extend(&change.lives);
        staged.batch.tasks.extend(self.mirror.tasks_changed(&change.change));
        staged.batch.single_use.extend(&change.single_use);
        Ok(())
    }

    /// Gives `row` the next index.
    fn push(&self, mut row: Row, staged: &mut Staged) -> u64 {
        row.index = self.next + staged.batch.rows.len() as u64;
        let index = row.index;
        staged.batch.rows.push(row);
        index
    }
}
