//! The wrapped keys of subjects, in a file of their own: backups of the data folder leave it out, so that a subject whose key is
//! destroyed is erased in them too.
//!
//! A key is durable here before anything that is sealed under it is durable in the commit store. One that nothing was sealed
//! under, because of a crash between the two, is used when its subject comes again. How many were ever added stands in both, so
//! that a copy of this file that is older than the commit store is noticed.

use std::io;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Result, TransactionBehavior, params};

use super::folder::{connect, failed, private_file};
use super::schema::{self, APPLICATION, MOVED};
use super::{checkpoint, state};
use crate::commit::contract::{StoreReason, UNKNOWN_ROOT, WrapAnew};
use crate::oauth::GenerationKey;

/// The version of this file.
const VERSION: usize = 1;

const TABLES: &str = "
    CREATE TABLE subject_keys (
        subject BLOB PRIMARY KEY,
        wrapped BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE roots (
        id TEXT PRIMARY KEY
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE added (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        keys INTEGER NOT NULL
    ) STRICT;
";

/// What the commit store keeps in their place: how many keys it saw added.
const SEEN: &str = "
    CREATE TABLE keys_added (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        keys INTEGER NOT NULL
    ) STRICT;
    INSERT INTO keys_added (one, keys) VALUES (1, 0);
";

/// The log is copied when it has so many pages.
const PAGES: u32 = 1000;

/// The file, open for the one writer.
#[derive(Debug)]
pub(super) struct SubjectFile(Connection);

impl SubjectFile {
    /// Opens the file at `path`, beside a commit store of the version `beside` that saw `added` keys; makes it where that had
    /// none yet. Whatever it then shows is durable.
    ///
    /// # Errors
    /// `Folder` when it is lost; `Newer` and `Corrupt` when it is not this program's.
    pub(super) fn open(path: &Path, beside: usize, added: u64) -> std::result::Result<Self, StoreReason> {
        if beside >= MOVED && !path.try_exists().map_err(StoreReason::Folder)? {
            return Err(StoreReason::Folder(io::Error::new(io::ErrorKind::NotFound, LOST)));
        }
        private_file(path).map_err(StoreReason::Folder)?;
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
        schema::log_ahead(&connection)?;
        connection.pragma_update(None, "wal_autocheckpoint", PAGES).map_err(failed)?;
        if is_made(&connection)? {
            notice_older(&connection, added).map_err(failed)?;
        } else {
            if beside >= MOVED {
                tracing::warn!("the keys of subjects are given up: what was disclosed of them before can be read no more");
            }
            let script = format!(
                "BEGIN IMMEDIATE; {TABLES} INSERT INTO added (one, keys) VALUES (1, {added});
                 PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;"
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
        checkpoint::overwritten(commit)?;
        commit.pragma_update(None, "secure_delete", false).map_err(failed)?;
        tracing::info!(moved, "the keys of subjects are in a file of their own from now on");
        Ok(())
    }

    /// The wrapped key of a subject.
    pub(super) fn key(&self, subject: &GenerationKey) -> Result<Option<Vec<u8>>> {
        key(&self.0, subject)
    }

    /// Adds keys of new subjects. When it returns they are durable; it says how many were ever added, where there are any.
    pub(super) fn add(&mut self, keys: &[(GenerationKey, Vec<u8>)]) -> Result<Option<u64>> {
        if keys.is_empty() {
            return Ok(None);
        }
        let transaction = self.0.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO subject_keys (subject, wrapped) VALUES (?1, ?2)")?;
            for (subject, wrapped) in keys {
                insert.execute(params![subject.0, wrapped])?;
            }
        }
        transaction.prepare_cached("UPDATE added SET keys = keys + ?1")?.execute([keys.len()])?;
        let added = added(&transaction)?;
        transaction.commit().map(|()| Some(added))
    }

    /// The root keys under which keys may be wrapped.
    pub(super) fn roots(&self) -> Result<Vec<String>> {
        self.0.prepare_cached("SELECT id FROM roots")?.query_map([], |row| row.get(0))?.collect()
    }

    /// Replaces them. A commit flushes the whole log, and with it what was wrapped anew before.
    pub(super) fn set_roots(&mut self, roots: &[String]) -> Result<()> {
        let transaction = self.0.transaction()?;
        transaction.execute("DELETE FROM roots", [])?;
        roots.iter().try_for_each(|id| transaction.execute("INSERT OR IGNORE INTO roots (id) VALUES (?1)", [id]).map(drop))?;
        transaction.commit()
    }

    /// Wraps the keys of at most `limit` subjects anew, see [`CommitStore::rewrap`](crate::commit::contract::CommitStore). It is
    /// not flushed: a key is readable before and after.
    pub(super) fn rewrap(
        &mut self,
        after: Option<GenerationKey>,
        limit: u32,
        wrap: &mut WrapAnew<'_>,
    ) -> Result<Option<GenerationKey>> {
        self.0.pragma_update(None, "synchronous", "NORMAL")?;
        let last = page(&mut self.0, after, limit, wrap);
        self.0.pragma_update(None, "synchronous", "FULL")?;
        last
    }

    /// Leaves a database without a log behind; false where somebody reads it.
    pub(super) fn close(self) -> std::result::Result<bool, StoreReason> {
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
    open_if_made(file, path)?;
    let found = file.as_ref().map(|file| key(file, subject)).transpose().map_err(failed)?.flatten();
    if found.is_some() || !commit.table_exists(None, "subject_keys").map_err(failed)? {
        return Ok(found);
    }
    key(commit, subject).map_err(failed)
}

/// How many keys the `commit` store saw added that the file at `path` does not know of; as [`find`].
pub(super) fn missing(file: &mut Option<Connection>, path: &Path, commit: &Connection) -> std::result::Result<u64, StoreReason> {
    open_if_made(file, path)?;
    // Read first: it may only grow meanwhile, and before the other.
    let seen = seen(commit).map_err(failed)?;
    let added = file.as_ref().map_or(Ok(0), added).map_err(failed)?;
    Ok(seen.saturating_sub(added))
}

fn open_if_made(file: &mut Option<Connection>, path: &Path) -> std::result::Result<(), StoreReason> {
    if file.is_none() && path.try_exists().map_err(StoreReason::Folder)? {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
        *file = is_made(&connection)?.then_some(connection);
    }
    Ok(())
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

/// Says it, once, where keys that the commit store saw `added` were never added here.
fn notice_older(connection: &Connection, added: u64) -> Result<()> {
    let here = self::added(connection)?;
    if here >= added {
        return Ok(());
    }
    let missing = added - here;
    tracing::error!(
        missing,
        "subjects.sqlite is older than the store: keys of subjects that were made since are not in it, so what was disclosed of \
         those subjects can be read no more, and keys that were destroyed since may be back. Stop the server and put a newer \
         copy in its place, if there is one"
    );
    connection.execute("UPDATE added SET keys = ?1", [added]).map(drop)
}

/// How many keys were ever added to the file of `connection`.
fn added(connection: &Connection) -> Result<u64> {
    connection.prepare_cached("SELECT keys FROM added")?.query_row([], |row| row.get(0))
}

/// How many the `commit` store saw added; none in one of before.
pub(super) fn seen(commit: &Connection) -> Result<u64> {
    if !commit.table_exists(None, "keys_added")? {
        return Ok(0);
    }
    commit.query_row("SELECT keys FROM keys_added", [], |row| row.get(0))
}

/// Says in the `commit` store, with the batch that is being written, how many it saw.
pub(super) fn see(commit: &Connection, added: u64) -> Result<()> {
    commit.prepare_cached("UPDATE keys_added SET keys = ?1")?.execute([added]).map(drop)
}

fn page(
    connection: &mut Connection,
    after: Option<GenerationKey>,
    limit: u32,
    wrap: &mut WrapAnew<'_>,
) -> Result<Option<GenerationKey>> {
    // Who deletes a key meanwhile waits, or came before.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let keys: Vec<(GenerationKey, Vec<u8>)> = {
        let sql = "SELECT subject, wrapped FROM subject_keys WHERE subject > ?1 ORDER BY subject LIMIT ?2";
        let mut query = transaction.prepare_cached(sql)?;
        let after = after.as_ref().map_or(&[][..], |subject| &subject.0);
        query.query_map(params![after, limit], |row| Ok((GenerationKey(row.get(0)?), row.get(1)?)))?.collect::<Result<_>>()?
    };
    for (subject, wrapped) in &keys {
        if let Some(wrapped) = wrap(*subject, wrapped) {
            let mut update = transaction.prepare_cached("UPDATE subject_keys SET wrapped = ?2 WHERE subject = ?1")?;
            update.execute(params![subject.0, wrapped])?;
        }
    }
    transaction.commit()?;
    Ok(keys.last().filter(|_| keys.len() as u64 == u64::from(limit)).map(|(subject, _)| *subject))
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
    if copied > 0 {
        transaction.execute("INSERT OR IGNORE INTO roots (id) VALUES (?1)", [UNKNOWN_ROOT])?;
    }
    transaction.commit()?;
    Ok(copied)
}

/// Splits of pages may have left keys in free ones, too.
pub(super) fn drop_table(commit: &Connection) -> Result<()> {
    commit.execute_batch(&format!("BEGIN IMMEDIATE; DROP TABLE subject_keys; {SEEN}"))?;
    state::overwrite_free(commit)?;
    commit.execute_batch(&format!("PRAGMA user_version = {MOVED}; COMMIT;"))
}
