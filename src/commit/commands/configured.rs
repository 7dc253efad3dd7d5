//! What the configuration has in force: recorded, so that a later one that no longer has it ends it; and what it suspends.

use std::collections::{BTreeSet, HashSet};

use crate::commit::command::{CommitCommand, CommitFacts, Reply, Requires, Staging};
use crate::commit::contract::ConfiguredPrincipal;
use crate::commit::effect::{Effect, record_of};
use crate::commit::receipt::CommitReason;
use crate::crypto::Digest;
use crate::ledger::record::{ConfigurationRecord, Record};
use crate::oauth::GenerationKey;

/// The most principals that one record names.
const PRINCIPALS_MAX: usize = 128;

/// The command to record the principals in force.
pub(in crate::commit) struct ConfiguredCommand {
    pub(in crate::commit) in_force: BTreeSet<ConfiguredPrincipal>,
    /// The digest of the configuration, and the party by which it came into force.
    pub(in crate::commit) origin: Option<(Digest, &'static str)>,
    pub(in crate::commit) reply: Reply,
}

impl CommitCommand for ConfiguredCommand {
    fn requires(&self) -> Requires {
        Requires::Store
    }

    fn judge(&self, _: &CommitFacts<'_>) -> Result<(), CommitReason> {
        Ok(())
    }

    /// In as many records as it takes; one at least, so that it is known that a configuration was taken up.
    fn stage(&mut self, staging: &mut Staging<'_>) -> Result<(), CommitReason> {
        configure_all(staging, &self.in_force, self.origin)
    }

    fn answer(&mut self, verdict: Result<(), CommitReason>) {
        self.reply.send(verdict);
    }
}

/// Records in how far `in_force` is another than what is in force; with an `origin` also where it is not.
pub(super) fn configure_all(
    staging: &mut Staging<'_>,
    in_force: &BTreeSet<ConfiguredPrincipal>,
    origin: Option<(Digest, &str)>,
) -> Result<(), CommitReason> {
    let before = staging.memory.state.in_force();
    let known = before.clone().unwrap_or_default();
    let begins = in_force.difference(&known).map(|principal| (true, principal));
    let changes: Vec<_> = begins.chain(known.difference(in_force).map(|principal| (false, principal))).collect();
    if changes.is_empty() && (before.is_none() || origin.is_some()) {
        return configure(staging, &[], origin);
    }
    changes.chunks(PRINCIPALS_MAX).try_for_each(|changes| configure(staging, changes, origin))
}

/// Records one change of what is in force.
fn configure(
    staging: &mut Staging<'_>,
    changes: &[(bool, &ConfiguredPrincipal)],
    origin: Option<(Digest, &str)>,
) -> Result<(), CommitReason> {
    let named =
        |begins: bool| changes.iter().filter(|(of, _)| *of == begins).map(|(_, principal)| record_of(principal)).collect();
    let record = ConfigurationRecord::new(staging.batch.at, named(true), named(false));
    let record = match origin {
        Some((digest, by)) => record.from(digest, by),
        None => record,
    };
    let record = Record::Configuration(record);
    let (effect, bytes) = (Effect::of(&record), record.to_bytes());
    let bytes = bytes.map_err(|reason| {
        tracing::error!(%reason, "what the configuration has in force could not be recorded");
        CommitReason::Unavailable
    })?;
    let index = staging.record((None, None), bytes, None)?;
    staging.apply(index, &effect);
    Ok(())
}

/// The command to take up what the configuration suspends: tasks under it are not waited for.
pub(in crate::commit) struct SuspendedCommand {
    pub(in crate::commit) keys: HashSet<GenerationKey>,
}

impl CommitCommand for SuspendedCommand {
    fn requires(&self) -> Requires {
        Requires::Nothing
    }

    fn judge(&self, _: &CommitFacts<'_>) -> Result<(), CommitReason> {
        Ok(())
    }

    /// While the store is not to be used, or the clock not believed, the heartbeats are forgotten by a restart, which then begins
    /// to wait anew.
    fn stage(&mut self, staging: &mut Staging<'_>) -> Result<(), CommitReason> {
        let beats = staging.memory.state.suspend_configured(std::mem::take(&mut self.keys), staging.batch.at);
        if !staging.clock_doubted {
            staging.batch.beats.extend(beats);
        }
        Ok(())
    }

    fn answer(&mut self, _: Result<(), CommitReason>) {}
}
