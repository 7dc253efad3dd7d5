//! Reading what was committed, with or without a running server.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::types::Type;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Params, Result, Row, params};

use super::folder::{self, connect, failed};
use super::{schema, status};
use crate::commit::contract::{
    RecordReader, Recovered, SealedDisclosures, Select, StoreReason, Stored, StoredGeneration, StoredState, StoredTask,
};
use crate::lifecycle::{GenerationState, InactiveStatus};
use crate::oauth::{GenerationKey, Jti, SingleUse, SingleUseKind, Time, Txn};

/// No answer has more records, whatever limit is asked for.
const RECORDS_MAX: u32 = 10_000;

/// How many of the newest records are shown when the store is opened.
const NEWEST: u32 = 64;

/// A read-only view of a data folder. It takes no lock that a server would notice.
#[derive(Debug)]
pub(crate) struct SqliteReader {
    connection: Mutex<Connection>,
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
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        schema::check(&connection, version)?;
        if version == 0 {
            return Err(StoreReason::Folder(std::io::Error::other("no server has used it yet")));
        }
        Ok(Self { connection: Mutex::new(connection) })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
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
        let connection = self.connection();
        let sql = "SELECT subject, wrapped, sealed FROM disclosures JOIN subject_keys USING (subject) WHERE idx = ?1";
        let sealed = |row: &Row<'_>| {
            Ok(SealedDisclosures { subject: GenerationKey(row.get(0)?), wrapped_key: row.get(1)?, sealed: row.get(2)? })
        };
        connection.prepare_cached(sql).and_then(|mut query| query.query_row([index], sealed).optional()).map_err(failed)
    }

    fn has_subject_key(&self, subject: &GenerationKey) -> std::result::Result<bool, StoreReason> {
        let connection = self.connection();
        let query = connection.prepare_cached("SELECT 1 FROM subject_keys WHERE subject = ?1");
        query.and_then(|mut query| query.exists([subject.0])).map_err(failed)
    }

    fn generations(&self) -> std::result::Result<Vec<StoredGeneration>, StoreReason> {
        generations(&self.connection()).map_err(failed)
    }
}

/// Everything that the writer needs to begin.
pub(super) fn recovered(connection: &Connection) -> std::result::Result<Recovered, StoreReason> {
    let read = || {
        let mut newest = stored(connection, "TRUE ORDER BY idx DESC LIMIT ?1", params![NEWEST])?;
        newest.reverse();
        let state = StoredState {
            generations: generations(connection)?,
            single_use: single_use(connection)?,
            tasks: tasks(connection)?,
            status: status::rows(connection)?,
            in_force: status::in_force(connection)?,
        };
        Ok(Recovered { count: count(connection)?, newest, state })
    };
    read().map_err(failed)
}

fn count(connection: &Connection) -> Result<u64> {
    connection.prepare_cached("SELECT coalesce(max(idx) + 1, 0) FROM records")?.query_row([], |row| row.get(0))
}

fn stored(connection: &Connection, chosen: &str, params: impl Params) -> Result<Vec<Stored>> {
    let sql = format!("SELECT idx, at, jti, txn, record FROM records WHERE {chosen}");
    let record = |row: &Row<'_>| {
        Ok(Stored {
            index: row.get(0)?,
            at: Time::from_millis(row.get(1)?),
            jti: row.get::<_, Option<[u8; 16]>>(2)?.map(Jti::from_bytes),
            txn: row.get::<_, Option<[u8; 16]>>(3)?.map(Txn::from_bytes),
            record: row.get(4)?,
        })
    };
    connection.prepare_cached(&sql)?.query_map(params, record)?.collect()
}

fn generations(connection: &Connection) -> Result<Vec<StoredGeneration>> {
    let generation = |row: &Row<'_>| {
        let time = |column| row.get::<_, Option<i64>>(column).map(|millis| millis.map(Time::from_millis));
        // What a later version may have written here is at least as strict.
        let hold =
            row.get::<_, Option<i64>>(3)?.map(|hold| if hold == 1 { InactiveStatus::Suspended } else { InactiveStatus::Retired });
        let state = GenerationState { number: row.get(1)?, ended: time(2)?, inactive: hold, until: time(4)? };
        Ok(StoredGeneration { key: GenerationKey(row.get(0)?), state, forget: time(5)? })
    };
    connection.prepare("SELECT key, number, ended, hold, due, forget FROM lives")?.query_map([], generation)?.collect()
}

fn tasks(connection: &Connection) -> Result<Vec<StoredTask>> {
    let task = |row: &Row<'_>| {
        Ok(StoredTask {
            key: GenerationKey(row.get(0)?),
            left: row.get(1)?,
            suspended_by: row.get(2)?,
            forget: Time::from_millis(row.get(3)?),
            fixed: row.get(4)?,
        })
    };
    connection.prepare("SELECT key, left, suspended_by, forget, fixed FROM tasks")?.query_map([], task)?.collect()
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
        values.extend(digests.iter().map(|digest| SingleUse { digest: *digest, expires, kind: SingleUseKind::Assertion }));
    }
    Ok(values)
}
