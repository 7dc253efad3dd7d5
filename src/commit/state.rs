//! What liveness needs, in memory. The store is the truth; this is loaded from it, and written by the one writer only.

mod lives;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::change::Change;
use super::changes::{Changed, Changes};
use super::command::{NewTask, RecordHop};
use super::contract::{StoredGeneration, StoredTask};
use super::receipt::CommitReason;
use super::tasks;
use super::writer::Unrecorded;
use crate::lifecycle::{GenerationState, InactiveStatus, StateView, Task, TaskTerms};
use crate::oauth::{GenerationKey, Time};
use lives::GenerationTable;

/// Which life everything is in that ever ended, is held or lives for a time only. A reading takes one lock, for all its keys.
#[derive(Debug, Default)]
pub struct State {
    lives: RwLock<GenerationTable>,
    stuck: AtomicBool,
    floor: AtomicI64,
    changes: Changes,
}

impl StateView for State {
    fn lives(&self, keys: &[GenerationKey]) -> Vec<GenerationState> {
        let lives = self.read();
        keys.iter().map(|key| lives.of.get(key).map(|(life, _)| *life).unwrap_or_default()).collect()
    }

    fn task(&self, key: &GenerationKey) -> Option<Task> {
        self.read().tasks.get(key).cloned()
    }

    fn floor(&self) -> Time {
        Self::floor(self)
    }
}

impl State {
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

    /// By what a token may have died or come back since there were `seen` changes, and how many there are by now.
    pub(super) fn changed_since(&self, seen: u64) -> (u64, Changed) {
        self.changes.since(seen)
    }

    /// Whether nothing can be recorded now, so that nothing is issued.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    pub(super) fn set_stuck(&self, stuck: bool) {
        self.stuck.store(stuck, Ordering::Relaxed);
    }

    /// Every task that is remembered, in no particular order.
    pub fn tasks(&self) -> Vec<Task> {
        self.read().tasks.values().cloned().collect()
    }

    /// Whether there is any task that time could end.
    pub(super) fn has_tasks(&self) -> bool {
        !self.read().tasks.is_empty()
    }

    /// Does to its things what `change` says, at `at`. Returns the lives they are in then, in the order of the things.
    pub(super) fn change(&self, change: &Change, at: Time) -> Vec<StoredGeneration> {
        let lives = self.write().change(change, at);
        self.changes.note(change.things().iter().map(|thing| thing.key));
        lives
    }

    /// What [`change`](Self::change) would return, without doing it.
    pub(super) fn foresee(&self, change: &Change, at: Time) -> Vec<StoredGeneration> {
        let lives = self.read();
        change.things().iter().map(|thing| lives.changed(thing.key, change, at)).collect()
    }

    /// The tasks among the things of `change`, as they are to be stored with it.
    pub(super) fn tasks_changed(&self, change: &Change) -> Vec<StoredTask> {
        let lives = self.read();
        let changed = |key| {
            let task = lives.tasks.get(&key)?;
            tasks::stored(key, &Task { suspended_by: change.suspended_by(task)?, ..task.clone() })
        };
        change.things().iter().filter_map(|thing| changed(thing.key)).collect()
    }

    /// Whether nothing stands in the way of resuming.
    pub(super) fn resumable(&self, change: &Change) -> Result<(), CommitReason> {
        let lives = self.read();
        for thing in change.things() {
            if lives.of.get(&thing.key).is_some_and(|(life, _)| life.hold == Some(InactiveStatus::Retired)) {
                return Err(CommitReason::Retired);
            }
            if lives.tasks.get(&thing.key).is_some_and(|task| change.is_outranked(task)) {
                return Err(CommitReason::Outranked);
            }
        }
        Ok(())
    }

    /// Puts in force what `change`, which is durable by now, leads to.
    pub(super) fn put(&self, change: &Change, stored: &[StoredGeneration]) {
        let mut lives = self.write();
        stored.iter().for_each(|life| lives.put(*life));
        lives.note_holder(change);
        drop(lives);
        self.changes.note(stored.iter().map(|life| life.key));
    }

    /// Whether the budgets that `issue` draws on suffice, and there is room for the task that it opens.
    pub(super) fn affordable(&self, issue: &RecordHop, tasks_max: usize) -> Result<(), CommitReason> {
        let lives = self.read();
        let draws = issue.charge.map(|key| (key, 1));
        let parent = issue.opens.as_ref().and_then(|opens| Some((opens.out_of?, opens.task.budget)));
        for (key, amount) in draws.into_iter().chain(parent) {
            match lives.tasks.get(&key) {
                None => return Err(CommitReason::Died),
                Some(task) if task.left < amount => return Err(CommitReason::Budget),
                Some(_) => {}
            }
        }
        if issue.opens.is_some() && lives.tasks.len() >= tasks_max { Err(CommitReason::Busy) } else { Ok(()) }
    }

    /// Takes `amount` out of the budget of a task. Returns what is left.
    pub(super) fn charge(&self, key: GenerationKey, amount: u64) -> Option<(GenerationKey, u64)> {
        let mut lives = self.write();
        let task = lives.tasks.get_mut(&key)?;
        task.left = task.left.saturating_sub(amount);
        Some((key, task.left))
    }

    /// Begins a task at `at`. Returns it as it is to be stored, with the lives that have to be remembered as long as it.
    pub(super) fn open(&self, opens: &NewTask, at: Time) -> Option<(StoredTask, Vec<StoredGeneration>)> {
        let fixed = Arc::new(opens.task.clone());
        let task = Task { left: fixed.budget, fixed, suspended_by: None };
        let stored = tasks::stored(opens.key, &task)?;
        Some((stored, self.write().open(opens.key, task, at)))
    }

    /// Moves the time of a living task, as a heartbeat at `at` does.
    pub(super) fn beat(&self, key: GenerationKey, at: Time) -> Option<StoredGeneration> {
        self.write().beat(key, at)
    }

    /// At most `max` tasks whose time is over at `at` and whose end nobody recorded yet.
    pub(super) fn overdue(&self, at: Time, max: usize) -> Vec<(GenerationKey, Arc<TaskTerms>)> {
        if !self.read().timed.any(at) {
            return Vec::new();
        }
        self.write().overdue(at, max)
    }

    /// Forgets what may be forgotten at `now`; says whether that was anything.
    pub(super) fn forget(&self, now: Time) -> bool {
        if !self.read().forgettable.any(now) {
            return false;
        }
        self.floor.fetch_max(now.millis(), Ordering::SeqCst);
        self.write().forget(now);
        true
    }

    /// Replaces everything by what is `stored`. Changes that are not recorded yet are made to act again, before anybody can look.
    pub(super) fn load(
        &self,
        stored: &[StoredGeneration],
        tasks: Vec<(GenerationKey, Task)>,
        unrecorded: &mut [Unrecorded],
        now: Time,
    ) {
        let mut fresh = GenerationTable::default();
        stored.iter().for_each(|life| fresh.put(*life));
        fresh.take_tasks(tasks);
        for Unrecorded { change, acting, lives, .. } in unrecorded {
            *lives = fresh.change(change, acting.unwrap_or(now));
        }
        self.floor.fetch_max(now.millis(), Ordering::SeqCst);
        *self.write() = fresh;
        self.changes.note_everything();
    }

    fn read(&self) -> RwLockReadGuard<'_, GenerationTable> {
        self.lives.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, GenerationTable> {
        self.lives.write().unwrap_or_else(PoisonError::into_inner)
    }
}
