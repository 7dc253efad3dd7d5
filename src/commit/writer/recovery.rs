//! Starting, and starting again after the store failed: one and the same path.

use std::time::Instant;

use super::{Writer, WriterParts};
use crate::commit::command::{CommitCommand, UncertainBatch};
use crate::commit::contract::{Batch, Recovered, StoreReason, Stored, StoredState};
use crate::commit::tasks;
use crate::ledger::Record;
use crate::lifecycle::Task;
use crate::oauth::{GenerationKey, Time};

/// A store that was opened and verified.
struct Reopened {
    /// The number of records, and the time of the newest.
    count: u64,
    newest: Time,
    state: StoredState,
    /// The tasks of that state, read.
    tasks: Vec<(GenerationKey, Task)>,
    /// The uncertain batch is durable.
    landed: bool,
}

impl Writer {
    /// Opens the store, verifies it, and loads what the checks need.
    ///
    /// # Errors
    /// See [`StoreReason`].
    pub(in crate::commit) fn start(parts: WriterParts) -> Result<Self, StoreReason> {
        let WriterParts { store, clock, limits, messages, memory, durable } = parts;
        let (pending, failed, closing, behind, next) = Default::default();
        let newest = Time::from_millis(0);
        let mut writer = Self { store, clock, limits, messages, memory, next, newest, durable, pending, failed, closing, behind };
        let nothing = UncertainBatch::default();
        let reopened = writer.reopen(&nothing)?;
        writer.adopt(reopened, nothing);
        Ok(writer)
    }

    /// The batch may or may not be durable: nobody gets a receipt, and nothing more is committed until that is known.
    pub(super) fn fail(&mut self, batch: &Batch, staged: Vec<Box<dyn CommitCommand>>, failure: &StoreReason) {
        tracing::error!(cause = ?failure, "the store failed, so nothing is issued until it has recovered");
        self.memory.keys.clear();
        let last = batch.rows.last().map(|row| (row.index, row.record.clone()));
        let places = batch.status.iter().map(|(_, row)| row.place).collect();
        let mut uncertain = UncertainBatch { last, places, ..UncertainBatch::default() };
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
        match self.reopen(&uncertain) {
            Ok(reopened) => {
                self.adopt(reopened, uncertain);
                tracing::info!(records = self.next, "the store has recovered");
            }
            Err(failure) => {
                tracing::error!(cause = ?failure, "the store has not recovered yet");
                self.failed = Some((uncertain, Instant::now()));
            }
        }
    }

    /// Opens the store afresh. It must hold what was acknowledged; the uncertain batch is there if its last record is where it
    /// was to be, whatever others committed meanwhile.
    fn reopen(&mut self, uncertain: &UncertainBatch) -> Result<Reopened, StoreReason> {
        let recovered = self.store.open()?;
        let newest = verified(&recovered)?;
        let Recovered { count, mut state, unsealed, .. } = recovered;
        if count < self.next {
            return Err(StoreReason::Corrupt("it does not hold what it acknowledged"));
        }
        let landed = match &uncertain.last {
            Some((index, record)) => self.store.record(*index)?.is_some_and(|stored| stored == *record),
            None => false,
        };
        if unsealed {
            tasks::seal_all(&mut state.tasks, &self.memory.keys)?;
            self.store.replace_tasks(&state.tasks)?;
        }
        let tasks = tasks::read_all(&state.tasks, &self.memory.keys)?;
        Ok(Reopened { count, newest, state, tasks, landed })
    }

    fn adopt(&mut self, reopened: Reopened, uncertain: UncertainBatch) {
        let Reopened { count, newest, state, tasks, landed } = reopened;
        if landed {
            self.pending.withheld.splice(0..0, uncertain.hops);
        } else {
            self.pending.prepend(uncertain.lost);
            self.memory.lists.release(&uncertain.places);
        }
        self.next = count;
        self.durable.set(count);
        self.newest = newest.max(self.newest);
        self.memory.load(state, tasks, &mut self.pending.changes, self.newest);
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
