//! The one writer: commands → one atomic, durable batch → receipts. It checks liveness and expiry a second time, spends
//! single-use values, and appends the record; a command that fails its checks is refused alone, not with its batch. Owns the
//! storage contract. To add a command, write one file in `commands/` and the method of [`Commit`] that sends it.

mod change;
mod command;
mod commands;
pub mod contract;
mod expiry;
mod handle;
mod limits;
mod receipt;
mod recent_changes;
mod replay_cache;
mod sequencer;
mod state;
mod status_lists;
mod subject_keys;
mod tasks;
mod writer;

pub use commands::RecordHop;
pub use handle::Commit;
pub use limits::Limits;
pub use receipt::{CommitReason, Durable, Receipt};
pub use sequencer::{LogKeys, LogParts, PublishedCheckpoint, Sequencer, SequencerReason};
pub use state::State;
pub use status_lists::{Registration, ReservedPlace, ShownList, StatusLists};
pub use subject_keys::{Disclosed, reveal};
pub use tasks::NewTask;

pub use crate::ledger::record::RefusalRecord;
pub use crate::lifecycle::{Revocable, Revocation, StatusChange, Transition};

#[cfg(test)]
pub(crate) use tasks::unsealed;

#[cfg(test)]
mod tests;
