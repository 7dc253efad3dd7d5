//! The times of tasks: when each is over, unless a heartbeat comes.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::commit::contract::Heartbeat;
use crate::lifecycle::TaskTerms;
use crate::oauth::{GenerationKey, TaskId, Time};

/// The terms of every task that is remembered, and the time of each.
#[derive(Debug, Default)]
pub(super) struct TaskTable {
    of: HashMap<TaskId, TimedTask>,
    ids: HashMap<GenerationKey, TaskId>,
    /// The moment at which time ends each task, to the millisecond, unless its end is staged already.
    timed: BTreeSet<(Time, TaskId)>,
}

#[derive(Debug)]
struct TimedTask {
    terms: Arc<TaskTerms>,
    /// The moment at which time ends it.
    due: Time,
}

impl TaskTable {
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    pub(super) fn terms(&self, id: &TaskId) -> Option<&Arc<TaskTerms>> {
        self.of.get(id).map(|task| &task.terms)
    }

    /// The task with the pseudonym `key`.
    pub(super) fn id_of(&self, key: &GenerationKey) -> Option<TaskId> {
        self.ids.get(key).copied()
    }

    /// When time ends the task with the pseudonym `key`.
    pub(super) fn due(&self, key: &GenerationKey) -> Option<Time> {
        if self.ids.is_empty() {
            return None;
        }
        self.ids.get(key).and_then(|id| self.of.get(id)).map(|task| task.due)
    }

    /// The tasks that depend on any of `keys`.
    pub(super) fn under(&self, keys: &[GenerationKey]) -> impl Iterator<Item = &Arc<TaskTerms>> {
        let depends = |terms: &TaskTerms| terms.generations.iter().any(|generation| keys.contains(&generation.key));
        self.of.values().map(|task| &task.terms).filter(move |terms| depends(terms))
    }

    /// Adds a task whose last heartbeat, or opening, was at `beat`.
    pub(super) fn add(&mut self, terms: TaskTerms, beat: Time) {
        let (id, due) = (terms.id, terms.due(beat));
        self.ids.insert(terms.key, id);
        self.timed.insert((due, id));
        self.of.insert(id, TimedTask { terms: Arc::new(terms), due });
    }

    /// Takes a heartbeat at `at`; nobody waits for one while the task is paused.
    pub(super) fn beat(&mut self, id: &TaskId, paused: bool, at: Time) -> Option<Heartbeat> {
        let terms = Arc::clone(self.terms(id)?);
        self.set_due(id, if paused { terms.deadline } else { terms.due(at) });
        Some(Heartbeat { task: *id, at })
    }

    /// From `at` on the task is paused or not. Returns the heartbeat that going on stands for.
    pub(super) fn pause(&mut self, id: &TaskId, paused: bool, at: Time) -> Option<Heartbeat> {
        let task = self.of.get(id)?;
        task.terms.heartbeat?;
        let (due, deadline) = (task.due, task.terms.deadline);
        if due <= at {
            return None;
        }
        if paused {
            self.set_due(id, deadline);
            return None;
        }
        // One that was not paused goes on as it was.
        (due == deadline).then(|| self.beat(id, false, at)).flatten()
    }

    /// Nobody waits for its heartbeat.
    pub(super) fn stop(&mut self, id: &TaskId) {
        if let Some(deadline) = self.terms(id).map(|terms| terms.deadline) {
            self.set_due(id, deadline);
        }
    }

    fn set_due(&mut self, id: &TaskId, due: Time) {
        if let Some(task) = self.of.get_mut(id).filter(|task| task.due != due) {
            self.timed.remove(&(task.due, *id));
            self.timed.insert((due, *id));
            task.due = due;
        }
    }

    /// True where time has ended a task at `at`.
    pub(super) fn any_due(&self, at: Time) -> bool {
        self.timed.first().is_some_and(|(due, _)| *due <= at)
    }

    /// The tasks that time has ended at `until` and had not yet at `after`, unless their end is staged already.
    pub(super) fn over_between(&self, after: Time, until: Time) -> Vec<GenerationKey> {
        let of = |end: Time| (end.max(after), TaskId::from_bytes([u8::MAX; 16]));
        let over = self.timed.range((Bound::Excluded(of(after)), Bound::Included(of(until))));
        over.filter_map(|(_, id)| self.terms(id).map(|terms| terms.key)).collect()
    }

    /// Takes out every task that time has ended at `at` and that `lives` says nobody else did.
    pub(super) fn overdue(&mut self, at: Time, lives: impl Fn(&GenerationKey) -> bool) -> Vec<Arc<TaskTerms>> {
        let mut over = Vec::new();
        while self.any_due(at) {
            let id = self.timed.pop_first().map(|(_, id)| id);
            let terms = id.and_then(|id| self.terms(&id));
            over.extend(terms.filter(|terms| lives(&terms.key)).cloned());
        }
        over
    }

    pub(super) fn forget(&mut self, id: &TaskId) {
        if let Some(task) = self.of.remove(id) {
            self.ids.remove(&task.terms.key);
            self.timed.remove(&(task.due, *id));
        }
    }
}
