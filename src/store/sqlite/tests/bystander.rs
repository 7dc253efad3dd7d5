//! Somebody else who reads the databases, as a shell or a program for backups does, and does not end the transaction.

use super::*;

/// A reader in the middle of a transaction.
struct Bystander(Connection);

impl Bystander {
    fn on(database: &std::path::Path) -> Self {
        let connection = Connection::open(database).unwrap();
        connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;").unwrap();
        let tables: u64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        assert!(tables > 0);
        Self(connection)
    }

    fn leave(self) {
        self.0.execute_batch("COMMIT").unwrap();
    }
}

fn log_bytes(scratch: &Scratch) -> u64 {
    SqliteReader::open(&scratch.0).unwrap().log_bytes()
}

fn wrapped(subject: u8) -> (GenerationKey, Vec<u8>) {
    (GenerationKey([subject; 16]), vec![subject])
}

/// One record, with the key of a new subject.
fn one(store: &mut SqliteStore, index: u8) {
    let keyed = Batch { subject_keys: vec![wrapped(index)], ..batch(i64::from(index), vec![row(u64::from(index), index, 1)]) };
    commit(store, &keyed).unwrap();
}

#[test]
fn a_bystander_keeps_nobody_from_starting_recovering_or_stopping() {
    let scratch = Scratch::new();
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    store.open().unwrap();
    one(&mut store, 0);
    let bystanders = [folder::database(&scratch.0), folder::subjects(&scratch.0)].map(|database| Bystander::on(&database));
    one(&mut store, 1);
    assert_eq!(store.open().unwrap().count, 2, "it recovers");
    one(&mut store, 2);
    drop(store);
    assert!(log_bytes(&scratch) > 0, "what the bystanders do not see yet is in the log");
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    assert_eq!(store.open().unwrap().count, 3, "it starts");
    one(&mut store, 3);
    bystanders.into_iter().for_each(Bystander::leave);
    drop(store);
    assert_eq!(log_bytes(&scratch), 0);
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    assert_eq!(store.open().unwrap().count, 4);
    assert!((0..4).all(|id| store.subject_key(&GenerationKey([id; 16])).unwrap() == Some(vec![id])));
}

#[test]
fn what_is_not_copied_into_the_database_is_durable_in_the_log() {
    let scratch = Scratch::new();
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    store.open().unwrap();
    one(&mut store, 0);
    let bystander = Bystander::on(&folder::database(&scratch.0));
    one(&mut store, 1);
    let log = scratch.0.join("commit.sqlite-wal");
    let before = fs::read(&log).unwrap();
    let whole = store.healthy(|open| checkpoint::completely(&open.connection)).unwrap();
    assert!(!whole && fs::read(&log).unwrap() == before, "it is written again as it was");
    bystander.leave();
    assert!(store.healthy(|open| checkpoint::completely(&open.connection)).unwrap());
}

#[test]
fn a_log_that_a_bystander_lets_grow_is_told_and_ends_with_it() {
    let scratch = Scratch::new();
    let mut store = SqliteStore::new(&scratch.0).unwrap();
    store.open().unwrap();
    store.healthy(|open| open.connection.pragma_update(None, "synchronous", "OFF").map_err(failed)).unwrap();
    let mut index = 0;
    let mut grow = |store: &mut SqliteStore, batches: i64| {
        for at in 0..batches {
            let rows = (0..250).map(|_| {
                index += 1;
                row(index - 1, 1, 1)
            });
            commit(store, &batch(at, rows.collect())).unwrap();
        }
    };
    grow(&mut store, 1);
    let bystander = Bystander::on(&folder::database(&scratch.0));
    grow(&mut store, 150);
    let grown = log_bytes(&scratch);
    assert!(grown > 8 << 20, "{grown}");
    bystander.leave();
    grow(&mut store, 300);
    assert!(log_bytes(&scratch) < grown + (40 << 20), "it is begun again");
}
