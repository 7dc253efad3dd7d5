//! What requests can fill.

use std::fmt;

named! {
    /// What is bounded and shared.
    pub enum Capacity {
        /// Single-use values that are remembered.
        SingleUse = "single_use",
        /// Those of them that live long.
        LongSingleUse = "long_single_use",
        /// Things that are remembered as ended.
        LiveEntries = "live_entries",
        /// Tasks that are remembered.
        Tasks = "tasks",
        /// Tokens that are remembered for status lists.
        StatusTokens = "status_tokens",
        /// Requests that wait for the commit.
        Queue = "queue",
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SingleUse => "assertions and proofs that are remembered until they expire",
            Self::LongSingleUse => "assertions and proofs that live longer than six minutes",
            Self::LiveEntries => "ended tokens and tasks that are remembered until they would have expired",
            Self::Tasks => "open tasks",
            Self::StatusTokens => "tokens in status lists",
            Self::Queue => "requests under way",
        })
    }
}
