//! The generations themselves, behind the one lock of the state.

use std::collections::HashMap;
use std::sync::Arc;

use crate::commit::change::StateChange;
use crate::commit::contract::StoredGeneration;
use crate::commit::expiry::ExpiryQueue;
use crate::lifecycle::{GenerationState, InactiveStatus, Task, TaskTerms};
use crate::oauth::{GenerationKey, Time};

#[derive(Debug, Default)]
pub(super) struct GenerationTable {
    pub(super) of: HashMap<GenerationKey, (GenerationState, Option<Time>)>,
    pub(super) tasks: HashMap<GenerationKey, Task>,
    pub(super) forgettable: ExpiryQueue<GenerationKey>,
    /// Tasks by the moment at which time ends them, unless it was moved meanwhile.
    pub(super) timed: ExpiryQueue<GenerationKey>,
}

impl GenerationTable {
    pub(super) fn change(&mut self, change: &StateChange, at: Time) -> Vec<StoredGeneration> {
        let one = |key| {
            let generation = self.changed(key, change, at);
            self.put(generation);
            generation
        };
        let changed = change.things().iter().map(|thing| thing.key).map(one).collect();
        self.note_suspender(change);
        changed
    }

    pub(super) fn changed(&self, key: GenerationKey, change: &StateChange, at: Time) -> StoredGeneration {
        let known = self.of.get(&key);
        let forget = change.forget(known.map(|(_, forget)| *forget));
        let before = known.map(|(state, _)| *state).unwrap_or_default();
        let state = self.retimed(key, before, change.applied(before, at), at);
        StoredGeneration { key, state, forget: forget.filter(|_| state.inactive != Some(InactiveStatus::Retired)) }
    }

    /// From its suspension on nobody waits for a task's heartbeat, and from its resumption on anew. What time has ended by `at`
    /// stays over.
    fn retimed(&self, key: GenerationKey, before: GenerationState, after: GenerationState, at: Time) -> GenerationState {
        match self.tasks.get(&key) {
            Some(task) if before.inactive != after.inactive && after.until.is_some_and(|until| until > at) => {
                GenerationState { until: Some(task.terms.due(after.inactive, at)), ..after }
            }
            _ => after,
        }
    }

    /// Remembers with each task among the things of `change` the client that suspended it.
    pub(super) fn note_suspender(&mut self, change: &StateChange) {
        for thing in change.things() {
            if let Some(task) = self.tasks.get_mut(&thing.key)
                && let Some(suspended_by) = change.suspended_by(task)
            {
                task.suspended_by = suspended_by;
            }
        }
    }

    pub(super) fn put(&mut self, StoredGeneration { key, state, forget }: StoredGeneration) {
        let before = self.of.insert(key, (state, forget));
        let (until_before, forget_before) = before.map_or((None, None), |(state, forget)| (state.until, forget));
        if let Some(until) = state.until.filter(|until| until_before != Some(*until)) {
            self.timed.add(key, until);
        }
        if let Some(forget) = forget.filter(|forget| forget_before != Some(*forget)) {
            self.forgettable.add(key, forget);
        }
    }

    /// Whatever the task depends on must be remembered as long as the task, should it end: else the task would outlive it.
    pub(super) fn open(&mut self, key: GenerationKey, task: Task, at: Time) -> Vec<StoredGeneration> {
        // Nothing is known of a new task; but if anything were, it would not be undone.
        let before = self.of.get(&key).map(|(state, _)| *state).unwrap_or_default();
        let (forget, until) = (task.terms.forget(), task.terms.due(before.inactive, at));
        let own = StoredGeneration { key, state: GenerationState { until: Some(until), ..before }, forget: Some(forget) };
        let mut changed: Vec<StoredGeneration> =
            task.terms.generations.iter().filter_map(|on| self.kept(on.key, forget)).collect();
        changed.retain(|generation| generation.key != key);
        changed.push(own);
        changed.iter().for_each(|generation| self.put(*generation));
        self.tasks.insert(key, task);
        changed
    }

    /// The generation of `key`, to be remembered until `forget` at least; none where it is so already.
    fn kept(&self, key: GenerationKey, forget: Time) -> Option<StoredGeneration> {
        match self.of.get(&key) {
            Some((_, known)) if known.is_none_or(|known| known >= forget) => None,
            known => {
                let state = known.map(|(state, _)| *state).unwrap_or_default();
                Some(StoredGeneration { key, state, forget: Some(forget) })
            }
        }
    }

    pub(super) fn beat(&mut self, key: GenerationKey, at: Time) -> Option<StoredGeneration> {
        let terms = &self.tasks.get(&key)?.terms;
        let (state, forget) = self.of.get(&key).filter(|(state, _)| state.number == 0)?;
        let stored = StoredGeneration {
            key,
            state: GenerationState { until: Some(terms.due(state.inactive, at)), ..*state },
            forget: *forget,
        };
        self.put(stored);
        Some(stored)
    }

    /// Takes out the tasks that time has ended. Those that are due later, or too many for now, stay.
    pub(super) fn overdue(&mut self, at: Time, max: usize) -> Vec<(GenerationKey, Arc<TaskTerms>)> {
        let mut over = Vec::new();
        for key in self.timed.due(at) {
            let due = self.of.get(&key).and_then(|(state, _)| state.until.filter(|until| state.number == 0 && *until <= at));
            match (due, self.tasks.get(&key)) {
                (Some(_), Some(task)) if over.len() < max => over.push((key, Arc::clone(&task.terms))),
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
}
