//! Spending single-use values for a request that records nothing: one that only looks, and a heartbeat.

use crate::commit::command::{CommitCommand, CommitFacts, Reply, Staging};
use crate::commit::limits::QueuePlace;
use crate::commit::receipt::CommitReason;
use crate::lifecycle::{StateView, liveness};
use crate::oauth::{ShareKey, SingleUse, TaskId};

/// The command to spend values and nothing else; without any it waits until every revocation that acts is recorded.
pub(in crate::commit) struct SpendCommand {
    pub(in crate::commit) single_use: Vec<SingleUse>,
    pub(in crate::commit) reply: Reply,
    pub(in crate::commit) place: QueuePlace,
}

/// The command to move the time of a task that is not over, and to spend values with that. It needs no record: what it holds off
/// has one.
pub(in crate::commit) struct HeartbeatCommand {
    pub(in crate::commit) task: TaskId,
    pub(in crate::commit) spend: SpendCommand,
}

impl CommitCommand for SpendCommand {
    fn share(&self) -> ShareKey {
        self.place.who()
    }

    fn single_use(&self) -> &[SingleUse] {
        &self.single_use
    }

    fn judge(&self, facts: &CommitFacts<'_>) -> Result<(), CommitReason> {
        facts.replay.spendable(&self.single_use, facts.at)
    }

    fn stage(&mut self, staging: &mut Staging<'_>) -> Result<(), CommitReason> {
        staging.spend(&self.single_use);
        Ok(())
    }

    fn answer(&mut self, verdict: Result<(), CommitReason>) {
        self.reply.send(verdict);
    }
}

impl CommitCommand for HeartbeatCommand {
    fn share(&self) -> ShareKey {
        self.spend.share()
    }

    fn single_use(&self) -> &[SingleUse] {
        &self.spend.single_use
    }

    fn judge(&self, facts: &CommitFacts<'_>) -> Result<(), CommitReason> {
        self.spend.judge(facts)?;
        let known = facts.state.task(&self.task).ok_or(CommitReason::Died)?;
        match liveness::alive(facts.state, &known.terms.generations, facts.at) {
            Err(dead) if dead.is_final() => Err(CommitReason::Died),
            _ => Ok(()),
        }
    }

    fn stage(&mut self, staging: &mut Staging<'_>) -> Result<(), CommitReason> {
        let moved = staging.memory.state.beat(self.task, staging.batch.at).ok_or(CommitReason::Died)?;
        staging.batch.beats.push(moved);
        self.spend.stage(staging)
    }

    fn answer(&mut self, verdict: Result<(), CommitReason>) {
        self.spend.answer(verdict);
    }
}
