//! The keys of this server: recorded, so that a start without one of them, or with another, is refused.

use crate::commit::command::{CommitCommand, CommitFacts, Reply, Requires, Staging};
use crate::commit::contract::KeyList;
use crate::commit::effect::Effect;
use crate::commit::receipt::CommitReason;
use crate::ledger::record::{KeyCheck, KeyEvent, KeyRecord, Record};
use crate::oauth::ClientId;

/// The command to record what happened to the keys that the key folder lists.
pub(in crate::commit) struct KeyEventsCommand {
    pub(in crate::commit) listed: KeyList,
    pub(in crate::commit) reply: Reply,
}

impl CommitCommand for KeyEventsCommand {
    fn requires(&self) -> Requires {
        Requires::Store
    }

    fn judge(&self, _: &CommitFacts<'_>) -> Result<(), CommitReason> {
        Ok(())
    }

    /// In a record for each key, of the newest event in its life.
    fn stage(&mut self, staging: &mut Staging<'_>) -> Result<(), CommitReason> {
        let unrecorded = staging.memory.state.unrecorded_keys(&self.listed);
        unrecorded.iter().try_for_each(|(check, event)| record(staging, check, *event))
    }

    fn answer(&mut self, verdict: Result<(), CommitReason>) {
        self.reply.send(verdict);
    }
}

fn record(staging: &mut Staging<'_>, check: &KeyCheck, event: KeyEvent) -> Result<(), CommitReason> {
    let by = ClientId::operators();
    let record = Record::Key(KeyRecord::new(staging.batch.at, by.as_str(), check, event));
    let (effect, bytes) = (Effect::of(&record), record.to_bytes());
    let bytes = bytes.map_err(|reason| {
        tracing::error!(%reason, key = check.id, "what happened to a key could not be recorded");
        CommitReason::Unavailable
    })?;
    let index = staging.record((None, None), bytes, None)?;
    staging.apply(index, &effect);
    Ok(())
}
