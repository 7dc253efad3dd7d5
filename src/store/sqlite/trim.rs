//! Leaving records to the entry bundle in which they were published: beside the writer, one bundle in one transaction.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};

use super::bundles::{EntryBundles, FullBundle, RECORDS, fault, tile};
use super::folder::{connect, database, failed};
use super::reader::first;
use crate::commit::contract::{StoreReason, StoreTrimmer};
use crate::crypto::Digest;

/// The log is copied when it has so many pages: 16 MiB. The writer sees to it too, but while nothing is recorded it does not.
const PAGES: u32 = 4096;

/// Trims the store in one data folder, whose lock is held by this process.
#[derive(Debug)]
pub(crate) struct SqliteTrimmer {
    database: PathBuf,
    bundles: EntryBundles,
    /// None after a failure, and at first.
    connection: Option<Connection>,
}

impl SqliteTrimmer {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { database: database(folder), bundles: EntryBundles::new(folder), connection: None }
    }

    /// Runs `work` on a connection that is given up where that fails.
    fn with<T>(&mut self, work: impl FnOnce(&mut Connection, &EntryBundles) -> Result<T, StoreReason>) -> Result<T, StoreReason> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => open(&self.database).map_err(failed)?,
        };
        let done = work(&mut connection, &self.bundles)?;
        self.connection = Some(connection);
        Ok(done)
    }
}

impl StoreTrimmer for SqliteTrimmer {
    fn trimmed(&mut self) -> Result<u64, StoreReason> {
        self.with(|connection, _| {
            let sql = "SELECT number FROM bundles ORDER BY number DESC LIMIT 1";
            let last: Option<u64> = connection.query_row(sql, [], |row| row.get(0)).optional().map_err(failed)?;
            Ok(last.map_or(0, |last| (last + 1) * RECORDS).max(first(connection).map_err(failed)?))
        })
    }

    fn trim(&mut self, bundle: u64) -> Result<(), StoreReason> {
        self.with(|connection, bundles| {
            // So that a bundle of an earlier version is as those of this one.
            let tile = tile(bundle).ok_or_else(|| fault(bundle, "is none"))?;
            bundles.log().pack(tile).map_err(|error| fault(bundle, &format!("cannot be packed ({error})")))?;
            let root = compared(connection, &FullBundle::read(bundles.log(), bundle)?, bundle)?;
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
            leave(&transaction, bundle, root).and_then(|()| transaction.commit()).map_err(failed)
        })
    }
}

/// A trim that is lost to a crash is done again, so that it is not flushed: with the next commit of the writer it is.
fn open(database: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", PAGES)?;
    Ok(connection)
}

/// The root of the bundle, whose entries are the very records in the store.
fn compared(connection: &Connection, bundle: &FullBundle, number: u64) -> Result<Digest, StoreReason> {
    let sql = "SELECT idx, record FROM records WHERE idx >= ?1 AND idx < ?2 ORDER BY idx";
    let mut query = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = query.query(params![number * RECORDS, (number + 1) * RECORDS]).map_err(failed)?;
    let mut same = 0;
    while let Some(row) = rows.next().map_err(failed)? {
        let (index, record): (u64, _) = (row.get(0).map_err(failed)?, row.get_ref(1).map_err(failed)?);
        if bundle.entry(index % RECORDS) != record.as_blob().ok() {
            return Err(fault(number, &format!("has not the record {index} of the store")));
        }
        same += 1;
    }
    let root = bundle.root().filter(|_| same == RECORDS);
    root.ok_or(StoreReason::Corrupt("records are missing that an entry bundle has"))
}

fn leave(transaction: &Transaction<'_>, number: u64, root: Digest) -> rusqlite::Result<()> {
    let (from, to) = (number * RECORDS, (number + 1) * RECORDS);
    transaction.prepare_cached("INSERT INTO bundles (number, root) VALUES (?1, ?2)")?.execute(params![number, root.0])?;
    let find = "INSERT INTO bundled (idx, at, jti, txn) SELECT idx, at, jti, txn FROM records WHERE idx >= ?1 AND idx < ?2";
    transaction.prepare_cached(find)?.execute([from, to])?;
    transaction.prepare_cached("DELETE FROM records WHERE idx >= ?1 AND idx < ?2")?.execute([from, to]).map(drop)
}
