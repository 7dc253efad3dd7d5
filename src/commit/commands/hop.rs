//! Recording a hop, or the opening of a task, which has a token too; and, if the token never left, that it is withheld.

use std::sync::mpsc::Sender;

use tokio::sync::oneshot;

use crate::commit::command::{
    CommitCommand, CommitFacts, Message, Pending, Requires, SINGLE_USE_MAX, Staging, UncertainBatch, WithheldHop, WriterMemory,
};
use crate::commit::effect::Effect;
use crate::commit::limits::QueuePlace;
use crate::commit::receipt::{CommitReason, Receipt};
use crate::commit::status_lists::Registration;
use crate::commit::subject_keys::Disclosed;
use crate::commit::tasks::SealedTask;
use crate::commit::velocity::CountedToken;
use crate::crypto::Digest;
use crate::ledger::record::{RECORD_BYTES_MAX, Record, WithheldRecord};
use crate::lifecycle::liveness;
use crate::oauth::{Generation, Jti, ShareKey, SingleUse, TaskId, Time, Txn};

/// One hop depends on no more things.
const GENERATIONS_MAX: usize = 1024;

/// A hop to record, or the opening of a task.
#[derive(Debug)]
pub struct RecordHop {
    /// The client, in whose share of what is bounded it counts.
    pub share: ShareKey,
    /// The hop: the token's `jti`.
    pub jti: Jti,
    /// The transaction it belongs to.
    pub txn: Txn,
    /// The canonical record of this hop (`docs/records.md`), at most 65,535 bytes. The commit does not read it; a start
    /// does, and refuses a store whose newest records are no records of the hops that they are stored for.
    pub record: Vec<u8>,
    /// Every generation the token depends on, at most 1,024; each must be current.
    pub generations: Vec<Generation>,
    /// The values spent by this hop, at most 8.
    pub single_use: Vec<SingleUse>,
    /// The earliest expiry of anything the hop rests on; it must lie after the commit's own present.
    pub deadline: Time,
    /// The clear values behind the record's salted digests.
    pub disclosed: Disclosed,
    /// The status list that the token stands in, if an API asks for that.
    pub status: Option<Box<Registration>>,
    /// The limits of its agent that the token counts against, where there are any.
    pub counted: Option<Box<CountedToken>>,
    /// The change of state that the record brings (`Effect::of`).
    pub effect: Effect,
    /// The task that begins with this record, if it is no hop.
    pub opens: Option<Box<SealedTask>>,
}

/// The command, with its place in the queue, which is given back when it is done.
pub(in crate::commit) struct HopCommand {
    hop: RecordHop,
    reply: Option<oneshot::Sender<Result<UntakenReceipt, CommitReason>>>,
    writer: Sender<Message>,
    /// Index, digest and time of its record, once it is staged.
    staged: Option<(u64, Digest, Time)>,
    _place: QueuePlace,
}

/// A receipt on its way. Dropped instead of taken, it has the hop recorded as withheld.
#[derive(Debug)]
pub(in crate::commit) struct UntakenReceipt {
    receipt: Option<Receipt>,
    writer: Sender<Message>,
}

impl RecordHop {
    /// True where nothing of it is longer than it may be.
    pub(in crate::commit) fn fits(&self) -> bool {
        self.record.len() <= RECORD_BYTES_MAX
            && self.generations.len() <= GENERATIONS_MAX
            && self.single_use.len() <= SINGLE_USE_MAX
    }
}

impl HopCommand {
    pub(in crate::commit) fn new(
        hop: RecordHop,
        reply: oneshot::Sender<Result<UntakenReceipt, CommitReason>>,
        writer: Sender<Message>,
        place: QueuePlace,
    ) -> Self {
        Self { hop, reply: Some(reply), writer, staged: None, _place: place }
    }

    /// The task whose budget pays for the hop: one exchange.
    fn charge(&self) -> Option<TaskId> {
        if let Effect::Charge(task) = &self.hop.effect { Some(*task) } else { None }
    }
}

impl CommitCommand for HopCommand {
    fn share(&self) -> ShareKey {
        self.hop.share
    }

    fn single_use(&self) -> &[SingleUse] {
        &self.hop.single_use
    }

    /// First the login: one that was used is told nothing else.
    fn judge(&self, facts: &CommitFacts<'_>) -> Result<(), CommitReason> {
        let hop = &self.hop;
        facts.replay.spendable(&hop.single_use, facts.at)?;
        if hop.deadline <= facts.at {
            return Err(CommitReason::Expired);
        }
        facts.state.may_need_ends(hop.share, facts.limits.generations, facts.at)?;
        liveness::alive(facts.state, &hop.generations, facts.at).map_err(|dead| {
            tracing::debug!(jti = %hop.jti, ?dead, "something ended between the checks and the commit");
            CommitReason::Died
        })?;
        facts.state.affordable(self.charge(), hop.opens.as_deref().map(SealedTask::terms))?;
        if let Some(counted) = &hop.counted {
            facts.velocities.room(counted, facts.at)?;
        }
        if hop.opens.is_some() {
            facts.state.may_open(hop.share, facts.limits.tasks, facts.at)?;
        }
        // The token names its place, so another one would need another token.
        if hop.status.as_ref().is_some_and(|registration| !facts.lists.is_free(&registration.place)) {
            return Err(CommitReason::Busy);
        }
        Ok(())
    }

    /// Nothing can refuse the hop once its disclosures are sealed, so everything else comes after that.
    fn stage(&mut self, staging: &mut Staging<'_>) -> Result<(), CommitReason> {
        let digest = Digest::of(&self.hop.record);
        let sealed = staging.seal(&self.hop.disclosed, &digest)?;
        let record = std::mem::take(&mut self.hop.record);
        debug_assert!(
            Record::parse(&record).is_ok_and(|record| Effect::of(&record) == self.hop.effect),
            "the effect of its record"
        );
        let index = staging.record((Some(self.hop.jti), Some(self.hop.txn)), record, sealed)?;
        staging.spend(&self.hop.single_use);
        staging.apply(index, &self.hop.effect);
        self.hop.counted.iter().for_each(|counted| staging.memory.velocities.count(counted, staging.batch.at));
        self.hop.opens.take().into_iter().for_each(|task| staging.open(index, *task));
        let listed = self.hop.status.take().map(|registration| (index, staging.memory.lists.add(*registration)));
        staging.batch.status.extend(listed);
        self.staged = Some((index, digest, staging.batch.at));
        Ok(())
    }

    fn answer(&mut self, verdict: Result<(), CommitReason>) {
        let _untaken = self.reply.take().zip(verdict.err()).map(|(reply, reason)| reply.send(Err(reason)));
    }

    /// A receipt that nobody takes has the hop withheld when it is dropped, here or later.
    fn settle(self: Box<Self>, _: &WriterMemory) {
        if let (Some((index, record, at)), Some(reply)) = (self.staged, self.reply) {
            let receipt = Receipt::new(index, (self.hop.jti, self.hop.txn), record, at);
            let _untaken = reply.send(Ok(UntakenReceipt { receipt: Some(receipt), writer: self.writer }));
        }
    }

    fn fail(mut self: Box<Self>, batch: &mut UncertainBatch) {
        self.answer(Err(CommitReason::Unavailable));
        if let Some((index, ..)) = self.staged {
            batch.hops.push(WithheldHop { index, jti: self.hop.jti, txn: self.hop.txn });
        }
    }
}

impl UntakenReceipt {
    pub(in crate::commit) fn take(mut self) -> Option<Receipt> {
        self.receipt.take()
    }
}

impl Drop for UntakenReceipt {
    fn drop(&mut self) {
        if let Some(receipt) = self.receipt.take() {
            // A closed writer leaves a recorded hop without an answer, as a crash would.
            let _closed = self.writer.send(Message::Command(Box::new(WithholdCommand::of(&receipt))));
        }
    }
}

/// The command to record that the token of a recorded hop never left. It has no caller: what cannot be recorded now stays
/// pending until it can.
pub(in crate::commit) struct WithholdCommand(pub(in crate::commit) WithheldHop);

impl WithholdCommand {
    pub(in crate::commit) fn of(receipt: &Receipt) -> Self {
        Self(WithheldHop { index: receipt.index(), jti: receipt.jti(), txn: receipt.txn() })
    }
}

impl CommitCommand for WithholdCommand {
    fn requires(&self) -> Requires {
        Requires::Store
    }

    fn judge(&self, _: &CommitFacts<'_>) -> Result<(), CommitReason> {
        Ok(())
    }

    fn stage(&mut self, staging: &mut Staging<'_>) -> Result<(), CommitReason> {
        let WithheldHop { index, jti, txn } = self.0;
        let record = Record::Withheld(WithheldRecord::new(staging.batch.at, index, jti, txn));
        let record = record.to_bytes().map_err(|reason| {
            tracing::error!(%jti, %reason, "a withheld token could not be recorded");
            CommitReason::Unavailable
        })?;
        staging.record((Some(jti), Some(txn)), record, None).map(drop)
    }

    fn answer(&mut self, _: Result<(), CommitReason>) {}

    fn fail(self: Box<Self>, batch: &mut UncertainBatch) {
        batch.lost.withheld.push(self.0);
    }

    fn refuse(self: Box<Self>, _: CommitReason, pending: &mut Pending) {
        pending.withheld.push(self.0);
    }
}
