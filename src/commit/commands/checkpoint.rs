//! Checkpoints: what may be forgotten is, and the digest of the state is recorded and the state stored.

use crate::commit::command::{CommitCommand, CommitFacts, Reply, Staging};
use crate::commit::contract::NewCheckpoint;
use crate::commit::receipt::CommitReason;
use crate::crypto::Digest;
use crate::ledger::record::{Record, StateCause, StateRecord};

/// The command. It comes first in its batch, or follows records only whose effects it covers.
pub(in crate::commit) struct CheckpointCommand {
    pub(in crate::commit) cause: StateCause,
    pub(in crate::commit) reply: Reply,
}

impl CommitCommand for CheckpointCommand {
    /// Whatever comes after it is not in it.
    fn ends_batch(&self) -> bool {
        true
    }

    /// The time is one that a record can have, so that the record can be written once the state was forgotten by it.
    fn judge(&self, facts: &CommitFacts<'_>) -> Result<(), CommitReason> {
        let record = StateRecord::new(facts.at, self.cause, Digest([0; 32]), 0);
        Record::State(record).to_bytes().map(drop).map_err(|_| CommitReason::Unavailable)
    }

    fn stage(&mut self, staging: &mut Staging<'_>) -> Result<(), CommitReason> {
        checkpoint(staging, self.cause)
    }

    fn answer(&mut self, verdict: Result<(), CommitReason>) {
        self.reply.send(verdict);
    }
}

/// Forgets, and records and stores the state as it is by now.
pub(super) fn checkpoint(staging: &mut Staging<'_>, cause: StateCause) -> Result<(), CommitReason> {
    let at = staging.batch.at;
    let (changes, forgotten) = staging.memory.state.checkpoint(at);
    staging.memory.hash.take(&changes);
    let record = Record::State(staging.memory.hash.record(at, cause)).to_bytes();
    let record = record.map_err(|reason| {
        tracing::error!(%reason, "the digest of the state could not be recorded");
        CommitReason::Unavailable
    })?;
    let index = staging.record((None, None), record, None)?;
    let NewCheckpoint { changes: before, forgotten: forgotten_before, .. } =
        staging.batch.checkpoint.take().unwrap_or(NewCheckpoint { index, changes: Vec::new(), forgotten: Vec::new() });
    // Of two in one batch the later is the newest, and the store has the changes of both, in order.
    let changes = before.into_iter().chain(changes).collect();
    let forgotten = forgotten_before.into_iter().chain(forgotten.tasks).collect();
    staging.batch.checkpoint = Some(NewCheckpoint { index, changes, forgotten });
    Ok(())
}
