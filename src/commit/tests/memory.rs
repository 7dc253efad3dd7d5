//! A store in memory that keeps the contract, for any number of writers, checks what it is given and how it is called, and fails
//! on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::START;
use crate::commit::contract::{
    Batch, CommitStore, Heartbeat, Learned, LearnedChanges, Recovered, Row, StateRow, StatusRow, StoreReason, Stored,
    StoredCheckpoint, Unrecorded, WrapAnew,
};
use crate::commit::fold::Fold;
use crate::ledger::record::{Kind, Record};
use crate::oauth::{GenerationKey, ShareKey, SingleUse, SingleUseKind, TaskId, Time};

/// The durable content, and what the writers on it share.
#[derive(Clone, Default)]
pub(super) struct Disk {
    content: Arc<Mutex<Content>>,
    shared: Arc<Shared>,
}

/// The lock, and the state that each batch changed, so that other writers learn of it.
#[derive(Default)]
struct Shared {
    locked: Mutex<bool>,
    freed: Condvar,
    log: Mutex<Vec<LearnedChanges>>,
}

#[derive(Clone, Default)]
pub(super) struct Content {
    rows: Vec<Stored>,
    sealed: BTreeMap<u64, (GenerationKey, Vec<u8>)>,
    keys: BTreeMap<GenerationKey, Vec<u8>>,
    roots: Vec<String>,
    pub(super) state: BTreeMap<Vec<u8>, Vec<u8>>,
    checkpoint: Option<u64>,
    pub(super) terms: BTreeMap<u64, Vec<u8>>,
    pub(super) beats: BTreeMap<TaskId, Time>,
    pub(super) single_use: BTreeSet<(Time, [u8; 32])>,
    pub(super) status: Vec<StatusRow>,
    sum: Option<Vec<u8>>,
}

/// The points at which to fail, and how often from now on.
#[derive(Clone, Default)]
pub(super) struct Faults(Arc<Mutex<BTreeMap<Fault, u32>>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// Opening fails.
    Open,
    /// Reading a subject's key fails.
    Key,
    /// Saying which root keys wrap fails.
    Roots,
    /// Wrapping keys anew fails.
    Rewrap,
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
    /// The program has a bug, and its thread dies.
    Dies,
}

pub(super) struct MemoryStore {
    pub(super) disk: Disk,
    pub(super) faults: Faults,
    pub(super) open: bool,
    /// It has the lock.
    pub(super) locks: bool,
    /// So much of the log was told to its writer.
    pub(super) told: usize,
}

impl Disk {
    pub(super) fn holding(content: Content) -> Self {
        Self { content: Arc::new(Mutex::new(content)), shared: Arc::default() }
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

    /// The newest heartbeat of a task.
    pub(super) fn beat_of(&self, task: TaskId) -> Option<i64> {
        self.content().beats.get(&task).map(|at| at.millis())
    }

    pub(super) fn single_use(&self) -> usize {
        self.content().single_use.len()
    }

    pub(super) fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap()
    }

    fn lock(&self) {
        let free = self.shared.freed.wait_while(self.shared.locked.lock().unwrap(), |locked| *locked);
        *free.unwrap() = true;
    }

    fn unlock(&self) {
        *self.shared.locked.lock().unwrap() = false;
        self.shared.freed.notify_one();
    }

    fn log(&self) -> MutexGuard<'_, Vec<LearnedChanges>> {
        self.shared.log.lock().unwrap()
    }
}

impl Content {
    /// All that counts for what may happen next; records are the history that led here.
    pub(super) fn decisive(&self) -> impl std::fmt::Debug + Hash + '_ {
        let rows: Vec<StateRow> =
            self.state.iter().map(|(key, value)| StateRow { key: key.clone(), value: value.clone() }).collect();
        let mut fold = Fold::of_rows(&rows).unwrap();
        let from = self.checkpoint.map_or(0, |index| index + 1);
        for row in self.rows.iter().filter(|row| row.index >= from) {
            fold.take(row.index, &Record::parse(&row.record).unwrap()).unwrap();
        }
        fold.checkpoint(Time::from_millis(0));
        (fold.hash.digest(), &self.single_use, &self.beats)
    }

    /// The wrapped keys, with their subjects.
    pub(super) fn keys(&mut self) -> &mut BTreeMap<GenerationKey, Vec<u8>> {
        &mut self.keys
    }

    pub(super) fn roots(&self) -> &[String] {
        &self.roots
    }

    pub(super) fn damage(&mut self, change: impl FnOnce(&mut Vec<Stored>)) {
        change(&mut self.rows);
    }

    fn apply(&mut self, batch: &Batch) {
        for Row { index, jti, txn, record, sealed } in &batch.rows {
            assert_eq!(*index, self.rows.len() as u64, "indexes are consecutive and never used twice");
            let begins = Record::parse(record).is_ok_and(|record| record.kind() == Kind::Epoch);
            let later = self.rows.last().is_none_or(|newest| newest.at <= batch.at);
            assert!(later || begins, "time does not run backwards");
            self.rows.push(Stored { index: *index, at: batch.at, jti: *jti, txn: *txn, record: record.clone() });
            self.sealed.extend(sealed.clone().map(|sealed| (*index, sealed)));
        }
        for (subject, key) in &batch.subject_keys {
            assert!(self.keys.insert(*subject, key.clone()).is_none(), "no subject's key is ever replaced");
        }
        for (subject, _) in batch.rows.iter().filter_map(|row| row.sealed.as_ref()) {
            assert!(self.keys.contains_key(subject), "nothing is sealed under a key that is not stored");
        }
        if batch.clears {
            self.single_use.clear();
            self.beats.clear();
            self.status.clear();
        }
        for value in &batch.single_use {
            assert!(self.single_use.insert((value.expires, value.digest)), "no value is ever spent twice");
        }
        for (_, row) in &batch.status {
            let free = |other: &StatusRow| other.place != row.place;
            assert!(self.status.iter().all(free), "no place of a list is ever taken twice");
            self.status.push(row.clone());
        }
        for (index, sealed) in &batch.terms {
            assert!(*index < self.rows.len() as u64, "terms belong to a record");
            assert!(self.terms.insert(*index, sealed.clone()).is_none(), "the terms of a task never change");
        }
        self.beats.extend(batch.beats.iter().map(|beat| (beat.task, beat.at)));
        self.sum = Some(batch.sum.clone());
        if let Some(checkpoint) = &batch.checkpoint {
            assert!(self.rows.iter().any(|row| row.index == checkpoint.index), "a checkpoint has a record");
            self.checkpoint = Some(checkpoint.index);
            for change in &checkpoint.changes {
                assert_eq!(self.state.get(&change.key), change.before.as_ref(), "what was there is known");
                match &change.after {
                    Some(after) => drop(self.state.insert(change.key.clone(), after.clone())),
                    None => drop(self.state.remove(&change.key)),
                }
            }
            for (task, index) in &checkpoint.forgotten {
                self.beats.remove(task);
                self.terms.remove(index);
            }
        }
        if let Some(now) = batch.forget {
            self.single_use.retain(|(expires, _)| *expires > now);
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

impl MemoryStore {
    pub(super) fn new(disk: &Disk, faults: &Faults) -> Self {
        Self { disk: disk.clone(), faults: faults.clone(), open: false, locks: false, told: 0 }
    }

    fn unlock(&mut self) {
        if std::mem::take(&mut self.locks) {
            self.disk.unlock();
        }
    }

    /// Everything that others committed since they were last listened to, and those of the wanted values that are spent.
    fn since(&mut self, wanted: &[SingleUse]) -> Option<Box<LearnedChanges>> {
        let (log, content) = (self.disk.log(), self.disk.content());
        let mut news = LearnedChanges::default();
        for one in log.iter().skip(self.told) {
            news.records.extend_from_slice(&one.records);
            news.terms.extend_from_slice(&one.terms);
            news.unrecorded.beats.extend(&one.unrecorded.beats);
            news.unrecorded.status.extend_from_slice(&one.unrecorded.status);
            news.unrecorded.sum = one.unrecorded.sum.clone();
        }
        let spent = |value: &&SingleUse| content.single_use.iter().any(|(_, digest)| *digest == value.digest);
        news.unrecorded.single_use = wanted.iter().filter(spent).copied().collect();
        let nothing = self.told == log.len() && news.unrecorded.single_use.is_empty();
        self.told = log.len();
        (!nothing).then(|| Box::new(news))
    }

    /// What `batch` committed, for others to learn.
    fn committed(&self, batch: &Batch) -> LearnedChanges {
        let first = batch.rows.first().map_or(u64::MAX, |row| row.index);
        LearnedChanges {
            records: self.disk.rows().into_iter().filter(|row| row.index >= first).collect(),
            terms: batch.terms.clone(),
            unrecorded: Unrecorded {
                beats: batch.beats.clone(),
                status: batch.status.iter().map(|(_, row)| row.clone()).collect(),
                sum: Some(batch.sum.clone()),
                ..Unrecorded::default()
            },
        }
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        self.unlock();
    }
}

impl CommitStore for MemoryStore {
    fn open(&mut self) -> Result<Recovered, StoreReason> {
        self.unlock();
        self.open = false;
        self.faults.strike(Fault::Open)?;
        self.open = true;
        self.told = self.disk.log().len();
        let mut content = self.disk.content();
        if self.faults.strike(Fault::Forgets).is_err() {
            content.rows.pop();
        }
        let value = |(expires, digest): &(Time, [u8; 32])| SingleUse {
            digest: *digest,
            expires: *expires,
            issued: Time::from_millis(START),
            kind: SingleUseKind::Assertion,
            share: ShareKey::NOBODY,
        };
        let rows = content.state.iter().map(|(key, value)| StateRow { key: key.clone(), value: value.clone() });
        Ok(Recovered {
            count: content.rows.len() as u64,
            first: 0,
            checkpoint: StoredCheckpoint { index: content.checkpoint, rows: rows.collect() },
            terms: content.terms.iter().map(|(index, sealed)| (*index, sealed.clone())).collect(),
            unrecorded: Unrecorded {
                single_use: content.single_use.iter().map(value).collect(),
                beats: content.beats.iter().map(|(task, at)| Heartbeat { task: *task, at: *at }).collect(),
                status: content.status.clone(),
                sum: content.sum.clone(),
            },
            earlier: None,
        })
    }

    fn records(&mut self, from: u64, each: &mut dyn FnMut(Stored) -> Result<(), StoreReason>) -> Result<(), StoreReason> {
        assert!(self.open, "after a failure the store is opened before it is used");
        self.disk.rows().into_iter().filter(|row| row.index >= from).try_for_each(each)
    }

    fn archived_state(&mut self) -> Result<Option<(u64, Vec<u8>)>, StoreReason> {
        Ok(None)
    }

    fn begin(&mut self, wanted: &mut dyn Iterator<Item = SingleUse>) -> Result<Learned, StoreReason> {
        assert!(self.open, "after a failure the store is opened before it is used");
        assert!(!self.locks, "every batch is written or abandoned before the next begins");
        self.faults.strike(Fault::Dies).unwrap();
        let begun = self.faults.strike(Fault::Begin);
        self.open = begun.is_ok();
        begun?;
        self.disk.lock();
        self.locks = true;
        let since = self.since(&wanted.collect::<Vec<_>>());
        let content = self.disk.content();
        let newest = content.rows.last().map_or(Time::from_millis(0), |row| row.at);
        Ok(Learned { next: content.rows.len() as u64, newest, since })
    }

    fn subject_key(&mut self, subject: &GenerationKey) -> Result<Option<Vec<u8>>, StoreReason> {
        assert!(
            self.open && self.locks,
            "after a failure the store is opened before it is used, and keys are read under the lock"
        );
        let read = self.faults.strike(Fault::Key);
        self.open = read.is_ok();
        read.map(|()| self.disk.key(*subject))
    }

    fn roots(&mut self) -> Result<Vec<String>, StoreReason> {
        assert!(self.open, "after a failure the store is opened before it is used");
        Ok(self.disk.content().roots.clone())
    }

    fn set_roots(&mut self, roots: &[String]) -> Result<(), StoreReason> {
        let set = self.faults.strike(Fault::Roots);
        self.open &= set.is_ok();
        set.map(|()| self.disk.content().roots = roots.to_vec())
    }

    fn rewrap(
        &mut self,
        after: Option<GenerationKey>,
        limit: u32,
        wrap: &mut WrapAnew<'_>,
    ) -> Result<Option<GenerationKey>, StoreReason> {
        assert!(self.open && self.locks, "keys are wrapped anew under the lock");
        let rewrapped = self.faults.strike(Fault::Rewrap);
        self.open = rewrapped.is_ok();
        rewrapped?;
        let mut content = self.disk.content();
        let (mut last, mut shown) = (None, 0);
        let page = content.keys.iter_mut().filter(|(subject, _)| after.is_none_or(|after| **subject > after));
        for (subject, wrapped) in page.take(usize::try_from(limit).unwrap()) {
            *wrapped = wrap(*subject, wrapped).unwrap_or(std::mem::take(wrapped));
            (last, shown) = (Some(*subject), shown + 1);
        }
        Ok(last.filter(|_| shown == limit))
    }

    fn write(&mut self, batch: &Batch) -> Result<(), StoreReason> {
        assert!(self.open && self.locks, "what is written was judged under the lock");
        let landed = [Fault::Apply, Fault::FlushLost].into_iter().try_for_each(|fault| self.faults.strike(fault));
        self.open = landed.is_ok();
        landed?;
        self.disk.content().apply(batch);
        let committed = self.committed(batch);
        let mut log = self.disk.log();
        log.push(committed);
        self.told = log.len();
        drop(log);
        let flushed = self.faults.strike(Fault::FlushLanded);
        self.open = flushed.is_ok();
        self.unlock();
        flushed
    }

    fn fold_in(&mut self, records: &[Stored]) -> Result<(), StoreReason> {
        assert!(self.open && !self.locks, "the store is open, and nobody writes");
        let landed = [Fault::Apply, Fault::FlushLost].into_iter().try_for_each(|fault| self.faults.strike(fault));
        self.open = landed.is_ok();
        landed?;
        let mut content = self.disk.content();
        for record in records {
            assert_eq!(record.index, content.rows.len() as u64, "indexes are consecutive and never used twice");
            content.rows.push(record.clone());
        }
        content.sum = Some(Vec::new());
        drop(content);
        let flushed = self.faults.strike(Fault::FlushLanded);
        self.open = flushed.is_ok();
        flushed
    }

    fn abandon(&mut self) {
        assert!(self.open && self.locks, "only a batch that began is abandoned");
        self.unlock();
    }
}
