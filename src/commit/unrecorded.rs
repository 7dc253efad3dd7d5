//! The keyed sum of everything that decides and stands in no record: single-use values, heartbeats, places in status lists.
//! Whoever changes, swaps or deletes a row of them without the key is noticed at the next start.

use std::collections::{BTreeMap, HashMap};

use super::contract::{Batch, Heartbeat, StatusRow, Unrecorded};
use crate::crypto::{KeyedSum, MacKey, SealReason};
use crate::oauth::{ListId, SingleUse, TaskId, Time};

/// The sum, in the parts in which it is forgotten.
pub(super) struct UnrecordedSum {
    key: MacKey,
    total: KeyedSum,
    /// Of single-use values, by the millisecond in which they expire.
    spent: BTreeMap<i64, KeyedSum>,
    beats: HashMap<TaskId, KeyedSum>,
    /// Of the places in each list, with the time from which the list may be forgotten.
    lists: HashMap<ListId, (Time, KeyedSum)>,
}

impl UnrecordedSum {
    pub(super) fn new(key: MacKey) -> Self {
        let (total, spent, beats, lists) = Default::default();
        Self { key, total, spent, beats, lists }
    }

    /// The sum of everything that is stored.
    pub(super) fn load(&mut self, stored: &Unrecorded) {
        *self = Self::new(self.key.clone());
        self.add_all(&stored.single_use, &stored.beats, stored.status.iter());
    }

    /// True where everything that is stored is what was written: its sum is the one that is stored.
    pub(super) fn matches(&self, stored: &[u8]) -> bool {
        KeyedSum::unmasked(&self.key, stored) == Some(self.total)
    }

    /// Takes in what others wrote, whose sum with all the rest is stored.
    pub(super) fn learn(&mut self, written: &Unrecorded) {
        self.add_all(&[], &written.beats, written.status.iter());
        if let Some(total) = written.sum.as_deref().and_then(|sum| KeyedSum::unmasked(&self.key, sum)) {
            self.total = total;
        }
    }

    /// Takes in what `batch` writes and forgets, and gives it the sum after it.
    ///
    /// # Errors
    /// When there is no randomness.
    pub(super) fn seal(&mut self, batch: &mut Batch) -> Result<(), SealReason> {
        if let Some(checkpoint) = &batch.checkpoint {
            for (task, _) in &checkpoint.forgotten {
                self.total.remove(self.beats.remove(task).unwrap_or_default());
            }
        }
        batch.forget.iter().for_each(|now| self.forget(*now));
        self.add_all(&batch.single_use, &batch.beats, batch.status.iter().map(|(_, row)| row));
        batch.sum = self.total.masked(&self.key)?.to_vec();
        Ok(())
    }

    fn add_all<'a>(&mut self, values: &[SingleUse], beats: &[Heartbeat], status: impl Iterator<Item = &'a StatusRow>) {
        for value in values {
            let sum = KeyedSum::of(&self.key, &[b"spent", &value.digest, &value.expires.millis().to_be_bytes()]);
            self.spent.entry(value.expires.millis()).or_default().add(sum);
            self.total.add(sum);
        }
        for Heartbeat { task, at } in beats {
            let sum = KeyedSum::of(&self.key, &[b"beat", task.as_bytes(), &at.millis().to_be_bytes()]);
            self.total.remove(self.beats.insert(*task, sum).unwrap_or_default());
            self.total.add(sum);
        }
        for row in status {
            let sum = self.place(row);
            self.lists.entry(row.place.list).or_insert((row.list.forgettable(), KeyedSum::default())).1.add(sum);
            self.total.add(sum);
        }
    }

    fn place(&self, StatusRow { place, expires, generations, .. }: &StatusRow) -> KeyedSum {
        let generations: Vec<u8> = generations
            .iter()
            .flat_map(|generation| generation.key.0.into_iter().chain(generation.number.to_be_bytes()))
            .collect();
        let (index, expires) = (place.index.to_be_bytes(), expires.millis().to_be_bytes());
        KeyedSum::of(&self.key, &[b"place", place.list.as_bytes(), &index, &expires, &generations])
    }

    fn forget(&mut self, now: Time) {
        let later = self.spent.split_off(&now.millis().saturating_add(1));
        let gone = std::mem::replace(&mut self.spent, later);
        gone.into_values().for_each(|sum| self.total.remove(sum));
        let total = &mut self.total;
        self.lists.retain(|_, (forgettable, sum)| {
            let stays = *forgettable > now;
            if !stays {
                total.remove(*sum);
            }
            stays
        });
    }
}
