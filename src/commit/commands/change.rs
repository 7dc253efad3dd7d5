//! Changes of what is alive. Revoking, suspending and retiring act in memory before they are recorded, so that nothing behind
//! them in the queue is issued under what they end, and stay pending, with issuance stopped, until they are recorded. Resuming
//! acts when it is durable. What acted while the clock was not believed is recorded by the time at which it is again.

use crate::commit::change::{PendingChange, StateChange};
use crate::commit::command::{CommitCommand, CommitFacts, Pending, Reply, Requires, Staging, UncertainBatch, WriterMemory};
use crate::commit::receipt::CommitReason;
use crate::lifecycle::Revocation;
use crate::oauth::SingleUse;

/// The command to revoke, suspend or retire; nobody waits for a change that was pending, or that time made.
pub(in crate::commit) struct ChangeCommand {
    change: PendingChange,
    reply: Reply,
}

impl ChangeCommand {
    /// A change that somebody asked for.
    pub(in crate::commit) fn asked(change: PendingChange, reply: Reply) -> Self {
        Self { change, reply }
    }

    /// A change that acts already.
    pub(in crate::commit) fn pending(change: PendingChange) -> Self {
        Self { change, reply: Reply::none() }
    }

    /// The end that time has put to a task.
    pub(in crate::commit) fn overdue(revocation: Revocation) -> Self {
        Self::pending(PendingChange::new(StateChange::Revocation(revocation), Vec::new(), None))
    }
}

impl CommitCommand for ChangeCommand {
    fn requires(&self) -> Requires {
        Requires::Nothing
    }

    fn single_use(&self) -> &[SingleUse] {
        &self.change.single_use
    }

    /// Refused only for a value that was spent before: neither because there is no room to remember one more, nor for one that
    /// has expired by now, which nothing would accept again.
    fn judge(&self, facts: &CommitFacts<'_>) -> Result<(), CommitReason> {
        if self.change.since.is_some() { Ok(()) } else { facts.replay.unspent(&self.change.single_use, facts.at) }
    }

    fn stage(&mut self, staging: &mut Staging<'_>) -> Result<(), CommitReason> {
        let (change, at) = (&mut self.change, staging.batch.at);
        let before = change.recorded.take_if(|_| change.doubted && !staging.clock_doubted);
        if let Some(before) = before {
            // It has acted since a time that nobody believed. From now on it does so by the right one, and what was vouched for
            // meanwhile ends too.
            (change.since, change.doubted) = (Some(at), false);
            change.recorded = Some(staging.memory.state.act_again(&change.change, &before, at));
        }
        if change.since.is_none() {
            (change.since, change.doubted) = (Some(at), staging.clock_doubted);
            change.recorded = Some(staging.memory.state.act(&change.change, at));
        }
        change.single_use.retain(|value| value.expires > at);
        staging.memory.replay.spend(&change.single_use, at);
        record(change, staging)
    }

    fn answer(&mut self, verdict: Result<(), CommitReason>) {
        self.reply.send(verdict);
    }

    fn fail(mut self: Box<Self>, batch: &mut UncertainBatch) {
        self.answer(Err(CommitReason::Unavailable));
        batch.lost.changes.push(self.change);
    }

    fn refuse(mut self: Box<Self>, reason: CommitReason, pending: &mut Pending) {
        self.answer(Err(reason));
        if self.change.since.is_some() {
            pending.changes.push(self.change);
        }
    }
}

/// The command to resume: unlike every other change it acts only when it is durable, and it never brings back what is retired.
pub(in crate::commit) struct ResumeCommand {
    change: PendingChange,
    reply: Reply,
}

impl ResumeCommand {
    pub(in crate::commit) fn new(change: PendingChange, reply: Reply) -> Self {
        Self { change, reply }
    }
}

impl CommitCommand for ResumeCommand {
    fn single_use(&self) -> &[SingleUse] {
        &self.change.single_use
    }

    /// Whatever comes after it must see it.
    fn ends_batch(&self) -> bool {
        true
    }

    fn judge(&self, facts: &CommitFacts<'_>) -> Result<(), CommitReason> {
        facts.replay.spendable(&self.change.single_use, facts.at)?;
        facts.state.resumable(&self.change.change)
    }

    fn stage(&mut self, staging: &mut Staging<'_>) -> Result<(), CommitReason> {
        self.change.since = Some(staging.batch.at);
        self.change.recorded = Some(staging.memory.state.foresee(&self.change.change, staging.batch.at));
        record(&self.change, staging)?;
        staging.memory.replay.spend(&self.change.single_use, staging.batch.at);
        Ok(())
    }

    fn answer(&mut self, verdict: Result<(), CommitReason>) {
        self.reply.send(verdict);
    }

    /// If it fails and is durable after all, it acts when the store is read again.
    fn settle(mut self: Box<Self>, memory: &WriterMemory) {
        if let (Some(recorded), Some(at)) = (&self.change.recorded, self.change.since) {
            memory.state.put(recorded, &self.change.change, at);
        }
        self.answer(Ok(()));
    }
}

/// Puts the record of a change into the batch, with the values that are spent with it.
///
/// # Errors
/// `Unavailable` while the store is not to be used, or the clock stands before 1970 or after 9999.
fn record(change: &PendingChange, staging: &mut Staging<'_>) -> Result<(), CommitReason> {
    let recorded = change.recorded.as_ref().ok_or(CommitReason::Unavailable)?;
    // The handle has checked the length, so this is the clock.
    let record = recorded.record.as_ref().map_err(|reason| {
        tracing::error!(%reason, "a change could not be recorded");
        CommitReason::Unavailable
    })?;
    staging.record((None, recorded.txn), record.clone(), None)?;
    staging.batch.beats.extend(&recorded.beats);
    staging.batch.single_use.extend(&change.single_use);
    Ok(())
}
