//! What requests can fill.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

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
        /// Revocations and suspensions that wait for it, in places that nothing else can take.
        Revocations = "revocations",
        /// Refusals that wait to be recorded.
        Refusals = "refusals",
    }
}

/// How full a bound is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The places that are taken.
    pub taken: usize,
    /// The places that there are.
    pub places: usize,
}

impl Fill {
    /// So many taken of so many places.
    pub fn of(taken: usize, places: usize) -> Self {
        Self { taken, places }
    }
}

/// How often somebody wanted more of each than his share, since this process began.
static EXHAUSTED: [AtomicU64; Capacity::NAMES.len()] = [const { AtomicU64::new(0) }; Capacity::NAMES.len()];

impl Capacity {
    /// Somebody wants more of it than his share.
    pub(super) fn note_exhausted(self) {
        let counter = EXHAUSTED.get(self as usize);
        counter.map(|counter| counter.fetch_add(1, Ordering::Relaxed));
    }

    /// How often somebody wanted more of it than his share, since this process began.
    pub fn exhausted(self) -> u64 {
        EXHAUSTED.get(self as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
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
            Self::Revocations => "revocations under way",
            Self::Refusals => "refusals that wait to be recorded",
        })
    }
}
