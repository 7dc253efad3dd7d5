//! The state that follows from the records: generations, tasks with their budgets, what the configuration has in force, and
//! the keys of this server.

mod rows;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use super::contract::{ConfiguredPrincipal, KeyList, StateChangeRow, StoreReason};
use super::effect::{Effect, TaskOpening, Thing, joins};
use super::entry::{EntryKey, RecordedGeneration, RecordedKey, RecordedTask, opened_by};
use super::expiry::{ExpiryQueue, is_over};
use super::fold_reason::FoldReason;
use super::retained::{RetentionChange, RetentionState};
use super::shares::Shares;
use crate::ledger::record::{KeyCheck, KeyEvent, KeyRole};
use crate::lifecycle::{EVIDENCE_SKEW, GenerationState, InactiveStatus, Transition, rank};
use crate::oauth::{ClientId, GenerationKey, TaskId, Time, Txn};

/// Everything that decides and follows from the records alone.
#[derive(Clone, Debug, Default)]
pub struct RecordedState {
    generations: HashMap<GenerationKey, RecordedGeneration>,
    tasks: BTreeMap<TaskId, RecordedTask>,
    /// None before a configuration was ever taken up.
    in_force: Option<BTreeSet<ConfiguredPrincipal>>,
    keys: BTreeMap<KeyCheck, RecordedKey>,
    retention: RetentionState,
    /// The tasks of each transaction, by the time from which they may be forgotten if nobody ends them.
    tasks_of: HashMap<Txn, BTreeSet<(Time, TaskId)>>,
    /// The tasks whose budget came out of that of another.
    children: HashMap<TaskId, Vec<TaskId>>,
    /// The tasks that are not over, by whom they were opened.
    open: Shares,
    dated: ExpiryQueue<DatedKey>,
    /// The things of earlier epochs that had a date when the present one began.
    bygone: Vec<DatedKey>,
    /// The entries that changed since the last checkpoint, as they were then.
    changed: HashMap<EntryKey, Option<Vec<u8>>>,
}

/// What a checkpoint forgot.
#[derive(Debug, Default)]
pub struct Forgotten {
    /// Tasks, each with the index of the record that opened it.
    pub tasks: Vec<(TaskId, u64)>,
    /// Things that had ended.
    pub generations: Vec<GenerationKey>,
}

/// The key of an entry that has a date.
#[derive(Clone, Copy, Debug)]
enum DatedKey {
    Generation(GenerationKey),
    Task(TaskId),
}

impl DatedKey {
    fn entry(self) -> EntryKey {
        match self {
            Self::Generation(key) => EntryKey::Generation(key),
            Self::Task(id) => EntryKey::Task(id),
        }
    }
}

impl RecordedState {
    /// Takes up the effect of the record at `index`, unless it is a checkpoint.
    ///
    /// # Errors
    /// `Task`, `Epoch`, `Retention`.
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
            Effect::Configure { added, removed, accepted } => {
                self.configure(added, removed);
                if *accepted && self.epoch().inactive.is_some() {
                    self.touch(&EntryKey::Generation(GenerationKey::EPOCH));
                    self.generations.entry(GenerationKey::EPOCH).or_default().inactive = None;
                }
                Ok(())
            }
            Effect::Key { at, check, event } => {
                self.note_key(check, RecordedKey { event: *event, at: *at });
                Ok(())
            }
            Effect::Retain(change) => self.retain(change).ok_or(FoldReason::Retention(index)),
            Effect::Epoch { at, number, held } => self.begin_epoch(*number, *at, *held).ok_or(FoldReason::Epoch(index)),
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

    /// The tasks that are not over, by whom they were opened.
    pub(super) fn open_tasks(&self) -> &Shares {
        &self.open
    }

    /// Every task that is remembered.
    pub fn tasks(&self) -> impl Iterator<Item = (&TaskId, &RecordedTask)> {
        self.tasks.iter()
    }

    /// The ids of tasks below `after`, or of all, the highest first: that of the task that was opened last.
    pub(super) fn tasks_before(&self, after: Option<TaskId>) -> impl Iterator<Item = &TaskId> {
        let end = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.tasks.range((Bound::Unbounded, end)).rev().map(|(id, _)| id)
    }

    /// Every thing that is not simply in generation 0.
    pub fn generations(&self) -> impl ExactSizeIterator<Item = (&GenerationKey, &RecordedGeneration)> {
        self.generations.iter()
    }

    /// The present epoch, and the time at which it began; none before a record began one.
    pub fn epoch(&self) -> GenerationState {
        self.generation(&GenerationKey::EPOCH)
    }

    /// The time up to which single-use values may have been spent and are not remembered, because an epoch has begun since.
    pub fn fence(&self) -> Option<Time> {
        self.epoch().ended.map(|began| began.plus(EVIDENCE_SKEW))
    }

    /// The principals that the configuration has in force; none before one was ever taken up.
    pub fn in_force(&self) -> Option<&BTreeSet<ConfiguredPrincipal>> {
        self.in_force.as_ref()
    }

    /// The keys of this server that records name.
    pub fn keys(&self) -> &BTreeMap<KeyCheck, RecordedKey> {
        &self.keys
    }

    /// The events of the `listed` keys that are not recorded yet.
    pub fn unrecorded_keys(&self, listed: &KeyList) -> Vec<(KeyCheck, KeyEvent)> {
        let newer = |(check, event): &(&KeyCheck, &KeyEvent)| self.keys.get(*check).is_none_or(|known| known.event < **event);
        listed.iter().filter(newer).map(|(check, event)| (check.clone(), *event)).collect()
    }

    /// Those of the `listed` keys that were revoked, and are not so in the list.
    pub fn revived_keys(&self, listed: &KeyList) -> Vec<KeyCheck> {
        let revoked = |check: &KeyCheck| self.keys.get(check).is_some_and(|known| known.event == KeyEvent::Revoke);
        let revived = listed.iter().filter(|(check, event)| **event != KeyEvent::Revoke && revoked(check));
        revived.map(|(check, _)| check.clone()).collect()
    }

    /// Passes where every key that records name is among the `listed` ones, if a key folder lists such keys: the newest only of
    /// secrets and signing keys that are no more.
    ///
    /// # Errors
    /// `Keys`.
    pub fn require_keys(&self, listed: &KeyList) -> Result<(), StoreReason> {
        let stays = |check: &KeyCheck, known: &RecordedKey| check.of == KeyRole::Ledger || known.event == KeyEvent::Begin;
        let missing = self.keys.iter().filter(|(check, known)| stays(check, known) && !listed.contains_key(*check));
        let missing: Vec<KeyCheck> = missing.map(|(check, _)| check.clone()).collect();
        if missing.is_empty() { Ok(()) } else { Err(StoreReason::Keys(missing)) }
    }

    /// How long records are kept.
    pub fn retention(&self) -> &RetentionState {
        &self.retention
    }

    /// True where anything may be forgotten at `at`.
    pub fn has_forgettable(&self, at: Time) -> bool {
        !self.bygone.is_empty() || self.dated.any(at)
    }

    /// The time in seconds after `at` at which the next thing may be forgotten; an hour where that is never.
    pub(super) fn next_over(&self, at: Time) -> u32 {
        self.dated.first().map_or(3600, |next| next.seconds_after(at).max(1))
    }

    /// The number of entries that changed since the last checkpoint.
    pub fn changes(&self) -> usize {
        self.changed.len()
    }

    fn retain(&mut self, change: &RetentionChange) -> Option<()> {
        self.retention.allows(change).then_some(())?;
        self.touch(&EntryKey::of_retention(change));
        self.retention.take(change);
        Some(())
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
            parent: parent.map(|parent| *parent.as_bytes()),
            over: None,
        };
        self.keep_task(*id, task);
        Some(())
    }

    fn keep_task(&mut self, id: TaskId, task: RecordedTask) {
        self.tasks_of.entry(Txn::from_bytes(task.txn)).or_default().insert((Time::from_millis(task.forget), id));
        if let Some(parent) = task.parent {
            self.children.entry(TaskId::from_bytes(parent)).or_default().push(id);
        }
        if task.over.is_none() {
            self.open.take(opened_by(&task), 1);
        }
        self.dated.add(DatedKey::Task(id), task.forget());
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
        self.close(thing, at);
    }

    /// The tasks that end with `thing` are over: a task, those that an agent opened or works on, and every task below one of
    /// them. What could be presented of them is dead by this end, which is remembered as long as any of it could be. One that is
    /// suspended, and did not end itself, stays until time ends it, and its suspension with it.
    fn close(&mut self, thing: &Thing, at: Time) {
        let mut over: Vec<TaskId> = thing.task.into_iter().collect();
        if let Some(agent) = &thing.agent {
            let of_agent = |task: &RecordedTask| [&*task.opener, &*task.holder].contains(&agent.as_str());
            over.extend(self.tasks.iter().filter(|(_, task)| of_agent(task)).map(|(id, _)| *id));
        }
        while let Some(next) = over.pop() {
            over.extend(self.children.get(&next).into_iter().flatten());
            self.touch(&EntryKey::Task(next));
            let task = self.tasks.get_mut(&next).filter(|task| task.over.is_none());
            let Some(task) = task.filter(|task| thing.task == Some(next) || task.suspended_by.is_none()) else { continue };
            task.over = Some(at.millis());
            let (forget, opener) = (task.forget(), opened_by(task));
            self.dated.add(DatedKey::Task(next), forget);
            self.open.give_back(opener, 1);
        }
    }

    /// From when on nothing could present what ended with `thing`: not before any task is over that was open then and could
    /// depend on it. Records of before say no transaction of a hop, so there every task counts.
    fn presentable(&self, thing: &Thing, until: Time) -> Time {
        let tasks = match thing.txn {
            Some(txn) => self.tasks_of.get(&txn).and_then(BTreeSet::last),
            None => self.tasks_of.values().filter_map(BTreeSet::last).max(),
        };
        tasks.map_or(until, |(tasks, _)| until.max(*tasks))
    }

    /// Everything of the epochs before has ended. What of it has a date may be forgotten with the next checkpoint, except tasks
    /// that are suspended then: when time ends them their suspension is forgotten with them. An end of before that was recorded
    /// by a later time than `at` counts as one of now, for no evidence of before counts any more and that of now must.
    fn begin_epoch(&mut self, number: u64, at: Time, held: bool) -> Option<()> {
        (self.epoch().number < number).then_some(())?;
        let dated = |known: &RecordedGeneration| known.until.is_some() && known.inactive.is_none();
        let generations = self.generations.iter().filter(|(_, known)| dated(known)).map(|(key, _)| DatedKey::Generation(*key));
        let tasks = self.tasks.keys().map(|id| DatedKey::Task(*id));
        self.bygone = generations.chain(tasks).collect();
        let is_later = |known: &RecordedGeneration| known.ended.is_some_and(|ended| ended > at);
        let later: Vec<GenerationKey> =
            self.generations.iter().filter(|(_, known)| is_later(known)).map(|(key, _)| *key).collect();
        for key in later.into_iter().chain([GenerationKey::EPOCH]) {
            self.touch(&EntryKey::Generation(key));
            self.generations.entry(key).or_default().ended = Some(at);
        }
        let epoch = self.generations.entry(GenerationKey::EPOCH).or_default();
        (epoch.number, epoch.inactive) = (number, held.then_some(InactiveStatus::Suspended));
        Some(())
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
        if transition == Transition::Retire {
            self.close(thing, at);
        }
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

    /// A key that was revoked stays so.
    fn note_key(&mut self, check: &KeyCheck, after: RecordedKey) {
        if self.keys.get(check).is_none_or(|before| before.event < after.event) {
            self.touch(&EntryKey::Key(check.clone()));
            self.keys.insert(check.clone(), after);
        }
    }

    /// Keeps what there is to remember of a thing.
    fn put(&mut self, key: GenerationKey, after: RecordedGeneration) {
        if after == RecordedGeneration::default() {
            self.generations.remove(&key);
            return;
        }
        if let Some(until) = after.until {
            self.dated.add(DatedKey::Generation(key), until);
        }
        self.generations.insert(key, after);
    }

    /// Forgets everything that may be forgotten at `at`, and what is of earlier epochs.
    pub fn forget(&mut self, at: Time) -> Forgotten {
        let mut forgotten = Forgotten::default();
        let mut bygone = std::mem::take(&mut self.bygone);
        bygone.retain(|dated| !self.is_suspended_task(*dated));
        let bygone = bygone.into_iter().map(|dated| (dated, Time::from_millis(i64::MAX)));
        let due = self.dated.due(at).into_iter().map(|dated| (dated, at));
        for (dated, by) in bygone.chain(due) {
            if self.is_forgettable(dated, by) {
                let key = dated.entry();
                self.touch(&key);
                self.remove(&key, &mut forgotten);
            }
        }
        forgotten
    }

    fn is_suspended_task(&self, key: DatedKey) -> bool {
        matches!(key, DatedKey::Task(id) if self.tasks.get(&id).is_some_and(|task| task.suspended_by.is_some()))
    }

    /// The one predicate of what may be forgotten: a task that is over, and an end when nothing could present what it ended. What
    /// is suspended or retired has no date.
    fn is_forgettable(&self, key: DatedKey, at: Time) -> bool {
        match key {
            DatedKey::Generation(key) => self
                .generations
                .get(&key)
                .is_some_and(|known| known.inactive.is_none() && known.until.is_some_and(|until| is_over(until, at))),
            DatedKey::Task(id) => self.tasks.get(&id).is_some_and(|task| is_over(task.forget(), at)),
        }
    }

    fn remove(&mut self, key: &EntryKey, forgotten: &mut Forgotten) {
        match key {
            EntryKey::Generation(key) => {
                self.generations.remove(key);
                forgotten.generations.push(*key);
            }
            EntryKey::Task(id) => {
                if let Some(task) = self.tasks.remove(id) {
                    forgotten.tasks.push((*id, task.index));
                    self.unlink(*id, &task);
                }
            }
            EntryKey::Principal(_) | EntryKey::Configured | EntryKey::Key(_) => {}
            EntryKey::Hold(_) | EntryKey::Archive | EntryKey::First => {}
        }
    }

    /// A task is gone from everything that it stood in.
    fn unlink(&mut self, id: TaskId, task: &RecordedTask) {
        if task.over.is_none() {
            self.open.give_back(opened_by(task), 1);
        }
        self.children.remove(&id);
        if let Some(below) = task.parent.and_then(|parent| self.children.get_mut(&TaskId::from_bytes(parent))) {
            below.retain(|child| *child != id);
        }
        let txn = Txn::from_bytes(task.txn);
        if let Some(tasks) = self.tasks_of.get_mut(&txn) {
            tasks.remove(&(Time::from_millis(task.forget), id));
            if tasks.is_empty() {
                self.tasks_of.remove(&txn);
            }
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
}
