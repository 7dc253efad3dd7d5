//! The embedded commit store: SQLite with a write-ahead log that is flushed at every commit. The only place that knows SQL.
//!
//! | file of the data folder | what |
//! |---|---|
//! | `commit.sqlite`, `-wal`, `-shm` | the database, its write-ahead log, the index of that log |
//! | `commit.lock` | locked by the one server that may write |
//!
//! The log is copied into the database by a thread of its own, so that commits do not wait for it. After a failure every
//! connection is closed, and what the log holds is written into the database, which is then flushed: pages that a failed flush
//! may have lost are written again before anything relies on them.

mod checkpoint;
mod folder;
mod reader;
mod schema;
mod status;
mod write;

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::commit::contract::{Batch, CommitStore, Recovered, StoreReason};
use crate::oauth::GenerationKey;
use checkpoint::Checkpointer;
use folder::Folder;
pub use reader::SqliteReader;

/// How long a connection waits for another one's lock.
const BUSY: Duration = Duration::from_secs(2);

/// More than there are: one that does not fit would be parsed again at every commit, and push out the next.
const STATEMENTS: usize = 64;

/// The commit store in one data folder.
#[derive(Debug)]
pub struct SqliteStore {
    open: Option<Open>,
    folder: Folder,
}

/// An open and healthy store.
#[derive(Debug)]
struct Open {
    connection: Connection,
    checkpointer: Checkpointer,
}

impl SqliteStore {
    /// Takes the data folder, making it if there is none. Nothing is read before [`CommitStore::open`].
    ///
    /// # Errors
    /// `Locked` when another server has it; `Folder` when it cannot be made, or is accessible to others and not ours.
    pub fn new(folder: &Path) -> Result<Self, StoreReason> {
        Ok(Self { open: None, folder: Folder::take(folder)? })
    }

    fn reopened(&self) -> Result<(Open, Recovered), StoreReason> {
        let connection = connect(&self.folder.database(), OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
        schema::prepare(&connection)?;
        checkpoint::completely(&connection)?;
        let recovered = reader::recovered(&connection)?;
        let checkpointer = Checkpointer::start(&self.folder.database())?;
        Ok((Open { connection, checkpointer }, recovered))
    }

    /// Runs `work` on the open store; after an error the store is closed.
    fn healthy<T>(&mut self, work: impl FnOnce(&mut Open) -> Result<T, StoreReason>) -> Result<T, StoreReason> {
        let open = self.open.as_mut().ok_or(StoreReason::Failed("the store is not open".into()))?;
        let done = work(open);
        if done.is_err() {
            self.open = None;
        }
        done
    }
}

impl CommitStore for SqliteStore {
    fn open(&mut self) -> Result<Recovered, StoreReason> {
        self.open = None;
        let (open, recovered) = self.reopened()?;
        self.open = Some(open);
        Ok(recovered)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreReason> {
        self.healthy(|open| {
            open.checkpointer.before_commit(&open.connection)?;
            write::batch(&open.connection, batch).map_err(failed)?;
            open.checkpointer.committed(batch.rows.len());
            Ok(())
        })
    }

    fn subject_key(&mut self, subject: &GenerationKey) -> Result<Option<Vec<u8>>, StoreReason> {
        self.healthy(|open| {
            let mut statement =
                open.connection.prepare_cached("SELECT wrapped FROM subject_keys WHERE subject = ?1").map_err(failed)?;
            statement.query_row([&subject.0], |row| row.get(0)).optional().map_err(failed)
        })
    }
}

impl Drop for SqliteStore {
    /// Leaves a database without a log behind, where that is possible; else the next start does.
    fn drop(&mut self) {
        if let Some(Open { connection, checkpointer }) = self.open.take() {
            drop(checkpointer);
            if let Err(failure) = checkpoint::completely(&connection) {
                tracing::warn!(cause = ?failure, "the write-ahead log was left for the next start");
            }
        }
    }
}

/// A connection that never checkpoints by itself, not even when it is closed.
fn connect(database: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(database, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

fn failed(cause: rusqlite::Error) -> StoreReason {
    StoreReason::Failed(Box::new(cause))
}

#[cfg(test)]
mod tests;
