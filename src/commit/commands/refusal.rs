//! Recording a refusal, within the quota of its agent; beyond it refusals are only counted.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::commit::command::{CommitCommand, CommitFacts, Requires, Staging};
use crate::commit::limits::Quota;
use crate::commit::receipt::CommitReason;
use crate::ledger::record::RefusalRecord;

/// The command, for a refusal within its quota. Nobody waits for it.
pub(in crate::commit) struct RefusalCommand {
    pub(in crate::commit) refusal: RefusalRecord<'static>,
    pub(in crate::commit) quota: Arc<Quota>,
    pub(in crate::commit) _place: OwnedSemaphorePermit,
}

impl CommitCommand for RefusalCommand {
    fn requires(&self) -> Requires {
        Requires::Store
    }

    fn judge(&self, _: &CommitFacts<'_>) -> Result<(), CommitReason> {
        Ok(())
    }

    fn stage(&mut self, staging: &mut Staging<'_>) -> Result<(), CommitReason> {
        let record = self.refusal.fitted().map_err(|reason| {
            tracing::warn!(agent = %self.refusal.agent, %reason, "a refusal could not be recorded");
            CommitReason::TooLarge
        })?;
        staging.record((None, self.refusal.txn), record, None).map(drop)
    }

    fn answer(&mut self, verdict: Result<(), CommitReason>) {
        if verdict.is_err() {
            self.quota.give_back(&self.refusal.agent, self.refusal.suppressed + 1);
        }
    }
}
