//! The state as entries: what a checkpoint stores, and what a start takes up.

use super::RecordedState;
use crate::commit::contract::StateRow;
use crate::commit::entry::{EntryKey, RecordedGeneration, RecordedKey, RecordedTask, packed, unpacked};

impl RecordedState {
    /// The entry as it is stored; none where there is nothing to store.
    pub(super) fn packed(&self, key: &EntryKey) -> Option<Vec<u8>> {
        match key {
            EntryKey::Generation(key) => self.generations.get(key).map(RecordedGeneration::packed),
            EntryKey::Task(id) => self.tasks.get(id).map(RecordedTask::packed),
            EntryKey::Principal(principal) => {
                self.in_force.as_ref().is_some_and(|known| known.contains(principal)).then(Vec::new)
            }
            EntryKey::Key(check) => self.keys.get(check).map(RecordedKey::packed),
            EntryKey::Configured => self.in_force.is_some().then(Vec::new),
            EntryKey::Hold(txn) => self.retention.holds.get(txn).map(packed),
            EntryKey::Archive => self.retention.archive.as_ref().map(packed),
            EntryKey::First => Some(self.retention.first).filter(|first| *first > 0).map(|first| packed(&first)),
        }
    }

    /// Every entry, in no particular order.
    pub fn rows(&self) -> Vec<StateRow> {
        let generations = self.generations.keys().map(|key| EntryKey::Generation(*key));
        let tasks = self.tasks.keys().map(|id| EntryKey::Task(*id));
        let principals = self.in_force.iter().flatten().map(|principal| EntryKey::Principal(principal.clone()));
        let keys = self.keys.keys().map(|check| EntryKey::Key(check.clone()));
        let holds = self.retention.holds.keys().map(|txn| EntryKey::Hold(*txn));
        let single = [EntryKey::Configured, EntryKey::Archive, EntryKey::First];
        let all = generations.chain(tasks).chain(principals).chain(keys).chain(holds).chain(single);
        all.filter_map(|key| Some(StateRow { value: self.packed(&key)?, key: key.packed() })).collect()
    }

    /// Takes up one stored entry.
    pub(in crate::commit) fn read(&mut self, row: &StateRow) -> Option<()> {
        match EntryKey::read(&row.key)? {
            EntryKey::Generation(key) => self.put(key, RecordedGeneration::read(&row.value)?),
            EntryKey::Task(id) => self.keep_task(id, RecordedTask::read(&row.value)?),
            EntryKey::Principal(principal) => self.in_force.get_or_insert_default().extend([principal]),
            EntryKey::Key(check) => drop(self.keys.insert(check, RecordedKey::read(&row.value)?)),
            EntryKey::Configured => self.in_force.get_or_insert_default().extend([]),
            EntryKey::Hold(txn) => drop(self.retention.holds.insert(txn, unpacked(&row.value)?)),
            EntryKey::Archive => self.retention.archive = Some(unpacked(&row.value)?),
            EntryKey::First => self.retention.first = unpacked(&row.value)?,
        }
        Some(())
    }
}
