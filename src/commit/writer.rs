//! The one writer, a thread: it takes the commands that wait, locks the store and learns what others committed since, judges,
//! writes one batch, answers.
//!
//! There is no timer: while one batch is being flushed the next one gathers. Every command of a batch sees the effects of those
//! before it. After a failure nothing is committed until the store was opened afresh and shown to hold exactly what was
//! acknowledged; a batch whose flush failed may turn out to be durable, and then its hops are recorded as withheld.

mod recovery;
mod turns;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use tokio::sync::oneshot;

use self::turns::Turns;
use super::command::{CommitCommand, Message, Pending, Reply, Staging, UncertainBatch, WriterMemory};
use super::commands::{ChangeCommand, CheckpointCommand, KeyEventsCommand, WithholdCommand};
use super::contract::{Batch, CommitStore, KeyList, StoreReason};
use super::limits::Limits;
use super::receipt::Durable;
use crate::ledger::record::StateCause;
use crate::oauth::{Clock, Time};

/// At most so many commands are written in one transaction.
const BATCH_MAX: usize = 1024;

/// How often a batch lets others run before it is written. A yield on a busy core takes some milliseconds.
const YIELDS_MAX: usize = 8;

/// Everything that changes state, in one thread.
pub(super) struct Writer {
    store: Box<dyn CommitStore>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    messages: Receiver<Message>,
    /// The commands that wait for another batch.
    turns: Turns,
    memory: WriterMemory,
    /// The index of the next record, as last acknowledged or learned.
    next: u64,
    /// The index of the newest checkpoint's record, and its time.
    checkpoint: (u64, Time),
    /// `next`, for others to see.
    durable: Durable,
    pending: Pending,
    /// Set while the store is not to be used: the batch whose end is unknown, and when the store failed last.
    failed: Option<(UncertainBatch, Instant)>,
    /// Callers waiting for the end.
    closing: Vec<oneshot::Sender<()>>,
    /// The clock was last seen too far behind.
    behind: bool,
}

/// Everything that a writer is made of.
pub(super) struct WriterParts {
    pub(super) store: Box<dyn CommitStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: Limits,
    pub(super) messages: Receiver<Message>,
    pub(super) memory: WriterMemory,
    pub(super) durable: Durable,
    /// The keys that the key folder lists.
    pub(super) listed: KeyList,
}

impl Writer {
    /// Works until it is told to close and nothing waits any more, or until nobody is left to ask. Returns whom to tell, once the
    /// store is closed too.
    pub(super) fn run(mut self) -> Vec<oneshot::Sender<()>> {
        while let Some(commands) = self.gather() {
            self.write_all(commands);
        }
        if self.unfinished() {
            self.recover_now();
            self.write_all(Vec::new());
        }
        if self.unfinished() {
            let Pending { changes, withheld, keys } = &self.pending;
            let (changes, withheld, keys) = (changes.len(), withheld.len(), keys.len());
            tracing::error!(changes, withheld, keys, "the store failed to the end");
        }
        std::mem::take(&mut self.closing)
    }

    /// One command, and whatever else waits; none when the work is over. Before it looks what else waits it lets run whoever
    /// wants to, until that has brought nothing twice: on an idle machine that is nobody, on a busy one those whose commands
    /// then share a flush.
    fn gather(&mut self) -> Option<Vec<Box<dyn CommitCommand>>> {
        let mut messages: Vec<Message> = self.wait()?.into_iter().collect();
        let mut in_vain = 0;
        for _ in 0..YIELDS_MAX {
            let before = messages.len();
            std::thread::yield_now();
            messages.extend(self.messages.try_iter().take(BATCH_MAX - before));
            in_vain += u32::from(messages.len() == before);
            if in_vain == 2 || messages.len() == BATCH_MAX {
                break;
            }
        }
        let command = |message| match message {
            Message::Command(command) => Some(command),
            Message::Close(reply) => {
                self.closing.push(reply);
                None
            }
        };
        let arrived: Vec<_> = messages.into_iter().filter_map(command).collect();
        Some(self.turns.take(arrived.into_iter()))
    }

    /// Waits for a message; while something is left to do without being asked, or time may end a task, no longer than the pause
    /// between two attempts.
    fn wait(&self) -> Option<Option<Message>> {
        if self.turns.is_waiting() {
            return Some(self.messages.try_recv().ok());
        }
        if !self.closing.is_empty() {
            return self.messages.try_recv().ok().map(Some);
        }
        let pause = match (self.unfinished(), self.memory.state.has_tasks()) {
            (true, _) => self.limits.retry,
            (false, true) => self.limits.sweep,
            (false, false) => return self.messages.recv().ok().map(Some),
        };
        match self.messages.recv_timeout(pause) {
            Ok(message) => Some(Some(message)),
            Err(RecvTimeoutError::Timeout) => Some(None),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// True while something is left to do without being asked.
    pub(super) fn unfinished(&self) -> bool {
        self.failed.is_some() || !self.pending.is_empty()
    }

    /// Everything that waited, in as many batches as it takes.
    pub(super) fn write_all(&mut self, commands: Vec<Box<dyn CommitCommand>>) {
        let mut commands = commands.into_iter().peekable();
        loop {
            if commands.peek().is_some_and(|next| next.begins_epoch()) {
                // What acts already is recorded by the time by which it does.
                self.write(Vec::new());
            }
            let mut batch: Vec<Box<dyn CommitCommand>> = Vec::with_capacity(commands.len());
            while let Some(command) = commands.next_if(|next| batch.is_empty() || !next.begins_epoch()) {
                let last = command.ends_batch() || command.begins_epoch();
                batch.push(command);
                if last {
                    break;
                }
            }
            self.write(batch);
            if commands.len() == 0 {
                return;
            }
        }
    }

    /// One batch: lock and learn, judge, write, answer. It begins with what is pending and with what time has ended.
    fn write(&mut self, asked: Vec<Box<dyn CommitCommand>>) {
        self.recover_when_due();
        let (locked, failure) = match self.lock(&asked) {
            Ok(locked) => (locked, None),
            Err(failure) => (false, Some(failure)),
        };
        let begins = asked.iter().any(|command| command.begins_epoch());
        let (at, clock_behind, clock_doubted) = self.present(begins);
        let unasked = if locked && !clock_doubted && !begins { self.unasked(at) } else { Vec::new() };
        let mut staging = Staging {
            batch: Batch::at(at),
            memory: &mut self.memory,
            pending: &mut self.pending,
            limits: &self.limits,
            store: &mut *self.store,
            next: self.next,
            locked,
            failure,
            clock_behind,
            clock_doubted,
            staged: Vec::with_capacity(unasked.len() + asked.len()),
        };
        unasked.into_iter().for_each(|command| staging.take(command));
        staging.forget();
        asked.into_iter().for_each(|command| staging.take(command));
        let (batch, staged, written) = staging.finish();
        match written {
            Ok(()) => self.settle(&batch, staged),
            Err(failure) => self.fail(&batch, staged, &failure),
        }
        self.memory.state.set_stuck(self.failed.is_some() || clock_doubted || !self.pending.changes.is_empty());
    }

    /// Takes the store's lock, and takes up what others committed since. False while the store is not to be used.
    fn lock(&mut self, asked: &[Box<dyn CommitCommand>]) -> Result<bool, StoreReason> {
        if self.failed.is_some() {
            return Ok(false);
        }
        let learned = self.store.begin(&mut asked.iter().flat_map(|command| command.single_use()).copied())?;
        if learned.next < self.next {
            return Err(StoreReason::Corrupt("it does not hold what it acknowledged"));
        }
        if let Some(since) = learned.since {
            self.learn(*since)?;
        }
        if learned.next > self.next {
            self.durable.set(learned.next);
        }
        self.next = learned.next;
        self.memory.state.raise_floor(learned.newest);
        Ok(true)
    }

    /// The time of a batch that begins now; whether the clock stands too far behind for anything to be issued; whether it is so
    /// far ahead that nothing may be recorded. The present never runs backwards: within the tolerance the floor, which the
    /// newest record raises too, stands in for a clock that is behind it. What `begins` an epoch goes by the clock alone.
    fn present(&mut self, begins: bool) -> (Time, bool, bool) {
        let (present, floor) = (self.clock.now(), self.memory.state.floor());
        let behind = floor.since(present) > self.limits.clock_behind;
        if behind && !self.behind {
            let behind_ms = floor.since(present).as_millis();
            tracing::error!(
                behind_ms,
                "the clock stands behind the newest record, so nothing is issued until it has caught up; put it right, or, \
                 where it is right, begin a new epoch by `countersign clock correct`"
            );
        }
        self.behind = behind;
        // Asked after the time was: a doubt of then that is none now costs one batch, and the other way round nothing.
        let at = if begins { present } else { present.max(floor) };
        (at, behind, self.clock.doubt().is_some())
    }

    /// Commands that nobody waits for: what is pending, then the ends of tasks that time has ended, which are dead already, and a
    /// checkpoint where one is due. Of all such tasks, however many: what suspends one stops the waiting for its heartbeat, so
    /// it must not become durable before the end of a task that was silent until then.
    fn unasked(&mut self, at: Time) -> Vec<Box<dyn CommitCommand>> {
        let Pending { withheld, changes, keys } = std::mem::take(&mut self.pending);
        let mut commands: Vec<Box<dyn CommitCommand>> = Vec::new();
        // Nothing that a key serves for is recorded before it is.
        if !keys.is_empty() {
            commands.push(Box::new(KeyEventsCommand { listed: keys, reply: Reply::none() }));
        }
        commands.extend(withheld.into_iter().map(|hop| Box::new(WithholdCommand(hop)) as Box<dyn CommitCommand>));
        commands.extend(changes.into_iter().map(|change| Box::new(ChangeCommand::pending(change)) as Box<dyn CommitCommand>));
        for task in self.memory.state.overdue(at) {
            commands.push(Box::new(ChangeCommand::overdue(task.overdue(at))));
        }
        if self.is_checkpoint_due(at) {
            commands.push(Box::new(CheckpointCommand { cause: StateCause::Interval, reply: Reply::none() }));
        }
        commands
    }

    /// True where enough was recorded since the last checkpoint, or anything may be forgotten and the last is a while ago.
    fn is_checkpoint_due(&self, at: Time) -> bool {
        let (index, last) = self.checkpoint;
        self.next.saturating_sub(index) >= self.limits.checkpoint_records
            || at.since(last) >= self.limits.checkpoint_pause && self.memory.state.has_forgettable(at)
    }

    /// The batch is durable: now, and only now, receipts leave.
    fn settle(&mut self, batch: &Batch, staged: Vec<Box<dyn CommitCommand>>) {
        if !batch.rows.is_empty() {
            self.next += batch.rows.len() as u64;
            self.memory.state.raise_floor(batch.at);
            self.memory.forgets &= batch.forget.is_none();
            self.durable.set(self.next);
            if let Some(checkpoint) = &batch.checkpoint {
                self.checkpoint = (checkpoint.index, batch.at);
            }
        }
        staged.into_iter().for_each(|command| command.settle(&self.memory));
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("next", &self.next).finish_non_exhaustive()
    }
}
