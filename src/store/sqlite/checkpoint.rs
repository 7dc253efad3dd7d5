//! Copying the write-ahead log into the database, off the writer's path.
//!
//! A thread with its own connection copies what is there, passively, so that commits go on meanwhile. Only a log that was copied
//! whole is begun again from its start, and under load there is always something newer; so the writer copies the little that
//! remains itself, between two commits, once the thread has done the bulk.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use rusqlite::{Connection, OpenFlags};

use super::folder::{connect, failed};
use crate::commit::contract::StoreReason;

/// The log is copied when it has grown by about so many pages of 4 KiB: 16 MiB.
const PAGES: usize = 4096;

/// The thread that copies.
#[derive(Debug)]
pub(super) struct Checkpointer {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    outcome: Arc<CopyOutcome>,
    grown: usize,
}

#[derive(Debug, Default)]
struct CopyOutcome {
    /// The bulk is copied; the writer may finish.
    copied: AtomicBool,
    /// Copying failed: the store must be opened afresh.
    failed: AtomicBool,
}

impl Checkpointer {
    pub(super) fn start(database: &Path) -> Result<Self, StoreReason> {
        let connection = connect(database, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
        let (wake, woken) = sync_channel(1);
        let outcome = Arc::new(CopyOutcome::default());
        let shared = Arc::clone(&outcome);
        let thread = Builder::new().name("checkpoint".into()).spawn(move || work(&connection, &woken, &shared));
        let thread = thread.map_err(|cause| StoreReason::Failed(cause.into()))?;
        Ok(Self { wake: Some(wake), thread: Some(thread), outcome, grown: 0 })
    }

    /// Finishes what the thread has begun. Called by the writer between two commits.
    pub(super) fn before_commit(&self, connection: &Connection) -> Result<(), StoreReason> {
        if self.outcome.failed.load(Ordering::Acquire) {
            return Err(StoreReason::Failed("the write-ahead log could not be copied".into()));
        }
        if self.outcome.copied.swap(false, Ordering::AcqRel) {
            passively(connection).map_err(failed)?;
        }
        Ok(())
    }

    /// Takes note of a commit of `rows` records. A page of the log per touched page of a table or index: estimated, not counted.
    pub(super) fn committed(&mut self, rows: usize) {
        self.grown += 6 + rows * 2 / 3;
        if self.grown >= PAGES {
            self.grown = 0;
            // A full channel means that the thread is at it already.
            let _busy = self.wake.as_ref().map(|wake| wake.try_send(()));
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake = None;
        let _panicked = self.thread.take().map(JoinHandle::join);
    }
}

fn work(connection: &Connection, woken: &Receiver<()>, outcome: &CopyOutcome) {
    while woken.recv().is_ok() {
        match passively(connection) {
            Ok(_) => outcome.copied.store(true, Ordering::Release),
            Err(cause) => {
                tracing::error!(%cause, "the write-ahead log could not be copied");
                outcome.failed.store(true, Ordering::Release);
                return;
            }
        }
    }
}

/// Copies the whole log into the database and flushes that. Whatever the database then holds is durable.
pub(super) fn completely(connection: &Connection) -> Result<(), StoreReason> {
    let progress = checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)").map_err(failed)?;
    // A reader may keep the log from being cut, but not from having been copied.
    if progress.copied == progress.pages {
        return Ok(());
    }
    Err(StoreReason::Failed("a reader kept the write-ahead log from being copied".into()))
}

fn passively(connection: &Connection) -> rusqlite::Result<Progress> {
    checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)")
}

struct Progress {
    pages: i64,
    copied: i64,
}

fn checkpoint(connection: &Connection, sql: &str) -> rusqlite::Result<Progress> {
    connection.prepare_cached(sql)?.query_row([], |row| Ok(Progress { pages: row.get(1)?, copied: row.get(2)? }))
}
