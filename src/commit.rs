//! The one writer: commands → one atomic, durable batch → receipts. It checks liveness and expiry a second time, spends single-use
//! values, and appends the record; a command that fails its checks is refused alone, not with its batch. Owns the storage contract.

mod command;

pub use command::{Command, Death, Disclosed, Issue, Refusal};
