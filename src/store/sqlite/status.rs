//! Places in status lists, and what the files had in force.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, Result, Row, params};

use crate::catalog::StatusBits;
use crate::commit::contract::{Batch, ConfiguredPrincipal, StatusRow};
use crate::crypto::Digest;
use crate::lifecycle::status::ListKey;
use crate::oauth::{ClientId, Generation, GenerationKey, Resource, RuleName, Time};

/// Bytes of one generation: its key, and its number.
const GENERATION_BYTES: usize = 24;

/// That something was remembered at all: a server without agents and trust rules remembers that too.
const REMEMBERED: &str = "remembered";

/// Writes the places of a batch, and the principals in force.
pub(super) fn write(connection: &Connection, batch: &Batch) -> Result<()> {
    places(connection, batch)?;
    if let Some(in_force) = &batch.in_force {
        connection.execute("DELETE FROM in_force", [])?;
        let mut insert = connection.prepare_cached("INSERT INTO in_force (kind, name) VALUES (?1, ?2)")?;
        insert.execute([REMEMBERED, ""])?;
        for known in in_force {
            match known {
                ConfiguredPrincipal::Agent(id) => insert.execute(["agent", id.as_str()])?,
                ConfiguredPrincipal::Rule(name) => insert.execute(["rule", name.as_str()])?,
                ConfiguredPrincipal::Issuer(name, digest) => insert.execute(["issuer", &format!("{name} {digest}")])?,
                ConfiguredPrincipal::Api(id) => insert.execute(["api", id.as_str()])?,
                ConfiguredPrincipal::ApiTerm(id, digest) => insert.execute(["api term", &format!("{id} {digest}")])?,
            };
        }
    }
    Ok(())
}

fn places(connection: &Connection, batch: &Batch) -> Result<()> {
    let mut list = connection.prepare_cached(
        "INSERT OR IGNORE INTO status_lists (list, api, bits, until, part, forget) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut place =
        connection.prepare_cached("INSERT INTO status (idx, list, place, expires, generations) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (index, row) in &batch.status {
        let StatusRow { list: key, index: at, expires, generations } = row;
        let id = key.id();
        list.execute(params![
            id.as_bytes(),
            key.api.as_str(),
            key.bits.count(),
            key.until.millis(),
            key.part,
            key.forgettable().millis()
        ])?;
        place.execute(params![index, id.as_bytes(), at, expires.millis(), packed(generations)])?;
    }
    Ok(())
}

/// Deletes lists that are over at `now`, and the places in them.
pub(super) fn forget(connection: &Connection, now: Time) -> Result<()> {
    let over = "SELECT list FROM status_lists WHERE forget <= ?1";
    if connection.prepare_cached(over)?.exists([now.millis()])? {
        connection.execute(&format!("DELETE FROM status WHERE list IN ({over})"), [now.millis()])?;
        connection.execute("DELETE FROM status_lists WHERE forget <= ?1", [now.millis()])?;
    }
    Ok(())
}

/// Every place that is remembered.
pub(super) fn rows(connection: &Connection) -> Result<Vec<StatusRow>> {
    let lists: HashMap<[u8; 16], ListKey> = connection
        .prepare("SELECT list, api, bits, until, part FROM status_lists")?
        .query_map([], |row| Ok((row.get(0)?, key(row)?)))?
        .collect::<Result<_>>()?;
    let mut query = connection.prepare("SELECT list, place, expires, generations FROM status")?;
    let mut rows = query.query([])?;
    let mut places = Vec::new();
    while let Some(row) = rows.next()? {
        let list: [u8; 16] = row.get(0)?;
        let Some(list) = lists.get(&list).cloned() else { continue };
        let generations = unpacked(&row.get::<_, Vec<u8>>(3)?);
        places.push(StatusRow { list, index: row.get(1)?, expires: Time::from_millis(row.get(2)?), generations });
    }
    Ok(places)
}

fn key(row: &Row<'_>) -> Result<ListKey> {
    let api: String = row.get(1)?;
    let api = Resource::parse(&api).map_err(|_| rusqlite::Error::InvalidQuery)?;
    let bits = if row.get::<_, u8>(2)? == 1 { StatusBits::One } else { StatusBits::Two };
    Ok(ListKey { api, bits, until: Time::from_millis(row.get(3)?), part: row.get(4)? })
}

/// The principals that were remembered as being in force.
pub(super) fn in_force(connection: &Connection) -> Result<Option<BTreeSet<ConfiguredPrincipal>>> {
    let (mut known, mut remembered) = (BTreeSet::new(), false);
    let mut query = connection.prepare("SELECT kind, name FROM in_force")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
        match kind.as_str() {
            "agent" => known.extend(ClientId::parse(&name).ok().map(ConfiguredPrincipal::Agent)),
            "rule" => known.extend(RuleName::parse(&name).ok().map(ConfiguredPrincipal::Rule)),
            "issuer" => known.extend(issuer(&name)),
            "api" => known.extend(Resource::parse(&name).ok().map(ConfiguredPrincipal::Api)),
            "api term" => known.extend(api_term(&name)),
            _ => remembered |= kind == REMEMBERED,
        }
    }
    Ok(remembered.then_some(known))
}

fn issuer(written: &str) -> Option<ConfiguredPrincipal> {
    let (name, digest) = written.split_once(' ')?;
    Some(ConfiguredPrincipal::Issuer(RuleName::parse(name).ok()?, Digest::parse(digest)?))
}

fn api_term(written: &str) -> Option<ConfiguredPrincipal> {
    let (id, digest) = written.split_once(' ')?;
    Some(ConfiguredPrincipal::ApiTerm(Resource::parse(id).ok()?, Digest::parse(digest)?))
}

fn packed(generations: &[Generation]) -> Vec<u8> {
    generations.iter().flat_map(|generation| generation.key.0.into_iter().chain(generation.number.to_be_bytes())).collect()
}

fn unpacked(bytes: &[u8]) -> Vec<Generation> {
    let generation = |chunk: &[u8]| {
        let (key, number) = chunk.split_first_chunk::<16>()?;
        Some(Generation { key: GenerationKey(*key), number: u64::from_be_bytes(*number.first_chunk()?) })
    };
    bytes.chunks_exact(GENERATION_BYTES).filter_map(generation).collect()
}
