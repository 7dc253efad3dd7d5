//! What agents with limits were issued in the hour before a start is counted from the records, so that a restart is no way around
//! a limit. Where no agent has one nothing is read.

use super::records_since::records_since;
use crate::catalog::{Api, Catalog};
use crate::commit::contract::{RecordReader, StoreReason};
use crate::commit::{Commit, CountedToken};
use crate::ledger::Record;
use crate::ledger::record::HopRecord;
use crate::oauth::Time;

/// As far back as tokens count, in seconds.
const HOUR: i64 = 3_600;

/// Of the records of an hour as many are counted, the newest.
const RECORDS_MAX: u64 = 2_000_000;

/// Counts what was recorded in the hour before `now`, by what `catalog` says of each scope.
///
/// # Errors
/// When a record cannot be read.
pub(super) fn recall(commit: &Commit, records: &dyn RecordReader, catalog: &Catalog, now: Time) -> Result<(), StoreReason> {
    if catalog.agents().all(|agent| agent.velocity.is_empty()) {
        return Ok(());
    }
    records_since(records, (Time::from_seconds(now.seconds() - HOUR), RECORDS_MAX), |record, at| {
        let counted = if let Record::Hop(hop) = record { counted(hop, catalog) } else { None };
        counted.into_iter().for_each(|token| commit.recall(&token, at));
    })
}

/// What the token of a hop counts against.
fn counted(hop: &HopRecord<'_>, catalog: &Catalog) -> Option<CountedToken> {
    let agent = catalog.agent(&hop.client).filter(|agent| !agent.velocity.is_empty())?;
    let apis: Vec<&Api> = hop.audience.iter().filter_map(|id| catalog.api(id)).map(|api| &**api).collect();
    let limits = agent.velocity.against(apis.into_iter(), &hop.scope);
    (!limits.is_empty()).then(|| CountedToken { agent: agent.id.clone(), limits })
}
