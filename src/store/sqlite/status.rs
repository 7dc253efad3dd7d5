//! Places in status lists, and what a program of before remembered as being in force.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, Result, Row, params};

use crate::catalog::StatusBits;
use crate::commit::contract::{Batch, ConfiguredPrincipal, StatusRow};
use crate::crypto::Digest;
use crate::lifecycle::status::ListKey;
use crate::oauth::{ClientId, Generation, GenerationKey, ListId, Resource, RuleName, StatusPlace, Time};

/// Bytes of one generation: its key, and its number.
const GENERATION_BYTES: usize = 24;

/// That something was remembered at all: a server without agents and trust rules remembers that too.
const REMEMBERED: &str = "remembered";

/// Writes the places of a batch.
pub(super) fn write(connection: &Connection, batch: &Batch) -> Result<()> {
    let mut list = connection.prepare_cached(
        "INSERT OR IGNORE INTO status_lists (list, api, bits, until, part, forget) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut place =
        connection.prepare_cached("INSERT INTO status (list, place, expires, generations) VALUES (?1, ?2, ?3, ?4)")?;
    for (_, row) in &batch.status {
        let StatusRow { list: key, place: StatusPlace { index: at, list: id }, expires, generations } = row;
        list.execute(params![
            id.as_bytes(),
            key.api.as_str(),
            key.bits.count(),
            key.until.millis(),
            key.part,
            key.forgettable().millis()
        ])?;
        place.execute(params![id.as_bytes(), at, expires.millis(), packed(generations)])?;
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

/// Every place that is remembered. One in a list that is not there whole is not among them, so that the sum of everything that no
/// record holds tells of it.
pub(super) fn rows(connection: &Connection) -> Result<Vec<StatusRow>> {
    let lists: HashMap<[u8; 16], ListKey> = connection
        .prepare("SELECT list, api, bits, until, part, forget FROM status_lists")?
        .query_map([], |row| Ok(key(row)?.map(|key| (*key.id().as_bytes(), key))))?
        .filter_map(Result::transpose)
        .collect::<Result<_>>()?;
    let mut query = connection.prepare("SELECT list, place, expires, generations FROM status")?;
    let mut rows = query.query([])?;
    let mut places = Vec::new();
    while let Some(row) = rows.next()? {
        let id: [u8; 16] = row.get(0)?;
        let Some(list) = lists.get(&id).cloned() else { continue };
        let place = StatusPlace { index: row.get(1)?, list: ListId::from_bytes(id) };
        let Some(generations) = unpacked(&row.get::<_, Vec<u8>>(3)?) else { continue };
        places.push(StatusRow { list, place, expires: Time::from_millis(row.get(2)?), generations });
    }
    Ok(places)
}

/// The key of a list; none where the row does not say what its identifier, which is a digest of it, does.
fn key(row: &Row<'_>) -> Result<Option<ListKey>> {
    let (id, api): ([u8; 16], String) = (row.get(0)?, row.get(1)?);
    let (until, part, forget) = (Time::from_millis(row.get(3)?), row.get(4)?, Time::from_millis(row.get(5)?));
    let bits = [StatusBits::One, StatusBits::Two].into_iter().find(|bits| Ok(bits.count()) == row.get(2));
    let key = Resource::parse(&api).ok().zip(bits).map(|(api, bits)| ListKey { api, bits, until, part });
    Ok(key.filter(|key| *key.id().as_bytes() == id && key.forgettable() == forget))
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

fn unpacked(bytes: &[u8]) -> Option<Vec<Generation>> {
    let generation = |chunk: &[u8]| {
        let (key, number) = chunk.split_first_chunk::<16>()?;
        Some(Generation { key: GenerationKey(*key), number: u64::from_be_bytes(number.try_into().ok()?) })
    };
    bytes.chunks(GENERATION_BYTES).map(generation).collect()
}
