//! A fold that remembers what things are called, so that a difference between state and records can be told by name.

use std::collections::{BTreeMap, HashMap};

use super::contract::{CommitStore, StateRow, StoreReason};
use super::entry::describe;
use super::fold::Fold;
use super::fold_reason::FoldReason;
use crate::ledger::record::{Record, RevocableRecord};

/// So many differences are named; the others are counted.
const NAMED_MAX: usize = 8;

/// A fold, and the names of the things that its records are about.
#[derive(Debug, Default)]
pub struct NamedFold {
    fold: Fold,
    names: HashMap<Vec<u8>, String>,
}

impl NamedFold {
    /// Takes up the record at `index`.
    ///
    /// # Errors
    /// See [`FoldReason`].
    pub fn take(&mut self, index: u64, record: &Record<'_>) -> Result<(), FoldReason> {
        let things: &[RevocableRecord<'_>] = match record {
            Record::Revocation(revocation) => &revocation.ends,
            Record::StatusChange(change) => &change.things,
            _ => &[],
        };
        for RevocableRecord { key, name, of, .. } in things {
            let name = name.as_deref().unwrap_or("whose name is personal");
            self.names.insert([&[1], key.0.as_slice()].concat(), format!("{} {name}", of.label()));
        }
        self.fold.take(index, record)
    }

    /// The fold.
    pub fn into_fold(self) -> Fold {
        self.fold
    }

    /// Every entry in which `stored` differs from what the records say, a sentence each.
    pub fn differences(&self, stored: &[StateRow]) -> Vec<String> {
        let stored: BTreeMap<&[u8], &[u8]> = stored.iter().map(|row| (row.key.as_slice(), row.value.as_slice())).collect();
        let recorded = self.fold.state.rows();
        let recorded: BTreeMap<&[u8], &[u8]> = recorded.iter().map(|row| (row.key.as_slice(), row.value.as_slice())).collect();
        let keys: Vec<&[u8]> =
            recorded.keys().chain(stored.keys().filter(|key| !recorded.contains_key(**key))).copied().collect();
        let differing = keys.into_iter().filter(|key| stored.get(key) != recorded.get(key));
        let said = |value: Option<&&[u8]>, key: &[u8]| value.map_or_else(|| "nothing".to_owned(), |value| describe(key, value));
        let sentence = |key: &[u8]| {
            let (is, should) = (said(stored.get(key), key), said(recorded.get(key), key));
            format!("{}: stored is {is}, recorded is {should}", self.name(key))
        };
        differing.map(sentence).collect()
    }

    /// The same, as one sentence; none where nothing differs.
    pub fn difference(&self, stored: &[StateRow]) -> Option<String> {
        let all = self.differences(stored);
        let more = all.len().saturating_sub(NAMED_MAX);
        let named = all.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join("; ");
        match (all.is_empty(), more) {
            (true, _) => None,
            (false, 0) => Some(named),
            (false, more) => Some(format!("{named}; and {more} more")),
        }
    }

    fn name(&self, key: &[u8]) -> String {
        self.names.get(key).cloned().unwrap_or_else(|| super::entry::name(key))
    }
}

/// The things in which the `stored` state differs from what the records up to that at `index` say.
///
/// # Errors
/// Those of the store, or a record that cannot be read or does not follow.
pub(super) fn explain(store: &mut dyn CommitStore, index: u64, stored: &[StateRow]) -> Result<String, StoreReason> {
    let mut fold = NamedFold::default();
    store.records(0, &mut |row| {
        if row.index > index {
            return Ok(());
        }
        let record = Record::parse(&row.record).map_err(|_| StoreReason::Corrupt("a record"))?;
        fold.take(row.index, &record).map_err(|reason| StoreReason::Diverged(reason.to_string()))
    })?;
    Ok(fold.difference(stored).unwrap_or_else(|| "the record of its digest is another than the one that was written".to_owned()))
}
