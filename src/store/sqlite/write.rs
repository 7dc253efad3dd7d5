//! One batch, one transaction.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result, params};

use super::status;
use crate::commit::contract::{Batch, Row, StoredGeneration, StoredTask};
use crate::lifecycle::InactiveStatus;
use crate::oauth::Time;

/// Writes `batch` and returns when it is durable. After an error the connection is not to be used again.
pub(super) fn batch(connection: &Connection, batch: &Batch) -> Result<()> {
    run(connection, "BEGIN IMMEDIATE")?;
    subject_keys(connection, batch)?;
    rows(connection, batch)?;
    single_use(connection, batch)?;
    generations(connection, &batch.generations)?;
    status::write(connection, batch)?;
    tasks(connection, &batch.tasks)?;
    changed_tasks(connection, batch)?;
    batch.forget.map_or(Ok(()), |now| forget(connection, now))?;
    run(connection, "COMMIT")
}

fn run(connection: &Connection, sql: &str) -> Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}

fn rows(connection: &Connection, batch: &Batch) -> Result<()> {
    let mut insert = connection.prepare_cached("INSERT INTO records (idx, at, jti, txn, record) VALUES (?1, ?2, ?3, ?4, ?5)")?;
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

fn subject_keys(connection: &Connection, batch: &Batch) -> Result<()> {
    let mut insert = connection.prepare_cached("INSERT INTO subject_keys (subject, wrapped) VALUES (?1, ?2)")?;
    for (subject, wrapped) in &batch.subject_keys {
        insert.execute(params![subject.0, wrapped])?;
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

fn generations(connection: &Connection, generations: &[StoredGeneration]) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO lives (key, number, ended, hold, due, forget) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let mut put = connection.prepare_cached(sql)?;
    for StoredGeneration { key, state, forget } in generations {
        let [ended, due, forget] = [state.ended, state.until, *forget].map(|time| time.map(Time::millis));
        put.execute(params![key.0, state.number, ended, state.inactive.map(inactive), due, forget])?;
    }
    Ok(())
}

/// Writes tasks that begin.
pub(super) fn tasks(connection: &Connection, tasks: &[StoredTask]) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO tasks (key, left, suspended_by, forget, fixed) VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut put = connection.prepare_cached(sql)?;
    for StoredTask { key, terms, left, suspended_by, forget } in tasks {
        put.execute(params![key.0, left, suspended_by, forget.millis(), terms])?;
    }
    Ok(())
}

fn changed_tasks(connection: &Connection, batch: &Batch) -> Result<()> {
    let mut charge = connection.prepare_cached("UPDATE tasks SET left = ?2 WHERE key = ?1")?;
    for (key, left) in &batch.charges {
        charge.execute(params![key.0, left])?;
    }
    let mut suspend = connection.prepare_cached("UPDATE tasks SET suspended_by = ?2 WHERE key = ?1")?;
    for (key, suspended_by) in &batch.suspenders {
        suspend.execute(params![key.0, suspended_by.as_ref().map(|by| by.as_str())])?;
    }
    Ok(())
}

/// The number by which an inactive status is stored.
fn inactive(hold: InactiveStatus) -> i64 {
    match hold {
        InactiveStatus::Suspended => 1,
        InactiveStatus::Retired => 2,
    }
}

fn forget(connection: &Connection, now: Time) -> Result<()> {
    connection.prepare_cached("DELETE FROM single_use WHERE expires <= ?1")?.execute([now.millis()])?;
    connection.prepare_cached("DELETE FROM lives WHERE forget IS NOT NULL AND forget <= ?1")?.execute([now.millis()])?;
    status::forget(connection, now)?;
    connection.prepare_cached("DELETE FROM tasks WHERE forget <= ?1")?.execute([now.millis()])?;
    Ok(())
}
