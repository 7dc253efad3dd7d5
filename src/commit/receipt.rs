//! The commit's word, and its refusals.

use std::fmt;
use std::sync::mpsc::Sender;

use super::writer::{Job, WithheldHop};
use crate::crypto::Digest;
use crate::oauth::{Jti, Time, Txn};

/// The commit's word that the record of one hop is durable at an index. Only the writer makes one, after the flush.
#[derive(Debug)]
pub struct Receipt {
    pub(super) index: u64,
    pub(super) jti: Jti,
    pub(super) txn: Txn,
    pub(super) record: Digest,
    pub(super) at: Time,
}

impl Receipt {
    /// The record's index in the ledger, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The hop.
    pub fn jti(&self) -> Jti {
        self.jti
    }

    /// The tree.
    pub fn txn(&self) -> Txn {
        self.txn
    }

    /// SHA-256 of the recorded bytes.
    pub fn record(&self) -> Digest {
        self.record
    }

    /// When it was committed; never before the time of any record with a lower index.
    pub fn at(&self) -> Time {
        self.at
    }
}

/// Why the commit refused. The first six are verdicts about the request; after the others it may simply be tried again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitReason {
    /// Something that the hop depends on has ended or is suspended.
    Died,
    /// What was to be resumed is retired.
    Retired,
    /// Whoever suspended it counts for more than who wants to resume it.
    Outranked,
    /// The budget of the task does not suffice.
    Budget,
    /// A client assertion was used before.
    Spent,
    /// A DPoP proof was used before.
    Replayed,
    /// Something that the hop rests on has expired, by the commit's own clock.
    Expired,
    /// The record, or the list of what it spends or ends, is longer than it may be.
    TooLarge,
    /// The queue, or the memory for what must not be forgotten, is full.
    Busy,
    /// The store cannot serve, or the server is closing.
    Unavailable,
    /// The clock stands behind the newest record.
    ClockBehind,
}

impl fmt::Display for CommitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Died => "something that this request depends on has ended or is suspended, so nothing can be issued from it",
            Self::Retired => "what is retired never comes back",
            Self::Outranked => "it was suspended by somebody who counts for more; ask who opened the task, or the operator",
            Self::Budget => "the budget of the task does not suffice",
            Self::Spent => "the client assertion was used before; sign a new one with a fresh jti",
            Self::Replayed => "the DPoP proof was used before; sign a new one with a fresh jti",
            Self::Expired => "something that this request rests on has expired; ask again with fresh tokens",
            Self::TooLarge => "the record of this request would be too long; ask for less",
            Self::Busy => "the server is busy; try again shortly",
            Self::Unavailable => "the ledger cannot record now; try again later",
            Self::ClockBehind => "the clock of the server stands behind its newest record; try again later",
        })
    }
}

impl std::error::Error for CommitReason {}

/// A receipt on its way. Whoever drops it instead of taking it has the hop recorded as withheld.
#[derive(Debug)]
pub(super) struct Answer {
    receipt: Option<Receipt>,
    jobs: Sender<Job>,
}

impl Answer {
    pub(super) fn new(receipt: Receipt, jobs: Sender<Job>) -> Self {
        Self { receipt: Some(receipt), jobs }
    }

    pub(super) fn take(mut self) -> Option<Receipt> {
        self.receipt.take()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(receipt) = self.receipt.take() {
            // A closed writer leaves a recorded hop without an answer, as a crash would.
            let _closed = self.jobs.send(Job::Withhold(WithheldHop::of(&receipt)));
        }
    }
}
