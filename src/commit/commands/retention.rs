//! How long records are kept: what is archived, held, released and pruned is recorded before anything follows from it.

use crate::commit::command::{CommitCommand, CommitFacts, Reply, Requires, Staging};
use crate::commit::effect::Effect;
use crate::commit::receipt::CommitReason;
use crate::ledger::record::{Record, RetentionRecord};
use crate::oauth::Time;

/// The command.
pub(in crate::commit) struct RetentionCommand {
    /// The record, but for its time.
    pub(in crate::commit) record: RetentionRecord<'static>,
    pub(in crate::commit) reply: Reply,
}

impl CommitCommand for RetentionCommand {
    fn requires(&self) -> Requires {
        Requires::Store
    }

    fn judge(&self, facts: &CommitFacts<'_>) -> Result<(), CommitReason> {
        let record = self.at(facts.at);
        record.to_bytes().map_err(|_| CommitReason::Unavailable)?;
        match Effect::of(&record) {
            Effect::Retain(change) if facts.state.may_retain(&change) => Ok(()),
            _ => Err(CommitReason::Kept),
        }
    }

    fn stage(&mut self, staging: &mut Staging<'_>) -> Result<(), CommitReason> {
        let record = self.at(staging.batch.at);
        let (effect, txn) = (Effect::of(&record), record.txn());
        let bytes = record.to_bytes().map_err(|_| CommitReason::Unavailable)?;
        let index = staging.record((None, txn), bytes, None)?;
        staging.apply(index, &effect);
        Ok(())
    }

    fn answer(&mut self, verdict: Result<(), CommitReason>) {
        self.reply.send(verdict);
    }
}

impl RetentionCommand {
    fn at(&self, at: Time) -> Record<'_> {
        Record::Retention(RetentionRecord { at, ..self.record.clone() })
    }
}
