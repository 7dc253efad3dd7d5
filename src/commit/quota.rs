//! How many refusals of one agent are recorded.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::oauth::{ClientId, Time};

/// More agents than this are not told apart within a minute; there are never more than are registered.
const AGENTS_MAX: usize = 65_536;

/// Recorded refusals per agent and minute, and how many went unrecorded since the last recorded one.
#[derive(Debug)]
pub(super) struct Quota {
    per_minute: u32,
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
        Self { per_minute, agents: Mutex::default() }
    }

    /// Takes a place for a refusal of `agent` at `at`, with the number that went unrecorded before it; or counts it as
    /// unrecorded.
    pub(super) fn take(&self, agent: &ClientId, at: Time) -> Option<u64> {
        let minute = at.seconds().div_euclid(60);
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
            return None;
        }
        count.recorded += 1;
        Some(std::mem::take(&mut count.suppressed))
    }

    /// Counts `unrecorded` refusals of `agent` that had a place and were not recorded after all.
    pub(super) fn give_back(&self, agent: &ClientId, unrecorded: u64) {
        if let Some(count) = self.agents().get_mut(agent) {
            count.suppressed += unrecorded;
        }
    }

    fn agents(&self) -> MutexGuard<'_, HashMap<ClientId, Count>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
