//! Layers of files and environment → [`Settings`] (as typed) → [`Config`] (as meant), collecting every complaint.

mod complaint;
mod desk;
mod layers;
mod reader;
mod settings;
mod span;
mod tree;

pub use complaint::{Complaint, Complaints};
pub use desk::Fingerprint;
pub use reader::Found;
pub use settings::{CommitStore, Files, Keys, Ledger, LedgerAccess, Limits, Listen, Settings, Tokens};
