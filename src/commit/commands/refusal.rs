//! Recording a refusal, within the quota of its agent; beyond it refusals are only counted.

use std::sync::Arc;

use crate::commit::command::{CommitCommand, CommitFacts, Reply, Requires, Staging};
use crate::commit::limits::QueuePlace;
use crate::commit::limits::Quota;
use crate::commit::receipt::CommitReason;
use crate::ledger::record::RefusalRecord;
use crate::oauth::{ShareKey, SingleUse};

/// The command, for a refusal within its quota. Whoever waits for it is told as soon as it is judged: that the login still
/// counted, not that the record is durable.
pub(in crate::commit) struct RefusalCommand {
    pub(in crate::commit) refusal: RefusalRecord<'static>,
    /// The values of the login in whose name it is recorded; it spends none.
    pub(in crate::commit) login: Vec<SingleUse>,
    pub(in crate::commit) quota: Arc<Quota>,
    pub(in crate::commit) reply: Reply,
    pub(in crate::commit) place: QueuePlace,
}

impl CommitCommand for RefusalCommand {
    fn share(&self) -> ShareKey {
        self.place.who()
    }

    fn requires(&self) -> Requires {
        Requires::Store
    }

    fn single_use(&self) -> &[SingleUse] {
        &self.login
    }

    /// A login that was spent since it was looked at is nobody's: the refusal is not recorded in its agent's name.
    fn judge(&self, facts: &CommitFacts<'_>) -> Result<(), CommitReason> {
        facts.replay.unspent(&self.login, facts.at)
    }

    fn stage(&mut self, staging: &mut Staging<'_>) -> Result<(), CommitReason> {
        let record = self.refusal.fitted().map_err(|reason| {
            tracing::warn!(agent = %self.refusal.agent, %reason, "a refusal could not be recorded");
            CommitReason::TooLarge
        })?;
        staging.record((None, self.refusal.txn), record, None)?;
        self.reply.send(Ok(()));
        Ok(())
    }

    fn answer(&mut self, verdict: Result<(), CommitReason>) {
        match verdict {
            Ok(()) => {}
            Err(reason) if reason.is_used() => {
                self.quota.take_back(&self.refusal.agent, self.refusal.at, self.refusal.suppressed);
            }
            Err(_) => self.quota.give_back(&self.refusal.agent, self.refusal.suppressed + 1),
        }
        self.reply.send(verdict);
    }
}
