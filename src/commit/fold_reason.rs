//! Why records do not lead to the state that was recorded.

use std::fmt;

/// The reason for which records do not lead to the state that was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoldReason {
    /// The record at this index names another digest than the records before it lead to.
    Digest(u64),
    /// The hop at this index is in a task that no record opened, or that had no exchange left.
    Task(u64),
    /// The record at this index begins an epoch that does not follow the one before.
    Epoch(u64),
}

impl fmt::Display for FoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(index) => write!(f, "record {index} names another state than the records before it lead to"),
            Self::Task(index) => write!(f, "record {index} is in a task that no record opened, or that had no exchange left"),
            Self::Epoch(index) => write!(f, "record {index} begins an epoch that does not follow the one before"),
        }
    }
}

impl std::error::Error for FoldReason {}
