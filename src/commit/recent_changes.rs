//! The latest changes of state, so that whoever follows looks only at what they may have touched.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::oauth::GenerationKey;

/// So many changes are remembered; whoever is further behind looks at everything.
const REMEMBERED: usize = 4096;

/// Changes in the order in which they acted.
#[derive(Debug, Default)]
pub(super) struct RecentChanges(Mutex<ChangeLog>);

#[derive(Debug, Default)]
struct ChangeLog {
    /// How many there ever were.
    count: u64,
    /// The last of them.
    recent: VecDeque<GenerationKey>,
}

/// The changes since somebody looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// The things with these keys; none, where nothing did.
    Things(Vec<GenerationKey>),
    /// Perhaps everything.
    Everything,
}

impl RecentChanges {
    /// These things changed. Said after it acts, so that who hears of it finds it done.
    pub(super) fn note(&self, keys: impl Iterator<Item = GenerationKey>) {
        let mut log = self.log();
        for key in keys {
            log.count += 1;
            log.recent.push_back(key);
        }
        let surplus = log.recent.len().saturating_sub(REMEMBERED);
        log.recent.drain(..surplus);
    }

    /// Everything may have changed.
    pub(super) fn note_everything(&self) {
        let mut log = self.log();
        log.count += 1;
        log.recent.clear();
    }

    /// The changes since there were `seen` of them, and how many there are by now.
    pub(super) fn since(&self, seen: u64) -> (u64, Changed) {
        let log = self.log();
        let behind = usize::try_from(log.count - seen.min(log.count)).unwrap_or(usize::MAX);
        let changed = match log.recent.len().checked_sub(behind) {
            Some(known) => Changed::Things(log.recent.iter().skip(known).copied().collect()),
            None => Changed::Everything,
        };
        (log.count, changed)
    }

    fn log(&self) -> MutexGuard<'_, ChangeLog> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(ids: std::ops::Range<u8>) -> impl Iterator<Item = GenerationKey> {
        ids.map(|id| GenerationKey([id; 16]))
    }

    #[test]
    fn who_follows_hears_of_everything_once_and_of_all_when_too_far_behind() {
        let changes = RecentChanges::default();
        assert_eq!(changes.since(0), (0, Changed::Things(Vec::new())));
        changes.note(keys(0..3));
        assert_eq!(changes.since(0), (3, Changed::Things(keys(0..3).collect())));
        assert_eq!(changes.since(2), (3, Changed::Things(keys(2..3).collect())));
        assert_eq!(changes.since(3), (3, Changed::Things(Vec::new())));
        changes.note_everything();
        assert_eq!(changes.since(3), (4, Changed::Everything));
        changes.note(keys(7..8));
        assert_eq!(changes.since(4), (5, Changed::Things(keys(7..8).collect())));
        assert_eq!(changes.since(3), (5, Changed::Everything));
        (0..17).for_each(|_| changes.note(keys(0..255)));
        assert_eq!(changes.since(5).1, Changed::Everything);
    }
}
