//! The commands to the one writer, those that belong together in one file: how each is judged, the rows it writes, what follows
//! when it succeeds, when it fails, and when it is refused.

mod adopt;
mod change;
mod checkpoint;
mod configured;
mod epoch;
mod hop;
mod keys;
mod probe;
mod refusal;
mod rewrap;
mod retention;
mod spend;

pub(super) use adopt::AdoptCommand;
pub(super) use change::{ChangeCommand, ResumeCommand};
pub(super) use checkpoint::CheckpointCommand;
pub(super) use configured::{ConfiguredCommand, SuspendedCommand};
pub(super) use epoch::EpochCommand;
pub use hop::RecordHop;
#[cfg(test)]
pub(super) use hop::UntakenReceipt;
pub(super) use hop::{HopCommand, WithholdCommand};
pub(super) use keys::KeyEventsCommand;
pub(super) use probe::ProbeCommand;
pub(super) use refusal::RefusalCommand;
pub(super) use retention::RetentionCommand;
pub(super) use rewrap::RewrapCommand;
pub(super) use spend::{HeartbeatCommand, SpendCommand};
