//! Remembering what the configuration in force names, so that a later one that no longer does ends it.

use std::collections::BTreeSet;

use crate::commit::command::{CommitCommand, CommitFacts, Reply, Requires, Staging, WriterMemory};
use crate::commit::contract::ConfiguredPrincipal;
use crate::commit::receipt::CommitReason;

/// The command.
pub(in crate::commit) struct ConfiguredCommand {
    pub(in crate::commit) in_force: BTreeSet<ConfiguredPrincipal>,
    pub(in crate::commit) reply: Reply,
}

impl CommitCommand for ConfiguredCommand {
    fn requires(&self) -> Requires {
        Requires::Store
    }

    fn judge(&self, _: &CommitFacts<'_>) -> Result<(), CommitReason> {
        Ok(())
    }

    fn stage(&mut self, staging: &mut Staging<'_>) -> Result<(), CommitReason> {
        staging.batch.in_force = Some(self.in_force.clone());
        Ok(())
    }

    fn answer(&mut self, verdict: Result<(), CommitReason>) {
        self.reply.send(verdict);
    }

    fn settle(mut self: Box<Self>, memory: &WriterMemory) {
        memory.state.set_in_force(Some(std::mem::take(&mut self.in_force)));
        self.answer(Ok(()));
    }
}
