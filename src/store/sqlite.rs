//! The embedded commit store: SQLite with a write-ahead log that is flushed at every commit. The only place that knows SQL.
//!
//! | file of the data folder | content |
//! |---|---|
//! | `commit.sqlite`, `-wal`, `-shm` | the database, its write-ahead log, the index of that log |
//! | `subjects.sqlite`, `-wal`, `-shm` | the wrapped keys of subjects, which backups leave out |
//! | `find.sqlite`, `-wal`, `-shm` | the index that finds records, derived from them |
//! | `commit.lock` | locked by the one server that may write |
//!
//! The bytes of a record lie here until its entry bundle is published, and then in that bundle alone.
//!
//! The log is copied into the database by a thread of its own, so that commits do not wait for it. After a failure every
//! connection is closed, and what the log holds is written into the database, which is then flushed: pages that a failed flush
//! may have lost are written again before anything relies on them.

mod bundles;
mod checkpoint;
mod copy;
mod find;
mod folder;
mod prune;
mod reader;
mod schema;
mod state;
mod status;
mod subjects;
mod trim;
mod write;

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::commit::contract::{Batch, CommitStore, Learned, Recovered, StoreReason, Stored, WrapAnew};
use crate::oauth::{GenerationKey, SingleUse, Time};
use bundles::EntryBundles;
use checkpoint::Checkpointer;
pub(super) use copy::copy;
pub(super) use find::SqliteFindIndex;
pub(super) use folder::is_used;
use folder::{LockedFolder, connect, failed};
pub(super) use prune::SqlitePruner;
pub(super) use reader::SqliteReader;
use subjects::SubjectFile;
pub(super) use trim::SqliteTrimmer;

/// The commit store in one data folder.
#[derive(Debug)]
pub(super) struct SqliteStore {
    open: Option<Open>,
    folder: LockedFolder,
}

/// An open and healthy store.
#[derive(Debug)]
struct Open {
    connection: Connection,
    subjects: SubjectFile,
    checkpointer: Checkpointer,
    bundles: EntryBundles,
    /// The index of the next record, and the time of the newest.
    next: u64,
    newest: Time,
}

impl SqliteStore {
    /// Takes the data folder, making it if there is none. Nothing is read before [`CommitStore::open`].
    ///
    /// # Errors
    /// `Locked` when another server has it; `Folder` when it cannot be made, or is accessible to others and not ours.
    pub(super) fn new(folder: &Path) -> Result<Self, StoreReason> {
        Ok(Self { open: None, folder: LockedFolder::take(folder)? })
    }

    fn reopened(&self) -> Result<(Open, Recovered), StoreReason> {
        let connection = connect(&self.folder.database(), OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
        let version = schema::prepare(&connection)?;
        let mut subjects = SubjectFile::open(&self.folder.subjects(), version, subjects::seen(&connection).map_err(failed)?)?;
        if version < schema::MOVED {
            subjects.take_from(&connection)?;
        }
        schema::complete(&connection)?;
        checkpoint::completely(&connection)?;
        let recovered = reader::recovered(&connection)?;
        let checkpointer = Checkpointer::start(&self.folder.database())?;
        let newest = reader::newest(&connection).map_err(failed)?;
        let bundles = EntryBundles::new(self.folder.path());
        Ok((Open { connection, subjects, checkpointer, bundles, next: recovered.count, newest }, recovered))
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

    /// The folder's lock keeps every other writer out for as long as the store is there, so there is nothing to take, to learn or
    /// to read.
    fn begin(&mut self, _: &mut dyn Iterator<Item = SingleUse>) -> Result<Learned, StoreReason> {
        self.healthy(|open| {
            open.checkpointer.before_commit(&open.connection)?;
            Ok(Learned { next: open.next, newest: open.newest, since: None })
        })
    }

    fn records(&mut self, from: u64, each: &mut dyn FnMut(Stored) -> Result<(), StoreReason>) -> Result<(), StoreReason> {
        self.healthy(|open| reader::each_record(&open.connection, &mut open.bundles, from, each))
    }

    fn archived_state(&mut self) -> Result<Option<(u64, Vec<u8>)>, StoreReason> {
        self.healthy(|open| {
            if reader::first(&open.connection).map_err(failed)? == 0 {
                return Ok(None);
            }
            open.bundles.log().newest_state().map_err(StoreReason::Folder)
        })
    }

    fn subject_key(&mut self, subject: &GenerationKey) -> Result<Option<Vec<u8>>, StoreReason> {
        self.healthy(|open| open.subjects.key(subject).map_err(failed))
    }

    fn roots(&mut self) -> Result<Vec<String>, StoreReason> {
        self.healthy(|open| open.subjects.roots().map_err(failed))
    }

    fn set_roots(&mut self, roots: &[String]) -> Result<(), StoreReason> {
        self.healthy(|open| open.subjects.set_roots(roots).map_err(failed))
    }

    fn rewrap(
        &mut self,
        after: Option<GenerationKey>,
        limit: u32,
        wrap: &mut WrapAnew<'_>,
    ) -> Result<Option<GenerationKey>, StoreReason> {
        self.healthy(|open| open.subjects.rewrap(after, limit, wrap).map_err(failed))
    }

    fn write(&mut self, batch: &Batch) -> Result<(), StoreReason> {
        self.healthy(|open| {
            if batch.adopts {
                // What is deleted is overwritten by zeros, in the log and then in the database.
                open.connection.pragma_update(None, "secure_delete", true).map_err(failed)?;
            }
            let added = open.subjects.add(&batch.subject_keys).map_err(failed)?;
            write::batch(&open.connection, batch, added).map_err(failed)?;
            if batch.adopts {
                checkpoint::overwritten(&open.connection)?;
                open.connection.pragma_update(None, "secure_delete", false).map_err(failed)?;
            }
            open.checkpointer.committed(batch.rows.len());
            if let Some(last) = batch.rows.last() {
                (open.next, open.newest) = (last.index + 1, batch.at);
            }
            Ok(())
        })
    }

    fn fold_in(&mut self, records: &[Stored]) -> Result<(), StoreReason> {
        self.healthy(|open| {
            write::folded_in(&open.connection, records).map_err(failed)?;
            open.checkpointer.committed(records.len());
            if let Some(last) = records.last() {
                (open.next, open.newest) = (last.index + 1, last.at);
            }
            Ok(())
        })
    }

    fn abandon(&mut self) {}
}

impl Drop for SqliteStore {
    /// Leaves a database without a log behind, where that is possible; else the next start does.
    fn drop(&mut self) {
        if let Some(Open { connection, subjects, checkpointer, .. }) = self.open.take() {
            drop(checkpointer);
            if let Err(failure) = subjects.close().and_then(|_| checkpoint::completely(&connection)) {
                tracing::warn!(cause = ?failure, "the write-ahead log was left for the next start");
            }
        }
    }
}

#[cfg(test)]
mod tests;
