//! Wrapping the keys of subjects under another root key, a step at a time.

use crate::commit::command::{CommitCommand, CommitFacts, Reply, Requires, Staging};
use crate::commit::receipt::CommitReason;
use crate::commit::subject_keys::{RewrapProgress, RewrapStep, SealFailure};

/// The command to do one step. It needs no record: nothing that is recorded changes.
pub(in crate::commit) struct RewrapCommand {
    step: RewrapStep,
    done: RewrapProgress,
    reply: Reply<RewrapProgress>,
}

impl RewrapCommand {
    pub(in crate::commit) fn new(step: RewrapStep, reply: Reply<RewrapProgress>) -> Self {
        Self { step, done: RewrapProgress::default(), reply }
    }
}

impl CommitCommand for RewrapCommand {
    fn requires(&self) -> Requires {
        Requires::Access
    }

    fn judge(&self, _: &CommitFacts<'_>) -> Result<(), CommitReason> {
        Ok(())
    }

    /// It is done with the store, whatever becomes of the batch. Keys of earlier batches are durable by now, or are not there.
    fn stage(&mut self, staging: &mut Staging<'_>) -> Result<(), CommitReason> {
        match staging.memory.keys.step(staging.store, &self.step) {
            Ok(done) => {
                self.done = done;
                return Ok(());
            }
            Err(SealFailure::Store(failure)) => staging.failure = Some(failure),
            Err(SealFailure::Key(reason)) => tracing::error!(%reason, "keys of subjects cannot be wrapped anew"),
        }
        Err(CommitReason::Unavailable)
    }

    fn answer(&mut self, verdict: Result<(), CommitReason>) {
        self.reply.send(verdict.map(|()| self.done));
    }
}
