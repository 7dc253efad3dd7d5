//! How long records are kept: what an archive has, and what is held.

use serde::Serialize;

use super::reason::AdminReason;
use crate::commit::contract::{RecordReader, Select};
use crate::commit::{Commit, RecordedArchive};
use crate::ledger::record::{Record, RetentionRecord, RetentionStep};
use crate::oauth::{ClientId, Time, Txn};

/// A transaction of which everything is kept.
#[derive(Debug, Serialize)]
pub struct HeldTransaction {
    /// The transaction.
    pub txn: String,
    /// Seconds since 1970 since when it is held.
    pub since: i64,
    /// The party that asked for it.
    pub by: String,
    /// The reason, in its words.
    pub reason: String,
}

/// The extent of what archives have.
#[derive(Debug, Serialize)]
pub struct ArchivedRecords {
    /// The number of records, from the first on.
    pub until: u64,
    /// The index of the record whose state is archived.
    pub snapshot: u64,
}

/// Records that archives have the first `until` records, of which `signed` are under a published checkpoint, and the state that
/// the record at `snapshot` names. Nothing is recorded that is so already.
///
/// # Errors
/// `Malformed` for what no archive can have; `Commit`, with `Kept` where an archive has more already; `Store`.
pub async fn archived(
    commit: &Commit,
    records: &dyn RecordReader,
    signed: u64,
    archive: ArchivedRecords,
) -> Result<ArchivedRecords, AdminReason> {
    let ArchivedRecords { until, snapshot } = archive;
    if until > signed || snapshot >= until {
        return Err(AdminReason::Malformed(format!("an archive cannot have {until} records and the state of record {snapshot}")));
    }
    let page = records.records(Select::All, snapshot, 1).map_err(AdminReason::Store)?;
    let named = page.first().filter(|stored| stored.index == snapshot);
    if !named.is_some_and(|stored| matches!(Record::parse(&stored.record), Ok(Record::State(_)))) {
        return Err(AdminReason::Malformed(format!("record {snapshot} names no state")));
    }
    let same = |known: RecordedArchive| (known.until, known.snapshot) == (until, snapshot);
    if !commit.state().retention().archive.is_some_and(same) {
        let record = RetentionRecord::archived(Time::from_millis(0), operators(), until, snapshot);
        commit.retain(record).await.map_err(AdminReason::Commit)?;
    }
    Ok(archive)
}

/// Keeps everything of a transaction from now on.
///
/// # Errors
/// `Unknown` where no record of it is kept any more; `Commit`; `Store`.
pub async fn hold(
    commit: &Commit,
    records: &dyn RecordReader,
    txn: Txn,
    reason: Option<&str>,
) -> Result<HeldTransaction, AdminReason> {
    let gone = || AdminReason::Unknown(format!("no record of transaction {txn} is kept; what was pruned is in an archive"));
    let found = |from| records.records(Select::Txn(txn), from, 1).map_err(AdminReason::Store);
    let oldest = found(0)?.first().map(|stored| stored.index).ok_or_else(gone)?;
    let reason = reason.unwrap_or("held by an operator").to_owned();
    let record = RetentionRecord::holding(Time::from_millis(0), operators(), RetentionStep::Held, txn, reason);
    commit.retain(record).await.map_err(AdminReason::Commit)?;
    // It may have been pruned in the moment before that was recorded.
    if found(oldest)?.first().is_none_or(|stored| stored.index != oldest) {
        return Err(gone());
    }
    holds(commit).into_iter().find(|hold| hold.txn == txn.to_string()).ok_or_else(gone)
}

/// Holds a transaction no longer.
///
/// # Errors
/// `Unknown` where it is not held; `Commit`.
pub async fn release(commit: &Commit, txn: Txn, reason: Option<&str>) -> Result<(), AdminReason> {
    if !commit.state().is_held_back(&txn) {
        return Err(AdminReason::Unknown(format!("transaction {txn} is not held")));
    }
    let reason = reason.unwrap_or("released by an operator").to_owned();
    let record = RetentionRecord::holding(Time::from_millis(0), operators(), RetentionStep::Released, txn, reason);
    commit.retain(record).await.map_err(AdminReason::Commit)
}

/// Every transaction that is held.
pub fn holds(commit: &Commit) -> Vec<HeldTransaction> {
    let holds = commit.state().retention().holds.into_iter();
    let held = |(txn, hold): (Txn, crate::commit::RecordedHold)| HeldTransaction {
        txn: txn.to_string(),
        since: hold.since().seconds(),
        by: hold.by,
        reason: hold.reason,
    };
    holds.map(held).collect()
}

fn operators() -> String {
    ClientId::operators().to_string()
}
