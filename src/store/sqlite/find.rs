//! The index that finds records: `find.sqlite` in the data folder, derived from the records, and flushed as seldom as it may be.
//!
//! A term that many records share has, for every 65,536 records, one bitmap of those that do; one that few share has a row for
//! each. So any combination is an intersection of bitmaps, whatever is asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use roaring::RoaringBitmap;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Result, Transaction, TransactionBehavior, params};

use super::folder::{connect, failed, private_file};
use crate::commit::contract::StoreReason;
use crate::commit::{FindIndex, IndexExtent, IndexedPage, Selection};
use crate::crypto::Digest;
use crate::ledger::record::Term;
use crate::oauth::Time;

/// The file's name in the data folder.
const FILE: &str = "find.sqlite";

/// The version of the tables, and of what terms a record has: another one makes the index anew.
const VERSION: i64 = 1;

/// So many records have one bitmap.
const CHUNK: u64 = 1 << 16;

/// So many records have one span of time.
const SPAN: u64 = 256;

const TABLES: &str = "
    CREATE TABLE extent (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        next INTEGER NOT NULL,
        last BLOB,
        subjects INTEGER NOT NULL
    ) STRICT;
    INSERT INTO extent (one, next, subjects) VALUES (1, 0, 0);
    CREATE TABLE words (
        id INTEGER PRIMARY KEY,
        field INTEGER NOT NULL,
        value TEXT NOT NULL,
        UNIQUE (field, value)
    ) STRICT;
    CREATE TABLE bitmaps (
        word INTEGER NOT NULL,
        chunk INTEGER NOT NULL,
        bits BLOB NOT NULL,
        PRIMARY KEY (word, chunk)
    ) STRICT;
    CREATE TABLE ids (
        hash INTEGER NOT NULL,
        idx INTEGER NOT NULL,
        PRIMARY KEY (hash, idx)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE spans (
        number INTEGER PRIMARY KEY,
        low INTEGER NOT NULL,
        high INTEGER NOT NULL
    ) STRICT;
";

/// The index of one data folder.
#[derive(Debug)]
pub(crate) struct SqliteFindIndex {
    connection: Connection,
}

impl SqliteFindIndex {
    /// The index in the data folder `data`; an empty one where there is none, or none that this program made.
    ///
    /// # Errors
    /// `Folder` or `Failed` when it cannot be made.
    pub(crate) fn open(data: &Path) -> std::result::Result<Self, StoreReason> {
        let path = data.join(FILE);
        match Self::opened(&path) {
            Ok(connection) => Ok(Self { connection }),
            // What is damaged is made anew: nothing is lost with it.
            Err(reason) if is_damage(&reason) => {
                remove(&path).map_err(StoreReason::Folder)?;
                Ok(Self { connection: Self::opened(&path)? })
            }
            Err(reason) => Err(reason),
        }
    }

    /// An index in memory, to compare another one with.
    ///
    /// # Errors
    /// `Failed`.
    pub(crate) fn in_memory() -> std::result::Result<Self, StoreReason> {
        let connection = Connection::open_in_memory().map_err(failed)?;
        connection.execute_batch(TABLES).map_err(failed)?;
        Ok(Self { connection })
    }

    fn opened(path: &Path) -> std::result::Result<Connection, StoreReason> {
        private_file(path).map_err(StoreReason::Folder)?;
        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
        connection.pragma_update(None, "wal_autocheckpoint", 1000).map_err(failed)?;
        connection.pragma_update(None, "cache_size", -65_536).map_err(failed)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        if version != VERSION {
            make(&mut connection).map_err(failed)?;
        }
        Ok(connection)
    }

    /// A sentence about the first difference to `other`; none where both say the same.
    ///
    /// # Errors
    /// `Failed`.
    pub(crate) fn difference(&self, other: &Self) -> std::result::Result<Option<String>, StoreReason> {
        // A word has another number in each. Marks of subjects are in it only as far as anybody asked for a subject.
        const WORDS: &str = "SELECT words.field || ' ' || words.value || ' ' || chunk || ' ' || hex(bits) FROM bitmaps
             JOIN words ON words.id = word WHERE words.field != 16 ORDER BY words.field, words.value, chunk";
        const IDS: &str = "SELECT hash || ' ' || idx FROM ids ORDER BY hash, idx";
        const SPANS: &str = "SELECT number || ' ' || low || ' ' || high FROM spans ORDER BY number";
        const EXTENT: &str = "SELECT next || ' ' || ifnull(hex(last), '-') FROM extent";
        for (what, sql) in [("terms", WORDS), ("ids", IDS), ("times", SPANS), ("extent", EXTENT)] {
            if !same(&self.connection, &other.connection, sql).map_err(failed)? {
                return Ok(Some(format!("the {what} are not those of the records")));
            }
        }
        Ok(None)
    }

    /// The bitmaps of the records from `from` on that have a term, by chunk.
    fn having(&self, terms: &[Term], from: u64) -> Result<BTreeMap<u64, RoaringBitmap>> {
        let mut found: BTreeMap<u64, RoaringBitmap> = BTreeMap::new();
        for term in terms {
            match term.field.is_id() {
                true => self.by_id(term, from, &mut found)?,
                false => self.by_word(term, from, &mut found)?,
            }
        }
        Ok(found)
    }

    fn by_id(&self, term: &Term, from: u64, found: &mut BTreeMap<u64, RoaringBitmap>) -> Result<()> {
        let mut query = self.connection.prepare_cached("SELECT idx FROM ids WHERE hash = ?1 AND idx >= ?2")?;
        let mut rows = query.query(params![hash(term), from])?;
        while let Some(row) = rows.next()? {
            insert(found, row.get(0)?);
        }
        Ok(())
    }

    fn by_word(&self, term: &Term, from: u64, found: &mut BTreeMap<u64, RoaringBitmap>) -> Result<()> {
        let sql = "SELECT chunk, bits FROM bitmaps JOIN words ON words.id = word
                   WHERE words.field = ?1 AND words.value = ?2 AND chunk >= ?3";
        let mut query = self.connection.prepare_cached(sql)?;
        let mut rows = query.query(params![term.field.number(), term.value, from / CHUNK])?;
        while let Some(row) = rows.next()? {
            *found.entry(row.get(0)?).or_default() |= bitmap(row.get_ref(1)?.as_blob()?)?;
        }
        Ok(())
    }

    /// The records of a chunk that may be within the time that is wanted.
    fn in_time(&self, chunk: u64, wanted: &Selection) -> Result<RoaringBitmap> {
        let millis = |time: Option<Time>, otherwise| time.map_or(otherwise, |time| time.millis());
        let first = chunk * (CHUNK / SPAN);
        let sql = "SELECT number FROM spans WHERE number BETWEEN ?1 AND ?2 AND high >= ?3 AND low < ?4";
        let mut query = self.connection.prepare_cached(sql)?;
        let mut rows = query.query(params![
            first,
            first + CHUNK / SPAN - 1,
            millis(wanted.since, i64::MIN),
            millis(wanted.until, i64::MAX)
        ])?;
        let mut bits = RoaringBitmap::new();
        while let Some(row) = rows.next()? {
            let start = low(row.get::<_, u64>(0)? * SPAN);
            bits.insert_range(start..start + SPAN as u32);
        }
        Ok(bits)
    }

    fn selected(&self, wanted: &Selection, from: u64, limit: usize) -> Result<Vec<u64>> {
        let mut lists = wanted.all.iter().map(|terms| self.having(terms, from)).collect::<Result<Vec<_>>>()?;
        lists.extend(wanted.within.as_ref().map(|within| {
            let mut found = BTreeMap::new();
            within.iter().filter(|index| **index >= from).for_each(|index| insert(&mut found, *index));
            found
        }));
        let next = self.connection.prepare_cached("SELECT next FROM extent")?.query_row([], |row| row.get::<_, u64>(0))?;
        let timed = wanted.since.is_some() || wanted.until.is_some();
        let mut indexes = Vec::new();
        for chunk in from / CHUNK..next.div_ceil(CHUNK) {
            let mut bits = match (timed, lists.is_empty()) {
                (true, _) => self.in_time(chunk, wanted)?,
                (false, _) => (0..CHUNK as u32).collect(),
            };
            for list in &lists {
                match list.get(&chunk) {
                    Some(having) => bits &= having,
                    None => bits.clear(),
                }
            }
            let whole = bits.iter().map(|bit| chunk * CHUNK + u64::from(bit)).filter(|index| (from..next).contains(index));
            indexes.extend(whole.take(limit - indexes.len()));
            if indexes.len() >= limit {
                break;
            }
        }
        Ok(indexes)
    }
}

impl FindIndex for SqliteFindIndex {
    fn extent(&mut self) -> std::result::Result<IndexExtent, StoreReason> {
        extent(&self.connection).map_err(failed)
    }

    fn clear(&mut self) -> std::result::Result<(), StoreReason> {
        make(&mut self.connection).map_err(failed)
    }

    fn add(&mut self, page: &IndexedPage) -> std::result::Result<(), StoreReason> {
        let add = |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if extent(&transaction)? != page.after {
                return Ok(());
            }
            write(&transaction, page)?;
            transaction.commit()
        };
        add(&mut self.connection).map_err(failed)
    }

    fn select(&mut self, wanted: &Selection, from: u64, limit: usize) -> std::result::Result<Vec<u64>, StoreReason> {
        self.selected(wanted, from, limit).map_err(failed)
    }
}

fn write(transaction: &Transaction<'_>, page: &IndexedPage) -> Result<()> {
    let (mut words, mut ids, mut spans) = (HashMap::<(&Term, u64), RoaringBitmap>::new(), BTreeSet::new(), BTreeMap::new());
    for (index, at, terms) in &page.entries {
        for term in terms {
            match term.field.is_id() {
                true => drop(ids.insert((hash(term), *index))),
                false => drop(words.entry((term, index / CHUNK)).or_default().insert(low(*index))),
            }
        }
        if let Some(at) = at {
            let span = spans.entry(index / SPAN).or_insert((*at, *at));
            *span = (span.0.min(*at), span.1.max(*at));
        }
    }
    let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO ids (hash, idx) VALUES (?1, ?2)")?;
    ids.into_iter().try_for_each(|(hash, index)| insert.execute(params![hash, index]).map(drop))?;
    words.into_iter().try_for_each(|((term, chunk), bits)| add_bits(transaction, term, chunk, bits))?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO spans (number, low, high) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET low = min(low, excluded.low), high = max(high, excluded.high)",
    )?;
    spans
        .into_iter()
        .try_for_each(|(number, (low, high))| insert.execute(params![number, low.millis(), high.millis()]).map(drop))?;
    let IndexExtent { next, last, next_subject } = page.until;
    let mut update = transaction.prepare_cached("UPDATE extent SET next = ?1, last = ?2, subjects = ?3")?;
    update.execute(params![next, last.map(|last| last.0), next_subject]).map(drop)
}

fn add_bits(transaction: &Transaction<'_>, term: &Term, chunk: u64, mut bits: RoaringBitmap) -> Result<()> {
    let number = term.field.number();
    let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO words (field, value) VALUES (?1, ?2)")?;
    insert.execute(params![number, term.value])?;
    let mut find = transaction.prepare_cached("SELECT id FROM words WHERE field = ?1 AND value = ?2")?;
    let word: i64 = find.query_row(params![number, term.value], |row| row.get(0))?;
    let mut known = transaction.prepare_cached("SELECT bits FROM bitmaps WHERE word = ?1 AND chunk = ?2")?;
    let known: Option<Vec<u8>> = known.query_row(params![word, chunk], |row| row.get(0)).optional()?;
    if let Some(known) = known {
        bits |= bitmap(&known)?;
    }
    let mut bytes = Vec::with_capacity(bits.serialized_size());
    bits.serialize_into(&mut bytes).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let mut replace = transaction.prepare_cached("INSERT OR REPLACE INTO bitmaps (word, chunk, bits) VALUES (?1, ?2, ?3)")?;
    replace.execute(params![word, chunk, bytes]).map(drop)
}

fn extent(connection: &Connection) -> Result<IndexExtent> {
    connection.prepare_cached("SELECT next, last, subjects FROM extent")?.query_row([], |row| {
        let last: Option<[u8; 32]> = row.get(1)?;
        Ok(IndexExtent { next: row.get(0)?, last: last.map(Digest), next_subject: row.get(2)? })
    })
}

/// Drops every table of ours, whatever version made it, and makes them anew.
fn make(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for table in ["extent", "words", "bitmaps", "ids", "spans"] {
        transaction.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
    }
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// True where a query has the same rows in both.
fn same(one: &Connection, other: &Connection, sql: &str) -> Result<bool> {
    let (mut one, mut other) = (one.prepare(sql)?, other.prepare(sql)?);
    let (mut one, mut other) = (one.query([])?, other.query([])?);
    loop {
        let text = |row: Option<&rusqlite::Row<'_>>| row.map(|row| row.get::<_, String>(0)).transpose();
        match (text(one.next()?)?, text(other.next()?)?) {
            (None, None) => return Ok(true),
            (one, other) if one != other => return Ok(false),
            _ => {}
        }
    }
}

/// A bitmap as it was written; one that was not written here is damage.
fn bitmap(bytes: &[u8]) -> Result<RoaringBitmap> {
    let damaged = |error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Blob, Box::new(error));
    RoaringBitmap::deserialize_from(bytes).map_err(damaged)
}

fn insert(found: &mut BTreeMap<u64, RoaringBitmap>, index: u64) {
    found.entry(index / CHUNK).or_default().insert(low(index));
}

/// The place of a record in its chunk.
fn low(index: u64) -> u32 {
    u32::try_from(index % CHUNK).unwrap_or_default()
}

/// Two values may share one: whoever finds a record by it looks at the record.
fn hash(term: &Term) -> i64 {
    let digest = Digest::of_parts(&[&[term.field.number()], term.value.as_bytes()]);
    digest.0.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

fn is_damage(reason: &StoreReason) -> bool {
    let StoreReason::Failed(cause) = reason else { return false };
    let code = cause.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
    matches!(code, Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt))
}

fn remove(path: &Path) -> std::io::Result<()> {
    for end in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        match std::fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
