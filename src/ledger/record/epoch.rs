//! Records of going back in time: a new epoch begins, and what was before it counts no longer.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::schema::{INTEGER_MAX, Kind, VERSION};
use super::text::{Millis, One};
use crate::crypto::Digest;
use crate::oauth::Time;

/// The beginning of an epoch: whatever was issued or opened before it has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochRecord<'a> {
    /// The time of the commit; it may be earlier than that of the records before.
    #[serde(with = "Millis")]
    pub at: Time,
    /// The newest checkpoint that was signed, where records that it covers are lost.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub before: Option<LostCheckpoint<'a>>,
    /// The party that asked for it: `ops`.
    #[serde(borrow)]
    pub by: Cow<'a, str>,
    /// The cause.
    pub cause: EpochCause,
    /// Always [`Kind::Epoch`].
    pub kind: Kind,
    /// Its number, greater than that of the one before.
    pub number: u64,
    /// The reason, in the words of whoever asked.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// Always [`VERSION`].
    pub v: u32,
}

/// The causes for which an epoch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EpochCause {
    /// The clock was wrong, and is right again.
    Clock,
    /// The state was made anew from the records, and what no record holds is lost.
    Rebuild,
    /// A copy of the data was put in place.
    Restore,
}

/// A signed checkpoint whose records are lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LostCheckpoint<'a> {
    /// The log that it is of.
    #[serde(borrow)]
    pub origin: Cow<'a, str>,
    /// The root of its tree.
    #[serde(with = "One")]
    pub root: Digest,
    /// The number of its records.
    pub size: u64,
}

impl<'a> EpochRecord<'a> {
    /// The record that the epoch `number` begins.
    pub fn new(at: Time, by: &'a str, cause: EpochCause, number: u64, reason: &'a str) -> Self {
        Self {
            at,
            before: None,
            by: Cow::Borrowed(by),
            cause,
            kind: Kind::Epoch,
            number,
            reason: Cow::Borrowed(reason),
            v: VERSION,
        }
    }

    /// True when it keeps the rules that the shape alone does not enforce.
    pub(super) fn holds(&self) -> bool {
        let fits = self.before.as_ref().is_none_or(|before| before.size <= INTEGER_MAX && self.cause == EpochCause::Restore);
        self.kind == Kind::Epoch && (1..=INTEGER_MAX).contains(&self.number) && fits
    }
}
