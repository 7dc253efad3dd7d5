//! Records that lie in their entry bundles alone are read as before; a bundle that was changed or lost is named.

use std::path::Path;

use super::*;
use crate::commit::contract::{LogStore, StoreTrimmer};
use crate::ledger::{Edge, LogFiles};
use crate::store::tiles::{LogFolder, TileFolder};

const FIRST: &str = "tile/entries/000";

/// Keeps what only bundles hold, to be put back.
struct Kept(PathBuf, Vec<u8>);

impl Kept {
    fn of(scratch: &Scratch) -> Self {
        let path = scratch.0.join(format!("ledger/{FIRST}.lz4"));
        let bytes = fs::read(&path).unwrap();
        Self(path, bytes)
    }

    fn put_back(&self) {
        fs::write(&self.0, &self.1).unwrap();
    }
}

/// A transaction in every third row, and a hop in most.
pub(super) fn numbered(index: u64) -> Row {
    let id = (index % 251) as u8;
    let row = row(index, id, (index % 3) as u8);
    if index.is_multiple_of(7) { Row { jti: None, txn: None, ..row } } else { row }
}

/// Records up to that number, committed some at a time, and their log.
pub(super) fn grown(store: &mut SqliteStore, edge: &mut Edge, scratch: &Scratch, to: u64) {
    let from = edge.size();
    for start in (from..to).step_by(50) {
        let rows: Vec<Row> = (start..to.min(start + 50)).map(numbered).collect();
        for row in &rows {
            edge.append(&row.record).unwrap();
        }
        commit(store, &batch(i64::try_from(start).unwrap(), rows)).unwrap();
    }
    TileFolder::new(&scratch.0, &scratch.0).unwrap().write(&edge.take()).unwrap();
}

/// A store of 700 records, of which the first 512 are left to their bundles.
fn trimmed() -> (Scratch, SqliteStore, Edge) {
    let (scratch, mut edge) = (Scratch::new(), Edge::empty());
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    store.open().unwrap();
    grown(&mut store, &mut edge, &scratch, 700);
    let mut trimmer = SqliteTrimmer::new(&scratch.0);
    (0..2).for_each(|bundle| trimmer.trim(bundle).unwrap());
    assert_eq!(trimmer.trimmed().unwrap(), 512);
    (scratch, store, edge)
}

/// Everything that can be asked for.
fn answers(reader: &SqliteReader) -> Vec<Vec<Stored>> {
    let jti = |id| Select::Jti(Jti::from_bytes([id; 16]));
    let asked = [
        (Select::All, 0, 10_000),
        (Select::All, 500, 20),
        (Select::All, 511, 1),
        (Select::All, 512, 1),
        (Select::All, 701, 5),
        (Select::Txn(Txn::from_bytes([2; 16])), 0, 10_000),
        (Select::Txn(Txn::from_bytes([2; 16])), 505, 9),
        (jti(3), 0, 9),
        (jti(3), 255, 1),
        (jti(252), 0, 9),
    ];
    asked.map(|(select, from, limit)| reader.records(select, from, limit).unwrap()).into()
}

pub(super) fn all(store: &mut SqliteStore, from: u64) -> Vec<Stored> {
    let mut seen = Vec::new();
    let each = &mut |stored| {
        seen.push(stored);
        Ok(())
    };
    store.records(from, each).unwrap();
    seen
}

pub(super) fn records_in(scratch: &Scratch, table: &str) -> u64 {
    let database = Connection::open(folder::database(&scratch.0)).unwrap();
    database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn records_are_the_same_wherever_they_lie() {
    let (scratch, mut edge) = (Scratch::new(), Edge::empty());
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    store.open().unwrap();
    grown(&mut store, &mut edge, &scratch, 700);
    let reader = SqliteReader::open(&scratch.0).unwrap();
    let (before, ours) = (answers(&reader), all(&mut store, 100));
    assert_eq!(before.iter().map(Vec::len).collect::<Vec<_>>(), [700, 20, 1, 1, 0, 200, 9, 3, 1, 0]);
    let mut trimmer = SqliteTrimmer::new(&scratch.0);
    for bundle in 0..2 {
        assert_eq!(trimmer.trimmed().unwrap(), bundle * 256);
        trimmer.trim(bundle).unwrap();
        assert!(answers(&reader) == before && all(&mut store, 100) == ours, "after bundle {bundle}");
    }
    assert_eq!((records_in(&scratch, "records"), records_in(&scratch, "bundled")), (188, 512));
    let index_of = |id| reader.index_of(Jti::from_bytes([id; 16])).unwrap();
    assert_eq!([3, 250, 252].map(index_of), [Some(3), Some(250), None]);
    let recovered = store.open().unwrap();
    assert_eq!((recovered.count, store.open.as_ref().unwrap().newest), (700, time(650)));
    assert!(answers(&SqliteReader::open(&scratch.0).unwrap()) == before && all(&mut store, 100) == ours);
    // With nothing but what lies in bundles, the next record has the next index all the same.
    grown(&mut store, &mut edge, &scratch, 768);
    trimmer.trim(2).unwrap();
    drop(store);
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    assert_eq!((store.open().unwrap().count, records_in(&scratch, "records")), (768, 0));
    assert_eq!(store.open.as_ref().unwrap().newest, time(750));
    grown(&mut store, &mut edge, &scratch, 770);
    assert_eq!((reader.count().unwrap(), all(&mut store, 0).len()), (770, 770));
}

#[test]
fn a_bundle_that_was_changed_or_lost_is_named_and_nothing_is_read_from_it() {
    let (scratch, mut store, _) = trimmed();
    let kept = Kept::of(&scratch);
    let log = LogFolder::new(&scratch.0.join("ledger"));
    let (plain, other) = (log.read(FIRST).unwrap().unwrap(), log.read("tile/entries/001").unwrap().unwrap());
    let path = scratch.0.join(format!("ledger/{FIRST}"));
    let told = |store: &mut SqliteStore, what: &str| {
        let reader = SqliteReader::open(&scratch.0).unwrap();
        let one = reader.records(Select::All, 3, 1).unwrap_err().to_string();
        assert!(one.starts_with(FIRST) && one.contains(what), "{one}");
        assert_eq!(reader.records(Select::All, 256, 1_000).unwrap().len(), 444, "others are read");
        let mut seen = 0;
        let failure = store.records(0, &mut |_| {
            seen += 1;
            Ok(())
        });
        assert!(matches!(failure, Err(StoreReason::Bundle(path, _)) if path == FIRST));
        assert_eq!(seen, 0);
        store.open().unwrap();
    };
    // In place of the packed one, so that each change is one of an entry's bytes, of a length, or of how many there are.
    for at in [0, 1, 2, 40, plain.len() / 2, plain.len() - 1] {
        let mut changed = plain.clone();
        changed[at] ^= 1;
        fs::write(&path, changed).unwrap();
        told(&mut store, "was changed");
    }
    for changed in [&plain[..plain.len() - 1], &[plain.as_slice(), &[0, 0]].concat(), &other, &[]] {
        fs::write(&path, changed).unwrap();
        told(&mut store, "was changed");
    }
    fs::remove_file(&path).unwrap();
    for at in [30, kept.1.len() / 2] {
        let mut changed = kept.1.clone();
        changed[at] ^= 1;
        fs::write(&kept.0, changed).unwrap();
        told(&mut store, "");
    }
    fs::remove_file(&kept.0).unwrap();
    told(&mut store, "is missing");
    // As an export has it.
    fs::write(&path, &plain).unwrap();
    assert_eq!(all(&mut store, 0).len(), 700);
    fs::remove_file(&path).unwrap();
    kept.put_back();
    assert_eq!(all(&mut store, 0).len(), 700);
    let sql = |sql: &str| Connection::open(folder::database(&scratch.0)).unwrap().execute_batch(sql).unwrap();
    sql("UPDATE bundles SET root = zeroblob(32) WHERE number = 0");
    told(&mut store, "was changed");
    sql("DELETE FROM bundles WHERE number = 0");
    let failure = SqliteReader::open(&scratch.0).unwrap().records(Select::All, 3, 1);
    assert!(matches!(failure, Err(StoreReason::Corrupt(_))), "{failure:?}");
}

#[test]
fn nothing_is_left_to_a_bundle_that_does_not_hold_it() {
    let (scratch, mut store, mut edge) = trimmed();
    grown(&mut store, &mut edge, &scratch, 1_100);
    let mut trimmer = SqliteTrimmer::new(&scratch.0);
    let path = scratch.0.join("ledger/tile/entries/002");
    let packed = path.with_extension("lz4");
    let bytes = fs::read(&packed).unwrap();
    let refused = |trimmer: &mut SqliteTrimmer, bundle, what: &str| {
        let reason = trimmer.trim(bundle).unwrap_err().to_string();
        assert!(reason.contains(what), "{reason}");
        assert_eq!((records_in(&scratch, "records"), records_in(&scratch, "bundled")), (588, 512));
    };
    fs::remove_file(&packed).unwrap();
    refused(&mut trimmer, 2, "tile/entries/002 of the ledger is missing");
    fs::copy(scratch.0.join("ledger/tile/entries/003.lz4"), &packed).unwrap();
    refused(&mut trimmer, 2, "tile/entries/002 of the ledger has not the record 512 of the store");
    fs::write(&packed, &bytes).unwrap();
    refused(&mut trimmer, 1, "records are missing");
    refused(&mut trimmer, 4, "tile/entries/004 of the ledger is missing");
    trimmer.trim(2).unwrap();
    assert_eq!(all(&mut store, 0).len(), 1_100);
}

#[test]
fn a_bundle_of_before_is_packed_as_it_is_left_to_itself() {
    let (scratch, mut store, mut edge) = trimmed();
    grown(&mut store, &mut edge, &scratch, 768);
    let path = scratch.0.join("ledger/tile/entries/002");
    let plain = LogFolder::new(&scratch.0.join("ledger")).read("tile/entries/002").unwrap().unwrap();
    fs::write(&path, &plain).unwrap();
    fs::remove_file(path.with_extension("lz4")).unwrap();
    SqliteTrimmer::new(&scratch.0).trim(2).unwrap();
    assert!(!path.exists() && path.with_extension("lz4").exists());
    assert_eq!(LogFolder::new(&scratch.0.join("ledger")).read("tile/entries/002").unwrap().unwrap(), plain);
    assert_eq!(all(&mut store, 0).len(), 768);
}

#[test]
fn a_store_of_before_is_read_as_it_is_and_then_taken_up() {
    let (scratch, mut store, _) = trimmed();
    let whole = all(&mut store, 0);
    drop(store);
    let sql = |sql: &str| Connection::open(folder::database(&scratch.0)).unwrap().execute_batch(sql).unwrap();
    sql("DROP TABLE bundled; DROP TABLE bundles; DROP TABLE retention; PRAGMA user_version = 8");
    let rows: Vec<Row> = (0..512).map(numbered).collect();
    let database = Connection::open(folder::database(&scratch.0)).unwrap();
    for Row { index, jti, txn, record, .. } in &rows {
        let (jti, txn) = (jti.as_ref().map(|jti| jti.as_bytes()), txn.as_ref().map(|txn| txn.as_bytes()));
        let at = index / 50 * 50;
        let insert = "INSERT INTO records (idx, at, jti, txn, record) VALUES (?1, ?2, ?3, ?4, ?5)";
        database.execute(insert, rusqlite::params![index, at, jti, txn, record]).unwrap();
    }
    drop(database);
    let before = SqliteReader::open(&scratch.0).unwrap();
    assert_eq!((before.count().unwrap(), before.records(Select::All, 0, 10_000).unwrap()), (700, whole.clone()));
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    assert_eq!(store.open().unwrap().count, 700);
    let mut trimmer = SqliteTrimmer::new(&scratch.0);
    assert_eq!(trimmer.trimmed().unwrap(), 0);
    (0..2).for_each(|bundle| trimmer.trim(bundle).unwrap());
    assert!(all(&mut store, 0) == whole && before.records(Select::All, 0, 10_000).unwrap() == whole);
}

/// Bytes of the database once everything of its log is in it.
fn size(store: &mut SqliteStore, path: &Path) -> u64 {
    store.open().unwrap();
    fs::metadata(folder::database(path)).unwrap().len()
}

#[test]
fn the_room_of_what_is_trimmed_is_used_again() {
    let (scratch, mut store, mut edge) = trimmed();
    let mut trimmer = SqliteTrimmer::new(&scratch.0);
    let mut sizes = Vec::new();
    for bundle in 2..34 {
        grown(&mut store, &mut edge, &scratch, (bundle + 1) * 256);
        trimmer.trim(bundle).unwrap();
        sizes.push(size(&mut store, &scratch.0));
    }
    // What finds a record takes some 110 bytes; the records have more than that, and are not among it.
    let per_record = (sizes[31] - sizes[15]) / (16 * 256);
    assert!(per_record < 130, "{per_record} bytes: {sizes:?}");
}
