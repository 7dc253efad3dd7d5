//! Tables, and their versions. Keys grow with time wherever many rows are added, so that pages fill up at their end.

use std::ops::Range;

use rusqlite::Connection;

use super::folder::failed;
use crate::commit::contract::StoreReason;

/// Marks the file as ours: `CSGN`.
pub(super) const APPLICATION: i64 = 0x4353_474e;

/// The first version without the keys of subjects, to which no script leads: they are moved to a file of their own.
pub(super) const MOVED: usize = VERSIONS.len() + 1;

/// The version of this program.
pub(super) const NEWEST: usize = MOVED + LATER.len();

/// One script per version, each leading from the one before.
const VERSIONS: [&str; 7] = [
    "
    CREATE TABLE records (
        idx INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        jti BLOB,
        txn BLOB,
        record BLOB NOT NULL
    ) STRICT;
    CREATE INDEX records_jti ON records (jti) WHERE jti IS NOT NULL;
    CREATE INDEX records_txn ON records (txn) WHERE txn IS NOT NULL;
    CREATE TABLE disclosures (
        idx INTEGER PRIMARY KEY,
        subject BLOB NOT NULL,
        sealed BLOB NOT NULL
    ) STRICT;
    CREATE TABLE subject_keys (
        subject BLOB PRIMARY KEY,
        wrapped BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE single_use (
        expires INTEGER NOT NULL,
        digest BLOB NOT NULL,
        PRIMARY KEY (expires, digest)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE lives (
        key BLOB PRIMARY KEY,
        number INTEGER NOT NULL,
        ended INTEGER,
        until INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX lives_until ON lives (until) WHERE until IS NOT NULL;
",
    // What is held (1 suspended, 2 retired), and what lives before a moment only.
    "
    ALTER TABLE lives RENAME COLUMN until TO forget;
    ALTER TABLE lives ADD COLUMN hold INTEGER;
    ALTER TABLE lives ADD COLUMN due INTEGER;
",
    // Who stands in which status list, by the index of the hop's record; and what the files had in force.
    "
    CREATE TABLE status_lists (
        list BLOB PRIMARY KEY,
        api TEXT NOT NULL,
        bits INTEGER NOT NULL,
        until INTEGER NOT NULL,
        part INTEGER NOT NULL,
        forget INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE status (
        idx INTEGER PRIMARY KEY,
        list BLOB NOT NULL,
        place INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        generations BLOB NOT NULL
    ) STRICT;
    CREATE TABLE in_force (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (kind, name)
    ) STRICT, WITHOUT ROWID;
",
    // What never changes of a task as one block, and what does.
    "
    CREATE TABLE tasks (
        key BLOB PRIMARY KEY,
        left INTEGER NOT NULL,
        suspended_by TEXT,
        forget INTEGER NOT NULL,
        fixed BLOB NOT NULL
    ) STRICT;
    CREATE INDEX tasks_forget ON tasks (forget);
",
    // Digests come in no order: sorted by them nearly every row would dirty a page of its own. A row holds all digests of one
    // batch that expire together. That none is spent twice is the writer's to see, who holds them all.
    "
    ALTER TABLE single_use RENAME TO single_use_by_digest;
    CREATE TABLE single_use (
        place INTEGER PRIMARY KEY,
        expires INTEGER NOT NULL,
        digests BLOB NOT NULL
    ) STRICT;
    INSERT INTO single_use (expires, digests) SELECT expires, digest FROM single_use_by_digest;
    DROP TABLE single_use_by_digest;
    CREATE INDEX single_use_expires ON single_use (expires);
",
    // The terms of tasks (`fixed`) are sealed from here on, which a program of before cannot read.
    "",
    // State follows from the records: its entries as of the newest checkpoint, whose record has the index there. What is in
    // `lives`, `tasks` and `in_force` is taken up by the first start, and then no longer there.
    "
    CREATE TABLE state (
        key BLOB PRIMARY KEY,
        value BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE checkpoint (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        idx INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE task_terms (
        idx INTEGER PRIMARY KEY,
        sealed BLOB NOT NULL
    ) STRICT;
    CREATE TABLE heartbeats (
        task BLOB PRIMARY KEY,
        at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE unrecorded (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        sum BLOB NOT NULL
    ) STRICT;
",
];

/// The same from [`MOVED`] on.
const LATER: [&str; 2] = [
    // What is needed to find a record whose bytes lie in its entry bundle alone, and the root of the tree over each such bundle.
    // The bytes of such a record are no longer in `records`, nor is anything of it.
    "
    CREATE TABLE bundled (
        idx INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        jti BLOB,
        txn BLOB
    ) STRICT;
    CREATE INDEX bundled_jti ON bundled (jti) WHERE jti IS NOT NULL;
    CREATE INDEX bundled_txn ON bundled (txn) WHERE txn IS NOT NULL;
    CREATE TABLE bundles (
        number INTEGER PRIMARY KEY,
        root BLOB NOT NULL
    ) STRICT;
",
    // The index of the first record that is kept, and of the first before which no file of a pruned bundle is left.
    "
    CREATE TABLE retention (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        first INTEGER NOT NULL,
        swept INTEGER NOT NULL
    ) STRICT;
    INSERT INTO retention (one, first, swept) VALUES (1, 0, 0);
",
];

/// Sets the journal mode, and brings the schema up to date, as far as scripts lead. Returns the version that it had.
pub(super) fn prepare(connection: &Connection) -> Result<usize, StoreReason> {
    log_ahead(connection)?;
    let version = version(connection)?;
    check(connection, version, NEWEST)?;
    lead(connection, version..VERSIONS.len()).map_err(failed)?;
    // A store that is new has nothing to be taken up.
    let nothing = if version == 0 { "DROP TABLE lives; DROP TABLE tasks; DROP TABLE in_force;" } else { "" };
    connection.execute_batch(nothing).map_err(failed)?;
    Ok(version)
}

/// Sets the journal mode.
pub(super) fn log_ahead(connection: &Connection) -> Result<(), StoreReason> {
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        return Err(StoreReason::Failed("the data folder's file system cannot hold a write-ahead log".into()));
    }
    Ok(())
}

/// The version of a database; 0 for one that is empty.
pub(super) fn version(connection: &Connection) -> Result<usize, StoreReason> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)
}

/// From the version at which `versions` begins to the one at which it ends.
pub(super) fn lead(connection: &Connection, versions: Range<usize>) -> rusqlite::Result<()> {
    let mut steps = VERSIONS.iter().enumerate().take(versions.end).skip(versions.start);
    steps.try_for_each(|(from, script)| migrate(connection, from, script))
}

/// From the version without the keys of subjects, which is behind that of before, to the newest.
pub(super) fn complete(connection: &Connection) -> Result<(), StoreReason> {
    let version = version(connection)?;
    let mut steps = (MOVED..).zip(LATER).filter(|(from, _)| *from >= version);
    steps.try_for_each(|(from, script)| migrate(connection, from, script)).map_err(failed)
}

/// Refuses a database of a version newer than `newest`, or of another program.
pub(super) fn check(connection: &Connection, version: usize, newest: usize) -> Result<(), StoreReason> {
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(failed)?;
    if version > newest {
        return Err(StoreReason::Newer);
    }
    if version > 0 && application != APPLICATION {
        return Err(StoreReason::Corrupt("the database belongs to another program"));
    }
    Ok(())
}

fn migrate(connection: &Connection, from: usize, script: &str) -> rusqlite::Result<()> {
    let to = from + 1;
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {script} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {to}; COMMIT;"
    ))
}
