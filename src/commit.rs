//! The one writer: commands → one atomic, durable batch → receipts. It checks liveness and expiry a second time, spends
//! single-use values, and appends the record; a command that fails its checks is refused alone, not with its batch. Owns the
//! storage contract. To add a command, write one file in `commands/` and the method of [`Commit`] that sends it.

mod alarm;
mod capacity;
mod change;
mod clock;
mod command;
mod commands;
mod commit_keys;
pub mod contract;
mod effect;
mod entry;
mod epoch_log;
mod expiry;
mod find_index;
mod fold;
mod fold_reason;
mod handle;
mod hindrance;
mod limits;
mod listed_tokens;
mod named_fold;
mod pruning;
mod rebuild;
mod receipt;
mod recent_changes;
mod recorded;
mod replay_cache;
mod retained;
mod sequencer;
mod snapshot;
mod shares;
mod state;
mod status_lists;
mod store_reason;
mod subject_keys;
mod tasks;
mod unrecorded;
mod velocity;
mod writer;

pub use alarm::Alarm;
pub use capacity::{Capacity, Fill};
pub use clock::{CheckedClock, Timepieces};
pub use commands::RecordHop;
pub use commit_keys::{CommitKeys, SUM, TASK_TERMS};
pub use effect::{Effect, TaskOpening, Thing};
pub use entry::{RecordedGeneration, RecordedTask};
pub use epoch_log::{first_epoch_of_log, log_of_epoch};
pub use find_index::{FindIndex, IndexExtent, IndexedPage, Selection};
pub use fold::{Fold, StateHash, recorded_fold, recorded_state};
pub use fold_reason::FoldReason;
pub use handle::Commit;
pub use hindrance::Hindrance;
pub use limits::Limits;
pub use named_fold::NamedFold;
pub use rebuild::{Rebuilt, RestoredEpoch, rebuild};
pub use receipt::{CommitReason, Durable, Receipt};
pub use recorded::RecordedState;
pub use retained::{HOLDS_MAX, RecordedArchive, RecordedHold, RetentionChange, RetentionState};
pub use sequencer::{LogKeys, LogParts, PublishedCheckpoint, RetentionParts, Sequencer, SequencerReason};
pub use snapshot::{ArchivedState, archived};
pub use state::State;
pub use status_lists::{Registration, ReservedPlace, ShownList, StatusLists};
pub use subject_keys::{Disclosed, RevealReason, RewrapProgress, RewrapStep, RootKey, reveal, subject_mark};
pub use tasks::{SealedTask, TermsSealer};
pub use velocity::{CountedToken, Velocities};

pub use crate::ledger::record::RefusalRecord;
pub use crate::lifecycle::{Revocable, Revocation, StatusChange, Transition};

#[cfg(test)]
pub(crate) mod tests;
