//! Removing records that are recorded as pruned: from the store, one bundle in one transaction, and durably before the files go,
//! so that whatever is found in the store is in a file.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};

use super::bundles::RECORDS;
use super::folder::{connect, database, failed};
use super::reader::first;
use crate::commit::contract::{IsHeld, StorePruner, StoreReason};
use crate::ledger::{TILE_WIDTH, Tile, TileKind};
use crate::oauth::{Time, Txn};
use crate::store::tiles::{LEDGER_FOLDER, LogFolder};

/// The log of the database is copied when it has so many pages: 16 MiB.
const PAGES: u32 = 4096;

/// Prunes the store in one data folder, whose lock is held by this process.
#[derive(Debug)]
pub(crate) struct SqlitePruner {
    database: PathBuf,
    log: LogFolder,
    /// None after a failure, and at first.
    connection: Option<Connection>,
}

impl SqlitePruner {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { database: database(folder), log: LogFolder::new(&folder.join(LEDGER_FOLDER)), connection: None }
    }

    /// Runs `work` on a connection that is given up where that fails.
    fn with<T>(&mut self, work: impl FnOnce(&mut Connection, &LogFolder) -> rusqlite::Result<T>) -> Result<T, StoreReason> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => open(&self.database).map_err(failed)?,
        };
        let done = work(&mut connection, &self.log).map_err(failed)?;
        self.connection = Some(connection);
        Ok(done)
    }
}

/// A commit is flushed: files go once it is.
fn open(database: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "wal_autocheckpoint", PAGES)?;
    Ok(connection)
}

impl StorePruner for SqlitePruner {
    fn first(&mut self) -> Result<u64, StoreReason> {
        self.with(|connection, _| first(connection))
    }

    fn time_of(&mut self, index: u64) -> Result<Option<Time>, StoreReason> {
        self.with(|connection, _| {
            let mut query = connection.prepare_cached("SELECT at FROM bundled WHERE idx = ?1")?;
            Ok(query.query_row([index], |row| row.get(0)).optional()?.map(Time::from_millis))
        })
    }

    fn prune(&mut self, is_held: IsHeld<'_>) -> Result<(), StoreReason> {
        let whole = self.with(|connection, _| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let from = first(&transaction)?;
            let held = held_in(&transaction, from, is_held)?;
            let Some(held) = held else { return Ok(false) };
            remove(&transaction, from, &held)?;
            transaction.execute("UPDATE retention SET first = ?1", [from + RECORDS])?;
            transaction.commit().map(|()| true)
        })?;
        whole.then_some(()).ok_or(StoreReason::Corrupt("records to be pruned are not in their entry bundle"))
    }

    fn release(&mut self, is_held: IsHeld<'_>) -> Result<(), StoreReason> {
        self.with(|connection, _| {
            let stayed: Vec<u64> = {
                let mut query = connection.prepare("SELECT number FROM bundles WHERE number < ?1 ORDER BY number")?;
                query.query_map([first(connection)? / RECORDS], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?
            };
            for number in stayed {
                let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let held = held_in(&transaction, number * RECORDS, is_held)?.unwrap_or_default();
                remove(&transaction, number * RECORDS, &held)?;
                if held.is_empty() {
                    transaction.execute("UPDATE retention SET swept = min(swept, ?1)", [number * RECORDS])?;
                }
                transaction.commit()?;
            }
            Ok(())
        })
    }

    fn sweep(&mut self, bundles: u64) -> Result<(), StoreReason> {
        let (swept, end) = self.with(|connection, _| {
            connection
                .query_row("SELECT swept, first FROM retention", [], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?)))
        })?;
        let end = end.min(swept.saturating_add(bundles.saturating_mul(RECORDS)));
        if swept >= end {
            return Ok(());
        }
        for number in swept / RECORDS..end / RECORDS {
            let stays = self.with(|connection, _| {
                let mut query = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM bundles WHERE number = ?1)")?;
                query.query_row([number], |row| row.get::<_, bool>(0))
            })?;
            if !stays {
                let own = [TileKind::Entries, TileKind::Hashes(0)].into_iter();
                let mut own = own.filter_map(|kind| Tile::new(kind, number, TILE_WIDTH));
                own.try_for_each(|tile| self.log.remove(tile)).map_err(StoreReason::Folder)?;
            }
        }
        self.with(|connection, _| connection.execute("UPDATE retention SET swept = ?1", [end]).map(drop))
    }

    fn forget(&mut self, from: u64, limit: u32, until: Time, is_held: IsHeld<'_>) -> Result<Option<u64>, StoreReason> {
        self.with(|connection, _| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let next = forget(&transaction, (from, limit), until, is_held)?;
            transaction.commit().map(|()| next)
        })
    }

    fn archived_state(&mut self, index: u64) -> Result<Option<Vec<u8>>, StoreReason> {
        self.log.archived_state(index).map_err(StoreReason::Folder)
    }
}

/// Which of the 256 records from `from` on are of a transaction that is held; none where they are not all in their bundle.
fn held_in(transaction: &Transaction<'_>, from: u64, is_held: IsHeld<'_>) -> rusqlite::Result<Option<Vec<u64>>> {
    let mut query = transaction.prepare_cached("SELECT idx, txn FROM bundled WHERE idx >= ?1 AND idx < ?2")?;
    let mut rows = query.query([from, from + RECORDS])?;
    let (mut held, mut count) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        count += 1;
        let txn = row.get::<_, Option<[u8; 16]>>(1)?.map(Txn::from_bytes);
        if txn.is_some_and(|txn| is_held(&txn)) {
            held.push(row.get(0)?);
        }
    }
    Ok((count == RECORDS).then_some(held))
}

/// Removes the 256 records from `from` on; where some are held, the disclosures of the others alone.
fn remove(transaction: &Transaction<'_>, from: u64, held: &[u64]) -> rusqlite::Result<()> {
    let mut query = transaction.prepare_cached("SELECT idx FROM disclosures WHERE idx >= ?1 AND idx < ?2")?;
    let disclosed: Vec<u64> = query.query_map([from, from + RECORDS], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut delete = transaction.prepare_cached("DELETE FROM disclosures WHERE idx = ?1")?;
    for index in disclosed.iter().filter(|index| !held.contains(index)) {
        delete.execute([index])?;
    }
    if held.is_empty() {
        transaction.prepare_cached("DELETE FROM bundled WHERE idx >= ?1 AND idx < ?2")?.execute([from, from + RECORDS])?;
        transaction.prepare_cached("DELETE FROM bundles WHERE number = ?1")?.execute([from / RECORDS])?;
    }
    Ok(())
}

fn forget(
    transaction: &Transaction<'_>,
    (from, limit): (u64, u32),
    until: Time,
    is_held: IsHeld<'_>,
) -> rusqlite::Result<Option<u64>> {
    let sql = "
        SELECT d.idx, coalesce(b.at, r.at), coalesce(b.txn, r.txn) FROM disclosures d
        LEFT JOIN bundled b ON b.idx = d.idx LEFT JOIN records r ON r.idx = d.idx
        WHERE d.idx >= ?1 ORDER BY d.idx LIMIT ?2";
    let mut query = transaction.prepare_cached(sql)?;
    let mut rows = query.query(params![from, limit])?;
    let mut delete = transaction.prepare_cached("DELETE FROM disclosures WHERE idx = ?1")?;
    let mut next = None;
    while let Some(row) = rows.next()? {
        let (index, at): (u64, Option<i64>) = (row.get(0)?, row.get(1)?);
        if at.is_some_and(|at| at > until.millis()) {
            return Ok(None);
        }
        let txn = row.get::<_, Option<[u8; 16]>>(2)?.map(Txn::from_bytes);
        if !txn.is_some_and(|txn| is_held(&txn)) {
            delete.execute([index])?;
        }
        next = Some(index + 1);
    }
    Ok(next)
}
