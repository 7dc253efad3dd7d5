//! A store in memory that keeps the contract, for any number of writers, checks what it is given and how it is called, and fails
//! on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use crate::commit::contract::{
    Batch, CommitStore, ConfiguredPrincipal, Learned, Recovered, Row, StatusRow, StoreReason, Stored, StoredGeneration,
    StoredState, StoredTask,
};
use crate::oauth::{GenerationKey, SingleUse, SingleUseKind, Time};

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
    log: Mutex<Vec<StoredState>>,
}

#[derive(Clone, Default)]
pub(super) struct Content {
    rows: Vec<Stored>,
    sealed: BTreeMap<u64, (GenerationKey, Vec<u8>)>,
    keys: BTreeMap<GenerationKey, Vec<u8>>,
    generations: BTreeMap<GenerationKey, StoredGeneration>,
    single_use: BTreeSet<(Time, [u8; 32])>,
    status: Vec<StatusRow>,
    in_force: Option<BTreeSet<ConfiguredPrincipal>>,
    tasks: BTreeMap<GenerationKey, StoredTask>,
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
    /// It has the lock.
    pub(super) locks: bool,
    /// So much of the log was told to its writer.
    pub(super) told: usize,
    /// How many of the newest records are shown when it is opened.
    pub(super) newest: usize,
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

    fn log(&self) -> MutexGuard<'_, Vec<StoredState>> {
        self.shared.log.lock().unwrap()
    }
}

impl Content {
    /// All that counts for what may happen next; records are the history that led here.
    pub(super) fn state(&self) -> impl std::fmt::Debug + Hash + '_ {
        (&self.generations, &self.single_use, self.tasks.values().map(|task| (task.left, &task.suspended_by)).collect::<Vec<_>>())
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
            let free = |other: &StatusRow| other.place != row.place;
            assert!(self.status.iter().all(free), "no place of a list is ever taken twice");
            self.status.push(row.clone());
        }
        self.in_force = batch.in_force.clone().or(self.in_force.take());
        self.generations.extend(batch.generations.iter().map(|generation| (generation.key, *generation)));
        self.tasks.extend(batch.tasks.iter().map(|task| (task.key, task.clone())));
        for (key, left) in &batch.charges {
            let task = self.tasks.get_mut(key).unwrap();
            assert!(*left <= task.left, "a budget only shrinks");
            task.left = *left;
        }
        for (key, suspended_by) in &batch.suspenders {
            self.tasks.get_mut(key).unwrap().suspended_by = suspended_by.as_ref().map(ToString::to_string);
        }
        if let Some(now) = batch.forget {
            self.tasks.retain(|_, task| task.forget > now);
            self.single_use.retain(|(expires, _)| *expires > now);
            self.generations.retain(|_, generation| generation.forget.is_none_or(|forget| forget > now));
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
    pub(super) fn new(disk: &Disk, faults: &Faults, newest: usize) -> Self {
        Self { disk: disk.clone(), faults: faults.clone(), open: false, locks: false, told: 0, newest }
    }

    fn unlock(&mut self) {
        if std::mem::take(&mut self.locks) {
            self.disk.unlock();
        }
    }

    /// Everything that others changed since they were last listened to, and those of the wanted values that are spent.
    fn since(&mut self, wanted: &[SingleUse]) -> Option<Box<StoredState>> {
        let (log, content) = (self.disk.log(), self.disk.content());
        let mut news = StoredState::default();
        for one in log.iter().skip(self.told) {
            news.generations.extend(&one.generations);
            news.tasks.extend_from_slice(&one.tasks);
            news.status.extend_from_slice(&one.status);
            news.in_force = one.in_force.clone().or(news.in_force);
        }
        let spent = |value: &&SingleUse| content.single_use.iter().any(|(_, digest)| *digest == value.digest);
        news.single_use = wanted.iter().filter(spent).copied().collect();
        let nothing = self.told == log.len() && news.single_use.is_empty();
        self.told = log.len();
        (!nothing).then(|| Box::new(news))
    }

    /// The state that `batch` changed, for others to learn.
    fn changed(&self, batch: &Batch) -> StoredState {
        let content = self.disk.content();
        let tasks = batch.tasks.iter().map(|task| task.key).chain(batch.charges.iter().map(|(key, _)| *key));
        let tasks = tasks.chain(batch.suspenders.iter().map(|(key, _)| *key));
        StoredState {
            generations: batch.generations.clone(),
            single_use: Vec::new(),
            tasks: tasks.filter_map(|key| content.tasks.get(&key).cloned()).collect(),
            status: batch.status.iter().map(|(_, row)| row.clone()).collect(),
            in_force: batch.in_force.clone(),
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
        let skipped = content.rows.len().saturating_sub(self.newest);
        let value = |(expires, digest): &(Time, [u8; 32])| SingleUse {
            digest: *digest,
            expires: *expires,
            kind: SingleUseKind::Assertion,
        };
        let state = StoredState {
            generations: content.generations.values().copied().collect(),
            single_use: content.single_use.iter().map(value).collect(),
            status: content.status.clone(),
            in_force: content.in_force.clone(),
            tasks: content.tasks.values().cloned().collect(),
        };
        let newest = content.rows.iter().skip(skipped).cloned().collect();
        Ok(Recovered { count: content.rows.len() as u64, newest, state, unsealed: false })
    }

    fn record(&mut self, index: u64) -> Result<Option<Vec<u8>>, StoreReason> {
        assert!(self.open && !self.locks, "asked when the store was just opened");
        Ok(self.disk.rows().get(usize::try_from(index).unwrap()).map(|row| row.record.clone()))
    }

    fn replace_tasks(&mut self, _: &[StoredTask]) -> Result<(), StoreReason> {
        Err(StoreReason::Failed("nothing was written here unsealed".into()))
    }

    fn begin(&mut self, wanted: &mut dyn Iterator<Item = SingleUse>) -> Result<Learned, StoreReason> {
        assert!(self.open, "after a failure the store is opened before it is used");
        assert!(!self.locks, "every batch is written or abandoned before the next begins");
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

    fn write(&mut self, batch: &Batch) -> Result<(), StoreReason> {
        assert!(self.open && self.locks, "what is written was judged under the lock");
        let landed = [Fault::Apply, Fault::FlushLost].into_iter().try_for_each(|fault| self.faults.strike(fault));
        self.open = landed.is_ok();
        landed?;
        self.disk.content().apply(batch);
        let changed = self.changed(batch);
        let mut log = self.disk.log();
        log.push(changed);
        self.told = log.len();
        drop(log);
        let flushed = self.faults.strike(Fault::FlushLanded);
        self.open = flushed.is_ok();
        self.unlock();
        flushed
    }

    fn abandon(&mut self) {
        assert!(self.open && self.locks, "only a batch that began is abandoned");
        self.unlock();
    }
}
