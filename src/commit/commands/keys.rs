//! The keys of this server: recorded, so that a start without one of them, or with another, is refused. What happened to them
//! stays pending until it is recorded, before anything else is.

use crate::commit::command::{CommitCommand, CommitFacts, Pending, Reply, Requires, Staging, UncertainBatch};
use crate::commit::contract::KeyList;
use crate::commit::effect::Effect;
use crate::commit::receipt::CommitReason;
use crate::ledger::record::{KeyCheck, KeyEvent, KeyRecord, Record};
use crate::oauth::{ClientId, Time};

/// The command to record what happened to the keys that the key folder lists; nobody waits for one that was pending.
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
        let (at, unrecorded) = (staging.batch.at, staging.memory.state.unrecorded_keys(&self.listed));
        let records: Vec<_> =
            unrecorded.iter().map(|(check, event)| record(at, check, *event)).collect::<Result<_, CommitReason>>()?;
        for (effect, bytes) in records {
            let index = staging.record((None, None), bytes, None)?;
            staging.apply(index, &effect);
        }
        Ok(())
    }

    fn answer(&mut self, verdict: Result<(), CommitReason>) {
        self.reply.send(verdict);
    }

    fn fail(mut self: Box<Self>, batch: &mut UncertainBatch) {
        self.answer(Err(CommitReason::Unavailable));
        batch.lost.add_keys(self.listed);
    }

    fn refuse(mut self: Box<Self>, reason: CommitReason, pending: &mut Pending) {
        self.answer(Err(reason));
        pending.add_keys(self.listed);
    }
}

/// The record of an event, and its effect.
fn record(at: Time, check: &KeyCheck, event: KeyEvent) -> Result<(Effect, Vec<u8>), CommitReason> {
    let by = ClientId::operators();
    let record = Record::Key(KeyRecord::new(at, by.as_str(), check, event));
    let (effect, bytes) = (Effect::of(&record), record.to_bytes());
    let bytes = bytes.map_err(|reason| {
        tracing::error!(%reason, key = check.id, "what happened to a key could not be recorded");
        CommitReason::Unavailable
    })?;
    Ok((effect, bytes))
}
