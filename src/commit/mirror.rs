//! What liveness needs, in memory. The store is the truth; this is loaded from it, and written by the one writer only.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::change::Change;
use super::contract::StoredLife;
use super::expiry::Expiry;
use super::writer::Unrecorded;
use crate::lifecycle::{Hold, Life, State};
use crate::oauth::{GenerationKey, Time};

/// Which life everything is in that ever ended, is held or lives for a time only. A reading takes one lock, for all its keys.
#[derive(Debug, Default)]
pub struct Mirror {
    lives: RwLock<Lives>,
    stuck: AtomicBool,
    floor: AtomicI64,
    changes: AtomicU64,
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

    fn floor(&self) -> Time {
        Self::floor(self)
    }
}

impl Mirror {
    /// How many things are remembered.
    pub fn len(&self) -> usize {
        self.read().of.len()
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What counts up to here may have been forgotten: what expired by then is over, whatever a clock says that was set back.
    pub fn floor(&self) -> Time {
        Time::from_millis(self.floor.load(Ordering::SeqCst))
    }

    /// Another number after everything by which a token may die or come back.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Whether nothing can be recorded now, so that nothing is issued.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    pub(super) fn set_stuck(&self, stuck: bool) {
        self.stuck.store(stuck, Ordering::Relaxed);
    }

    /// Does to its things what `change` says, at `at`. Returns the lives they are in then, in the order of the things.
    pub(super) fn change(&self, change: &Change, at: Time) -> Vec<StoredLife> {
        let lives = self.write().change(change, at);
        self.changes.fetch_add(1, Ordering::SeqCst);
        lives
    }

    /// What [`change`](Self::change) would return, without doing it.
    pub(super) fn foresee(&self, change: &Change, at: Time) -> Vec<StoredLife> {
        let lives = self.read();
        change.things().iter().map(|thing| lives.changed(thing.key, change, at)).collect()
    }

    /// Whether any of the things was retired.
    pub(super) fn any_retired(&self, change: &Change) -> bool {
        let lives = self.read();
        let retired = |key| lives.of.get(key).is_some_and(|(life, _)| life.hold == Some(Hold::Retired));
        change.things().iter().any(|thing| retired(&thing.key))
    }

    /// Puts lives in force that are durable by now.
    pub(super) fn put(&self, stored: &[StoredLife]) {
        let mut lives = self.write();
        let mut matters = false;
        for life in stored {
            matters |= lives.matters(life);
            lives.put(*life);
        }
        drop(lives);
        if matters {
            self.changes.fetch_add(1, Ordering::SeqCst);
        }
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
            if lives.of.get(&key).is_some_and(|(_, forget)| forget.is_some_and(|forget| forget <= now)) {
                lives.of.remove(&key);
            }
        }
        true
    }

    /// Replaces everything by what is `stored`. Changes that are not recorded yet are made to act again, before anybody can look.
    pub(super) fn load(&self, stored: &[StoredLife], unrecorded: &mut [Unrecorded], now: Time) {
        let mut fresh = Lives::default();
        stored.iter().for_each(|life| fresh.put(*life));
        for Unrecorded { change, lives, .. } in unrecorded {
            *lives = fresh.change(change, now);
        }
        self.floor.fetch_max(now.millis(), Ordering::SeqCst);
        *self.write() = fresh;
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    fn read(&self) -> RwLockReadGuard<'_, Lives> {
        self.lives.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Lives> {
        self.lives.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lives {
    fn change(&mut self, change: &Change, at: Time) -> Vec<StoredLife> {
        let one = |key| {
            let life = self.changed(key, change, at);
            self.put(life);
            life
        };
        change.things().iter().map(|thing| thing.key).map(one).collect()
    }

    fn changed(&self, key: GenerationKey, change: &Change, at: Time) -> StoredLife {
        let before = self.of.get(&key);
        // What may never be forgotten stays so; else the later of the two counts.
        let forget = match (before, change) {
            (Some((_, earlier)), Change::Holding(_)) => *earlier,
            (Some((_, earlier)), Change::Death(_)) => earlier.zip(change.forget()).map(|(one, other)| one.max(other)),
            (None, _) => change.forget(),
        };
        let life = change.applied(before.map(|(life, _)| *life).unwrap_or_default(), at);
        StoredLife { key, life, forget: forget.filter(|_| life.hold != Some(Hold::Retired)) }
    }

    /// Whether a token may die or come back by this life: more is needed than that its time was put off.
    fn matters(&self, to: &StoredLife) -> bool {
        let before = self.of.get(&to.key).map(|(life, _)| *life).unwrap_or_default();
        let sooner = to.life.until.is_some_and(|until| before.until.is_none_or(|before| until < before));
        before.number != to.life.number || before.hold != to.life.hold || sooner
    }

    fn put(&mut self, StoredLife { key, life, forget }: StoredLife) {
        self.of.insert(key, (life, forget));
        if let Some(forget) = forget {
            self.forgettable.add(key, forget);
        }
    }
}
