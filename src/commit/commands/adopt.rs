//! Taking up what a program of before kept: once, by a record.

use std::collections::BTreeSet;

use super::checkpoint::checkpoint;
use super::configured::configure_all;
use crate::commit::command::{CommitCommand, CommitFacts, Requires, Staging};
use crate::commit::contract::{ConfiguredPrincipal, Heartbeat};
use crate::commit::receipt::CommitReason;
use crate::commit::tasks::SealedTask;
use crate::ledger::record::StateCause;

/// The command: the state that the records lead to is recorded and stored, with what they did not hold then.
pub(in crate::commit) struct AdoptCommand {
    /// The principals in force; none before a configuration was ever taken up.
    pub(in crate::commit) in_force: Option<BTreeSet<ConfiguredPrincipal>>,
    /// The tasks that are remembered, each with the index of the record that opened it.
    pub(in crate::commit) tasks: Vec<(u64, SealedTask)>,
}

impl CommitCommand for AdoptCommand {
    fn requires(&self) -> Requires {
        Requires::Store
    }

    fn judge(&self, _: &CommitFacts<'_>) -> Result<(), CommitReason> {
        Ok(())
    }

    /// Every task is waited for anew.
    fn stage(&mut self, staging: &mut Staging<'_>) -> Result<(), CommitReason> {
        if let Some(in_force) = &self.in_force {
            configure_all(staging, in_force, None)?;
        }
        for (index, task) in self.tasks.drain(..) {
            staging.batch.beats.push(Heartbeat { task: task.terms().id, at: staging.batch.at });
            staging.open(index, task);
        }
        staging.batch.adopts = true;
        checkpoint(staging, StateCause::Adoption)
    }

    fn answer(&mut self, _: Result<(), CommitReason>) {}
}
