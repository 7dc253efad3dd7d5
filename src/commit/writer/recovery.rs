//! Starting, and starting again after the store failed: one and the same path.

use std::sync::Arc;
use std::time::Instant;

use super::stage::{Effect, Staged};
use super::{Parts, Unrecorded, WithheldHop, Writer};
use crate::commit::contract::{Recovered, StoreReason, Stored};
use crate::commit::receipt::CommitReason;
use crate::commit::spent::ReplayCache;
use crate::commit::tasks;
use crate::ledger::Record;
use crate::lifecycle::Task;
use crate::oauth::{GenerationKey, Time};

/// A batch of which nobody knows whether it is durable.
#[derive(Debug, Default)]
pub(super) struct UncertainBatch {
    /// How many records it had, and its last one.
    rows: u64,
    last: Vec<u8>,
    /// Hops whose callers were told that nothing was issued: withheld if they are durable.
    hops: Vec<WithheldHop>,
    /// What is to be recorded again if they are not.
    withheld: Vec<WithheldHop>,
    changes: Vec<Unrecorded>,
}

impl Writer {
    /// Opens the store, verifies it, and loads what the checks need.
    pub(in crate::commit) fn start(parts: Parts) -> Result<Self, StoreReason> {
        let Parts { mut store, clock, limits, jobs, mirror, register, quota, keys, durable } = parts;
        let recovered = store.open()?;
        let newest = verified(&recovered)?;
        let spent = ReplayCache::load(&recovered.single_use, limits.single_use);
        mirror.load(&recovered.lives, tasks(&recovered)?, &mut [], newest);
        register.load(recovered.status, recovered.in_force);
        let (owed, unrecorded, closing, failed) = (Vec::new(), Vec::new(), Vec::new(), None);
        let next = recovered.count;
        durable.set(next);
        let behind = false;
        Ok(Self {
            store,
            clock,
            limits,
            jobs,
            mirror,
            register,
            quota,
            spent,
            keys,
            next,
            durable,
            newest,
            owed,
            unrecorded,
            failed,
            closing,
            behind,
        })
    }

    /// The batch may or may not be durable: nobody gets a receipt, and nothing more is committed until that is known.
    pub(super) fn fail(&mut self, staged: Staged, failure: &StoreReason) {
        tracing::error!(cause = ?failure, "the store failed, so nothing is issued until it has recovered");
        self.keys.clear();
        let last = staged.batch.rows.last().map(|row| row.record.clone()).unwrap_or_default();
        let mut doubt = UncertainBatch { rows: staged.batch.rows.len() as u64, last, ..UncertainBatch::default() };
        for effect in staged.effects {
            match effect {
                Effect::Hop(receipt, reply, _place) => {
                    doubt.hops.push(WithheldHop::of(&receipt));
                    let _untaken = reply.to.send(Err(CommitReason::Unavailable));
                }
                Effect::Change(change, reply) => {
                    doubt.changes.push(change);
                    let _untaken = reply.map(|reply| reply.send(Err(CommitReason::Unavailable)));
                }
                // If it is durable, it acts when the store is read again.
                Effect::Resume(_, reply) | Effect::Remembered(_, reply) => {
                    let _untaken = reply.send(Err(CommitReason::Unavailable));
                }
                Effect::Spent(_spending, reply) => {
                    let _untaken = reply.send(Err(CommitReason::Unavailable));
                }
                Effect::Refusal(recordable) => self.unrecord(&recordable),
                Effect::Withheld(hidden) => doubt.withheld.push(hidden),
            }
        }
        self.failed = Some((doubt, Instant::now()));
    }

    pub(super) fn recover_when_due(&mut self) {
        if self.failed.as_ref().is_some_and(|(_, since)| since.elapsed() >= self.limits.retry) {
            self.recover_now();
        }
    }

    /// One attempt to bring the store back.
    pub(super) fn recover_now(&mut self) {
        let Some((doubt, _)) = self.failed.take() else { return };
        let reopened = self.reopen(&doubt).and_then(|(recovered, landed)| Ok((tasks(&recovered)?, recovered, landed)));
        match reopened {
            Ok((tasks, recovered, landed)) => {
                self.adopt(&recovered, tasks, doubt, landed);
                tracing::info!(records = recovered.count, "the store has recovered");
            }
            Err(failure) => {
                tracing::error!(cause = ?failure, "the store has not recovered yet");
                self.failed = Some((doubt, Instant::now()));
            }
        }
    }

    /// Opens the store afresh. It must hold exactly what was acknowledged, with or without the whole doubtful batch.
    fn reopen(&mut self, doubt: &UncertainBatch) -> Result<(Recovered, bool), StoreReason> {
        let recovered = self.store.open()?;
        verified(&recovered)?;
        if recovered.count == self.next {
            return Ok((recovered, false));
        }
        let whole = recovered.count == self.next + doubt.rows;
        let landed = whole && recovered.newest.last().is_some_and(|newest| newest.record == doubt.last);
        if landed { Ok((recovered, true)) } else { Err(StoreReason::Corrupt("it does not hold what it acknowledged")) }
    }

    fn adopt(&mut self, recovered: &Recovered, tasks: Vec<(GenerationKey, Task)>, doubt: UncertainBatch, landed: bool) {
        let UncertainBatch { hops, withheld, changes, .. } = doubt;
        if landed {
            self.owed.splice(0..0, hops);
        } else {
            self.owed.splice(0..0, withheld);
            self.unrecorded.splice(0..0, changes);
        }
        self.next = recovered.count;
        self.durable.set(self.next);
        self.newest = recovered.newest.last().map_or(self.newest, |stored| stored.at.max(self.newest));
        self.spent = ReplayCache::load(&recovered.single_use, self.limits.single_use);
        Arc::clone(&self.mirror).load(&recovered.lives, tasks, &mut self.unrecorded, self.newest);
    }
}

/// The tasks that are stored.
fn tasks(recovered: &Recovered) -> Result<Vec<(GenerationKey, Task)>, StoreReason> {
    recovered.tasks.iter().map(|stored| tasks::read(stored).ok_or(StoreReason::Corrupt("a task"))).collect()
}

/// The time of the newest record, if the newest records are whole, in a row and in order of time.
fn verified(recovered: &Recovered) -> Result<Time, StoreReason> {
    let newest = &recovered.newest;
    let first = recovered.count.checked_sub(newest.len() as u64).ok_or(StoreReason::Corrupt("the count of records"))?;
    if newest.is_empty() && recovered.count > 0 {
        return Err(StoreReason::Corrupt("the newest records are missing"));
    }
    let contiguous = newest.iter().zip(first..).all(|(stored, index)| stored.index == index);
    if !contiguous || !newest.is_sorted_by_key(|stored| stored.at) {
        return Err(StoreReason::Corrupt("the order of the newest records"));
    }
    if !newest.iter().all(whole) {
        return Err(StoreReason::Corrupt("one of the newest records"));
    }
    Ok(newest.last().map_or(Time::from_millis(0), |stored| stored.at))
}

fn whole(stored: &Stored) -> bool {
    Record::parse(&stored.record).is_ok_and(|record| record.jti() == stored.jti && record.txn() == stored.txn)
}
