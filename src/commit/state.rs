//! The state that liveness is judged by, in memory: what follows from the records, and the times of tasks. It is loaded from the
//! store, and written by the one writer only.

mod ends;
mod task_table;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::capacity::Capacity;
use super::change::{PendingChange, RecordedChange, StateChange};
#[cfg(test)]
use super::contract::StateRow;
use super::contract::{ConfiguredPrincipal, Heartbeat, KeyList, StateChangeRow, StoreReason};
use super::effect::Effect;
use super::receipt::CommitReason;
use super::recent_changes::{Changed, RecentChanges};
use super::recorded::{Forgotten, RecordedState};
use super::retained::{RetentionChange, RetentionState};
use crate::ledger::record::{KeyCheck, KeyEvent};
use crate::lifecycle::{GenerationState, InactiveStatus, StateView, Task, TaskTerms};
use crate::oauth::{ClientId, GenerationKey, ShareKey, TaskId, Time, Txn};
use ends::EndedBy;
use task_table::TaskTable;

/// The generation of everything that ever ended, is suspended or retired, and the tasks. A reading takes one lock, for all its
/// keys.
#[derive(Debug, Default)]
pub struct State {
    live: RwLock<LiveState>,
    stuck: AtomicBool,
    floor: AtomicI64,
    changes: RecentChanges,
}

/// What the lock is for.
#[derive(Debug, Default)]
pub(super) struct LiveState {
    pub(super) recorded: RecordedState,
    tasks: TaskTable,
    /// The things that the configuration suspends.
    configured: HashSet<GenerationKey>,
    ended_by: EndedBy,
}

impl StateView for State {
    fn generations(&self, keys: &[GenerationKey]) -> Vec<GenerationState> {
        let live = self.read();
        keys.iter().map(|key| live.generation(key)).collect()
    }

    fn task(&self, id: &TaskId) -> Option<Task> {
        self.read().task(id)
    }

    fn floor(&self) -> Time {
        Self::floor(self)
    }
}

impl State {
    /// An empty one, in which the configuration suspends `configured`.
    pub(super) fn suspending(configured: HashSet<GenerationKey>) -> Self {
        let live = RwLock::new(LiveState { configured, ..LiveState::default() });
        Self { live, ..Self::default() }
    }

    /// How many things are remembered.
    pub fn len(&self) -> usize {
        self.read().recorded.generations().len()
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

    /// Every entry that follows from the records, in no particular order.
    #[cfg(test)]
    pub(super) fn rows(&self) -> Vec<StateRow> {
        self.read().recorded.rows()
    }

    /// Every task that is remembered, in no particular order.
    pub fn tasks(&self) -> Vec<Task> {
        let live = self.read();
        live.recorded.tasks().filter_map(|(id, _)| live.task(id)).collect()
    }

    /// Of the tasks that are remembered the newest, those with an id below `after`, `most` of them. Ids are in the order in
    /// which tasks were opened.
    pub fn newest_tasks(&self, after: Option<TaskId>, most: usize) -> Vec<Task> {
        let live = self.read();
        live.recorded.tasks_before(after).filter_map(|id| live.task(id)).take(most).collect()
    }

    /// How many tasks are not over.
    pub fn tasks_len(&self) -> usize {
        self.read().recorded.open_tasks().held()
    }

    /// Passes where `who` may open one more task at `at`, of so many.
    ///
    /// # Errors
    /// `Full`, `Share`.
    pub(super) fn may_open(&self, who: ShareKey, tasks: usize, at: Time) -> Result<(), CommitReason> {
        let live = self.read();
        live.recorded.open_tasks().room((Capacity::Tasks, tasks), who, 1, || live.recorded.next_over(at))
    }

    /// The tasks whose time was over at `until` and not yet at `after`, and whose end nobody recorded yet.
    pub(super) fn over_between(&self, after: Time, until: Time) -> Vec<GenerationKey> {
        self.read().tasks.over_between(after, until)
    }

    /// True where there is a task that time could end.
    pub(super) fn has_tasks(&self) -> bool {
        !self.read().tasks.is_empty()
    }

    /// The principals that the configuration has in force; none before one was ever taken up.
    pub fn in_force(&self) -> Option<BTreeSet<ConfiguredPrincipal>> {
        self.read().recorded.in_force().cloned()
    }

    /// Passes where every key that records name is among the `listed` ones.
    ///
    /// # Errors
    /// `Keys`.
    pub(super) fn require_keys(&self, listed: &KeyList) -> Result<(), StoreReason> {
        self.read().recorded.require_keys(listed)
    }

    /// How long records are kept.
    pub fn retention(&self) -> RetentionState {
        self.read().recorded.retention().clone()
    }

    /// True where everything of a transaction is kept.
    pub fn is_held_back(&self, txn: &Txn) -> bool {
        self.read().recorded.retention().holds.contains_key(txn)
    }

    /// True where this change of how long records are kept follows from what is recorded.
    pub(super) fn may_retain(&self, change: &RetentionChange) -> bool {
        self.read().recorded.retention().allows(change)
    }

    /// The present epoch; 0 before a record began one.
    pub fn epoch(&self) -> u64 {
        self.read().recorded.epoch().number
    }

    /// True while nothing is issued because records are lost, and no operator has accepted a configuration since.
    pub fn is_held(&self) -> bool {
        self.read().recorded.epoch().inactive.is_some()
    }

    /// The time up to which single-use values may have been spent and are not remembered.
    pub(super) fn fence(&self) -> Option<Time> {
        self.read().recorded.fence()
    }

    /// The events of the `listed` keys that are not recorded yet.
    pub(super) fn unrecorded_keys(&self, listed: &KeyList) -> Vec<(KeyCheck, KeyEvent)> {
        self.read().recorded.unrecorded_keys(listed)
    }

    /// Those of the `listed` keys that were revoked, and are not so in the list.
    pub(super) fn revived_keys(&self, listed: &KeyList) -> Vec<KeyCheck> {
        self.read().recorded.revived_keys(listed)
    }

    /// Acts on `change` at `at`.
    pub(super) fn act(&self, change: &StateChange, at: Time) -> RecordedChange {
        let mut live = self.write();
        let mut recorded = live.foresee(change, at);
        recorded.beats = live.apply(0, &recorded.effect, at);
        live.ended_by.count(change);
        drop(live);
        self.changes.note(change.things().iter().map(|thing| thing.key));
        recorded
    }

    /// Acts on `change` at `at` once more, instead of when it did so `before`.
    pub(super) fn act_again(&self, change: &StateChange, before: &RecordedChange, at: Time) -> RecordedChange {
        let mut recorded = before.again(change, at);
        recorded.beats = self.write().apply(0, &recorded.effect, at);
        self.changes.note(change.things().iter().map(|thing| thing.key));
        recorded
    }

    /// The answer of [`act`](Self::act), without the change.
    pub(super) fn foresee(&self, change: &StateChange, at: Time) -> RecordedChange {
        let live = self.read();
        let mut recorded = live.foresee(change, at);
        recorded.beats = live.beats_of(&recorded.effect, at);
        recorded
    }

    /// Acts on a change that was foreseen at `at` and is durable by now.
    pub(super) fn put(&self, recorded: &RecordedChange, change: &StateChange, at: Time) {
        let _foreseen = self.write().apply(0, &recorded.effect, at);
        self.changes.note(change.things().iter().map(|thing| thing.key));
    }

    /// Takes up the effect of the record at `index`, as it is committed at `at`.
    pub(super) fn apply(&self, index: u64, effect: &Effect, at: Time) {
        if *effect == Effect::Nothing {
            return;
        }
        let _stored_by_whoever_asked = self.write().apply(index, effect, at);
        match effect {
            Effect::End { things, .. } | Effect::Status { things, .. } => {
                self.changes.note(things.iter().map(|thing| thing.key));
            }
            Effect::Epoch { at, .. } => {
                // After all of before has ended: nothing that was forgotten by a later time counts again.
                self.floor.store(at.millis(), Ordering::SeqCst);
                self.changes.note_everything();
            }
            _ => {}
        }
    }

    /// Passes where nothing stands in the way of resuming.
    ///
    /// # Errors
    /// `Retired`, `Outranked`.
    pub(super) fn resumable(&self, change: &StateChange) -> Result<(), CommitReason> {
        let live = self.read();
        for thing in change.things() {
            if live.recorded.generation(&thing.key).inactive == Some(InactiveStatus::Retired) {
                return Err(CommitReason::Retired);
            }
            if live.tasks.id_of(&thing.key).and_then(|id| live.task(&id)).is_some_and(|task| change.is_outranked(&task)) {
                return Err(CommitReason::Outranked);
            }
        }
        Ok(())
    }

    /// Passes where the budget of the task `charge` suffices for one exchange and that of its parent for the task that is opened.
    ///
    /// # Errors
    /// `Died` for a task that is unknown; `Budget`.
    pub(super) fn affordable(&self, charge: Option<TaskId>, opens: Option<&TaskTerms>) -> Result<(), CommitReason> {
        if charge.is_none() && opens.is_none() {
            return Ok(());
        }
        let live = self.read();
        let draws = charge.map(|id| (id, 1));
        let parent = opens.and_then(|terms| Some((terms.parent?, terms.budget)));
        for (id, amount) in draws.into_iter().chain(parent) {
            match live.recorded.task(&id) {
                None => return Err(CommitReason::Died),
                Some(task) if task.left < amount => return Err(CommitReason::Budget),
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Begins a task at `at`, beside the effect of its record.
    pub(super) fn open(&self, terms: TaskTerms, at: Time) {
        self.write().open(terms, at);
    }

    /// Moves the time of a living task, as a heartbeat at `at` does.
    pub(super) fn beat(&self, id: TaskId, at: Time) -> Option<Heartbeat> {
        let mut live = self.write();
        let paused = live.is_paused(&id);
        live.tasks.beat(&id, paused, at)
    }

    /// Every task whose time is over at `at` and whose end nobody recorded yet.
    pub(super) fn overdue(&self, at: Time) -> Vec<Arc<TaskTerms>> {
        if !self.read().tasks.any_due(at) {
            return Vec::new();
        }
        let mut live = self.write();
        let LiveState { recorded, tasks, .. } = &mut *live;
        tasks.overdue(at, |key| recorded.generation(key).number == 0)
    }

    /// Suspends by configuration these things and no others, from `at` on. Returns the heartbeats that count from now on.
    pub(super) fn suspend_configured(&self, keys: HashSet<GenerationKey>, at: Time) -> Vec<Heartbeat> {
        let mut live = self.write();
        let before = std::mem::replace(&mut live.configured, keys);
        let changed: Vec<GenerationKey> = live.configured.symmetric_difference(&before).copied().collect();
        live.retime(&changed, at)
    }

    /// Forgets what may be forgotten at `at`, and tells what changed since the last checkpoint.
    pub(super) fn checkpoint(&self, at: Time) -> (Vec<StateChangeRow>, Forgotten) {
        let mut live = self.write();
        let forgotten = live.recorded.forget(at);
        forgotten.tasks.iter().for_each(|(id, _)| live.tasks.forget(id));
        forgotten.generations.iter().for_each(|key| live.ended_by.forget(key));
        let changes = live.recorded.take_changes();
        drop(live);
        self.floor.fetch_max(at.millis(), Ordering::SeqCst);
        (changes, forgotten)
    }

    /// Passes where `who` has not ended more than is left to all others of so many things that may be remembered.
    ///
    /// # Errors
    /// `Full`, `Share`.
    pub fn may_need_ends(&self, who: ShareKey, places: usize, at: Time) -> Result<(), CommitReason> {
        let live = self.read();
        let (all, own) = (live.recorded.generations().len(), live.ended_by.by(who));
        if all > places {
            return Err(CommitReason::Full(Capacity::LiveEntries, live.recorded.next_over(at)));
        }
        if own <= places - all {
            return Ok(());
        }
        Capacity::LiveEntries.note_exhausted();
        Err(CommitReason::Share(Capacity::LiveEntries, live.recorded.next_over(at)))
    }

    /// True where anything may be forgotten at `at`.
    pub(super) fn has_forgettable(&self, at: Time) -> bool {
        self.read().recorded.has_forgettable(at)
    }

    /// The present is never earlier than `now`.
    pub(super) fn raise_floor(&self, now: Time) {
        self.floor.fetch_max(now.millis(), Ordering::SeqCst);
    }

    /// Replaces everything by what follows from the records, with the terms of tasks and their newest heartbeats. Changes that
    /// are `pending` act again before anybody can look.
    pub(super) fn load(
        &self,
        recorded: RecordedState,
        terms: Vec<TaskTerms>,
        beats: &[Heartbeat],
        pending: &mut [PendingChange],
        now: Time,
    ) {
        let mut live = self.write();
        let began = live.recorded.epoch().number != recorded.epoch().number;
        let configured = std::mem::take(&mut live.configured);
        let mut fresh = LiveState { recorded, configured, ..LiveState::default() };
        fresh.take_tasks(terms, beats);
        for change in pending {
            // A time of an earlier epoch may lie ahead of this one.
            let at = change.since.filter(|_| !began).unwrap_or(now);
            let mut recorded = fresh.foresee(&change.change, at);
            recorded.beats = fresh.apply(0, &recorded.effect, at);
            change.recorded = Some(recorded);
        }
        *live = fresh;
        drop(live);
        if began {
            self.floor.store(now.millis(), Ordering::SeqCst);
        }
        self.raise_floor(now);
        self.changes.note_everything();
    }

    /// Takes up heartbeats that others committed.
    pub(super) fn take_beats(&self, beats: &[Heartbeat]) {
        let mut live = self.write();
        for beat in beats {
            let paused = live.is_paused(&beat.task);
            let _known = live.tasks.beat(&beat.task, paused, beat.at);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, LiveState> {
        self.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, LiveState> {
        self.live.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveState {
    fn generation(&self, key: &GenerationKey) -> GenerationState {
        let recorded = self.recorded.generation(key);
        // What has ended has no time any more.
        GenerationState { until: self.tasks.due(key).filter(|_| recorded.number == 0), ..recorded }
    }

    fn task(&self, id: &TaskId) -> Option<Task> {
        let (recorded, terms) = (self.recorded.task(id)?, self.tasks.terms(id)?);
        let suspended_by = recorded.suspended_by.as_deref().and_then(|by| ClientId::parse(by).ok());
        Some(Task { terms: Arc::clone(terms), left: recorded.left, suspended_by })
    }

    /// The record of `change` at `at`, and its effect.
    fn foresee(&self, change: &StateChange, at: Time) -> RecordedChange {
        let numbers: Vec<u64> = change.things().iter().map(|thing| self.recorded.generation(&thing.key).number).collect();
        RecordedChange::of(change, at, &numbers)
    }

    /// Takes up the effect of a record that is committed at `at`. Returns the heartbeats that count from then on.
    pub(super) fn apply(&mut self, index: u64, effect: &Effect, at: Time) -> Vec<Heartbeat> {
        if let Err(reason) = self.recorded.apply(index, effect) {
            tracing::error!(%reason, "a record was committed that the state does not follow");
        }
        self.retime(&touched(effect), at)
    }

    /// The answer of [`apply`](Self::apply), without the effect, where that is a resumption.
    fn beats_of(&self, effect: &Effect, at: Time) -> Vec<Heartbeat> {
        let resumed = touched(effect);
        let inactive = |key: &GenerationKey| !resumed.contains(key) && self.is_inactive(key);
        let goes_on = |terms: &&Arc<TaskTerms>| {
            let over = self.tasks.due(&terms.key).is_none_or(|due| due <= at);
            !over && self.is_paused(&terms.id) && !terms.generations.iter().any(|generation| inactive(&generation.key))
        };
        let waited_for = self.tasks.under(&resumed).filter(|terms| terms.heartbeat.is_some());
        waited_for.filter(goes_on).map(|terms| Heartbeat { task: terms.id, at }).collect()
    }

    /// Moves the times of the tasks under `keys`, which changed at `at`: while anything above a task is inactive nobody waits for
    /// its heartbeat, and from then on anew. What time has ended by `at` stays over. Returns the heartbeats that this stands for.
    fn retime(&mut self, keys: &[GenerationKey], at: Time) -> Vec<Heartbeat> {
        if keys.is_empty() || self.tasks.is_empty() {
            return Vec::new();
        }
        let under: Vec<TaskId> = self.tasks.under(keys).map(|terms| terms.id).collect();
        let mut beats = Vec::new();
        for id in under {
            let paused = self.is_paused(&id);
            beats.extend(self.tasks.pause(&id, paused, at));
        }
        beats
    }

    fn is_paused(&self, id: &TaskId) -> bool {
        let terms = self.tasks.terms(id);
        terms.is_some_and(|terms| terms.generations.iter().any(|generation| self.is_inactive(&generation.key)))
    }

    fn is_inactive(&self, key: &GenerationKey) -> bool {
        self.configured.contains(key) || self.recorded.generation(key).inactive.is_some()
    }

    fn open(&mut self, terms: TaskTerms, at: Time) {
        let (id, opened) = (terms.id, terms.opened);
        self.tasks.add(terms, opened);
        let paused = self.is_paused(&id);
        let _opened = self.tasks.pause(&id, paused, at);
    }

    /// Takes up the terms of remembered tasks, with their newest heartbeats.
    pub(super) fn take_tasks(&mut self, terms: Vec<TaskTerms>, beats: &[Heartbeat]) {
        let beats: HashMap<TaskId, Time> = beats.iter().map(|beat| (beat.task, beat.at)).collect();
        for terms in terms {
            let (id, beat) = (terms.id, beats.get(&terms.id).map_or(terms.opened, |beat| terms.opened.max(*beat)));
            self.tasks.add(terms, beat);
            if self.is_paused(&id) {
                self.tasks.stop(&id);
            }
        }
    }
}

/// The things whose status `effect` changes.
fn touched(effect: &Effect) -> Vec<GenerationKey> {
    match effect {
        Effect::Status { things, .. } => things.iter().map(|thing| thing.key).collect(),
        _ => Vec::new(),
    }
}
