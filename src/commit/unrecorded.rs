//! The keyed sum of everything that decides and stands in no record: single-use values, heartbeats, places in status lists.
//! Whoever changes, swaps or deletes a row of them without the key is noticed at the next start.

use std::collections::{BTreeMap, HashMap};

use super::contract::{Batch, Heartbeat, StatusRow, StoreReason, Unrecorded};
use crate::crypto::{KeyedSum, MacKey, SealReason};
use crate::oauth::{ListId, SingleUse, TaskId, Time};

/// The sum, in the parts in which it is forgotten.
pub(super) struct UnrecordedSum {
    key: MacKey,
    earlier: Vec<MacKey>,
    total: KeyedSum,
    /// Of single-use values, by the millisecond in which they expire.
    spent: BTreeMap<i64, KeyedSum>,
    beats: HashMap<TaskId, KeyedSum>,
    /// Of the places in each list, with the time from which the list may be forgotten.
    lists: HashMap<ListId, (Time, KeyedSum)>,
}

impl UnrecordedSum {
    /// An empty one under the first of these keys; the others were in use before it.
    pub(super) fn new(keys: Vec<MacKey>) -> Self {
        let (total, spent, beats, lists) = Default::default();
        let mut keys = keys.into_iter();
        let key = keys.next().unwrap_or_else(|| MacKey::new(&[0; 32]));
        Self { key, earlier: keys.collect(), total, spent, beats, lists }
    }

    /// The sum of everything that is stored.
    ///
    /// # Errors
    /// `Unrecorded` where it is not what was written: its sum is not the one that is stored, under no key that there is. `bare`
    /// is true where there need be none yet.
    pub(super) fn load(&mut self, stored: &Unrecorded, bare: bool) -> Result<(), StoreReason> {
        let keys: Vec<MacKey> = [&self.key].into_iter().chain(&self.earlier).cloned().collect();
        let sum_under = |key: &MacKey| {
            let mut sum = Self::new(vec![key.clone()]);
            sum.add_all(&stored.single_use, &stored.beats, stored.status.iter());
            sum
        };
        let is_theirs = |sum: &Self| match stored.sum.as_deref() {
            Some(written) => KeyedSum::unmasked(&sum.key, written) == Some(sum.total),
            None => bare,
        };
        let current = sum_under(&self.key);
        let written = is_theirs(&current) || keys.iter().skip(1).any(|key| is_theirs(&sum_under(key)));
        *self = Self { earlier: std::mem::take(&mut self.earlier), ..current };
        if written { Ok(()) } else { Err(StoreReason::Unrecorded) }
    }

    /// Nothing of it is left.
    pub(super) fn clear(&mut self) {
        (self.total, self.spent, self.beats, self.lists) = Default::default();
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
