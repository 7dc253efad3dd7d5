//! Copying the write-ahead log into the database, off the writer's path.
//!
//! A thread with its own connection copies what is there, passively, so that commits go on meanwhile. Only a log that was copied
//! whole is begun again from its start, and under load there is always something newer; so the writer copies the little that
//! remains itself, between two commits, once the thread has done the bulk.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Builder, JoinHandle};

use rusqlite::{Connection, OpenFlags};

use super::folder::{connect, failed};
use crate::commit::contract::StoreReason;
use crate::files;

/// The log is copied when it has grown by about so many pages of 4 KiB: 16 MiB.
const PAGES: usize = 4096;

/// A log with so many pages that cannot be copied is told, and again whenever it has twice as many: 256 MiB.
const TOLD_PAGES: i64 = 65_536;

/// So many bytes of the log are written again at a time.
const CHUNK: usize = 1 << 20;

/// The thread that copies.
#[derive(Debug)]
pub(super) struct Checkpointer {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    outcome: Arc<CopyOutcome>,
    grown: usize,
    /// With so many pages that cannot be copied it is told next.
    tells: i64,
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
        let thread = Builder::new().name("checkpoint".into()).spawn(move || {
            let outcome = EndsFailed(shared);
            work(&connection, &woken, &outcome.0);
        });
        let thread = thread.map_err(|cause| StoreReason::Failed(cause.into()))?;
        Ok(Self { wake: Some(wake), thread: Some(thread), outcome, grown: 0, tells: TOLD_PAGES })
    }

    /// Finishes what the thread has begun. Called by the writer between two commits.
    pub(super) fn before_commit(&mut self, connection: &Connection) -> Result<(), StoreReason> {
        if self.outcome.failed.load(Ordering::Acquire) {
            return Err(StoreReason::Failed("the write-ahead log could not be copied".into()));
        }
        if self.outcome.copied.swap(false, Ordering::AcqRel) {
            let progress = passively(connection).map_err(failed)?;
            self.tell(progress.pages.saturating_sub(progress.copied));
        }
        Ok(())
    }

    /// Tells that a reader lets the log grow, once for every doubling.
    fn tell(&mut self, uncopied: i64) {
        if uncopied >= self.tells {
            tracing::warn!(
                pages = uncopied,
                "somebody has been reading the database for long, so its write-ahead log grows: end that transaction"
            );
            self.tells = uncopied.saturating_mul(2);
        } else if uncopied < TOLD_PAGES {
            self.tells = TOLD_PAGES;
        }
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

/// The outcome of the thread, which has failed where it ends by a panic.
struct EndsFailed(Arc<CopyOutcome>);

impl Drop for EndsFailed {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.failed.store(true, Ordering::Release);
        }
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

/// Copies the whole log into the database and flushes that: false where somebody who reads an older state keeps it from being
/// copied. Then the log stays, and every byte of it is written and flushed again. Either way whatever the database now shows is
/// durable, also what an earlier flush may have lost.
pub(super) fn completely(connection: &Connection) -> Result<bool, StoreReason> {
    let progress = checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)").map_err(failed)?;
    // Both are -1 where somebody else copies just now.
    if progress.copied == progress.pages && progress.pages >= 0 {
        return Ok(true);
    }
    let database = connection.path().unwrap_or_default();
    write_again(&log_of(Path::new(database))).map_err(|cause| StoreReason::Failed(cause.into()))?;
    tracing::warn!(database, "somebody reads the database, so its write-ahead log stays until that transaction has ended");
    Ok(false)
}

/// Copies the log, so that what was overwritten is so in the database too; that this comes later is told.
pub(super) fn overwritten(connection: &Connection) -> Result<(), StoreReason> {
    if !completely(connection)? {
        tracing::warn!("what was deleted lies in the database until nobody reads it any more; then it is overwritten");
    }
    Ok(())
}

/// The log of a database.
pub(super) fn log_of(database: &Path) -> PathBuf {
    let mut name = OsString::from(database);
    name.push("-wal");
    PathBuf::from(name)
}

/// Writes every byte of a file where it is already, and flushes: what the system gave up after a failed flush is written anew.
fn write_again(path: &Path) -> io::Result<()> {
    let file = files::keep(path)?;
    let (mut bytes, mut at) = (vec![0; CHUNK], 0);
    loop {
        let read = file.read_at(&mut bytes, at)?;
        let Some(chunk) = bytes.get(..read).filter(|chunk| !chunk.is_empty()) else { break };
        file.write_all_at(chunk, at)?;
        at += read as u64;
    }
    file.sync_all()
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
