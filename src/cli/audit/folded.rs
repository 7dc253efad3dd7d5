//! The state, folded along with the entries: from the beginning, or from the first archived state on where those before are
//! pruned.

use std::collections::BTreeSet;

use crate::cli::output::Failure;
use crate::commit::{ArchivedState, NamedFold};
use crate::ledger::Record;
use crate::store::LogFolder;

/// A fold, and the archived states that it is held against.
pub(super) struct FoldedState<'a> {
    folder: Option<&'a LogFolder>,
    /// None before there is anything to begin with.
    fold: Option<NamedFold>,
    states: BTreeSet<u64>,
    /// Archived states that are those that records name.
    pub(super) compared: u64,
    /// The first thing that is wrong.
    pub(super) fault: Option<String>,
}

impl<'a> FoldedState<'a> {
    /// One of a log that has the entries from `first` on and before `size`, in a folder or not.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn new(folder: Option<&'a LogFolder>, first: u64, size: u64) -> Result<Self, Failure> {
        let states = folder.map(LogFolder::states).transpose()?.unwrap_or_default();
        let states = states.into_iter().filter(|index| (first..size).contains(index)).collect();
        let fold = (first == 0).then(NamedFold::default);
        Ok(Self { folder, fold, states, compared: 0, fault: None })
    }

    /// Takes up the record at `index`.
    pub(super) fn take(&mut self, index: u64, record: &Record<'_>) {
        if let Some(fold) = &mut self.fold
            && let Err(reason) = fold.take(index, record)
        {
            self.fault.get_or_insert(reason.to_string());
        }
        if !self.states.remove(&index) {
            return;
        }
        match self.archived(index, record) {
            Ok(state) => {
                self.compared += 1;
                self.fold.get_or_insert_with(|| NamedFold::of(state));
            }
            Err(what) => drop(self.fault.get_or_insert(format!("state/{index}: {what}"))),
        }
    }

    fn archived(&self, index: u64, record: &Record<'_>) -> Result<ArchivedState, String> {
        let Record::State(record) = record else { return Err(format!("record {index} names no state")) };
        let bytes = self.folder.map(|folder| folder.archived_state(index)).transpose().map_err(|error| error.to_string())?;
        let bytes = bytes.flatten().ok_or_else(|| "it is gone".to_owned())?;
        ArchivedState::named(index, &bytes, record).map_err(|reason| reason.to_string())
    }

    /// The fold, where there is one.
    pub(super) fn fold(&self) -> Option<&NamedFold> {
        self.fold.as_ref()
    }
}
