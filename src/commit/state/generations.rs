//! The lives themselves, behind the mirror's one lock.

use std::collections::HashMap;
use std::sync::Arc;

use crate::commit::change::Change;
use crate::commit::contract::StoredGeneration;
use crate::commit::expiry::Expiry;
use crate::lifecycle::{GenerationState, InactiveStatus, Task, TaskTerms};
use crate::oauth::{GenerationKey, Time};

#[derive(Debug, Default)]
pub(super) struct GenerationTable {
    pub(super) of: HashMap<GenerationKey, (GenerationState, Option<Time>)>,
    pub(super) tasks: HashMap<GenerationKey, Task>,
    pub(super) forgettable: Expiry<GenerationKey>,
    /// Tasks by the moment at which time ends them, unless it was moved meanwhile.
    pub(super) timed: Expiry<GenerationKey>,
}

impl GenerationTable {
    pub(super) fn change(&mut self, change: &Change, at: Time) -> Vec<StoredGeneration> {
        let one = |key| {
            let life = self.changed(key, change, at);
            self.put(life);
            life
        };
        let lives = change.things().iter().map(|thing| thing.key).map(one).collect();
        self.note_holder(change);
        lives
    }

    pub(super) fn changed(&self, key: GenerationKey, change: &Change, at: Time) -> StoredGeneration {
        let before = self.of.get(&key);
        // What may never be forgotten stays so; else the later of the two counts.
        let forget = match (before, change) {
            (Some((_, earlier)), Change::Holding(_)) => *earlier,
            (Some((_, earlier)), Change::Death(_)) => earlier.zip(change.forget()).map(|(one, other)| one.max(other)),
            (None, _) => change.forget(),
        };
        let before = before.map(|(life, _)| *life).unwrap_or_default();
        let life = self.retimed(key, before, change.applied(before, at), at);
        StoredGeneration { key, life, forget: forget.filter(|_| life.hold != Some(InactiveStatus::Retired)) }
    }

    /// From its suspension on nobody waits for a task's heartbeat, and from its resumption on anew. What time has ended by `at`
    /// stays over.
    fn retimed(&self, key: GenerationKey, before: GenerationState, after: GenerationState, at: Time) -> GenerationState {
        match self.tasks.get(&key) {
            Some(task) if before.hold != after.hold && after.until.is_some_and(|until| until > at) => {
                GenerationState { until: Some(task.fixed.due(after.hold, at)), ..after }
            }
            _ => after,
        }
    }

    /// Remembers with the tasks among the things of `change` who suspended them.
    pub(super) fn note_holder(&mut self, change: &Change) {
        for thing in change.things() {
            if let Some(task) = self.tasks.get_mut(&thing.key)
                && let Some(suspended_by) = change.suspended_by(task)
            {
                task.suspended_by = suspended_by;
            }
        }
    }

    pub(super) fn put(&mut self, StoredGeneration { key, life, forget }: StoredGeneration) {
        let (until_before, forget_before) =
            self.of.insert(key, (life, forget)).map_or((None, None), |(life, forget)| (life.until, forget));
        if let Some(until) = life.until.filter(|until| until_before != Some(*until)) {
            self.timed.add(key, until);
        }
        if let Some(forget) = forget.filter(|forget| forget_before != Some(*forget)) {
            self.forgettable.add(key, forget);
        }
    }

    /// Whatever the task depends on must be remembered as long as the task, should it end: else the task would outlive it.
    pub(super) fn open(&mut self, key: GenerationKey, task: Task, at: Time) -> Vec<StoredGeneration> {
        // Nothing is known of a new task; but if anything were, it would not be undone.
        let before = self.of.get(&key).map(|(life, _)| *life).unwrap_or_default();
        let (forget, until) = (task.fixed.forget(), task.fixed.due(before.hold, at));
        let own = StoredGeneration { key, life: GenerationState { until: Some(until), ..before }, forget: Some(forget) };
        let mut lives: Vec<StoredGeneration> = task.fixed.generations.iter().filter_map(|on| self.kept(on.key, forget)).collect();
        lives.retain(|life| life.key != key);
        lives.push(own);
        lives.iter().for_each(|life| self.put(*life));
        self.tasks.insert(key, task);
        lives
    }

    /// The life of `key`, to be remembered until `forget` at least; none where it is so already.
    fn kept(&self, key: GenerationKey, forget: Time) -> Option<StoredGeneration> {
        match self.of.get(&key) {
            Some((_, known)) if known.is_none_or(|known| known >= forget) => None,
            known => {
                let life = known.map(|(life, _)| *life).unwrap_or_default();
                Some(StoredGeneration { key, life, forget: Some(forget) })
            }
        }
    }

    pub(super) fn beat(&mut self, key: GenerationKey, at: Time) -> Option<StoredGeneration> {
        let fixed = &self.tasks.get(&key)?.fixed;
        let (life, forget) = self.of.get(&key).filter(|(life, _)| life.number == 0)?;
        let stored =
            StoredGeneration { key, life: GenerationState { until: Some(fixed.due(life.hold, at)), ..*life }, forget: *forget };
        self.put(stored);
        Some(stored)
    }

    /// Takes out what time has ended. What is due later, or too much for now, stays.
    pub(super) fn overdue(&mut self, at: Time, max: usize) -> Vec<(GenerationKey, Arc<TaskTerms>)> {
        let mut over = Vec::new();
        for key in self.timed.due(at) {
            let due = self.of.get(&key).and_then(|(life, _)| life.until.filter(|until| life.number == 0 && *until <= at));
            match (due, self.tasks.get(&key)) {
                (Some(_), Some(task)) if over.len() < max => over.push((key, Arc::clone(&task.fixed))),
                (Some(due), Some(_)) => self.timed.add(key, due),
                _ => {}
            }
        }
        over
    }

    pub(super) fn forget(&mut self, now: Time) {
        for key in self.forgettable.due(now) {
            // Otherwise it was ended again meanwhile, for longer.
            if self.of.get(&key).is_some_and(|(_, forget)| forget.is_some_and(|forget| forget <= now)) {
                self.of.remove(&key);
                self.tasks.remove(&key);
            }
        }
    }

    pub(super) fn take_tasks(&mut self, tasks: Vec<(GenerationKey, Task)>) {
        self.tasks.extend(tasks);
    }
}
