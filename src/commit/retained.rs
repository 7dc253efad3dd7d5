//! The part of the state that says how long records are kept: what archives have, what is held, what was pruned.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ledger::TILE_WIDTH;
use crate::oauth::{Time, Txn};

/// No more transactions are held at a time.
pub const HOLDS_MAX: usize = 10_000;

/// A transaction of which everything is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedHold {
    at: i64,
    /// The party that asked for it.
    pub by: String,
    /// The reason, in its words.
    pub reason: String,
}

/// The extent of what archives have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedArchive {
    at: i64,
    /// The number of records, from the first on.
    pub until: u64,
    /// The index of the `state` record whose state is archived.
    pub snapshot: u64,
}

/// A change of how long records are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetentionChange {
    /// Archives have more.
    Archive(RecordedArchive),
    /// A transaction is held.
    Hold(Txn, RecordedHold),
    /// A transaction is held no longer.
    Release(Txn),
    /// The records before this index are removed.
    Prune(u64),
}

/// What is recorded of how long records are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionState {
    /// The transactions that are held.
    pub holds: BTreeMap<Txn, RecordedHold>,
    /// None before anything was archived.
    pub archive: Option<RecordedArchive>,
    /// The index of the first record that is kept, whether or not those before it are removed yet.
    pub first: u64,
}

impl RecordedHold {
    /// One since `at`.
    pub fn new(at: Time, by: String, reason: String) -> Self {
        Self { at: at.millis(), by, reason }
    }

    /// The time since which it is held.
    pub fn since(&self) -> Time {
        Time::from_millis(self.at)
    }
}

impl RecordedArchive {
    /// One that was acknowledged at `at`.
    pub fn new(at: Time, until: u64, snapshot: u64) -> Self {
        Self { at: at.millis(), until, snapshot }
    }

    /// The time at which it was acknowledged.
    pub fn at(&self) -> Time {
        Time::from_millis(self.at)
    }

    /// The index before which records may be pruned: an archive has them, and not the record that names the archived state.
    pub fn covers(&self) -> u64 {
        let width = u64::from(TILE_WIDTH);
        self.until.min(self.snapshot) / width * width
    }
}

impl RetentionState {
    /// True where `change` follows from what is recorded: an archive does not shrink, only what is held is released, and nothing
    /// is pruned that no archive has.
    pub fn allows(&self, change: &RetentionChange) -> bool {
        match change {
            RetentionChange::Archive(next) => {
                self.archive.is_none_or(|known| known.until <= next.until && known.snapshot <= next.snapshot)
            }
            RetentionChange::Hold(txn, _) => self.holds.contains_key(txn) || self.holds.len() < HOLDS_MAX,
            RetentionChange::Release(txn) => self.holds.contains_key(txn),
            RetentionChange::Prune(first) => {
                let covers = self.archive.map_or(0, |archive| archive.covers());
                first.is_multiple_of(u64::from(TILE_WIDTH)) && (self.first..=covers).contains(first)
            }
        }
    }

    /// Takes up a change.
    pub(super) fn take(&mut self, change: &RetentionChange) {
        match change {
            RetentionChange::Archive(archive) => self.archive = Some(*archive),
            RetentionChange::Hold(txn, hold) => drop(self.holds.insert(*txn, hold.clone())),
            RetentionChange::Release(txn) => drop(self.holds.remove(txn)),
            RetentionChange::Prune(first) => self.first = *first,
        }
    }
}
