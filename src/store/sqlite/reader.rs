//! Reading what was committed, with or without a running server.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::types::Type;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Result, Row, Transaction, params};

use super::bundles::EntryBundles;
use super::checkpoint::log_of;
use super::folder::{self, connect, failed};
use super::schema::{self, NEWEST};
use super::{state, status, subjects};
use crate::commit::contract::{
    RecordReader, Recovered, SealedDisclosures, Select, StoreReason, Stored, StoredCheckpoint, Unrecorded,
};
use crate::oauth::{GenerationKey, Jti, ShareKey, SingleUse, SingleUseKind, Time, Txn};

/// No answer has more records, whatever limit is asked for.
const RECORDS_MAX: u32 = 10_000;

/// A read-only view of a data folder. It takes no lock that a server would notice.
#[derive(Debug)]
pub(crate) struct SqliteReader {
    connection: Mutex<Connection>,
    bundles: Mutex<EntryBundles>,
    /// The keys of subjects, once they were asked for and are there.
    subjects: Mutex<Option<Connection>>,
    subjects_at: PathBuf,
}

impl SqliteReader {
    /// Opens the store in `folder`.
    ///
    /// # Errors
    /// `Folder` when there is none; `Newer` when a newer version of this program wrote it.
    pub(crate) fn open(folder: &Path) -> std::result::Result<Self, StoreReason> {
        let database = folder::database(folder);
        std::fs::metadata(&database).map_err(StoreReason::Folder)?;
        let connection = connect(&database, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
        connection.pragma_update(None, "query_only", true).map_err(failed)?;
        let version = schema::version(&connection)?;
        schema::check(&connection, version, NEWEST)?;
        if version == 0 {
            return Err(StoreReason::Folder(std::io::Error::other("no server has used it yet")));
        }
        let (bundles, subjects_at) = (Mutex::new(EntryBundles::new(folder)), folder::subjects(folder));
        Ok(Self { connection: Mutex::new(connection), bundles, subjects: Mutex::new(None), subjects_at })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subject_key(&self, subject: &GenerationKey) -> std::result::Result<Option<Vec<u8>>, StoreReason> {
        let mut file = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        subjects::find(&mut file, &self.subjects_at, &self.connection(), subject)
    }
}

impl RecordReader for SqliteReader {
    fn count(&self) -> std::result::Result<u64, StoreReason> {
        count(&self.connection()).map_err(failed)
    }

    fn records(&self, select: Select, from: u64, limit: u32) -> std::result::Result<Vec<Stored>, StoreReason> {
        let connection = self.connection();
        let mut bundles = self.bundles.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = limit.min(RECORDS_MAX);
        let from = i64::try_from(from).unwrap_or(i64::MAX);
        match select {
            Select::All => stored(&connection, &mut bundles, None, from, limit),
            Select::Txn(txn) => stored(&connection, &mut bundles, Some(("txn", txn.as_bytes())), from, limit),
            Select::Jti(jti) => stored(&connection, &mut bundles, Some(("jti", jti.as_bytes())), from, limit),
        }
    }

    fn index_of(&self, jti: Jti) -> std::result::Result<Option<u64>, StoreReason> {
        let connection = self.connection();
        let index = |table: &RecordTable| {
            let mut query = connection.prepare_cached(&rows_of(*table, Some("jti")))?;
            query.query_row(params![0, 1, jti.as_bytes()], |row| row.get(0)).optional()
        };
        let first = || {
            let _snapshot = snapshot(&connection)?;
            tables(&connection)?.iter().find_map(|table| index(table).transpose()).transpose()
        };
        first().map_err(failed)
    }

    fn disclosures(&self, index: u64) -> std::result::Result<Option<SealedDisclosures>, StoreReason> {
        let Some((subject, sealed)) = sealed(&self.connection(), index).map_err(failed)? else { return Ok(None) };
        let wrapped = self.subject_key(&subject)?;
        Ok(wrapped.map(|wrapped_key| SealedDisclosures { subject, wrapped_key, sealed }))
    }

    fn subjects(&self, from: u64, limit: u32) -> std::result::Result<Vec<(u64, GenerationKey)>, StoreReason> {
        let read = |connection: &Connection| {
            let sql = "SELECT idx, subject FROM disclosures WHERE idx >= ?1 ORDER BY idx LIMIT ?2";
            let mut query = connection.prepare_cached(sql)?;
            let rows = query.query_map(params![i64::try_from(from).unwrap_or(i64::MAX), limit], |row| {
                Ok((row.get(0)?, GenerationKey(row.get(1)?)))
            })?;
            rows.collect::<Result<Vec<_>>>()
        };
        read(&self.connection()).map_err(failed)
    }

    fn wrapped_key(&self, subject: &GenerationKey) -> std::result::Result<Option<Vec<u8>>, StoreReason> {
        self.subject_key(subject)
    }

    fn has_subject_key(&self, subject: &GenerationKey) -> std::result::Result<bool, StoreReason> {
        self.subject_key(subject).map(|wrapped| wrapped.is_some())
    }

    fn missing_subject_keys(&self) -> std::result::Result<u64, StoreReason> {
        let mut file = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        subjects::missing(&mut file, &self.subjects_at, &self.connection())
    }

    fn first(&self) -> std::result::Result<u64, StoreReason> {
        first(&self.connection()).map_err(failed)
    }

    fn checkpoint(&self) -> std::result::Result<StoredCheckpoint, StoreReason> {
        let connection = self.connection();
        let _snapshot = snapshot(&connection).map_err(failed)?;
        state::checkpoint(&connection).map_err(failed)
    }

    fn log_bytes(&self) -> u64 {
        let database = self.connection().path().map(PathBuf::from).unwrap_or_default();
        let bytes = |database: &Path| std::fs::metadata(log_of(database)).map_or(0, |log| log.len());
        bytes(&database) + bytes(&self.subjects_at)
    }
}

/// Everything that the writer needs to begin, besides the records.
pub(super) fn recovered(connection: &Connection) -> std::result::Result<Recovered, StoreReason> {
    let read = || {
        let (single_use, beats) = (single_use(connection)?, state::beats(connection)?);
        let unrecorded = Unrecorded { single_use, beats, status: status::rows(connection)?, sum: state::sum(connection)? };
        let (checkpoint, terms, earlier) =
            (state::checkpoint(connection)?, state::terms(connection)?, state::earlier(connection)?);
        let (count, first) = (count(connection)?, first(connection)?);
        Ok(Recovered { count, first, checkpoint, terms, unrecorded, earlier })
    };
    read().map_err(failed)
}

/// Shows every record from `from` on to `each`.
pub(super) fn each_record(
    connection: &Connection,
    bundles: &mut EntryBundles,
    from: u64,
    each: &mut dyn FnMut(Stored) -> std::result::Result<(), StoreReason>,
) -> std::result::Result<(), StoreReason> {
    let _snapshot = snapshot(connection).map_err(failed)?;
    let from = i64::try_from(from.max(first(connection).map_err(failed)?)).unwrap_or(i64::MAX);
    for table in tables(connection).map_err(failed)? {
        let mut query = connection.prepare_cached(&rows_of(*table, None)).map_err(failed)?;
        let mut rows = query.query(params![from, i64::MAX]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            each(whole(connection, bundles, found(row).map_err(failed)?)?)?;
        }
    }
    Ok(())
}

/// The time of the newest record.
pub(super) fn newest(connection: &Connection) -> Result<Time> {
    let last = |table| format!("SELECT * FROM (SELECT idx, at FROM {table} ORDER BY idx DESC LIMIT 1)");
    let sql = format!("SELECT at FROM ({} UNION ALL {}) ORDER BY idx DESC LIMIT 1", last("records"), last("bundled"));
    let newest = connection.query_row(&sql, [], |row| row.get(0)).optional()?;
    Ok(Time::from_millis(newest.unwrap_or(0)))
}

/// The disclosures of a record, and the subject that they are about.
fn sealed(connection: &Connection, index: u64) -> Result<Option<(GenerationKey, Vec<u8>)>> {
    let mut query = connection.prepare_cached("SELECT subject, sealed FROM disclosures WHERE idx = ?1")?;
    query.query_row([index], |row| Ok((GenerationKey(row.get(0)?), row.get(1)?))).optional()
}

fn count(connection: &Connection) -> Result<u64> {
    let bundled = if has_bundled(connection)? { "(SELECT max(idx) + 1 FROM bundled)" } else { "NULL" };
    let sql = format!("SELECT coalesce((SELECT max(idx) + 1 FROM records), {bundled}, 0)");
    connection.prepare_cached(&sql)?.query_row([], |row| row.get(0))
}

/// The index of the first record that is kept.
pub(super) fn first(connection: &Connection) -> Result<u64> {
    // Asked of the file, as of `bundled`.
    let there = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'retention')";
    if !connection.prepare_cached(there)?.query_row([], |row| row.get(0))? {
        return Ok(0);
    }
    connection.prepare_cached("SELECT first FROM retention")?.query_row([], |row| row.get(0))
}

/// False in a store of before, which only a server takes up.
fn has_bundled(connection: &Connection) -> Result<bool> {
    // Asked of the file: what a connection has in memory of its tables may be older.
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'bundled')";
    connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
}

/// A table that has records, and its column with their bytes.
type RecordTable = (&'static str, &'static str);

/// The tables that have records, the one with the earlier ones first. No record is in both.
fn tables(connection: &Connection) -> Result<&'static [RecordTable]> {
    const TABLES: [RecordTable; 2] = [("bundled", "NULL"), ("records", "record")];
    Ok(if has_bundled(connection)? { &TABLES } else { &TABLES[1..] })
}

/// The query for records in one table, from an index on and so many; only for those with a value in the column `of`.
fn rows_of((table, bytes): RecordTable, of: Option<&str>) -> String {
    let chosen = of.map(|column| format!("{column} = ?3 AND ")).unwrap_or_default();
    format!("SELECT idx, at, jti, txn, {bytes} FROM {table} WHERE {chosen}idx >= ?1 ORDER BY idx LIMIT ?2")
}

/// Until it is dropped everything is read as of one moment: a record may be left to its bundle meanwhile. None where a
/// transaction sees to that already.
fn snapshot(connection: &Connection) -> Result<Option<Transaction<'_>>> {
    connection.is_autocommit().then(|| connection.unchecked_transaction()).transpose()
}

/// At most `limit` records from an index on; only those with this value in this column.
fn stored(
    connection: &Connection,
    bundles: &mut EntryBundles,
    of: Option<(&str, &[u8; 16])>,
    from: i64,
    limit: u32,
) -> std::result::Result<Vec<Stored>, StoreReason> {
    let _snapshot = snapshot(connection).map_err(failed)?;
    // What is held beyond that is found by what it is held for.
    let from = match of {
        None => from.max(i64::try_from(first(connection).map_err(failed)?).unwrap_or(i64::MAX)),
        Some(_) => from,
    };
    let mut records = Vec::new();
    for table in tables(connection).map_err(failed)? {
        let left = limit.saturating_sub(u32::try_from(records.len()).unwrap_or(u32::MAX));
        let mut query = connection.prepare_cached(&rows_of(*table, of.map(|(column, _)| column))).map_err(failed)?;
        let rows = match of {
            Some((_, value)) => query.query_map(params![from, left, value], found),
            None => query.query_map(params![from, left], found),
        };
        for row in rows.map_err(failed)? {
            records.push(whole(connection, bundles, row.map_err(failed)?)?);
        }
    }
    Ok(records)
}

/// A record as it was found, and whether its bytes are still to be read.
struct StoredRow {
    stored: Stored,
    bundled: bool,
}

fn found(row: &Row<'_>) -> Result<StoredRow> {
    let record: Option<Vec<u8>> = row.get(4)?;
    let bundled = record.is_none();
    let stored = Stored {
        index: row.get(0)?,
        at: Time::from_millis(row.get(1)?),
        jti: row.get::<_, Option<[u8; 16]>>(2)?.map(Jti::from_bytes),
        txn: row.get::<_, Option<[u8; 16]>>(3)?.map(Txn::from_bytes),
        record: record.unwrap_or_default(),
    };
    Ok(StoredRow { stored, bundled })
}

/// The record with its bytes.
fn whole(connection: &Connection, bundles: &mut EntryBundles, found: StoredRow) -> std::result::Result<Stored, StoreReason> {
    let StoredRow { mut stored, bundled } = found;
    if bundled {
        stored.record = bundles.record(connection, stored.index)?;
    }
    Ok(stored)
}

/// Every row holds whole digests; whatever else stands there was not written here.
fn single_use(connection: &Connection) -> Result<Vec<SingleUse>> {
    let mut query = connection.prepare("SELECT expires, digests FROM single_use ORDER BY expires")?;
    let (mut rows, mut values) = (query.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        let (expires, digests) = (Time::from_millis(row.get(0)?), row.get_ref(1)?.as_blob()?);
        let (digests, rest) = digests.as_chunks();
        if !rest.is_empty() {
            return Err(rusqlite::Error::InvalidColumnType(1, "digests".to_owned(), Type::Blob));
        }
        values.extend(digests.iter().map(|digest| SingleUse {
            digest: *digest,
            expires,
            issued: Time::from_millis(0),
            kind: SingleUseKind::Assertion,
            share: ShareKey::NOBODY,
        }));
    }
    Ok(values)
}
