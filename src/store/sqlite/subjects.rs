//! The wrapped keys of subjects, in a file of their own: backups of the data folder leave it out, so that a subject whose key is
//! destroyed is erased in them too.
//!
//! A key is durable here before anything that is sealed under it is durable in the commit store. One that nothing was sealed
//! under, because of a crash between the two, is used when its subject comes again.

use std::io;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Result, params};

use super::folder::{connect, failed, private_file};
use super::schema::{self, APPLICATION, MOVED};
use super::{checkpoint, state};
use crate::commit::contract::StoreReason;
use crate::oauth::GenerationKey;

/// The version of this file.
const VERSION: usize = 1;

const TABLE: &str = "
    CREATE TABLE subject_keys (
        subject BLOB PRIMARY KEY,
        wrapped BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// The log is copied when it has so many pages.
const PAGES: u32 = 1000;

/// The file, open for the one writer.
#[derive(Debug)]
pub(super) struct SubjectFile(Connection);

impl SubjectFile {
    /// Opens the file at `path`, beside a commit store of the version `beside`; makes it where that had none yet. Whatever it
    /// then shows is durable.
    ///
    /// # Errors
    /// `Folder` when it is lost; `Newer` and `Corrupt` when it is not this program's.
    pub(super) fn open(path: &Path, beside: usize) -> std::result::Result<Self, StoreReason> {
        if beside >= MOVED && !path.try_exists().map_err(StoreReason::Folder)? {
            return Err(StoreReason::Folder(io::Error::new(io::ErrorKind::NotFound, LOST)));
        }
        private_file(path).map_err(StoreReason::Folder)?;
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
        schema::log_ahead(&connection)?;
        connection.pragma_update(None, "wal_autocheckpoint", PAGES).map_err(failed)?;
        if !is_made(&connection)? {
            if beside >= MOVED {
                tracing::warn!("the keys of subjects are given up: what was disclosed of them before can be read no more");
            }
            let script = format!(
                "BEGIN IMMEDIATE; {TABLE} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;"
            );
            connection.execute_batch(&script).map_err(failed)?;
        }
        checkpoint::completely(&connection)?;
        Ok(Self(connection))
    }

    /// Moves the keys here that a program of before kept in the `commit` store. They are durable here before they are deleted
    /// there, and overwritten where they lay.
    pub(super) fn take_from(&mut self, commit: &Connection) -> std::result::Result<(), StoreReason> {
        let moved = copy(commit, &mut self.0).map_err(failed)?;
        checkpoint::completely(&self.0)?;
        commit.pragma_update(None, "secure_delete", true).map_err(failed)?;
        drop_table(commit).map_err(failed)?;
        checkpoint::completely(commit)?;
        commit.pragma_update(None, "secure_delete", false).map_err(failed)?;
        tracing::info!(moved, "the keys of subjects are in a file of their own from now on");
        Ok(())
    }

    /// The wrapped key of a subject.
    pub(super) fn key(&self, subject: &GenerationKey) -> Result<Option<Vec<u8>>> {
        key(&self.0, subject)
    }

    /// Adds keys of new subjects, and returns when they are durable.
    pub(super) fn add(&mut self, keys: &[(GenerationKey, Vec<u8>)]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let transaction = self.0.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO subject_keys (subject, wrapped) VALUES (?1, ?2)")?;
            for (subject, wrapped) in keys {
                insert.execute(params![subject.0, wrapped])?;
            }
        }
        transaction.commit()
    }

    /// Leaves a database without a log behind.
    pub(super) fn close(self) -> std::result::Result<(), StoreReason> {
        checkpoint::completely(&self.0)
    }
}

const LOST: &str = "subjects.sqlite is missing, which holds the keys that open what was disclosed; put it back from its own \
                    backup, or, where it is lost for good, put an empty file of that name in its place";

/// The wrapped key of a subject in the file at `path`, or, where they were not moved yet, in the `commit` store. `file` keeps the
/// connection.
pub(super) fn find(
    file: &mut Option<Connection>,
    path: &Path,
    commit: &Connection,
    subject: &GenerationKey,
) -> std::result::Result<Option<Vec<u8>>, StoreReason> {
    if file.is_none() && path.try_exists().map_err(StoreReason::Folder)? {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
        *file = is_made(&connection)?.then_some(connection);
    }
    let found = file.as_ref().map(|file| key(file, subject)).transpose().map_err(failed)?.flatten();
    if found.is_some() || !commit.table_exists(None, "subject_keys").map_err(failed)? {
        return Ok(found);
    }
    key(commit, subject).map_err(failed)
}

fn key(connection: &Connection, subject: &GenerationKey) -> Result<Option<Vec<u8>>> {
    let mut query = connection.prepare_cached("SELECT wrapped FROM subject_keys WHERE subject = ?1")?;
    query.query_row([subject.0], |row| row.get(0)).optional()
}

/// False where the file is empty.
fn is_made(connection: &Connection) -> std::result::Result<bool, StoreReason> {
    let version = schema::version(connection)?;
    schema::check(connection, version, VERSION)?;
    Ok(version > 0)
}

/// Copies the keys that are not there yet, and returns when they are durable. One that is there is the same, or newer.
fn copy(commit: &Connection, to: &mut Connection) -> Result<u64> {
    let transaction = to.transaction()?;
    let mut copied = 0;
    {
        let mut insert = transaction.prepare("INSERT OR IGNORE INTO subject_keys (subject, wrapped) VALUES (?1, ?2)")?;
        let mut query = commit.prepare("SELECT subject, wrapped FROM subject_keys")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            insert.execute(params![row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?])?;
            copied += 1;
        }
    }
    transaction.commit()?;
    Ok(copied)
}

/// Splits of pages may have left keys in free ones, too.
pub(super) fn drop_table(commit: &Connection) -> Result<()> {
    commit.execute_batch("BEGIN IMMEDIATE; DROP TABLE subject_keys;")?;
    state::overwrite_free(commit)?;
    commit.execute_batch(&format!("PRAGMA user_version = {MOVED}; COMMIT;"))
}
