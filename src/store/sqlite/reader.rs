//! Reading what was committed, with or without a running server.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::types::Type;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Params, Result, Row, params};

use super::checkpoint::log_of;
use super::folder::{self, connect, failed};
use super::schema::{self, MOVED};
use super::{state, status, subjects};
use crate::commit::contract::{
    RecordReader, Recovered, SealedDisclosures, Select, StoreReason, Stored, StoredCheckpoint, Unrecorded,
};
use crate::oauth::{GenerationKey, Jti, SingleUse, SingleUseKind, Time, Txn};

/// No answer has more records, whatever limit is asked for.
const RECORDS_MAX: u32 = 10_000;

/// A read-only view of a data folder. It takes no lock that a server would notice.
#[derive(Debug)]
pub(crate) struct SqliteReader {
    connection: Mutex<Connection>,
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
        schema::check(&connection, version, MOVED)?;
        if version == 0 {
            return Err(StoreReason::Folder(std::io::Error::other("no server has used it yet")));
        }
        Ok(Self { connection: Mutex::new(connection), subjects: Mutex::new(None), subjects_at: folder::subjects(folder) })
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
        let limit = limit.min(RECORDS_MAX);
        let from = i64::try_from(from).unwrap_or(i64::MAX);
        match select {
            Select::All => stored(&connection, "idx >= ?1 ORDER BY idx LIMIT ?2", params![from, limit]),
            Select::Txn(txn) => {
                let sql = "txn = ?3 AND idx >= ?1 ORDER BY idx LIMIT ?2";
                stored(&connection, sql, params![from, limit, txn.as_bytes()])
            }
            Select::Jti(jti) => {
                let sql = "jti = ?3 AND idx >= ?1 ORDER BY idx LIMIT ?2";
                stored(&connection, sql, params![from, limit, jti.as_bytes()])
            }
        }
        .map_err(failed)
    }

    fn disclosures(&self, index: u64) -> std::result::Result<Option<SealedDisclosures>, StoreReason> {
        let Some((subject, sealed)) = sealed(&self.connection(), index).map_err(failed)? else { return Ok(None) };
        let wrapped = self.subject_key(&subject)?;
        Ok(wrapped.map(|wrapped_key| SealedDisclosures { subject, wrapped_key, sealed }))
    }

    fn has_subject_key(&self, subject: &GenerationKey) -> std::result::Result<bool, StoreReason> {
        self.subject_key(subject).map(|wrapped| wrapped.is_some())
    }

    fn missing_subject_keys(&self) -> std::result::Result<u64, StoreReason> {
        let mut file = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        subjects::missing(&mut file, &self.subjects_at, &self.connection())
    }

    fn checkpoint(&self) -> std::result::Result<StoredCheckpoint, StoreReason> {
        state::checkpoint(&self.connection()).map_err(failed)
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
        Ok(Recovered { count: count(connection)?, checkpoint, terms, unrecorded, earlier })
    };
    read().map_err(failed)
}

/// Shows every record from `from` on to `each`.
pub(super) fn each_record(
    connection: &Connection,
    from: u64,
    each: &mut dyn FnMut(Stored) -> std::result::Result<(), StoreReason>,
) -> std::result::Result<(), StoreReason> {
    let sql = "SELECT idx, at, jti, txn, record FROM records WHERE idx >= ?1 ORDER BY idx";
    let mut query = connection.prepare(sql).map_err(failed)?;
    let mut rows = query.query([i64::try_from(from).unwrap_or(i64::MAX)]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        each(record(row).map_err(failed)?)?;
    }
    Ok(())
}

/// The time of the newest record.
pub(super) fn newest(connection: &Connection) -> Result<Time> {
    let newest = connection.query_row("SELECT at FROM records ORDER BY idx DESC LIMIT 1", [], |row| row.get(0)).optional()?;
    Ok(Time::from_millis(newest.unwrap_or(0)))
}

/// The disclosures of a record, and the subject that they are about.
fn sealed(connection: &Connection, index: u64) -> Result<Option<(GenerationKey, Vec<u8>)>> {
    let mut query = connection.prepare_cached("SELECT subject, sealed FROM disclosures WHERE idx = ?1")?;
    query.query_row([index], |row| Ok((GenerationKey(row.get(0)?), row.get(1)?))).optional()
}

fn count(connection: &Connection) -> Result<u64> {
    connection.prepare_cached("SELECT coalesce(max(idx) + 1, 0) FROM records")?.query_row([], |row| row.get(0))
}

fn stored(connection: &Connection, chosen: &str, params: impl Params) -> Result<Vec<Stored>> {
    let sql = format!("SELECT idx, at, jti, txn, record FROM records WHERE {chosen}");
    connection.prepare_cached(&sql)?.query_map(params, record)?.collect()
}

fn record(row: &Row<'_>) -> Result<Stored> {
    Ok(Stored {
        index: row.get(0)?,
        at: Time::from_millis(row.get(1)?),
        jti: row.get::<_, Option<[u8; 16]>>(2)?.map(Jti::from_bytes),
        txn: row.get::<_, Option<[u8; 16]>>(3)?.map(Txn::from_bytes),
        record: row.get(4)?,
    })
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
        }));
    }
    Ok(values)
}
