//! The records of the time before a start or a check, oldest first.

use crate::commit::contract::{RecordReader, Select, StoreReason};
use crate::ledger::Record;
use crate::oauth::Time;

/// Records read at once.
const PAGE: u32 = 4_096;

/// Shows `visit` every record that was committed since `since`, of the newest `most`, with the time of its commit.
///
/// # Errors
/// When a record cannot be read.
pub(super) fn records_since(
    records: &dyn RecordReader,
    (since, most): (Time, u64),
    mut visit: impl FnMut(&Record<'_>, Time),
) -> Result<(), StoreReason> {
    let mut next = first_since(records, since, most)?;
    loop {
        let page = records.records(Select::All, next, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        next = last.index + 1;
        for stored in &page {
            let record = Record::parse(&stored.record).map_err(|_| StoreReason::Corrupt("a record"))?;
            visit(&record, stored.at);
        }
    }
}

/// The index of the first record that is not older than `since`: their times never go back, but for an epoch that begins, with
/// which everything of before has ended.
fn first_since(records: &dyn RecordReader, since: Time, most: u64) -> Result<u64, StoreReason> {
    let end = records.count()?;
    let (mut low, mut high) = (records.first()?.max(end.saturating_sub(most)), end);
    while low < high {
        let middle = low + (high - low) / 2;
        let is_older = records.records(Select::All, middle, 1)?.first().is_some_and(|stored| stored.at < since);
        (low, high) = if is_older { (middle + 1, high) } else { (low, middle) };
    }
    Ok(low)
}
