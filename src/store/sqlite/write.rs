//! One batch, one transaction.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result, params};

use super::{state, status, subjects};
use crate::commit::contract::{Batch, Row, Stored};
use crate::oauth::Time;

const INSERT: &str = "INSERT INTO records (idx, at, jti, txn, record) VALUES (?1, ?2, ?3, ?4, ?5)";

/// Writes `batch` and returns when it is durable; `keys` of subjects were ever added, where there are new ones. After an error
/// the connection is not to be used again.
pub(super) fn batch(connection: &Connection, batch: &Batch, keys: Option<u64>) -> Result<()> {
    run(connection, "BEGIN IMMEDIATE")?;
    if batch.clears {
        let tables = "DELETE FROM single_use; DELETE FROM heartbeats; DELETE FROM status; DELETE FROM status_lists;";
        connection.execute_batch(tables)?;
    }
    rows(connection, batch)?;
    single_use(connection, batch)?;
    status::write(connection, batch)?;
    state::write(connection, batch)?;
    keys.map_or(Ok(()), |keys| subjects::see(connection, keys))?;
    batch.forget.map_or(Ok(()), |now| forget(connection, now))?;
    run(connection, "COMMIT")
}

/// Appends records as they are. The sum of what no record holds is then no sum.
pub(super) fn folded_in(connection: &Connection, records: &[Stored]) -> Result<()> {
    run(connection, "BEGIN IMMEDIATE")?;
    let mut insert = connection.prepare_cached(INSERT)?;
    for Stored { index, at, jti, txn, record } in records {
        let (jti, txn) = (jti.as_ref().map(|jti| jti.as_bytes()), txn.as_ref().map(|txn| txn.as_bytes()));
        insert.execute(params![index, at.millis(), jti, txn, record])?;
    }
    connection.execute("INSERT OR REPLACE INTO unrecorded (one, sum) VALUES (1, x'')", [])?;
    run(connection, "COMMIT")
}

fn run(connection: &Connection, sql: &str) -> Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}

fn rows(connection: &Connection, batch: &Batch) -> Result<()> {
    let mut insert = connection.prepare_cached(INSERT)?;
    for Row { index, jti, txn, record, .. } in &batch.rows {
        let (jti, txn) = (jti.as_ref().map(|jti| jti.as_bytes()), txn.as_ref().map(|txn| txn.as_bytes()));
        insert.execute(params![index, batch.at.millis(), jti, txn, record])?;
    }
    let mut insert = connection.prepare_cached("INSERT INTO disclosures (idx, subject, sealed) VALUES (?1, ?2, ?3)")?;
    for row in &batch.rows {
        if let Some((subject, sealed)) = &row.sealed {
            insert.execute(params![row.index, subject.0, sealed])?;
        }
    }
    Ok(())
}

fn single_use(connection: &Connection, batch: &Batch) -> Result<()> {
    let mut insert = connection.prepare_cached("INSERT INTO single_use (expires, digests) VALUES (?1, ?2)")?;
    let mut digests: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
    for value in &batch.single_use {
        digests.entry(value.expires.millis()).or_default().extend(value.digest);
    }
    for (expires, digests) in digests {
        insert.execute(params![expires, digests])?;
    }
    Ok(())
}

fn forget(connection: &Connection, now: Time) -> Result<()> {
    connection.prepare_cached("DELETE FROM single_use WHERE expires <= ?1")?.execute([now.millis()])?;
    status::forget(connection, now)
}
