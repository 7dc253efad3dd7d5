//! The reasons of this server's own for which requests are refused that are in order.

use std::fmt;

named! {
    /// A reason of this server's own for which requests are refused that are in order.
    pub enum Hindrance {
        /// A thread that everything needs is dead.
        Thread = "thread",
        /// The server is closing.
        Closing = "closing",
        /// The commit does not answer.
        Stalled = "stalled",
        /// The store takes no records, or what acts is not recorded yet.
        Store = "store",
        /// The clock stands behind the newest record.
        ClockBehind = "clock_behind",
        /// The clock is not believed.
        ClockDoubted = "clock_doubted",
        /// No more single-use values can be remembered.
        SingleUse = "single_use",
        /// No more things can be remembered as ended.
        LiveEntries = "live_entries",
        /// No more tasks can be remembered.
        Tasks = "tasks",
        /// No more tokens can be remembered for status lists.
        StatusTokens = "status_tokens",
    }
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thread => "a thread of this server is dead, and the process ends",
            Self::Closing => "the server is closing",
            Self::Stalled => "the commit has not answered for two seconds; the disk may be slow",
            Self::Store => "the store takes no records, or a revocation that acts is not recorded yet; see the log",
            Self::ClockBehind => "the clock stands behind the newest record; put it right, or say countersign clock correct",
            Self::ClockDoubted => "the clock leapt ahead, or stands too long after the newest record; see the log",
            Self::SingleUse => "as many single-use values are remembered as single_use of [limits] allows",
            Self::LiveEntries => "as many things are remembered as ended as live_entries of [limits] allows",
            Self::Tasks => "as many tasks are remembered as tasks of [limits] allows, so none is opened",
            Self::StatusTokens => "as many tokens stand in status lists as status_tokens of [limits] allows",
        })
    }
}
