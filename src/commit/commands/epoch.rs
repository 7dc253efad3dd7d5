//! The beginning of an epoch: everything of those before it ends, and time goes on from what the clock says.

use super::checkpoint::checkpoint;
use crate::commit::command::{CommitCommand, CommitFacts, Reply, Requires, Staging};
use crate::commit::effect::Effect;
use crate::commit::receipt::CommitReason;
use crate::ledger::record::{EpochCause, EpochRecord, Record, StateCause};
use crate::oauth::{ClientId, Time};

/// The command to end the epoch of a clock that was wrong.
pub(in crate::commit) struct EpochCommand {
    /// The party that asked for it, and the reason, at most 1,024 bytes.
    pub(in crate::commit) by: ClientId,
    pub(in crate::commit) reason: String,
    /// It answers with the number of the epoch.
    pub(in crate::commit) reply: Reply<u64>,
    /// The number, once it is staged.
    pub(in crate::commit) number: u64,
}

impl CommitCommand for EpochCommand {
    fn requires(&self) -> Requires {
        Requires::Store
    }

    fn begins_epoch(&self) -> bool {
        true
    }

    /// Only a clock that is behind the newest record needs it; one within the tolerance issues.
    fn judge(&self, facts: &CommitFacts<'_>) -> Result<(), CommitReason> {
        let behind = facts.state.floor().since(facts.at) > facts.limits.clock_behind;
        behind.then_some(()).ok_or(CommitReason::ClockRight)?;
        self.record(facts.at, 0).to_bytes().map(drop).map_err(|_| CommitReason::Unavailable)
    }

    /// What was of the epochs before is forgotten with the same batch, so what acts must be recorded before it.
    fn stage(&mut self, staging: &mut Staging<'_>) -> Result<(), CommitReason> {
        if !staging.pending.changes.is_empty() {
            return Err(CommitReason::Unavailable);
        }
        self.number = staging.memory.state.epoch() + 1;
        let record = self.record(staging.batch.at, self.number);
        let (effect, bytes) = (Effect::of(&record), record.to_bytes().map_err(|_| CommitReason::Unavailable)?);
        let index = staging.record((None, None), bytes, None)?;
        staging.apply(index, &effect);
        checkpoint(staging, StateCause::Interval)
    }

    fn answer(&mut self, verdict: Result<(), CommitReason>) {
        self.reply.send(verdict.map(|()| self.number));
    }
}

impl EpochCommand {
    fn record(&self, at: Time, number: u64) -> Record<'_> {
        Record::Epoch(EpochRecord::new(at, self.by.as_str(), EpochCause::Clock, number, &self.reason))
    }
}
