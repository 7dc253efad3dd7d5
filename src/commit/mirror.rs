//! What liveness needs, in memory. The store is the truth; this is loaded from it, and written by the one writer only.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::contract::StoredLife;
use super::expiry::Expiry;
use super::writer::Unrecorded;
use crate::lifecycle::{Life, State};
use crate::oauth::{GenerationKey, Time};

/// Which life everything that ever ended is in. A reading takes one lock, for all its keys.
#[derive(Debug, Default)]
pub struct Mirror {
    lives: RwLock<Lives>,
    stuck: AtomicBool,
    floor: AtomicI64,
}

#[derive(Debug, Default)]
struct Lives {
    of: HashMap<GenerationKey, (Life, Option<Time>)>,
    forgettable: Expiry<GenerationKey>,
}

impl State for Mirror {
    fn lives(&self, keys: &[GenerationKey]) -> Vec<Life> {
        let lives = self.read();
        keys.iter().map(|key| lives.of.get(key).map(|(life, _)| *life).unwrap_or_default()).collect()
    }
}

impl Mirror {
    /// How many things are remembered as ended.
    pub fn len(&self) -> usize {
        self.read().of.len()
    }

    /// Whether nothing ever ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Deaths that count up to here may have been forgotten: what expired by then is over, whatever a clock says that was set back.
    pub fn floor(&self) -> Time {
        Time::from_millis(self.floor.load(Ordering::SeqCst))
    }

    /// Whether nothing can be recorded now, so that nothing is issued.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    pub(super) fn set_stuck(&self, stuck: bool) {
        self.stuck.store(stuck, Ordering::Relaxed);
    }

    /// Ends the things behind `keys` at `at`: each starts its next life. Returns the lives that begin, in the order of the keys.
    pub(super) fn end(&self, keys: impl Iterator<Item = GenerationKey>, at: Time, until: Option<Time>) -> Vec<StoredLife> {
        let mut lives = self.write();
        keys.map(|key| lives.end(key, at, until)).collect()
    }

    /// Forgets what may be forgotten at `now`; says whether that was anything.
    pub(super) fn forget(&self, now: Time) -> bool {
        if !self.read().forgettable.any(now) {
            return false;
        }
        self.floor.fetch_max(now.millis(), Ordering::SeqCst);
        let mut lives = self.write();
        for key in lives.forgettable.due(now) {
            // Otherwise it was ended again meanwhile, for longer.
            if lives.of.get(&key).is_some_and(|(_, until)| until.is_some_and(|until| until <= now)) {
                lives.of.remove(&key);
            }
        }
        true
    }

    /// Replaces everything by what is `stored`. Deaths that are not recorded yet are made to act again, before anybody can look.
    pub(super) fn load(&self, stored: &[StoredLife], deaths: &mut [Unrecorded], now: Time) {
        let mut fresh = Lives::default();
        stored.iter().for_each(|life| fresh.put(*life));
        for Unrecorded { death, lives, .. } in deaths {
            *lives = death.ends.iter().map(|end| fresh.end(end.key, now, death.until)).collect();
        }
        self.floor.fetch_max(now.millis(), Ordering::SeqCst);
        *self.write() = fresh;
    }

    fn read(&self) -> RwLockReadGuard<'_, Lives> {
        self.lives.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Lives> {
        self.lives.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lives {
    fn end(&mut self, key: GenerationKey, at: Time, until: Option<Time>) -> StoredLife {
        let before = self.of.get(&key);
        let number = before.map_or(0, |(life, _)| life.number) + 1;
        // What may never be forgotten stays so; else the later of the two counts.
        let until = before.map_or(until, |(_, earlier)| (*earlier).zip(until).map(|(one, other)| one.max(other)));
        let life = StoredLife { key, life: Life { number, ended: Some(at) }, until };
        self.put(life);
        life
    }

    fn put(&mut self, StoredLife { key, life, until }: StoredLife) {
        self.of.insert(key, (life, until));
        if let Some(until) = until {
            self.forgettable.add(key, until);
        }
    }
}
