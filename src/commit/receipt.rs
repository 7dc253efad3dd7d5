//! The commit's word that a record is durable, and the reasons for which it refuses.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::capacity::Capacity;
use crate::catalog::ScopeEffect;
use crate::crypto::Digest;
use crate::oauth::{Jti, Time, Txn};

/// The commit's word that the record of one hop is durable at an index. Only the writer makes one, after the flush.
#[derive(Debug)]
pub struct Receipt {
    index: u64,
    jti: Jti,
    txn: Txn,
    record: Digest,
    at: Time,
}

impl Receipt {
    /// Called where a hop's batch is durable, and nowhere else.
    pub(super) fn new(index: u64, (jti, txn): (Jti, Txn), record: Digest, at: Time) -> Self {
        Self { index, jti, txn, record, at }
    }

    /// The record's index in the ledger, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The hop.
    pub fn jti(&self) -> Jti {
        self.jti
    }

    /// The transaction.
    pub fn txn(&self) -> Txn {
        self.txn
    }

    /// SHA-256 of the recorded bytes.
    pub fn record(&self) -> Digest {
        self.record
    }

    /// The time of the commit; never before the time of any record with a lower index.
    pub fn at(&self) -> Time {
        self.at
    }
}

/// The reason for which the commit refused. The first eight are verdicts about the request; after the others it may simply be
/// tried again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitReason {
    /// Something that the hop depends on has ended or is suspended.
    Died,
    /// A thing that was to be resumed is retired.
    Retired,
    /// The client that suspended it has a higher rank than the one that wants to resume it.
    Outranked,
    /// The budget of the task does not suffice.
    Budget,
    /// A client assertion was used before.
    Spent,
    /// A DPoP proof was used before.
    Replayed,
    /// An identity assertion grant was used before.
    Redeemed,
    /// An assertion or proof was made before the present epoch began: whether it was used is not known any more.
    Forgotten,
    /// Something that the hop rests on has expired, by the commit's own clock.
    Expired,
    /// The record, or the list of what it spends or ends, is longer than it may be.
    TooLarge,
    /// The queue is full.
    Busy,
    /// This is full for everybody; the next place is given back after so many seconds.
    Full(Capacity, u32),
    /// The client holds as much of this as is left to all others; after so many seconds the next place is given back.
    Share(Capacity, u32),
    /// The agent was issued as many tokens in an hour as it may with a scope of this effect: so many. After so many seconds it
    /// may have the next.
    Velocity(ScopeEffect, u32, u32),
    /// The store cannot serve, or the server is closing.
    Unavailable,
    /// The clock stands behind the newest record.
    ClockBehind,
    /// The clock is too far ahead of the newest record, or leapt ahead.
    ClockDoubted,
    /// The clock does not stand behind the newest record, so no epoch of a wrong clock is to be ended.
    ClockRight,
    /// Only what is held is released, only so many transactions are held, and nothing is pruned that no archive has.
    Kept,
}

impl CommitReason {
    /// True where an assertion or a proof was used before, or nobody knows any more that it was not.
    pub fn is_used(self) -> bool {
        matches!(self, Self::Spent | Self::Replayed | Self::Redeemed | Self::Forgotten)
    }

    /// The time in seconds after which it is worth trying again, where it is.
    pub fn retry_after(self) -> Option<u32> {
        match self {
            Self::Full(_, seconds) | Self::Share(_, seconds) | Self::Velocity(.., seconds) => Some(seconds.max(1)),
            reason => reason.is_temporary().then_some(1),
        }
    }

    /// True where the same may succeed later, whatever it is.
    pub fn is_temporary(self) -> bool {
        let of_client = matches!(self, Self::Share(..) | Self::Velocity(..));
        of_client || matches!(self, Self::Busy | Self::Full(..) | Self::Unavailable | Self::ClockBehind | Self::ClockDoubted)
    }
}

impl fmt::Display for CommitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(bound, seconds) => {
                return write!(f, "the server remembers no more {bound}; the next place is free in {seconds} s");
            }
            Self::Share(bound, seconds) => {
                return write!(
                    f,
                    "this client has as many {bound} as are left to all others; the next place is free in {seconds} s"
                );
            }
            Self::Velocity(effect, per_hour, seconds) => {
                let effect = effect.as_str();
                return write!(
                    f,
                    "this client may be issued {per_hour} tokens in an hour with a scope whose effect is {effect}; ask for the \
                     next in {seconds} s, or for other scopes"
                );
            }
            Self::Died => "something that this request depends on has ended or is suspended, so nothing can be issued from it",
            Self::Retired => "what is retired never comes back",
            Self::Outranked => "it was suspended by somebody who counts for more; ask who opened the task, or the operator",
            Self::Budget => "the budget of the task does not suffice",
            Self::Spent => "the client assertion was used before; sign a new one with a fresh jti",
            Self::Replayed => "the DPoP proof was used before; sign a new one with a fresh jti",
            Self::Redeemed => "subject_token was used before, and counts once; get a new one from its issuer",
            Self::Forgotten => {
                "the client assertion or DPoP proof was made before this server began anew or in the minute after; sign a new one"
            }
            Self::Expired => "something that this request rests on has expired; ask again with fresh tokens",
            Self::TooLarge => "the record of this request would be too long; ask for less",
            Self::Busy => "the server is busy; try again shortly",
            Self::Unavailable => "the ledger cannot record now; try again later",
            Self::ClockBehind => "the clock of the server stands behind its newest record; try again later",
            Self::ClockRight => "the clock of the server does not stand behind its newest record, so there is nothing to correct",
            Self::Kept => "it does not follow from what is archived and held by now; look at countersign ledger holds",
            Self::ClockDoubted => "the clock of the server is not believed; its operator has to look; try again later",
        })
    }
}

impl std::error::Error for CommitReason {}

/// The number of records that the writer knows to be durable: a reader may see more while a failed flush is being recovered.
/// Clones count the same.
#[derive(Clone, Debug, Default)]
pub struct Durable(Arc<AtomicU64>);

impl Durable {
    /// The number of durable records.
    pub fn records(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// So many are durable, and everything before them.
    pub(super) fn set(&self, records: u64) {
        self.0.store(records, Ordering::Release);
    }
}
