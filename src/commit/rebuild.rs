//! Making the state anew from the records, while no server runs.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use super::commit_keys::CommitKeys;
use super::contract::{Batch, CommitStore, NewCheckpoint, Recovered, Row, StateChangeRow, StateRow, StoreReason};
use super::entry::RecordedTask;
use super::fold::Fold;
use super::fold_reason::FoldReason;
use super::named_fold::{NamedFold, folded};
use super::recorded::RecordedState;
use super::tasks::TermsSealer;
use super::unrecorded::UnrecordedSum;
use crate::ledger::record::{
    EpochCause, EpochRecord, Kind, LostCheckpoint, Record, RevocableRecord, StateCause, StatusChangeRecord,
};
use crate::oauth::{ClientId, Clock, GenerationKind, TaskId, Time};

/// So many things are in one record.
const THINGS_MAX: usize = 64;

/// The reason for which a task is released that nothing can be done with.
const RELEASED: &str = "it ended with its epoch, and its terms are lost";

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
    let (fold, newest, opened) = read(store, &recovered, &mut progress)?;
    let newest = present(clock, newest, restored)?;
    let before = rows_before(&recovered.checkpoint.rows);
    let differences = match recovered.checkpoint.index {
        Some(index) if index + 1 == recovered.count => fold.differences(&recovered.checkpoint.rows),
        _ => Vec::new(),
    };
    let terms = StoredTerms { stored: &recovered.terms, sealer: TermsSealer::new(keys.terms) };
    let mut sum = UnrecordedSum::new(keys.sums);
    let lost = sum.load(&recovered.unrecorded, recovered.count == 0 && recovered.unrecorded.is_empty()).is_err();
    let lost = lost || restored.is_some();
    let mut fold = fold.into_fold();
    fold.state.require_keys(&keys.listed)?;
    let mut records = Vec::new();
    if lost {
        sum.clear();
        records.push(begin_epoch(&mut fold, recovered.count, newest, restored)?);
        release(store, &mut fold, &terms, newest, &mut records)?;
    }
    let mut forgotten = fold.state.forget(newest).tasks;
    terms.require(&fold.state)?;
    // Records that survived elsewhere may have led past the end of a task whose terms were never deleted here.
    forgotten.extend(opened.into_iter().filter(|(id, _)| fold.state.task(id).is_none()));
    let changes = fold.state.take_changes();
    fold.hash.take(&changes);
    records.push(written(&Record::State(fold.hash.record(newest, StateCause::Interval)))?);
    let (index, rows) = (recovered.count + records.len() as u64 - 1, fold.state.rows());
    let entries = rows.len() as u64;
    let mut batch = Batch {
        rows: (recovered.count..).zip(records).map(row).collect(),
        checkpoint: Some(NewCheckpoint { index, changes: replaced(before, rows), forgotten }),
        clears: lost,
        ..Batch::at(newest)
    };
    sum.seal(&mut batch).map_err(|reason| StoreReason::Failed(Box::new(reason)))?;
    store.begin(&mut std::iter::empty())?;
    store.write(&batch)?;
    Ok(Rebuilt { records: recovered.count, entries, differences, lost })
}

/// A record as it is stored, which is about no hop.
fn row((index, record): (u64, Vec<u8>)) -> Row {
    let txn = Record::parse(&record).ok().and_then(|record| record.txn());
    Row { index, jti: None, txn, record, sealed: None }
}

/// The fold of all records, the time of the newest, and the tasks of whose terms some are stored, each with its index.
type ReadRecords = (NamedFold, Time, Vec<(TaskId, u64)>);

fn read(
    store: &mut dyn CommitStore,
    recovered: &Recovered,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<ReadRecords, StoreReason> {
    let (mut newest, mut opened) = (Time::from_millis(0), Vec::new());
    let sealed: HashSet<u64> = recovered.terms.iter().map(|(index, _)| *index).collect();
    let fold = folded(store, recovered.first > 0, u64::MAX, |stored| {
        progress(stored.index, recovered.count);
        newest = stored.at;
        if sealed.contains(&stored.index)
            && let Ok(Record::Task(task)) = Record::parse(&stored.record)
        {
            opened.push((task.task, stored.index));
        }
    })?;
    Ok((fold, newest, opened))
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
    taken(fold, index, &Record::Epoch(record))
}

/// Takes up a record as that at `index`.
fn taken(fold: &mut Fold, index: u64, record: &Record<'_>) -> Result<Vec<u8>, StoreReason> {
    fold.take(index, record).map_err(diverged)?;
    written(record)
}

fn diverged(reason: FoldReason) -> StoreReason {
    StoreReason::Diverged(reason.to_string())
}

/// Releases the tasks of before that are suspended and whose terms are lost, so that they are forgotten with all others that
/// ended with their epoch: `records` have been added to those in the store.
fn release(
    store: &mut dyn CommitStore,
    fold: &mut Fold,
    terms: &StoredTerms<'_>,
    at: Time,
    records: &mut Vec<Vec<u8>>,
) -> Result<(), StoreReason> {
    let lost: HashSet<TaskId> =
        terms.lost(&fold.state).filter(|(_, task)| task.suspended_by.is_some()).map(|(id, _)| *id).collect();
    if lost.is_empty() {
        return Ok(());
    }
    let (mut things, mut next) = (BTreeMap::new(), 0);
    store.records(0, &mut |stored| {
        next = stored.index + 1;
        if let Ok(Record::StatusChange(change)) = Record::parse(&stored.record) {
            things.extend(
                change.things.iter().filter_map(|thing| Some((task_of(thing).filter(|id| lost.contains(id))?, owned(thing)))),
            );
        }
        Ok(())
    })?;
    let (by, things): (ClientId, Vec<RevocableRecord<'static>>) = (ClientId::operators(), things.into_values().collect());
    for some in things.chunks(THINGS_MAX) {
        let record = StatusChangeRecord::new(at, by.as_str(), Kind::Resumption, RELEASED, some.to_vec());
        records.push(taken(fold, next + records.len() as u64, &Record::StatusChange(record))?);
    }
    Ok(())
}

fn task_of(thing: &RevocableRecord<'_>) -> Option<TaskId> {
    thing.name.as_deref().filter(|_| thing.of == GenerationKind::Task).and_then(|name| TaskId::parse(name).ok())
}

fn owned(thing: &RevocableRecord<'_>) -> RevocableRecord<'static> {
    let name = thing.name.as_ref().map(|name| Cow::Owned(name.to_string()));
    RevocableRecord { key: thing.key, name, number: thing.number, of: thing.of, txn: thing.txn }
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

/// The sealed terms of tasks as they are stored, each with the index of the record that opened it.
struct StoredTerms<'a> {
    stored: &'a [(u64, Vec<u8>)],
    sealer: TermsSealer,
}

impl StoredTerms<'_> {
    /// The tasks that are remembered and whose sealed terms are not there, or are not those that their record names.
    fn lost<'a>(&'a self, state: &'a RecordedState) -> impl Iterator<Item = (&'a TaskId, &'a RecordedTask)> {
        let whole = |id: &TaskId, task: &RecordedTask| {
            let sealed = self.stored.iter().find(|(index, _)| *index == task.index).map(|(_, sealed)| sealed);
            sealed.is_some_and(|sealed| task.is_sealed_as(sealed) && self.sealer.open(*id, sealed).is_some())
        };
        state.tasks().filter(move |(id, task)| !whole(id, task))
    }

    /// Passes where none are lost.
    fn require(&self, state: &RecordedState) -> Result<(), StoreReason> {
        let lost: Vec<String> = self.lost(state).map(|(id, _)| id.to_string()).collect();
        if lost.is_empty() {
            return Ok(());
        }
        Err(StoreReason::Diverged(format!(
            "the sealed terms of these tasks are lost, which no record holds: {}; put them back from a backup",
            lost.join(", ")
        )))
    }
}
