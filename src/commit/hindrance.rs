//! The reasons of this server's own for which requests are refused that are in order.

use std::fmt;

/// Declares the hindrances: each has a name for machines and a sentence for people.
macro_rules! hindrances {
    ($($(#[doc = $doc:literal])+ $hindrance:ident = $name:literal, $sentence:literal;)+) => {
        /// A reason of this server's own for which requests are refused that are in order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Hindrance {
            $($(#[doc = $doc])+ $hindrance,)+
        }

        impl Hindrance {
            /// Every one.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$hindrance),+];

            /// The name, for machines.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$hindrance => $name,)+
                }
            }
        }

        impl fmt::Display for Hindrance {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$hindrance => $sentence,)+
                })
            }
        }
    };
}

hindrances! {
    /// A thread that everything needs is dead.
    Thread = "thread", "a thread of this server is dead, and the process ends";
    /// The server is closing.
    Closing = "closing", "the server is closing";
    /// The commit does not answer.
    Stalled = "stalled", "the commit has not answered for two seconds; the disk may be slow";
    /// The store takes no records, or what acts is not recorded yet.
    Store = "store", "the store takes no records, or a revocation that acts is not recorded yet; see the log";
    /// The clock stands behind the newest record.
    ClockBehind = "clock_behind", "the clock stands behind the newest record; put it right, or say countersign clock correct";
    /// The clock is not believed.
    ClockDoubted = "clock_doubted", "the clock leapt ahead, or stands too long after the newest record; see the log";
    /// No more single-use values can be remembered.
    SingleUse = "single_use", "as many single-use values are remembered as single_use of [limits] allows";
    /// No more things can be remembered as ended.
    LiveEntries = "live_entries", "as many things are remembered as ended as live_entries of [limits] allows";
    /// No more tasks can be remembered.
    Tasks = "tasks", "as many tasks are remembered as tasks of [limits] allows, so none is opened";
    /// No more tokens can be remembered for status lists.
    StatusTokens = "status_tokens", "as many tokens stand in status lists as status_tokens of [limits] allows";
}
