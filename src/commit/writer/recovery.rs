//! Starting, and starting again after the store failed: one and the same path.

use std::time::Instant;

use super::{Writer, WriterParts};
use crate::commit::command::{CommitCommand, UncertainBatch};
use crate::commit::contract::{Batch, Recovered, StoreReason, Stored};
use crate::commit::replay_cache::ReplayCache;
use crate::commit::tasks;
use crate::ledger::Record;
use crate::lifecycle::Task;
use crate::oauth::{GenerationKey, Time};

impl Writer {
    /// Opens the store, verifies it, and loads what the checks need.
    ///
    /// # Errors
    /// See [`StoreReason`].
    pub(in crate::commit) fn start(parts: WriterParts) -> Result<Self, StoreReason> {
        let WriterParts { mut store, clock, limits, messages, mut memory, durable } = parts;
        let recovered = store.open()?;
        let newest = verified(&recovered)?;
        let Recovered { count: next, state, .. } = recovered;
        memory.replay = ReplayCache::load(&state.single_use, limits.single_use);
        memory.state.load(&state.generations, tasks::read_all(&state.tasks, &memory.keys)?, &mut [], newest);
        memory.lists.learn(state.status, state.in_force);
        durable.set(next);
        let (pending, failed, closing, behind) = Default::default();
        Ok(Self { store, clock, limits, messages, memory, next, newest, durable, pending, failed, closing, behind })
    }

    /// The batch may or may not be durable: nobody gets a receipt, and nothing more is committed until that is known.
    pub(super) fn fail(&mut self, batch: &Batch, staged: Vec<Box<dyn CommitCommand>>, failure: &StoreReason) {
        tracing::error!(cause = ?failure, "the store failed, so nothing is issued until it has recovered");
        self.memory.keys.clear();
        let last = batch.rows.last().map(|row| row.record.clone()).unwrap_or_default();
        let mut uncertain = UncertainBatch { rows: batch.rows.len() as u64, last, ..UncertainBatch::default() };
        staged.into_iter().for_each(|command| command.fail(&mut uncertain));
        self.failed = Some((uncertain, Instant::now()));
    }

    pub(super) fn recover_when_due(&mut self) {
        if self.failed.as_ref().is_some_and(|(_, since)| since.elapsed() >= self.limits.retry) {
            self.recover_now();
        }
    }

    /// One attempt to bring the store back.
    pub(super) fn recover_now(&mut self) {
        let Some((uncertain, _)) = self.failed.take() else { return };
        let reopened = self.reopen(&uncertain);
        match reopened
            .and_then(|(recovered, landed)| Ok((tasks::read_all(&recovered.state.tasks, &self.memory.keys)?, recovered, landed)))
        {
            Ok((tasks, recovered, landed)) => {
                self.adopt(&recovered, tasks, uncertain, landed);
                tracing::info!(records = recovered.count, "the store has recovered");
            }
            Err(failure) => {
                tracing::error!(cause = ?failure, "the store has not recovered yet");
                self.failed = Some((uncertain, Instant::now()));
            }
        }
    }

    /// Opens the store afresh. It must hold exactly what was acknowledged, with or without the whole uncertain batch; the latter
    /// is told.
    fn reopen(&mut self, uncertain: &UncertainBatch) -> Result<(Recovered, bool), StoreReason> {
        let recovered = self.store.open()?;
        verified(&recovered)?;
        if recovered.count == self.next {
            return Ok((recovered, false));
        }
        let whole = recovered.count == self.next + uncertain.rows;
        let landed = whole && recovered.newest.last().is_some_and(|newest| newest.record == uncertain.last);
        if landed { Ok((recovered, true)) } else { Err(StoreReason::Corrupt("it does not hold what it acknowledged")) }
    }

    fn adopt(&mut self, recovered: &Recovered, tasks: Vec<(GenerationKey, Task)>, uncertain: UncertainBatch, landed: bool) {
        if landed {
            self.pending.withheld.splice(0..0, uncertain.hops);
        } else {
            self.pending.prepend(uncertain.lost);
        }
        self.next = recovered.count;
        self.durable.set(self.next);
        self.newest = recovered.newest.last().map_or(self.newest, |stored| stored.at.max(self.newest));
        self.memory.replay = ReplayCache::load(&recovered.state.single_use, self.limits.single_use);
        self.memory.state.load(&recovered.state.generations, tasks, &mut self.pending.changes, self.newest);
    }
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
