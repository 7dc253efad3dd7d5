//! The fold of the records: state, and its hash, for whoever takes up records one after the other.

use super::contract::{RecordReader, Select, StateChangeRow, StateRow, StoreReason, StoredCheckpoint};
use super::effect::Effect;
use super::entry::element;
use super::fold_reason::FoldReason;
use super::recorded::RecordedState;
use crate::crypto::{Digest, SetHash};
use crate::ledger::record::{Record, StateCause, StateRecord};
use crate::oauth::Time;

/// Records read at once.
const PAGE: u32 = 256;

/// State, and its hash: for whoever takes up records one after the other.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    /// The state.
    pub state: RecordedState,
    /// Its hash.
    pub hash: StateHash,
}

/// The hash of the state as of the last checkpoint, and the number of its entries.
#[derive(Clone, Debug, Default)]
pub struct StateHash {
    set: SetHash,
    count: u64,
}

impl Fold {
    /// The fold of a stored checkpoint, from which the records after it go on.
    ///
    /// # Errors
    /// `Corrupt` for a row that was not written here.
    pub fn of_rows(rows: &[StateRow]) -> Result<Self, StoreReason> {
        // Two halves, as there are at least two cores wherever this takes long.
        let (one, other) = rows.split_at(rows.len() / 2);
        let mut state = RecordedState::default();
        let unread = || StoreReason::Corrupt("an entry of the state");
        let set = std::thread::scope(|scope| {
            let other = scope.spawn(|| hash(other));
            let mut set = hash(one);
            for row in rows {
                state.read(row).ok_or_else(unread)?;
            }
            set.join(&other.join().map_err(|_| unread())?);
            Ok(set)
        })?;
        Ok(Self { state, hash: StateHash { set, count: rows.len() as u64 } })
    }

    /// Takes up the record at `index`.
    ///
    /// # Errors
    /// See [`FoldReason`].
    pub fn take(&mut self, index: u64, record: &Record<'_>) -> Result<(), FoldReason> {
        match Effect::of(record) {
            Effect::Checkpoint { at, digest } => {
                self.checkpoint(at);
                if self.hash.digest() == digest { Ok(()) } else { Err(FoldReason::Digest(index)) }
            }
            effect => self.state.apply(index, &effect),
        }
    }

    /// Forgets what may be forgotten at `at`, and hashes what changed since the last checkpoint.
    pub fn checkpoint(&mut self, at: Time) -> Vec<StateChangeRow> {
        self.state.forget(at);
        let changes = self.state.take_changes();
        self.hash.take(&changes);
        changes
    }
}

/// The present state, read while a server may run.
///
/// # Errors
/// When a record cannot be read, or does not follow from those before it; when the stored entries are not those that were
/// recorded.
pub fn recorded_state(records: &dyn RecordReader) -> Result<RecordedState, StoreReason> {
    recorded_fold(records).map(|fold| fold.state)
}

/// The fold of all records, read while a server may run.
///
/// # Errors
/// As of [`recorded_state`].
pub fn recorded_fold(records: &dyn RecordReader) -> Result<Fold, StoreReason> {
    let StoredCheckpoint { index, rows } = records.checkpoint()?;
    let mut fold = Fold::of_rows(&rows)?;
    if let Some(index) = index {
        require_digest(records, index, &fold)?;
    }
    let mut next = index.map_or(0, |index| index + 1);
    loop {
        let page = records.records(Select::All, next, PAGE)?;
        if page.is_empty() {
            return Ok(fold);
        }
        for stored in page {
            let record = Record::parse(&stored.record).map_err(|_| StoreReason::Corrupt("a record"))?;
            fold.take(stored.index, &record).map_err(|reason| StoreReason::Diverged(reason.to_string()))?;
            next = stored.index + 1;
        }
    }
}

/// The record at `index` names the digest that the stored entries have.
fn require_digest(records: &dyn RecordReader, index: u64, fold: &Fold) -> Result<(), StoreReason> {
    let page = records.records(Select::All, index, 1)?;
    let stored = page.first().filter(|stored| stored.index == index).map(|stored| Record::parse(&stored.record));
    match stored {
        Some(Ok(Record::State(state))) if state.digest.same_as(&fold.hash.digest()) => Ok(()),
        _ => Err(StoreReason::Diverged(FoldReason::Digest(index).to_string())),
    }
}

impl StateHash {
    /// Takes in what changed since the last checkpoint.
    pub fn take(&mut self, changes: &[StateChangeRow]) {
        for StateChangeRow { key, before, after } in changes {
            before.iter().for_each(|before| self.set.remove(&element(key, before)));
            after.iter().for_each(|after| self.set.add(&element(key, after)));
            self.count = (self.count + u64::from(after.is_some())).saturating_sub(u64::from(before.is_some()));
        }
    }

    /// The digest as of the last checkpoint.
    pub fn digest(&self) -> Digest {
        self.set.digest()
    }

    /// The record of the last checkpoint, which was at `at`.
    pub fn record(&self, at: Time, cause: StateCause) -> StateRecord {
        StateRecord::new(at, cause, self.digest(), self.count)
    }
}

fn hash(rows: &[StateRow]) -> SetHash {
    let mut hash = SetHash::default();
    rows.iter().for_each(|row| hash.add(&element(&row.key, &row.value)));
    hash
}
