//! The keys of subjects in their own file: how they come there, and what a crash between the two files leaves.

use std::path::Path;

use super::*;
use crate::store::sqlite::subjects::drop_table;

type Key = (GenerationKey, Vec<u8>);

fn sealed(index: u64, subject: u8) -> Row {
    Row { sealed: Some((GenerationKey([subject; 16]), vec![1, 2])), ..row(index, 1, 7) }
}

fn key(subject: u8, wrapped: u8) -> Key {
    (GenerationKey([subject; 16]), vec![wrapped])
}

/// A folder with the store of a program of before, and the keys in it.
fn earlier() -> (Scratch, Vec<Key>) {
    let scratch = Scratch::new();
    drop(SqliteStore::new(&scratch.0).unwrap());
    restore(&scratch);
    let connection = Connection::open(folder::database(&scratch.0)).unwrap();
    let mut query = connection.prepare("SELECT subject, wrapped FROM subject_keys").unwrap();
    let keys = query.query_map([], |row| Ok((GenerationKey(row.get(0)?), row.get(1)?))).unwrap();
    let keys: Vec<Key> = keys.collect::<rusqlite::Result<_>>().unwrap();
    assert!(keys.len() > 1);
    (scratch, keys)
}

fn restore(scratch: &Scratch) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/earlier/commit.sqlite");
    fs::write(folder::database(&scratch.0), fs::read(fixture).unwrap()).unwrap();
}

/// Every key is in its file and found, and nowhere else.
fn moved(scratch: &Scratch, keys: &[Key]) {
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    store.open().unwrap();
    let reader = SqliteReader::open(&scratch.0).unwrap();
    let files = ["commit.sqlite", "commit.sqlite-wal"].map(|name| fs::read(scratch.0.join(name)).unwrap_or_default());
    for (subject, wrapped) in keys {
        assert_eq!(store.subject_key(subject).unwrap().as_ref(), Some(wrapped));
        assert!(reader.has_subject_key(subject).unwrap());
        for file in &files {
            assert!(!file.windows(wrapped.len()).any(|bytes| bytes == wrapped), "a key lies where it was");
        }
    }
    assert!(!store.open.as_ref().unwrap().connection.table_exists(None, "subject_keys").unwrap());
}

#[test]
fn the_keys_of_a_store_of_before_are_moved_whatever_crashes_between() {
    let (scratch, keys) = earlier();
    let reader = SqliteReader::open(&scratch.0).unwrap();
    assert!(reader.has_subject_key(&keys[0].0).unwrap(), "readable before a server took it up");
    fs::write(folder::subjects(&scratch.0), "").unwrap();
    moved(&scratch, &keys);
    assert!(reader.has_subject_key(&keys[0].0).unwrap(), "and by who had it open meanwhile");
    drop(reader);
    moved(&scratch, &keys);
    // They are in both files.
    restore(&scratch);
    moved(&scratch, &keys);
    // Some are in both files: what the file of their own says is newer.
    restore(&scratch);
    let file = Connection::open(folder::subjects(&scratch.0)).unwrap();
    file.execute("DELETE FROM subject_keys WHERE subject = ?1", [keys[0].0.0]).unwrap();
    file.execute("UPDATE subject_keys SET wrapped = x'0102030405060708' WHERE subject = ?1", [keys[1].0.0]).unwrap();
    drop(file);
    let mut newer = keys.clone();
    newer[1].1 = vec![1, 2, 3, 4, 5, 6, 7, 8];
    moved(&scratch, &newer);
    // They are deleted in the log, and not yet in the database.
    restore(&scratch);
    let commit = connect(&folder::database(&scratch.0), OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    schema::prepare(&commit).unwrap();
    checkpoint::completely(&commit).unwrap();
    commit.pragma_update(None, "secure_delete", true).unwrap();
    drop_table(&commit).unwrap();
    drop(commit);
    assert!(fs::metadata(scratch.0.join("commit.sqlite-wal")).unwrap().len() > 0);
    moved(&scratch, &newer);
}

#[test]
fn a_key_is_durable_before_the_batch_and_is_used_when_that_failed() {
    let scratch = Scratch::new();
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    store.open().unwrap();
    commit(&mut store, &batch(1, vec![row(0, 1, 1)])).unwrap();
    let taken = Batch { subject_keys: vec![key(3, 9)], ..batch(2, vec![sealed(0, 3)]) };
    assert!(commit(&mut store, &taken).is_err(), "the index is taken");
    assert_eq!(store.open().unwrap().count, 1);
    assert_eq!(store.subject_key(&GenerationKey([3; 16])).unwrap(), Some(vec![9]));
    let again = Batch { subject_keys: vec![key(3, 8)], ..batch(2, vec![sealed(1, 3)]) };
    assert!(commit(&mut store, &again).is_err(), "a key is never replaced");
    assert_eq!(store.open().unwrap().count, 1, "and nothing is written that would need the other");
    commit(&mut store, &batch(2, vec![sealed(1, 3)])).unwrap();
    let reader = SqliteReader::open(&scratch.0).unwrap();
    assert_eq!(reader.disclosures(1).unwrap().unwrap().wrapped_key, [9]);
}

#[test]
fn who_is_known_costs_nothing_there() {
    let scratch = Scratch::new();
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    store.open().unwrap();
    let log = || fs::metadata(scratch.0.join("subjects.sqlite-wal")).map_or(0, |log| log.len());
    commit(&mut store, &Batch { subject_keys: vec![key(3, 9)], ..batch(1, vec![sealed(0, 3)]) }).unwrap();
    let before = log();
    assert!(before > 0);
    commit(&mut store, &batch(2, vec![sealed(1, 3)])).unwrap();
    assert_eq!(log(), before);
    drop(store);
    assert_eq!(log(), 0, "what was copied is cut");
}

#[test]
fn a_backup_without_the_file_discloses_nothing_and_a_start_on_it_is_refused_until_told() {
    let scratch = Scratch::new();
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    store.open().unwrap();
    let keys = vec![key(3, 9), key(4, 10)];
    commit(&mut store, &Batch { subject_keys: keys, ..batch(1, vec![sealed(0, 3), sealed(1, 4)]) }).unwrap();
    let path = folder::subjects(&scratch.0);
    drop(store);
    let erased = "DELETE FROM subject_keys WHERE subject = x'03030303030303030303030303030303'";
    Connection::open(&path).unwrap().execute_batch(erased).unwrap();
    let reader = SqliteReader::open(&scratch.0).unwrap();
    assert_eq!(reader.disclosures(0).unwrap(), None, "erased");
    assert_eq!(reader.disclosures(1).unwrap().unwrap().wrapped_key, [10]);
    drop(reader);
    for name in ["subjects.sqlite", "subjects.sqlite-wal", "subjects.sqlite-shm"] {
        let _absent = fs::remove_file(scratch.0.join(name));
    }
    let reader = SqliteReader::open(&scratch.0).unwrap();
    assert_eq!(reader.disclosures(1).unwrap(), None);
    assert!(!reader.has_subject_key(&GenerationKey([4; 16])).unwrap());
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    let refused = store.open().unwrap_err();
    assert!(matches!(&refused, StoreReason::Folder(cause) if cause.to_string().contains("subjects.sqlite is missing")));
    assert!(!path.exists());
    fs::write(&path, "").unwrap();
    assert_eq!(store.open().unwrap().count, 2);
    assert_eq!(store.subject_key(&GenerationKey([4; 16])).unwrap(), None);
    drop(store);
    let change = "PRAGMA user_version = 99";
    Connection::open(&path).unwrap().execute_batch(change).unwrap();
    assert!(matches!(SqliteStore::new(&scratch.0).unwrap().open(), Err(StoreReason::Newer)));
}

/// Keys of so many subjects, each wrapped as one byte.
fn many(scratch: &Scratch, subjects: u8) -> SqliteStore {
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    store.open().unwrap();
    let keys = (0..subjects).map(|subject| key(subject, 1)).collect();
    commit(&mut store, &Batch { subject_keys: keys, ..batch(1, vec![row(0, 1, 1)]) }).unwrap();
    store
}

#[test]
fn keys_are_wrapped_anew_in_pages_and_what_was_deleted_meanwhile_stays_so() {
    let scratch = Scratch::new();
    let mut store = many(&scratch, 150);
    store.set_roots(&["old".to_owned(), "new".to_owned()]).unwrap();
    let (mut last, mut pages, mut shown) = (None, 0, Vec::new());
    loop {
        store.begin(&mut std::iter::empty()).unwrap();
        last = store
            .rewrap(last, 64, &mut |subject, wrapped| {
                shown.push(subject);
                (wrapped == [1] && subject.0[0] != 9).then(|| vec![2])
            })
            .unwrap();
        pages += 1;
        if last.is_none() {
            break;
        }
        // Somebody is erased between two pages, and somebody new comes.
        let erased = Connection::open(folder::subjects(&scratch.0)).unwrap();
        erased.busy_timeout(std::time::Duration::from_secs(2)).unwrap();
        erased.execute("DELETE FROM subject_keys WHERE subject = ?1", [[140 + pages; 16]]).unwrap();
        let new = Batch { subject_keys: vec![key(200 + pages, 2)], ..batch(1, vec![row(u64::from(pages), pages, 1)]) };
        commit(&mut store, &new).unwrap();
    }
    assert_eq!((pages, shown.len(), shown.is_sorted()), (3, 150, true));
    store.set_roots(&["new".to_owned()]).unwrap();
    drop(store);
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    store.open().unwrap();
    assert_eq!(store.roots().unwrap(), ["new"]);
    for subject in 0..150 {
        let expected = match subject {
            9 => Some(vec![1]),
            141 | 142 => None,
            _ => Some(vec![2]),
        };
        assert_eq!(store.subject_key(&GenerationKey([subject; 16])).unwrap(), expected, "{subject}");
    }
}

#[test]
fn the_keys_of_a_store_of_before_count_as_wrapped_under_unknown_root_keys() {
    let (scratch, _) = earlier();
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    store.open().unwrap();
    assert_eq!(store.roots().unwrap(), [crate::commit::contract::UNKNOWN_ROOT]);
    let fresh = Scratch::new();
    let mut store = SqliteStore::new(&fresh.0).unwrap();
    store.open().unwrap();
    assert_eq!(store.roots().unwrap(), Vec::<String>::new());
}

#[test]
fn a_copy_that_is_older_than_the_store_is_noticed_and_told_once() {
    let scratch = Scratch::new();
    let (path, copy) = (folder::subjects(&scratch.0), scratch.0.join("copy"));
    drop(many(&scratch, 3));
    fs::copy(&path, &copy).unwrap();
    let missing = || SqliteReader::open(&scratch.0).unwrap().missing_subject_keys().unwrap();
    let again = |keys: Vec<Key>, index| {
        let mut store = SqliteStore::new(&scratch.0).unwrap();
        store.open().unwrap();
        commit(&mut store, &Batch { subject_keys: keys, ..batch(2, vec![row(index, 2, 1)]) }).unwrap();
    };
    again(vec![key(3, 1), key(4, 1)], 1);
    assert_eq!(missing(), 0);
    fs::copy(&copy, &path).unwrap();
    assert_eq!(missing(), 2);
    fs::remove_file(&path).unwrap();
    assert_eq!(missing(), 5, "all of them");
    fs::copy(&copy, &path).unwrap();
    again(vec![key(3, 2)], 2);
    assert_eq!(missing(), 0, "it is the one that counts now");
    fs::copy(&copy, &path).unwrap();
    assert_eq!(missing(), 3);
    fs::write(&path, "").unwrap();
    again(Vec::new(), 3);
    assert_eq!(missing(), 0, "given up");
}
