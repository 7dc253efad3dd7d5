//! A store in memory that keeps the contract, checks what it is given, and fails on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::commit::contract::{
    Batch, CommitStore, ConfiguredPrincipal, Recovered, Row, StatusRow, StoreReason, Stored, StoredGeneration, StoredTask,
};
use crate::oauth::{GenerationKey, SingleUse, SingleUseKind, Time};

/// What is durable.
#[derive(Clone, Default)]
pub(super) struct Disk(Arc<Mutex<Content>>);

#[derive(Clone, Default)]
pub(super) struct Content {
    rows: Vec<Stored>,
    sealed: BTreeMap<u64, (GenerationKey, Vec<u8>)>,
    keys: BTreeMap<GenerationKey, Vec<u8>>,
    lives: BTreeMap<GenerationKey, StoredGeneration>,
    single_use: BTreeSet<(Time, [u8; 32])>,
    status: Vec<StatusRow>,
    in_force: Option<BTreeSet<ConfiguredPrincipal>>,
    tasks: BTreeMap<GenerationKey, StoredTask>,
}

/// Where to fail, and how often from now on.
#[derive(Clone, Default)]
pub(super) struct Faults(Arc<Mutex<BTreeMap<Fault, u32>>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// Opening fails.
    Open,
    /// Reading a subject's key fails.
    Key,
    /// The transaction cannot begin.
    Begin,
    /// It breaks off when half of it is applied, and is rolled back.
    Apply,
    /// The flush reports an error, and nothing is durable.
    FlushLost,
    /// The flush reports an error, and everything is durable.
    FlushLanded,
    /// The store comes back without its last record.
    Forgets,
}

pub(super) struct MemoryStore {
    pub(super) disk: Disk,
    pub(super) faults: Faults,
    pub(super) open: bool,
    /// How many of the newest records are shown when it is opened.
    pub(super) newest: usize,
}

impl Disk {
    pub(super) fn holding(content: Content) -> Self {
        Self(Arc::new(Mutex::new(content)))
    }

    pub(super) fn rows(&self) -> Vec<Stored> {
        self.content().rows.clone()
    }

    pub(super) fn sealed(&self, index: u64) -> Option<(GenerationKey, Vec<u8>)> {
        self.content().sealed.get(&index).cloned()
    }

    pub(super) fn key(&self, subject: GenerationKey) -> Option<Vec<u8>> {
        self.content().keys.get(&subject).cloned()
    }

    pub(super) fn single_use(&self) -> usize {
        self.content().single_use.len()
    }

    pub(super) fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap()
    }
}

impl Content {
    /// All that counts for what may happen next; records are the history that led here.
    pub(super) fn state(&self) -> impl std::fmt::Debug + Hash + '_ {
        (&self.lives, &self.single_use, self.tasks.values().map(|task| (task.left, &task.suspended_by)).collect::<Vec<_>>())
    }

    pub(super) fn damage(&mut self, change: impl FnOnce(&mut Vec<Stored>)) {
        change(&mut self.rows);
    }

    fn apply(&mut self, batch: &Batch) {
        for Row { index, jti, txn, record, sealed } in &batch.rows {
            assert_eq!(*index, self.rows.len() as u64, "indexes are consecutive and never used twice");
            assert!(self.rows.last().is_none_or(|newest| newest.at <= batch.at), "time does not run backwards");
            self.rows.push(Stored { index: *index, at: batch.at, jti: *jti, txn: *txn, record: record.clone() });
            self.sealed.extend(sealed.clone().map(|sealed| (*index, sealed)));
        }
        for (subject, key) in &batch.subject_keys {
            assert!(self.keys.insert(*subject, key.clone()).is_none(), "no subject's key is ever replaced");
        }
        for (subject, _) in batch.rows.iter().filter_map(|row| row.sealed.as_ref()) {
            assert!(self.keys.contains_key(subject), "nothing is sealed under a key that is not stored");
        }
        for value in &batch.single_use {
            assert!(self.single_use.insert((value.expires, value.digest)), "no value is ever spent twice");
        }
        for (_, row) in &batch.status {
            let free = |other: &StatusRow| (&other.list, other.index) != (&row.list, row.index);
            assert!(self.status.iter().all(free), "no place of a list is ever taken twice");
            self.status.push(row.clone());
        }
        self.in_force = batch.in_force.clone().or(self.in_force.take());
        self.lives.extend(batch.lives.iter().map(|life| (life.key, *life)));
        self.tasks.extend(batch.tasks.iter().map(|task| (task.key, task.clone())));
        for (key, left) in &batch.charges {
            let task = self.tasks.get_mut(key).unwrap();
            assert!(*left <= task.left, "a budget only shrinks");
            task.left = *left;
        }
        if let Some(now) = batch.forget {
            self.tasks.retain(|_, task| task.forget > now);
            self.single_use.retain(|(expires, _)| *expires > now);
            self.lives.retain(|_, life| life.forget.is_none_or(|forget| forget > now));
            self.status.retain(|row| row.list.forgettable() > now);
        }
    }
}

impl Faults {
    pub(super) fn set(&self, fault: Fault, times: u32) {
        self.0.lock().unwrap().insert(fault, times);
    }

    pub(super) fn heal(&self) {
        self.0.lock().unwrap().clear();
    }

    fn strike(&self, fault: Fault) -> Result<(), StoreReason> {
        let mut faults = self.0.lock().unwrap();
        match faults.get_mut(&fault) {
            Some(times) if *times > 0 => {
                *times -= 1;
                Err(StoreReason::Failed(format!("{fault:?}").into()))
            }
            _ => Ok(()),
        }
    }
}

impl CommitStore for MemoryStore {
    fn open(&mut self) -> Result<Recovered, StoreReason> {
        self.open = false;
        self.faults.strike(Fault::Open)?;
        self.open = true;
        let mut content = self.disk.content();
        if self.faults.strike(Fault::Forgets).is_err() {
            content.rows.pop();
        }
        let skipped = content.rows.len().saturating_sub(self.newest);
        Ok(Recovered {
            count: content.rows.len() as u64,
            newest: content.rows.iter().skip(skipped).cloned().collect(),
            lives: content.lives.values().copied().collect(),
            single_use: content
                .single_use
                .iter()
                .map(|(expires, digest)| SingleUse { digest: *digest, expires: *expires, kind: SingleUseKind::Assertion })
                .collect(),
            status: content.status.clone(),
            in_force: content.in_force.clone(),
            tasks: content.tasks.values().cloned().collect(),
        })
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreReason> {
        assert!(self.open, "after a failure the store is opened before it is used");
        let landed = [Fault::Begin, Fault::Apply, Fault::FlushLost].into_iter().try_for_each(|fault| self.faults.strike(fault));
        self.open = landed.is_ok();
        landed?;
        self.disk.content().apply(batch);
        let flushed = self.faults.strike(Fault::FlushLanded);
        self.open = flushed.is_ok();
        flushed
    }

    fn subject_key(&mut self, subject: &GenerationKey) -> Result<Option<Vec<u8>>, StoreReason> {
        assert!(self.open, "after a failure the store is opened before it is used");
        let read = self.faults.strike(Fault::Key);
        self.open = read.is_ok();
        read.map(|()| self.disk.key(*subject))
    }
}
