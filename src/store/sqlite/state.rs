//! The state as of the newest checkpoint, the terms of tasks, and what no record holds besides single-use values and places.

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::status;
use crate::commit::contract::{Batch, EarlierState, Heartbeat, NewCheckpoint, StateRow, StoredCheckpoint};
use crate::lifecycle::{GenerationState, InactiveStatus};
use crate::oauth::{GenerationKey, TaskId, Time};

/// Bytes of a page.
const PAGE: usize = 4096;

/// Writes the checkpoint of a batch, the terms of the tasks that it opens, its heartbeats and its sum.
pub(super) fn write(connection: &Connection, batch: &Batch) -> Result<()> {
    if let Some(checkpoint) = &batch.checkpoint {
        write_checkpoint(connection, checkpoint)?;
    }
    let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO task_terms (idx, sealed) VALUES (?1, ?2)")?;
    for (index, sealed) in &batch.terms {
        insert.execute(params![index, sealed])?;
    }
    let mut beat = connection.prepare_cached("INSERT OR REPLACE INTO heartbeats (task, at) VALUES (?1, ?2)")?;
    for Heartbeat { task, at } in &batch.beats {
        beat.execute(params![task.as_bytes(), at.millis()])?;
    }
    connection.prepare_cached("INSERT OR REPLACE INTO unrecorded (one, sum) VALUES (1, ?1)")?.execute([&batch.sum])?;
    if batch.adopts { drop_earlier(connection) } else { Ok(()) }
}

/// Removes what a program of before kept, and overwrites every page that is free: terms of tasks may have lain there unsealed.
fn drop_earlier(connection: &Connection) -> Result<()> {
    connection.execute_batch("DELETE FROM tasks; DROP TABLE tasks; DROP TABLE lives; DROP TABLE in_force;")?;
    overwrite_free(connection)
}

/// Overwrites every page that is free, within the transaction that is open.
pub(super) fn overwrite_free(connection: &Connection) -> Result<()> {
    connection.execute_batch("CREATE TABLE freed (page BLOB NOT NULL) STRICT;")?;
    let free: u64 = connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    let mut fill = connection.prepare("INSERT INTO freed VALUES (zeroblob(?1))")?;
    (0..free).try_for_each(|_| fill.execute([PAGE]).map(drop))?;
    drop(fill);
    connection.execute_batch("DROP TABLE freed;")
}

fn write_checkpoint(connection: &Connection, checkpoint: &NewCheckpoint) -> Result<()> {
    let mut put = connection.prepare_cached("INSERT OR REPLACE INTO state (key, value) VALUES (?1, ?2)")?;
    let mut delete = connection.prepare_cached("DELETE FROM state WHERE key = ?1")?;
    for change in &checkpoint.changes {
        match &change.after {
            Some(after) => put.execute(params![change.key, after])?,
            None => delete.execute([&change.key])?,
        };
    }
    let mut terms = connection.prepare_cached("DELETE FROM task_terms WHERE idx = ?1")?;
    let mut beat = connection.prepare_cached("DELETE FROM heartbeats WHERE task = ?1")?;
    for (task, index) in &checkpoint.forgotten {
        terms.execute([index])?;
        beat.execute([task.as_bytes()])?;
    }
    connection.execute("INSERT OR REPLACE INTO checkpoint (one, idx) VALUES (1, ?1)", [checkpoint.index])?;
    Ok(())
}

/// The state as of the newest checkpoint; none in a store of before.
pub(super) fn checkpoint(connection: &Connection) -> Result<StoredCheckpoint> {
    if !connection.table_exists(None, "state")? {
        return Ok(StoredCheckpoint::default());
    }
    let index = connection.query_row("SELECT idx FROM checkpoint", [], |row| row.get(0)).optional()?;
    let mut query = connection.prepare("SELECT key, value FROM state")?;
    let rows = query.query_map([], |row| Ok(StateRow { key: row.get(0)?, value: row.get(1)? }))?.collect::<Result<_>>()?;
    Ok(StoredCheckpoint { index, rows })
}

/// The sealed terms of tasks, each with the index of the record that opened it.
pub(super) fn terms(connection: &Connection) -> Result<Vec<(u64, Vec<u8>)>> {
    connection.prepare("SELECT idx, sealed FROM task_terms")?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The newest heartbeat of each task.
pub(super) fn beats(connection: &Connection) -> Result<Vec<Heartbeat>> {
    let beat =
        |row: &rusqlite::Row<'_>| Ok(Heartbeat { task: TaskId::from_bytes(row.get(0)?), at: Time::from_millis(row.get(1)?) });
    connection.prepare("SELECT task, at FROM heartbeats")?.query_map([], beat)?.collect()
}

/// The sum of everything that no record holds.
pub(super) fn sum(connection: &Connection) -> Result<Option<Vec<u8>>> {
    connection.query_row("SELECT sum FROM unrecorded", [], |row| row.get(0)).optional()
}

/// What a program of before kept, where it is still there.
pub(super) fn earlier(connection: &Connection) -> Result<Option<Box<EarlierState>>> {
    if !connection.table_exists(None, "lives")? {
        return Ok(None);
    }
    let generation = |row: &rusqlite::Row<'_>| {
        let inactive = row.get::<_, Option<i64>>(3)?;
        let inactive = inactive.map(|hold| if hold == 1 { InactiveStatus::Suspended } else { InactiveStatus::Retired });
        let ended = row.get::<_, Option<i64>>(2)?.map(Time::from_millis);
        Ok((GenerationKey(row.get(0)?), GenerationState { number: row.get(1)?, ended, inactive, until: None }))
    };
    let mut query = connection.prepare("SELECT key, number, ended, hold FROM lives")?;
    let generations = query.query_map([], generation)?.collect::<Result<_>>()?;
    let mut query = connection.prepare("SELECT key, fixed FROM tasks")?;
    let task = |row: &rusqlite::Row<'_>| Ok((GenerationKey(row.get(0)?), row.get(1)?));
    let tasks = query.query_map([], task)?.collect::<Result<_>>()?;
    Ok(Some(Box::new(EarlierState { generations, tasks, in_force: status::in_force(connection)? })))
}
