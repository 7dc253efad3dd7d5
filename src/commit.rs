//! The one writer: commands → one atomic, durable batch → receipts. It checks liveness and expiry a second time, spends
//! single-use values, and appends the record; a command that fails its checks is refused alone, not with its batch. Owns the
//! storage contract.

mod change;
mod changes;
mod command;
pub mod contract;
mod durable;
mod expiry;
mod handle;
mod limits;
mod mirror;
mod per_client;
mod quota;
mod receipt;
mod register;
mod sequencer;
mod spent;
mod subject_keys;
mod tasks;
mod writer;

pub use command::{Disclosed, NewTask, RecordHop, RefusalRecord, Revocable, Revocation, StatusChange, Transition};
pub use durable::Durable;
pub use handle::Commit;
pub use limits::Limits;
pub use mirror::State;
pub use receipt::{CommitReason, Receipt};
pub use register::{Registration, ReservedPlace, ShownList, StatusLists};
pub use sequencer::{LogKeys, LogParts, Published, Sequencer, SequencerReason};
pub use subject_keys::reveal;

#[cfg(test)]
mod tests;
