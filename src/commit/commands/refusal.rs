//! Recording a refusal, within the quota of its agent; beyond it refusals are only counted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedSemaphorePermit;

use crate::commit::command::{CommitCommand, CommitFacts, Requires, Staging};
use crate::commit::receipt::CommitReason;
use crate::ledger::record::RefusalRecord;
use crate::oauth::{ClientId, Time};

/// More agents than this are not told apart within a minute; there are never more than are registered.
const AGENTS_MAX: usize = 65_536;

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

/// Recorded refusals per agent and minute, and how many went unrecorded since the last recorded one.
#[derive(Debug)]
pub(in crate::commit) struct Quota {
    per_minute: u32,
    agents: Mutex<HashMap<ClientId, Count>>,
}

#[derive(Debug, Default)]
struct Count {
    minute: i64,
    recorded: u32,
    suppressed: u64,
}

impl Quota {
    pub(in crate::commit) fn new(per_minute: u32) -> Self {
        Self { per_minute, agents: Mutex::default() }
    }

    /// Takes a place for a refusal of `agent` at `at`, with the number that went unrecorded before it; or counts it as
    /// unrecorded.
    pub(in crate::commit) fn take(&self, agent: &ClientId, at: Time) -> Option<u64> {
        let minute = at.seconds().div_euclid(60);
        let mut agents = self.agents();
        if agents.len() >= AGENTS_MAX && !agents.contains_key(agent) {
            agents.retain(|_, count| count.minute == minute || count.suppressed > 0);
        }
        let count = if agents.len() >= AGENTS_MAX { agents.get_mut(agent)? } else { agents.entry(agent.clone()).or_default() };
        if count.minute != minute {
            (count.minute, count.recorded) = (minute, 0);
        }
        if count.recorded >= self.per_minute {
            count.suppressed += 1;
            return None;
        }
        count.recorded += 1;
        Some(std::mem::take(&mut count.suppressed))
    }

    /// Counts `unrecorded` refusals of `agent` that had a place and were not recorded after all.
    pub(in crate::commit) fn give_back(&self, agent: &ClientId, unrecorded: u64) {
        if let Some(count) = self.agents().get_mut(agent) {
            count.suppressed += unrecorded;
        }
    }

    fn agents(&self) -> MutexGuard<'_, HashMap<ClientId, Count>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
