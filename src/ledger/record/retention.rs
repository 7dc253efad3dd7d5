//! Records of how long records are kept: what an archive has, what is held back from removal, and what was removed.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::schema::{INTEGER_MAX, Kind, VERSION};
use super::text::{Millis, Optional};
use crate::oauth::{Time, Txn};

/// A step by which records are archived, held, released or pruned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionRecord<'a> {
    /// The time of the commit.
    #[serde(with = "Millis")]
    pub at: Time,
    /// The party that asked for it: `ops`, or `server` for what it prunes.
    #[serde(borrow)]
    pub by: Cow<'a, str>,
    /// The index of the first record that is kept, where records are pruned; a multiple of 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// Always [`Kind::Retention`].
    pub kind: Kind,
    /// The reason, in the words of whoever asked, where a transaction is held or released.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub reason: Option<Cow<'a, str>>,
    /// The index of the `state` record whose state was archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<u64>,
    /// The transaction that is held or released.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "Optional")]
    pub txn: Option<Txn>,
    /// The number of records, from the first on, that archives have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Always [`VERSION`].
    pub v: u32,
    /// The step.
    pub what: RetentionStep,
}

/// The steps that are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetentionStep {
    /// Archives have the records before `until`, and the state as of the record at `snapshot`.
    Archived,
    /// Everything of a transaction is kept, however old it is.
    Held,
    /// A transaction is held no longer.
    Released,
    /// The records before `first` are removed, but for those that are held.
    Pruned,
}

impl<'a> RetentionRecord<'a> {
    fn new(at: Time, by: impl Into<Cow<'a, str>>, what: RetentionStep) -> Self {
        let (first, reason, snapshot, txn, until) = Default::default();
        Self { at, by: by.into(), first, kind: Kind::Retention, reason, snapshot, txn, until, v: VERSION, what }
    }

    /// The record that archives have the first `until` records, and the state as of the record at `snapshot`.
    pub fn archived(at: Time, by: impl Into<Cow<'a, str>>, until: u64, snapshot: u64) -> Self {
        Self { until: Some(until), snapshot: Some(snapshot), ..Self::new(at, by, RetentionStep::Archived) }
    }

    /// The record that a transaction is held, or released where `what` says so.
    pub fn holding(
        at: Time,
        by: impl Into<Cow<'a, str>>,
        what: RetentionStep,
        txn: Txn,
        reason: impl Into<Cow<'a, str>>,
    ) -> Self {
        Self { txn: Some(txn), reason: Some(reason.into()), ..Self::new(at, by, what) }
    }

    /// The record that the records before `first` are removed.
    pub fn pruned(at: Time, by: impl Into<Cow<'a, str>>, first: u64) -> Self {
        Self { first: Some(first), ..Self::new(at, by, RetentionStep::Pruned) }
    }

    /// True when it has the members of its step and no others.
    pub(super) fn holds(&self) -> bool {
        let has =
            (self.until.is_some(), self.snapshot.is_some(), self.txn.is_some(), self.reason.is_some(), self.first.is_some());
        let fits = match self.what {
            RetentionStep::Archived => has == (true, true, false, false, false) && self.snapshot < self.until,
            RetentionStep::Held | RetentionStep::Released => has == (false, false, true, true, false),
            RetentionStep::Pruned => has == (false, false, false, false, true),
        };
        let numbers = [self.until, self.snapshot, self.first];
        self.kind == Kind::Retention && fits && numbers.into_iter().flatten().all(|number| number <= INTEGER_MAX)
    }
}
