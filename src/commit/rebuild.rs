//! Making the state anew from the records, while no server runs.

use std::collections::BTreeMap;

use super::contract::{Batch, CommitStore, NewCheckpoint, Row, StateChangeRow, StateRow, StoreReason};
use super::entry::RecordedTask;
use super::fold::Fold;
use super::handle::CommitKeys;
use super::named_fold::folded;
use super::recorded::RecordedState;
use super::tasks::TermsSealer;
use super::unrecorded::UnrecordedSum;
use crate::ledger::record::{EpochCause, EpochRecord, LostCheckpoint, Record, StateCause};
use crate::oauth::{ClientId, Clock, TaskId, Time};

/// State that was made anew.
#[derive(Debug)]
pub struct Rebuilt {
    /// The number of records that were read.
    pub records: u64,
    /// The number of entries that the state has.
    pub entries: u64,
    /// Where it was another before, a sentence each.
    pub differences: Vec<String>,
    /// What no record holds was not what was written, and is given up.
    pub lost: bool,
}

/// The epoch that begins where a copy of the data was put in place.
#[derive(Debug)]
pub struct RestoredEpoch {
    /// Its number.
    pub number: u64,
    /// The newest checkpoint that was signed, where records that it covers are lost.
    pub before: Option<LostCheckpoint<'static>>,
    /// The reason, in words that hold nothing personal.
    pub reason: String,
}

/// Makes the state in `store` anew from its records, by `clock`, and records that. What no record holds is kept where it is what
/// was written; else it is deleted, and an epoch begins; so it is where a copy was put in place, in the epoch `restored`.
/// `progress` hears how many records of how many were read.
///
/// # Errors
/// Those of the store. `ClockDoubted`. `Corrupt` for a record that is none, and for terms of a task that are lost; `Diverged`
/// where the records contradict themselves; `Failed` for a store of an earlier version, which a server takes up.
pub fn rebuild(
    store: &mut dyn CommitStore,
    keys: CommitKeys,
    clock: &dyn Clock,
    restored: Option<&RestoredEpoch>,
    mut progress: impl FnMut(u64, u64),
) -> Result<Rebuilt, StoreReason> {
    let recovered = store.open()?;
    if recovered.earlier.is_some() {
        return Err(StoreReason::Failed(
            "it was written by an earlier version; start a server on it once, which takes it up".into(),
        ));
    }
    let mut newest = Time::from_millis(0);
    let fold = folded(store, recovered.first > 0, u64::MAX, |stored| {
        progress(stored.index, recovered.count);
        newest = stored.at;
    })?;
    let newest = present(clock, newest, restored)?;
    let before = rows_before(&recovered.checkpoint.rows);
    let differences = match recovered.checkpoint.index {
        Some(index) if index + 1 == recovered.count => fold.differences(&recovered.checkpoint.rows),
        _ => Vec::new(),
    };
    let sealer = TermsSealer::new(keys.terms);
    let mut sum = UnrecordedSum::new(keys.sums);
    let lost = sum.load(&recovered.unrecorded, recovered.count == 0 && recovered.unrecorded.is_empty()).is_err();
    let lost = lost || restored.is_some();
    let mut fold = fold.into_fold();
    fold.state.require_keys(&keys.listed)?;
    require_terms(&fold.state, &recovered.terms, &sealer)?;
    let mut records = Vec::new();
    if lost {
        sum.clear();
        records.push(begin_epoch(&mut fold, recovered.count, newest, restored)?);
    }
    let forgotten = fold.state.forget(newest);
    let changes = fold.state.take_changes();
    fold.hash.take(&changes);
    records.push(written(&Record::State(fold.hash.record(newest, StateCause::Interval)))?);
    let (index, rows) = (recovered.count + records.len() as u64 - 1, fold.state.rows());
    let entries = rows.len() as u64;
    let row = |(index, record)| Row { index, jti: None, txn: None, record, sealed: None };
    let mut batch = Batch {
        rows: (recovered.count..).zip(records).map(row).collect(),
        checkpoint: Some(NewCheckpoint { index, changes: replaced(before, rows), forgotten: forgotten.tasks }),
        clears: lost,
        ..Batch::at(newest)
    };
    sum.seal(&mut batch).map_err(|reason| StoreReason::Failed(Box::new(reason)))?;
    store.begin(&mut std::iter::empty())?;
    store.write(&batch)?;
    Ok(Rebuilt { records: recovered.count, entries, differences, lost })
}

/// The time of a record that follows one at `newest`. A copy may be as old as it is, or of a clock that was ahead: whoever puts
/// it in place says so, and time goes on from what the clock says.
fn present(clock: &dyn Clock, newest: Time, restored: Option<&RestoredEpoch>) -> Result<Time, StoreReason> {
    if restored.is_some() {
        return Ok(clock.now());
    }
    clock.begin(newest);
    match clock.doubt() {
        Some(_) => Err(StoreReason::ClockDoubted),
        None => Ok(newest.max(clock.now())),
    }
}

/// The record of an epoch that begins because what no record holds was lost, taken up as that at `index`.
fn begin_epoch(fold: &mut Fold, index: u64, at: Time, restored: Option<&RestoredEpoch>) -> Result<Vec<u8>, StoreReason> {
    let (by, number) = (ClientId::operators(), fold.state.epoch().number + 1);
    let lost = "single-use values, heartbeats and places in status lists were not what was written";
    let record = match restored {
        None => EpochRecord::new(at, by.as_str(), EpochCause::Rebuild, number, lost),
        Some(RestoredEpoch { number, before, reason }) => {
            let record = EpochRecord::new(at, by.as_str(), EpochCause::Restore, *number, reason);
            EpochRecord { before: before.clone(), ..record }
        }
    };
    let record = Record::Epoch(record);
    fold.take(index, &record).map_err(|reason| StoreReason::Diverged(reason.to_string()))?;
    written(&record)
}

fn written(record: &Record<'_>) -> Result<Vec<u8>, StoreReason> {
    record.to_bytes().map_err(|reason| StoreReason::Failed(Box::new(reason)))
}

fn rows_before(rows: &[StateRow]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    rows.iter().map(|row| (row.key.clone(), row.value.clone())).collect()
}

/// The changes by which the rows `before` become `after`.
fn replaced(mut before: BTreeMap<Vec<u8>, Vec<u8>>, after: Vec<StateRow>) -> Vec<StateChangeRow> {
    let put = |StateRow { key, value }| {
        let before = before.remove(&key);
        StateChangeRow { key, before, after: Some(value) }
    };
    let mut changes: Vec<StateChangeRow> = after.into_iter().map(put).collect();
    changes.extend(before.into_iter().map(|(key, value)| StateChangeRow { key, before: Some(value), after: None }));
    changes
}

/// The sealed terms of every task that is remembered are there, and are those that its record names.
fn require_terms(state: &RecordedState, stored: &[(u64, Vec<u8>)], sealer: &TermsSealer) -> Result<(), StoreReason> {
    let whole = |(id, task): (&TaskId, &RecordedTask)| {
        let sealed = stored.iter().find(|(index, _)| *index == task.index).map(|(_, sealed)| sealed);
        sealed.is_some_and(|sealed| task.is_sealed_as(sealed) && sealer.open(*id, sealed).is_some())
    };
    let lost: Vec<String> = state.tasks().filter(|task| !whole(*task)).map(|(id, _)| id.to_string()).collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(StoreReason::Diverged(format!(
        "the sealed terms of these tasks are lost, which no record holds: {}; put them back from a backup",
        lost.join(", ")
    )))
}
