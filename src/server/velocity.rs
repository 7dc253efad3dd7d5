//! What agents with limits were issued in the hour before a start is counted from the records, so that a restart is no way around
//! a limit. Where no agent has one nothing is read.

use crate::catalog::{Api, Catalog};
use crate::commit::contract::{RecordReader, Select, StoreReason};
use crate::commit::{Commit, CountedToken};
use crate::ledger::Record;
use crate::ledger::record::HopRecord;
use crate::oauth::Time;

/// As far back as tokens count, in seconds.
const HOUR: i64 = 3_600;

/// Of the records of an hour as many are counted, the newest.
const RECORDS_MAX: u64 = 2_000_000;

/// Records read at once.
const PAGE: u32 = 4_096;

/// Counts what was recorded in the hour before `now`, by what `catalog` says of each scope.
///
/// # Errors
/// When a record cannot be read.
pub(super) fn recall(commit: &Commit, records: &dyn RecordReader, catalog: &Catalog, now: Time) -> Result<(), StoreReason> {
    if catalog.agents().all(|agent| agent.velocity.is_empty()) {
        return Ok(());
    }
    let mut next = first_since(records, Time::from_seconds(now.seconds() - HOUR))?;
    loop {
        let page = records.records(Select::All, next, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        next = last.index + 1;
        for stored in &page {
            let record = Record::parse(&stored.record).map_err(|_| StoreReason::Corrupt("a record"))?;
            let counted = if let Record::Hop(hop) = &record { counted(hop, catalog) } else { None };
            counted.into_iter().for_each(|token| commit.recall(&token, stored.at));
        }
    }
}

/// The index of the first record that is not older than `since`: their times never go back, but for an epoch that begins, with
/// which everything of before has ended.
fn first_since(records: &dyn RecordReader, since: Time) -> Result<u64, StoreReason> {
    let end = records.count()?;
    let (mut low, mut high) = (records.first()?.max(end.saturating_sub(RECORDS_MAX)), end);
    while low < high {
        let middle = low + (high - low) / 2;
        let is_older = records.records(Select::All, middle, 1)?.first().is_some_and(|stored| stored.at < since);
        (low, high) = if is_older { (middle + 1, high) } else { (low, middle) };
    }
    Ok(low)
}

/// What the token of a hop counts against.
fn counted(hop: &HopRecord<'_>, catalog: &Catalog) -> Option<CountedToken> {
    let agent = catalog.agent(&hop.client).filter(|agent| !agent.velocity.is_empty())?;
    let apis: Vec<&Api> = hop.audience.iter().filter_map(|id| catalog.api(id)).map(|api| &**api).collect();
    let limits = agent.velocity.against(apis.into_iter(), &hop.scope);
    (!limits.is_empty()).then(|| CountedToken { agent: agent.id.clone(), limits })
}
