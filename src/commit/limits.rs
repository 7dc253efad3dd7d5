//! The bounds of the commit.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::capacity::{Capacity, Fill};
use super::receipt::CommitReason;
use super::shares::Shares;
use crate::oauth::{ClientId, ShareKey, Time};

/// More agents than this are not told apart within a minute; there are never more than are registered.
const AGENTS_MAX: usize = 65_536;

/// The bounds of everything that requests can fill.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Hops waiting or being written; beyond it the caller answers 503.
    pub issues: usize,
    /// Revocations waiting, being written, or not yet recorded: places that nothing else can take.
    pub revocations: usize,
    /// Refusals waiting or being written; beyond it they are only counted.
    pub refusals: usize,
    /// Recorded refusals per agent and minute; beyond it they are only counted.
    pub refusals_per_minute: u32,
    /// Single-use values remembered until they expire; beyond it nothing that spends one is issued.
    pub single_use: usize,
    /// Things remembered as ended; beyond it nothing is issued. A revocation itself is never refused for it.
    pub generations: usize,
    /// Tokens remembered for status lists until they expire; beyond it nothing is issued that stands in one.
    pub status: usize,
    /// Tasks remembered; beyond it none is opened.
    pub tasks: usize,
    /// So many records after a checkpoint of the state comes the next; a start takes up no more of them.
    pub checkpoint_records: u64,
    /// A checkpoint that is only to forget comes no sooner after the one before.
    pub checkpoint_pause: Duration,
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
            revocations: 1024,
            refusals: 256,
            refusals_per_minute: 60,
            single_use: 4_000_000,
            generations: 1_000_000,
            status: 1_000_000,
            tasks: 100_000,
            checkpoint_records: 8192,
            checkpoint_pause: Duration::from_secs(60),
            sweep: Duration::from_millis(500),
            subject_keys: 4096,
            retry: Duration::from_millis(250),
            clock_behind: Duration::from_secs(1),
        }
    }
}

/// Places in the queue of the commit, for one kind of command: shared, so that one client cannot take those of all others.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    of: Capacity,
    places: usize,
    taken: Arc<Mutex<Shares>>,
}

/// One place in the queue; it is given back when this is dropped.
#[derive(Debug)]
pub(super) struct QueuePlace {
    queue: Queue,
    who: ShareKey,
}

impl Queue {
    pub(super) fn new(of: Capacity, places: usize) -> Self {
        Self { of, places, taken: Arc::default() }
    }

    pub(super) fn fill(&self) -> Fill {
        Fill::of(self.shares().held(), self.places)
    }

    /// A place for a command of `who`. Operators have no limit but that of the queue.
    ///
    /// # Errors
    /// `Full`, `Share`.
    pub(super) fn place(&self, who: ShareKey) -> Result<QueuePlace, CommitReason> {
        let mut shares = self.shares();
        shares.room((self.of, self.places), who, 1, || 1)?;
        shares.take(who, 1);
        Ok(QueuePlace { queue: self.clone(), who })
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueuePlace {
    /// Who holds it.
    pub(super) fn who(&self) -> ShareKey {
        self.who
    }
}

impl Drop for QueuePlace {
    fn drop(&mut self) {
        self.queue.shares().give_back(self.who, 1);
    }
}

/// Recorded refusals per agent and minute, and how many went unrecorded since the last recorded one.
#[derive(Debug)]
pub(super) struct Quota {
    per_minute: u32,
    unrecorded: AtomicU64,
    agents: Mutex<HashMap<ClientId, Count>>,
}

#[derive(Debug, Default)]
struct Count {
    minute: i64,
    recorded: u32,
    suppressed: u64,
}

impl Quota {
    pub(super) fn new(per_minute: u32) -> Self {
        Self { per_minute, unrecorded: AtomicU64::new(0), agents: Mutex::default() }
    }

    /// Takes a place for a refusal of `agent` at `at`, with the number that went unrecorded before it; or counts it as
    /// unrecorded.
    pub(super) fn take(&self, agent: &ClientId, at: Time) -> Option<u64> {
        let minute = minute(at);
        let mut agents = self.agents();
        if agents.len() >= AGENTS_MAX && !agents.contains_key(agent) {
            agents.retain(|_, count| count.minute == minute || count.suppressed > 0);
        }
        let count = if agents.len() >= AGENTS_MAX { agents.get_mut(agent)? } else { agents.entry(agent.clone()).or_default() };
        if count.minute != minute {
            (count.minute, count.recorded) = (minute, 0);
        }
        if count.recorded >= self.per_minute {
            count.suppressed += 1;
            self.unrecorded.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        count.recorded += 1;
        Some(std::mem::take(&mut count.suppressed))
    }

    /// Takes back the place that a refusal of `agent` took at `at`, as if there had been none, with the `suppressed` that went
    /// unrecorded before it.
    pub(super) fn take_back(&self, agent: &ClientId, at: Time, suppressed: u64) {
        if let Some(count) = self.agents().get_mut(agent) {
            count.suppressed += suppressed;
            if count.minute == minute(at) {
                count.recorded = count.recorded.saturating_sub(1);
            }
        }
    }

    /// Counts `unrecorded` refusals of `agent` that had a place and were not recorded after all.
    pub(super) fn give_back(&self, agent: &ClientId, unrecorded: u64) {
        if let Some(count) = self.agents().get_mut(agent) {
            count.suppressed += unrecorded;
        }
    }

    /// How many refusals were over the quota of their agent since the start.
    pub(super) fn unrecorded(&self) -> u64 {
        self.unrecorded.load(Ordering::Relaxed)
    }

    fn agents(&self) -> MutexGuard<'_, HashMap<ClientId, Count>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn minute(at: Time) -> i64 {
    at.seconds().div_euclid(60)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn one_client_leaves_places_for_others_and_operators_have_all() {
        let queue = Queue::new(Capacity::Queue, 8);
        let client = |id: &str| ShareKey::of(&ClientId::parse(id).unwrap());
        let all = |who| std::iter::from_fn(|| queue.place(who).ok()).collect::<Vec<QueuePlace>>();
        let taken = all(client("a"));
        assert_eq!((taken.len(), queue.place(client("a")).unwrap_err()), (4, CommitReason::Share(Capacity::Queue, 1)));
        assert_eq!(all(client("b")).len(), 2);
        assert_eq!(all(client("ops")).len(), 4);
        drop(taken);
        assert_eq!(all(client("a")).len(), 4);
        assert_eq!(queue.shares().held(), 0);
    }
}
