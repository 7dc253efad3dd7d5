//! The state that follows from the records: generations, tasks with their budgets, and what the configuration has in force.
//! Entries have one form in bytes, in which they are hashed, stored and read back.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::contract::{
    ConfiguredPrincipal, RecordReader, Select, StateChangeRow, StateRow, StoreReason, StoredCheckpoint,
};
use super::expiry::ExpiryQueue;
use super::fold::{Effect, TaskOpening, Thing};
use crate::crypto::{Digest, SetHash};
use crate::ledger::record::{Record, StateCause, StateRecord};
use crate::lifecycle::{GenerationState, InactiveStatus, Transition, rank};
use crate::oauth::{ClientId, GenerationKey, GenerationKind, Resource, RuleName, TaskId, Time, Txn};

/// Records read at once.
const PAGE: u32 = 4096;

/// State, and its hash: for whoever takes up records one after the other.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    /// The state.
    pub state: RecordedState,
    /// Its hash.
    pub hash: StateHash,
}

/// The hash of the state as of the last checkpoint, and the number of its entries.
#[derive(Clone, Debug, Default)]
pub struct StateHash {
    set: SetHash,
    count: u64,
}

/// What a checkpoint forgot.
#[derive(Debug, Default)]
pub struct Forgotten {
    /// Tasks, each with the index of the record that opened it.
    pub tasks: Vec<(TaskId, u64)>,
}

/// Everything that decides and follows from the records alone.
#[derive(Clone, Debug, Default)]
pub struct RecordedState {
    generations: HashMap<GenerationKey, RecordedGeneration>,
    tasks: HashMap<TaskId, RecordedTask>,
    /// None before a configuration was ever taken up.
    in_force: Option<BTreeSet<ConfiguredPrincipal>>,
    /// The time from which the last of the tasks of a transaction may be forgotten.
    tasks_of: HashMap<Txn, Time>,
    dated: ExpiryQueue<EntryKey>,
    /// The entries that changed since the last checkpoint, as they were then.
    changed: HashMap<EntryKey, Option<Vec<u8>>>,
}

/// One thing that is not simply in generation 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordedGeneration {
    /// The number of its current generation.
    pub number: u64,
    /// The time at which it was last ended.
    pub ended: Option<Time>,
    /// Its status, where that keeps it from acting.
    pub inactive: Option<InactiveStatus>,
    /// The time from which its end may be forgotten, because nothing could present what it ended; none for never.
    pub until: Option<Time>,
}

/// A task, as far as its records tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedTask {
    /// The index of the record that opened it.
    pub index: u64,
    txn: [u8; 16],
    forget: i64,
    /// SHA-256 of its sealed terms.
    pub terms: Option<[u8; 32]>,
    /// The number of exchanges left.
    pub left: u64,
    /// The party that suspended it, while it is suspended.
    pub suspended_by: Option<String>,
    opener: String,
    holder: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum EntryKey {
    Generation(GenerationKey),
    Task(TaskId),
    Principal(ConfiguredPrincipal),
    /// A configuration was taken up.
    Configured,
}

#[derive(Serialize, Deserialize)]
struct PackedGeneration {
    number: u64,
    ended: Option<i64>,
    inactive: Option<u8>,
    until: Option<i64>,
}

/// The reason for which records do not lead to the state that was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoldReason {
    /// The record at this index names another digest than the records before it lead to.
    Digest(u64),
    /// The hop at this index is in a task that no record opened, or that had no exchange left.
    Task(u64),
}

impl Fold {
    /// The fold of a stored checkpoint, from which the records after it go on.
    ///
    /// # Errors
    /// `Corrupt` for a row that was not written here.
    pub fn of_rows(rows: &[StateRow]) -> Result<Self, StoreReason> {
        // Two halves, as there are at least two cores wherever this takes long.
        let (one, other) = rows.split_at(rows.len() / 2);
        let mut state = RecordedState::default();
        let unread = || StoreReason::Corrupt("an entry of the state");
        let set = std::thread::scope(|scope| {
            let other = scope.spawn(|| hash(other));
            let mut set = hash(one);
            for row in rows {
                state.read(row).ok_or_else(unread)?;
            }
            set.join(&other.join().map_err(|_| unread())?);
            Ok(set)
        })?;
        Ok(Self { state, hash: StateHash { set, count: rows.len() as u64 } })
    }

    /// Takes up the record at `index`.
    ///
    /// # Errors
    /// See [`FoldReason`].
    pub fn take(&mut self, index: u64, record: &Record<'_>) -> Result<(), FoldReason> {
        match Effect::of(record) {
            Effect::Checkpoint { at, digest } => {
                self.checkpoint(at);
                if self.hash.digest() == digest { Ok(()) } else { Err(FoldReason::Digest(index)) }
            }
            effect => self.state.apply(index, &effect),
        }
    }

    /// Forgets what may be forgotten at `at`, and hashes what changed since the last checkpoint.
    pub fn checkpoint(&mut self, at: Time) -> Vec<StateChangeRow> {
        self.state.forget(at);
        let changes = self.state.take_changes();
        self.hash.take(&changes);
        changes
    }
}

/// The present state, read while a server may run.
///
/// # Errors
/// When a record cannot be read, or does not follow from those before it.
pub fn recorded_state(records: &dyn RecordReader) -> Result<RecordedState, StoreReason> {
    let StoredCheckpoint { index, rows } = records.checkpoint()?;
    let mut fold = Fold::of_rows(&rows)?;
    let mut next = index.map_or(0, |index| index + 1);
    loop {
        let page = records.records(Select::All, next, PAGE)?;
        if page.is_empty() {
            return Ok(fold.state);
        }
        for stored in page {
            let record = Record::parse(&stored.record).map_err(|_| StoreReason::Corrupt("a record"))?;
            fold.take(stored.index, &record).map_err(|reason| StoreReason::Diverged(reason.to_string()))?;
            next = stored.index + 1;
        }
    }
}

impl StateHash {
    /// Takes in what changed since the last checkpoint.
    pub fn take(&mut self, changes: &[StateChangeRow]) {
        for StateChangeRow { key, before, after } in changes {
            before.iter().for_each(|before| self.set.remove(&element(key, before)));
            after.iter().for_each(|after| self.set.add(&element(key, after)));
            self.count = (self.count + u64::from(after.is_some())).saturating_sub(u64::from(before.is_some()));
        }
    }

    /// The digest as of the last checkpoint.
    pub fn digest(&self) -> Digest {
        self.set.digest()
    }

    /// The record of the last checkpoint, which was at `at`.
    pub fn record(&self, at: Time, cause: StateCause) -> StateRecord {
        StateRecord::new(at, cause, self.digest(), self.count)
    }
}

fn hash(rows: &[StateRow]) -> SetHash {
    let mut hash = SetHash::default();
    rows.iter().for_each(|row| hash.add(&element(&row.key, &row.value)));
    hash
}

impl RecordedState {
    /// Takes up the effect of the record at `index`, unless it is a checkpoint.
    ///
    /// # Errors
    /// `Task`.
    pub fn apply(&mut self, index: u64, effect: &Effect) -> Result<(), FoldReason> {
        match effect {
            Effect::Nothing | Effect::Checkpoint { .. } => Ok(()),
            Effect::Charge(task) => self.charge(*task, 1).ok_or(FoldReason::Task(index)),
            Effect::Open(opening) => self.open(index, opening).ok_or(FoldReason::Task(index)),
            Effect::End { at, things, until } => {
                things.iter().for_each(|thing| self.end(thing, *at, *until));
                Ok(())
            }
            Effect::Status { at, transition, things, by } => {
                things.iter().for_each(|thing| self.change_status(thing, *transition, *at, by.as_ref()));
                Ok(())
            }
            Effect::Configure { added, removed } => {
                self.configure(added, removed);
                Ok(())
            }
        }
    }

    /// The present generation of a thing, without the time that a task has.
    pub fn generation(&self, key: &GenerationKey) -> GenerationState {
        self.generations.get(key).map_or_else(GenerationState::default, |known| known.state())
    }

    /// A task.
    pub fn task(&self, id: &TaskId) -> Option<&RecordedTask> {
        self.tasks.get(id)
    }

    /// Every task that is remembered.
    pub fn tasks(&self) -> impl Iterator<Item = (&TaskId, &RecordedTask)> {
        self.tasks.iter()
    }

    /// Every thing that is not simply in generation 0.
    pub fn generations(&self) -> impl ExactSizeIterator<Item = (&GenerationKey, &RecordedGeneration)> {
        self.generations.iter()
    }

    /// The principals that the configuration has in force; none before one was ever taken up.
    pub fn in_force(&self) -> Option<&BTreeSet<ConfiguredPrincipal>> {
        self.in_force.as_ref()
    }

    /// True where anything may be forgotten at `at`.
    pub fn has_forgettable(&self, at: Time) -> bool {
        self.dated.any(at)
    }

    /// The number of entries that changed since the last checkpoint.
    pub fn changes(&self) -> usize {
        self.changed.len()
    }

    fn charge(&mut self, id: TaskId, amount: u64) -> Option<()> {
        self.touch(&EntryKey::Task(id));
        let task = self.tasks.get_mut(&id)?;
        task.left = task.left.checked_sub(amount)?;
        Some(())
    }

    fn open(&mut self, index: u64, opening: &TaskOpening) -> Option<()> {
        let TaskOpening { id, txn, parent, budget, forget, terms, opener, holder } = opening;
        parent.map_or(Some(()), |parent| self.charge(parent, *budget))?;
        self.touch(&EntryKey::Task(*id));
        let task = RecordedTask {
            index,
            txn: *txn.as_bytes(),
            forget: forget.millis(),
            terms: terms.map(|terms| terms.0),
            left: *budget,
            suspended_by: None,
            opener: opener.to_string(),
            holder: holder.to_string(),
        };
        self.keep_task(*id, task);
        Some(())
    }

    fn keep_task(&mut self, id: TaskId, task: RecordedTask) {
        let (txn, forget) = (Txn::from_bytes(task.txn), Time::from_millis(task.forget));
        let last = self.tasks_of.entry(txn).or_insert(forget);
        *last = forget.max(*last);
        self.dated.add(EntryKey::Task(id), forget);
        self.tasks.insert(id, task);
    }

    fn end(&mut self, thing: &Thing, at: Time, until: Option<Time>) {
        let until = until.map(|until| self.presentable(thing, until));
        let key = EntryKey::Generation(thing.key);
        self.touch(&key);
        let before = self.generations.get(&thing.key).copied().unwrap_or_default();
        let joins = joins(thing.kind);
        let after = RecordedGeneration {
            number: thing.number,
            ended: Some(at),
            // Nothing ever joins a hop, a transaction or a task that ended, so nothing is left to be suspended.
            inactive: before.inactive.filter(|_| joins),
            until: if before.number == 0 { until } else { before.until.zip(until).map(|(one, other)| one.max(other)) },
        };
        self.put(thing.key, after);
    }

    /// From when on nothing could present what ended with `thing`: not before any task is over that was open then and could
    /// depend on it. Records of before say no transaction of a hop, so there every task counts.
    fn presentable(&self, thing: &Thing, until: Time) -> Time {
        let tasks = match thing.txn {
            Some(txn) => self.tasks_of.get(&txn).copied(),
            None => self.tasks_of.values().max().copied(),
        };
        tasks.map_or(until, |tasks| tasks.max(until))
    }

    fn change_status(&mut self, thing: &Thing, transition: Transition, at: Time, by: Option<&ClientId>) {
        self.touch(&EntryKey::Generation(thing.key));
        let before = self.generations.get(&thing.key).copied().unwrap_or_default();
        let over = before.number > 0 && !joins(thing.kind);
        let after = match transition {
            Transition::Suspend if over => before,
            Transition::Suspend => {
                RecordedGeneration { inactive: before.inactive.max(Some(InactiveStatus::Suspended)), ..before }
            }
            Transition::Resume => {
                let inactive = before.inactive.filter(|status| *status == InactiveStatus::Retired);
                RecordedGeneration { inactive, ..before }
            }
            Transition::Retire => {
                let inactive = Some(InactiveStatus::Retired);
                RecordedGeneration { number: thing.number, ended: Some(at), inactive, until: None }
            }
        };
        self.put(thing.key, after);
        thing.task.iter().for_each(|task| self.note_suspender(*task, transition, by));
    }

    /// Of several who suspend a task, the one with the highest rank is remembered.
    fn note_suspender(&mut self, id: TaskId, transition: Transition, by: Option<&ClientId>) {
        self.touch(&EntryKey::Task(id));
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let of = |who: &str| rank(who, &task.opener, &task.holder);
        task.suspended_by = match (transition, by) {
            (Transition::Suspend, Some(by)) => {
                let before = task.suspended_by.take().filter(|before| of(before) >= of(by.as_str()));
                before.or_else(|| Some(by.to_string()))
            }
            (Transition::Resume, _) => None,
            _ => task.suspended_by.take(),
        };
    }

    fn configure(&mut self, added: &[ConfiguredPrincipal], removed: &[ConfiguredPrincipal]) {
        self.touch(&EntryKey::Configured);
        added.iter().chain(removed).for_each(|principal| self.touch(&EntryKey::Principal(principal.clone())));
        let known = self.in_force.get_or_insert_default();
        known.retain(|principal| !removed.contains(principal));
        known.extend(added.iter().cloned());
    }

    /// Keeps what there is to remember of a thing.
    fn put(&mut self, key: GenerationKey, after: RecordedGeneration) {
        if after == RecordedGeneration::default() {
            self.generations.remove(&key);
            return;
        }
        if let Some(until) = after.until {
            self.dated.add(EntryKey::Generation(key), until);
        }
        self.generations.insert(key, after);
    }

    /// Forgets everything that may be forgotten at `at`.
    pub fn forget(&mut self, at: Time) -> Forgotten {
        let mut forgotten = Forgotten::default();
        for key in self.dated.due(at) {
            if self.is_forgettable(&key, at) {
                self.touch(&key);
                self.remove(&key, &mut forgotten);
            }
        }
        forgotten
    }

    /// The one predicate of what may be forgotten: a task that is over, and an end when nothing could present what it ended. What
    /// is suspended or retired has no date.
    fn is_forgettable(&self, key: &EntryKey, at: Time) -> bool {
        match key {
            EntryKey::Generation(key) => self
                .generations
                .get(key)
                .is_some_and(|known| known.inactive.is_none() && known.until.is_some_and(|until| until <= at)),
            EntryKey::Task(id) => self.tasks.get(id).is_some_and(|task| Time::from_millis(task.forget) <= at),
            EntryKey::Principal(_) | EntryKey::Configured => false,
        }
    }

    fn remove(&mut self, key: &EntryKey, forgotten: &mut Forgotten) {
        match key {
            EntryKey::Generation(key) => drop(self.generations.remove(key)),
            EntryKey::Task(id) => {
                if let Some(task) = self.tasks.remove(id) {
                    forgotten.tasks.push((*id, task.index));
                    let txn = Txn::from_bytes(task.txn);
                    if self.tasks_of.get(&txn).is_some_and(|last| last.millis() <= task.forget) {
                        self.tasks_of.remove(&txn);
                    }
                }
            }
            EntryKey::Principal(_) | EntryKey::Configured => {}
        }
    }

    /// Remembers the entry as it was at the last checkpoint.
    fn touch(&mut self, key: &EntryKey) {
        if !self.changed.contains_key(key) {
            let before = self.packed(key);
            self.changed.insert(key.clone(), before);
        }
    }

    /// The entries that changed since the last checkpoint, which is then this one.
    pub fn take_changes(&mut self) -> Vec<StateChangeRow> {
        let changed = std::mem::take(&mut self.changed);
        let change = |(key, before): (EntryKey, Option<Vec<u8>>)| {
            let after = self.packed(&key);
            (before != after).then(|| StateChangeRow { key: key.packed(), before, after })
        };
        changed.into_iter().filter_map(change).collect()
    }

    fn packed(&self, key: &EntryKey) -> Option<Vec<u8>> {
        match key {
            EntryKey::Generation(key) => self.generations.get(key).map(RecordedGeneration::packed),
            EntryKey::Task(id) => self.tasks.get(id).map(|task| postcard::to_allocvec(task).unwrap_or_default()),
            EntryKey::Principal(principal) => {
                self.in_force.as_ref().is_some_and(|known| known.contains(principal)).then(Vec::new)
            }
            EntryKey::Configured => self.in_force.is_some().then(Vec::new),
        }
    }

    /// Every entry, in no particular order.
    pub fn rows(&self) -> Vec<StateRow> {
        let generations = self.generations.keys().map(|key| EntryKey::Generation(*key));
        let tasks = self.tasks.keys().map(|id| EntryKey::Task(*id));
        let principals = self.in_force.iter().flatten().map(|principal| EntryKey::Principal(principal.clone()));
        let all = generations.chain(tasks).chain(principals).chain([EntryKey::Configured]);
        all.filter_map(|key| Some(StateRow { value: self.packed(&key)?, key: key.packed() })).collect()
    }

    /// Takes up one stored entry.
    fn read(&mut self, row: &StateRow) -> Option<()> {
        match EntryKey::read(&row.key)? {
            EntryKey::Generation(key) => self.put(key, RecordedGeneration::read(&row.value)?),
            EntryKey::Task(id) => self.keep_task(id, postcard::from_bytes(&row.value).ok()?),
            EntryKey::Principal(principal) => self.in_force.get_or_insert_default().extend([principal]),
            EntryKey::Configured => self.in_force.get_or_insert_default().extend([]),
        }
        Some(())
    }
}

impl RecordedGeneration {
    fn state(&self) -> GenerationState {
        GenerationState { number: self.number, ended: self.ended, inactive: self.inactive, until: None }
    }

    fn packed(&self) -> Vec<u8> {
        let inactive = self.inactive.map(|status| match status {
            InactiveStatus::Suspended => 1,
            InactiveStatus::Retired => 2,
        });
        let (ended, until) = (self.ended.map(Time::millis), self.until.map(Time::millis));
        postcard::to_allocvec(&PackedGeneration { number: self.number, ended, inactive, until }).unwrap_or_default()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let PackedGeneration { number, ended, inactive, until } = postcard::from_bytes(bytes).ok()?;
        let inactive = match inactive {
            None => None,
            Some(1) => Some(InactiveStatus::Suspended),
            Some(2) => Some(InactiveStatus::Retired),
            Some(_) => return None,
        };
        let (ended, until) = (ended.map(Time::from_millis), until.map(Time::from_millis));
        Some(Self { number, ended, inactive, until })
    }
}

impl RecordedTask {
    /// True where its record does not name another digest than that of the `sealed` terms.
    pub fn is_sealed_as(&self, sealed: &[u8]) -> bool {
        self.terms.is_none_or(|terms| Digest(terms).same_as(&Digest::of(sealed)))
    }

    /// The time from which it may be forgotten.
    pub fn forget(&self) -> Time {
        Time::from_millis(self.forget)
    }
}

impl EntryKey {
    fn packed(&self) -> Vec<u8> {
        let named = |tag: u8, name: &str| [&[tag], name.as_bytes()].concat();
        match self {
            Self::Generation(key) => [&[1], key.0.as_slice()].concat(),
            Self::Task(id) => [&[2], id.as_bytes().as_slice()].concat(),
            Self::Configured => vec![3],
            Self::Principal(ConfiguredPrincipal::Agent(id)) => named(4, id.as_str()),
            Self::Principal(ConfiguredPrincipal::Rule(name)) => named(5, name.as_str()),
            Self::Principal(ConfiguredPrincipal::Issuer(name, digest)) => named(6, &format!("{name} {digest}")),
            Self::Principal(ConfiguredPrincipal::Api(id)) => named(7, id.as_str()),
        }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let text = || std::str::from_utf8(rest).ok();
        let principal = match tag {
            1 => return Some(Self::Generation(GenerationKey(rest.try_into().ok()?))),
            2 => return Some(Self::Task(TaskId::from_bytes(rest.try_into().ok()?))),
            3 => return rest.is_empty().then_some(Self::Configured),
            4 => ConfiguredPrincipal::Agent(ClientId::parse(text()?).ok()?),
            5 => ConfiguredPrincipal::Rule(RuleName::parse(text()?).ok()?),
            6 => {
                let (name, digest) = text()?.split_once(' ')?;
                ConfiguredPrincipal::Issuer(RuleName::parse(name).ok()?, Digest::parse(digest)?)
            }
            7 => ConfiguredPrincipal::Api(Resource::parse(text()?).ok()?),
            _ => return None,
        };
        Some(Self::Principal(principal))
    }
}

/// What an entry is about, where nobody knows a name for it.
pub(super) fn name(key: &[u8]) -> String {
    match EntryKey::read(key) {
        Some(EntryKey::Generation(key)) => format!("the thing with the pseudonym {}", URL_SAFE_NO_PAD.encode(key.0)),
        Some(EntryKey::Task(id)) => format!("task {id}"),
        Some(EntryKey::Configured) => "the configuration".to_owned(),
        Some(EntryKey::Principal(ConfiguredPrincipal::Agent(id))) => format!("agent {id} in the configuration"),
        Some(EntryKey::Principal(ConfiguredPrincipal::Api(id))) => format!("API {} in the configuration", id.as_str()),
        Some(EntryKey::Principal(ConfiguredPrincipal::Rule(name))) => format!("trust rule {name} in the configuration"),
        Some(EntryKey::Principal(ConfiguredPrincipal::Issuer(name, _))) => format!("the issuer of trust rule {name}"),
        None => "an entry that this program does not write".to_owned(),
    }
}

/// What an entry says, in words.
pub(super) fn describe(key: &[u8], value: &[u8]) -> String {
    let generation = |known: RecordedGeneration| {
        let status = match known.inactive {
            None => "active",
            Some(InactiveStatus::Suspended) => "suspended",
            Some(InactiveStatus::Retired) => "retired",
        };
        let until = known.until.map_or_else(String::new, |until| format!(", to be forgotten from {} on", until.seconds()));
        format!("generation {}, {status}{until}", known.number)
    };
    let task = |task: RecordedTask| format!("{} exchanges left", task.left);
    let told = match EntryKey::read(key) {
        Some(EntryKey::Generation(_)) => RecordedGeneration::read(value).map(generation),
        Some(EntryKey::Task(_)) => postcard::from_bytes(value).ok().map(task),
        Some(EntryKey::Principal(_) | EntryKey::Configured) => Some("in force".to_owned()),
        None => None,
    };
    told.unwrap_or_else(|| "not readable".to_owned())
}

/// True for a thing that something may join again when it has ended.
fn joins(kind: GenerationKind) -> bool {
    !matches!(kind, GenerationKind::Task | GenerationKind::Transaction | GenerationKind::Hop)
}

/// An entry as it is hashed: the length of its key, its key, its value.
fn element(key: &[u8], value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), key, value].concat()
}

impl fmt::Display for FoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(index) => write!(f, "record {index} names another state than the records before it lead to"),
            Self::Task(index) => write!(f, "record {index} is in a task that no record opened, or that had no exchange left"),
        }
    }
}

impl std::error::Error for FoldReason {}
