//! What bounds the commit.

use std::time::Duration;

/// How much of everything there may be.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Hops waiting or being written; beyond it the caller answers 503.
    pub issues: usize,
    /// Deaths waiting, being written, or not yet recorded: places that nothing else can take.
    pub deaths: usize,
    /// Deaths, suspensions and resumptions that one client may have under way at once; operators may have all.
    pub changes_per_client: usize,
    /// Refusals waiting or being written; beyond it they are only counted.
    pub refusals: usize,
    /// Recorded refusals per agent and minute; beyond it they are only counted.
    pub refusals_per_minute: u32,
    /// Single-use values remembered until they expire; beyond it nothing that spends one is issued.
    pub single_use: usize,
    /// Things remembered as ended; beyond it nothing is issued. A death itself is never refused for it.
    pub lives: usize,
    /// Tokens remembered for status lists until they expire; beyond it nothing is issued that stands in one.
    pub status: usize,
    /// Tasks remembered; beyond it none is opened.
    pub tasks: usize,
    /// The pause between two looks for tasks that time has ended.
    pub sweep: Duration,
    /// Keys of subjects held in memory.
    pub subject_keys: usize,
    /// The pause between two attempts to reopen a store that failed.
    pub retry: Duration,
    /// How far the clock may stand behind the newest committed time. Within it, the newest committed time counts as the present,
    /// so that nothing that expired ever becomes current again; beyond it nothing is issued. One second covers what a clock that
    /// is being disciplined steps back.
    pub clock_behind: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            issues: 1024,
            deaths: 256,
            changes_per_client: 32,
            refusals: 256,
            refusals_per_minute: 60,
            single_use: 1_000_000,
            lives: 1_000_000,
            status: 1_000_000,
            tasks: 100_000,
            sweep: Duration::from_millis(500),
            subject_keys: 4096,
            retry: Duration::from_millis(250),
            clock_behind: Duration::from_secs(1),
        }
    }
}
