//! The state that liveness is judged by, in memory. The store is the truth; this is loaded from it, and written by the one
//! writer only.

mod generations;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::change::{PendingChange, StateChange};
use super::contract::{ConfiguredPrincipal, StoredGeneration};
use super::receipt::CommitReason;
use super::recent_changes::{Changed, RecentChanges};
use super::tasks::NewTask;
use crate::lifecycle::{GenerationState, InactiveStatus, StateView, Task, TaskTerms};
use crate::oauth::{ClientId, GenerationKey, Time};
use generations::GenerationTable;

/// The generation of everything that ever ended, is suspended or retired, or lives for a time only; and the tasks. A reading
/// takes one lock, for all its keys.
#[derive(Debug, Default)]
pub struct State {
    table: RwLock<GenerationTable>,
    stuck: AtomicBool,
    floor: AtomicI64,
    changes: RecentChanges,
    in_force: RwLock<Option<BTreeSet<ConfiguredPrincipal>>>,
}

impl StateView for State {
    fn generations(&self, keys: &[GenerationKey]) -> Vec<GenerationState> {
        let table = self.read();
        keys.iter().map(|key| table.of.get(key).map(|(state, _)| *state).unwrap_or_default()).collect()
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

    /// True where nothing is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The time up to which things may have been forgotten: whatever expired by then is over, even under a clock that was set
    /// back.
    pub fn floor(&self) -> Time {
        Time::from_millis(self.floor.load(Ordering::SeqCst))
    }

    /// The principals in force when a configuration was last taken up; none before one ever was.
    pub(super) fn in_force(&self) -> Option<BTreeSet<ConfiguredPrincipal>> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_in_force(&self, in_force: Option<BTreeSet<ConfiguredPrincipal>>) {
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = in_force;
    }

    /// The things by which a token may have died or come back since there were `seen` changes, and how many there are by now.
    pub(super) fn changed_since(&self, seen: u64) -> (u64, Changed) {
        self.changes.since(seen)
    }

    /// True while nothing can be recorded, so that nothing is issued.
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

    /// True where there is a task that time could end.
    pub(super) fn has_tasks(&self) -> bool {
        !self.read().tasks.is_empty()
    }

    /// Applies `change` at `at`. Returns the generations of its things after it, in their order.
    pub(super) fn change(&self, change: &StateChange, at: Time) -> Vec<StoredGeneration> {
        let changed = self.write().change(change, at);
        self.changes.note(change.things().iter().map(|thing| thing.key));
        changed
    }

    /// The answer of [`change`](Self::change), without the change.
    pub(super) fn foresee(&self, change: &StateChange, at: Time) -> Vec<StoredGeneration> {
        let table = self.read();
        change.things().iter().map(|thing| table.changed(thing.key, change, at)).collect()
    }

    /// The tasks among the things of `change` whose suspender it changes, each with the new one.
    pub(super) fn suspenders(&self, change: &StateChange) -> Vec<(GenerationKey, Option<ClientId>)> {
        let table = self.read();
        let suspender = |key| Some((key, change.suspended_by(table.tasks.get(&key)?)?));
        change.things().iter().filter_map(|thing| suspender(thing.key)).collect()
    }

    /// Passes where nothing stands in the way of resuming.
    ///
    /// # Errors
    /// `Retired`, `Outranked`.
    pub(super) fn resumable(&self, change: &StateChange) -> Result<(), CommitReason> {
        let table = self.read();
        for thing in change.things() {
            if table.of.get(&thing.key).is_some_and(|(state, _)| state.inactive == Some(InactiveStatus::Retired)) {
                return Err(CommitReason::Retired);
            }
            if table.tasks.get(&thing.key).is_some_and(|task| change.is_outranked(task)) {
                return Err(CommitReason::Outranked);
            }
        }
        Ok(())
    }

    /// Puts the generations in force that `change`, which is durable by now, leads to.
    pub(super) fn put(&self, change: &StateChange, stored: &[StoredGeneration]) {
        let mut table = self.write();
        stored.iter().for_each(|generation| table.put(*generation));
        table.note_suspender(change);
        drop(table);
        self.changes.note(stored.iter().map(|generation| generation.key));
    }

    /// Passes where the budget of `charge` suffices for one exchange and that of its parent for the task that is opened, and
    /// there is room for one more task.
    ///
    /// # Errors
    /// `Died` for a task that is unknown; `Budget`; `Busy`.
    pub(super) fn affordable(
        &self,
        charge: Option<GenerationKey>,
        opens: Option<&NewTask>,
        tasks_max: usize,
    ) -> Result<(), CommitReason> {
        if charge.is_none() && opens.is_none() {
            return Ok(());
        }
        let table = self.read();
        let draws = charge.map(|key| (key, 1));
        let parent = opens.and_then(|opens| Some((opens.out_of?, opens.terms.budget)));
        for (key, amount) in draws.into_iter().chain(parent) {
            match table.tasks.get(&key) {
                None => return Err(CommitReason::Died),
                Some(task) if task.left < amount => return Err(CommitReason::Budget),
                Some(_) => {}
            }
        }
        if opens.is_some() && table.tasks.len() >= tasks_max { Err(CommitReason::Busy) } else { Ok(()) }
    }

    /// Takes `amount` out of the budget of a task. Returns what is left.
    pub(super) fn charge(&self, key: GenerationKey, amount: u64) -> Option<(GenerationKey, u64)> {
        let mut table = self.write();
        let task = table.tasks.get_mut(&key)?;
        task.left = task.left.saturating_sub(amount);
        Some((key, task.left))
    }

    /// Begins a task at `at`. Returns the generations that have to be remembered as long as it, its own among them.
    pub(super) fn open(&self, opens: NewTask, at: Time) -> Vec<StoredGeneration> {
        let task = Task { left: opens.terms.budget, terms: Arc::new(opens.terms), suspended_by: None };
        self.write().open(opens.key, task, at)
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

    /// Forgets what may be forgotten at `now`; false where that was nothing.
    pub(super) fn forget(&self, now: Time) -> bool {
        if !self.read().forgettable.any(now) {
            return false;
        }
        self.floor.fetch_max(now.millis(), Ordering::SeqCst);
        self.write().forget(now);
        true
    }

    /// Replaces everything by the `stored` generations and tasks. Changes that are `pending` act again before anybody can look.
    pub(super) fn load(
        &self,
        stored: &[StoredGeneration],
        tasks: Vec<(GenerationKey, Task)>,
        pending: &mut [PendingChange],
        now: Time,
    ) {
        let mut fresh = GenerationTable::default();
        stored.iter().for_each(|generation| fresh.put(*generation));
        fresh.tasks.extend(tasks);
        for PendingChange { change, since, generations, .. } in pending {
            *generations = fresh.change(change, since.unwrap_or(now));
        }
        self.floor.fetch_max(now.millis(), Ordering::SeqCst);
        *self.write() = fresh;
        self.changes.note_everything();
    }

    /// Takes up the generations and tasks that others committed.
    pub(super) fn learn(&self, generations: &[StoredGeneration], tasks: Vec<(GenerationKey, Task)>) {
        let mut table = self.write();
        generations.iter().for_each(|generation| table.put(*generation));
        table.tasks.extend(tasks);
        drop(table);
        self.changes.note(generations.iter().map(|generation| generation.key));
    }

    fn read(&self) -> RwLockReadGuard<'_, GenerationTable> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, GenerationTable> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}
