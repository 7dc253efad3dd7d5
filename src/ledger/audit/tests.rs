#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
use std::convert::Infallible;
use std::fmt;
use std::sync::LazyLock;

use super::*;
use crate::ledger::testlog::{TestLog, entry};
use crate::ledger::{KeyName, tiles};

fn audited(log: &TestLog) -> Result<AuditReport, String> {
    audit(log, &log.heads, |_, _| Ok::<_, Infallible>(())).map_err(|reason| reason.to_string())
}

/// The result of an audit of a log of 70,000 entries after a change to one of its files.
fn after(path: &str, change: impl Fn(&mut Vec<u8>)) -> String {
    static GOOD: LazyLock<TestLog> = LazyLock::new(|| TestLog::published_at(&[257, 70_000]));
    let mut log = TestLog { files: GOOD.files.clone(), heads: GOOD.heads.clone(), ..TestLog::published_at(&[]) };
    change(log.files.get_mut(path).unwrap());
    audited(&log).unwrap_err()
}

fn flip(at: usize) -> impl Fn(&mut Vec<u8>) {
    move |bytes| bytes[at] ^= 1
}

#[test]
fn a_good_log_is_found_good_at_every_size() {
    for sizes in [&[0][..], &[1], &[0, 1, 255, 256, 257], &[1, 1, 300, 65_536, 70_000], &[513]] {
        let log = TestLog::published_at(sizes);
        let report = audited(&log).unwrap();
        assert_eq!((report.entries, report.checkpoints), (*sizes.last().unwrap(), sizes.len() as u64));
        let latest = tiles(*sizes.last().unwrap()).filter(|tile| tile.kind() != TileKind::Entries).count() as u64;
        assert!(report.tiles >= latest, "{sizes:?}");
    }
}

#[test]
fn one_flipped_bit_is_named_with_its_place() {
    assert_eq!(after("tile/entries/100", flip(2)), "entry 25600 was changed: its hash is not the one in the signed tree");
    assert_eq!(
        after("tile/entries/273.p/112", |bytes| *bytes.last_mut().unwrap() ^= 1),
        "entry 69999 was changed: its hash is not the one in the signed tree"
    );
    assert_eq!(after("tile/0/100", flip(32 * 7)), "tile/0/100: hash 7 is not that of entry 25607");
    assert_eq!(after("tile/0/273.p/112", flip(0)), "tile/0/273.p/112: hash 0 is not that of entry 69888");
    assert_eq!(after("tile/0/001.p/1", flip(0)), "tile/0/001.p/1: hash 0 is not that of entry 256");
    assert_eq!(after("tile/1/000", flip(32 * 3)), "tile/1/000: hash 3 is not that of the entries 768 to 1023");
    assert_eq!(after("tile/2/000.p/1", flip(0)), "tile/2/000.p/1: hash 0 is not that of the entries 0 to 65535");
}

#[test]
fn no_file_of_the_log_can_lose_a_bit_unnoticed() {
    let good = TestLog::published_at(&[1, 257, 300]);
    for (path, bytes) in good.files.iter().filter(|(path, _)| !path.ends_with("checkpoint")) {
        // Bundles of older checkpoints have been copied into later ones, and are the only files not read.
        let judged = !path.starts_with("tile/entries/") || tiles(300).any(|tile| tile.to_string() == *path);
        for at in (0..bytes.len()).step_by(29) {
            let mut log = TestLog { files: good.files.clone(), heads: good.heads.clone(), ..TestLog::published_at(&[]) };
            log.files.get_mut(path).unwrap()[at] ^= 1;
            assert_eq!(audited(&log).is_err(), judged, "{path} byte {at}");
        }
    }
}

#[test]
fn missing_cut_and_overlong_files_are_named() {
    let mut log = TestLog::published_at(&[70_000]);
    for path in tiles(70_000).map(|tile| tile.to_string()).step_by(20).chain(["tile/1/001.p/17".to_owned()]) {
        let bytes = log.files.remove(&path).unwrap();
        assert_eq!(audited(&log).unwrap_err(), format!("{path} is missing"));
        log.files.insert(path, bytes);
    }
    assert_eq!(after("tile/0/100", |bytes| bytes.truncate(8_191)), "tile/0/100 has not the length that its width implies");
    assert_eq!(
        after("tile/entries/100", |bytes| drop(bytes.drain(7_000..))),
        "tile/entries/100: the entry bundle ends within its entry 122"
    );
    assert_eq!(after("tile/entries/100", |bytes| bytes.extend([0, 0])), "tile/entries/100 has more than 256 entries");
    assert_eq!(after("tile/entries/273.p/112", |bytes| bytes.clear()), "tile/entries/273.p/112 has fewer than 112 entries");
}

#[test]
fn swapped_entries_and_rewritten_histories_are_noticed() {
    let mut log = TestLog::published_at(&[300, 600]);
    let older = log.heads[0].clone();
    log.files.get_mut("tile/entries/000").unwrap().swap(10, 11);
    assert_eq!(audited(&log).unwrap_err(), "entry 0 was changed: its hash is not the one in the signed tree");

    // Another history of the same length, whole in itself, under a checkpoint that was handed out before.
    let mut other = TestLog::published_at(&[]);
    other.edge.append(b"forged").unwrap();
    other.publish(600);
    assert_eq!(audited(&other).unwrap().entries, 600);
    other.heads.insert(0, older);
    let said = audited(&other).unwrap_err();
    assert_eq!(said, "the first 300 entries have not the root signed at that size: entries or checkpoint were replaced");
}

#[test]
fn partial_tiles_may_go_once_the_full_ones_are_there() {
    let mut log = TestLog::published_at(&[100, 257, 600, 66_000]);
    log.files.remove("tile/0/000.p/100").unwrap();
    log.files.remove("tile/1/000.p/1").unwrap();
    assert_eq!(audited(&log).unwrap().checkpoints, 4);
    log.files.remove("tile/1/001.p/1").unwrap();
    assert_eq!(audited(&log).unwrap_err(), "tile/1/001.p/1 is missing");
    // An audit against an older checkpoint, while the log goes on.
    let mut log = TestLog::published_at(&[100, 700]);
    log.files.retain(|path, _| !path.ends_with(".p/100"));
    log.heads.truncate(1);
    assert_eq!(audited(&log), Ok(AuditReport { entries: 100, tiles: 0, checkpoints: 1 }));
    log.files.get_mut("tile/0/000").unwrap()[0] ^= 1;
    assert!(audited(&log).is_err());
}

#[test]
fn checkpoints_out_of_order_or_of_another_log_are_refused() {
    let mut log = TestLog::published_at(&[1, 2]);
    log.heads.reverse();
    assert!(matches!(audit(&log, &log.heads, |_, _| Ok::<_, Infallible>(())), Err(AuditReason::Order)));
    let other = Checkpoint::new(KeyName::parse("other.example").unwrap(), 2, log.edge.root());
    let heads = [log.heads[1].clone(), other];
    assert!(matches!(audit(&log, &heads, |_, _| Ok::<_, Infallible>(())), Err(AuditReason::Order)));
    assert!(matches!(audit(&log, &[], |_, _| Ok::<_, Infallible>(())), Err(AuditReason::NoCheckpoint)));
}

#[test]
fn every_entry_is_inspected_and_what_is_said_of_it_reported() {
    #[derive(Debug)]
    struct Odd;
    impl fmt::Display for Odd {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("it is odd")
        }
    }
    impl std::error::Error for Odd {}
    let log = TestLog::published_at(&[300]);
    let mut seen = 0;
    let inspect = |index: u64, bytes: &[u8]| {
        assert_eq!((index, bytes), (seen, entry(index).as_slice()));
        seen += 1;
        if index == 270 { Err(Odd) } else { Ok(()) }
    };
    assert_eq!(audit(&log, &log.heads, inspect).unwrap_err().to_string(), "entry 270 was signed, but is no record: it is odd");
    let mut log = log;
    *log.files.get_mut("tile/entries/001.p/44").unwrap().last_mut().unwrap() ^= 1;
    let inspect = |index: u64, bytes: &[u8]| if bytes == entry(index) { Ok(()) } else { Err(Odd) };
    assert!(audit(&log, &log.heads, inspect).unwrap_err().to_string().starts_with("entry 299 was changed"));
}

/// A log without what pruning before `first` removes.
fn pruned(log: &TestLog, first: u64) -> TestLog {
    let goes = |path: &String| Tile::parse(path).is_ok_and(|tile| tile.is_pruned(first));
    let files = log.files.iter().filter(|(path, _)| !goes(path)).map(|(path, bytes)| (path.clone(), bytes.clone())).collect();
    let heads = log.heads.iter().filter(|head| head.size() >= first).cloned().collect();
    TestLog { files, heads, ..TestLog::published_at(&[]) }
}

fn audited_from(log: &TestLog, first: u64) -> Result<AuditReport, String> {
    audit_from(log, first, &log.heads, |_, _| Ok::<_, Infallible>(())).map_err(|reason| reason.to_string())
}

#[test]
fn a_pruned_log_is_found_good_and_proves_what_it_has() {
    let log = TestLog::published_at(&[300, 513, 65_600, 70_000, 70_100]);
    for first in [0, 256, 512, 65_536, 65_792, 69_888] {
        let log = pruned(&log, first);
        let report = audited_from(&log, first).unwrap();
        assert_eq!((report.entries, report.checkpoints), (70_100 - first, log.heads.len() as u64), "{first}");
        let last = log.heads.last().unwrap();
        let mut nodes = TileNodes::new(&log, last.size());
        for index in [first, first + 1, first + 255, 70_000, 70_099].into_iter().filter(|index| *index < last.size()) {
            let path = inclusion(&mut nodes, index, last.size()).unwrap().unwrap();
            assert!(includes(leaf_hash(&entry(index)), index, &path, last.size(), last.root()), "{index} from {first} on");
        }
        for head in &log.heads {
            assert_eq!(crate::ledger::merkle::root(&mut nodes, head.size()).unwrap(), head.root(), "{first}");
        }
    }
    assert!(audited_from(&pruned(&log, 256), 0).unwrap_err().contains("tile/entries/000 is missing"));
    assert!(audited_from(&pruned(&log, 512), 100).is_err(), "a bundle is there whole or not at all");
}

#[test]
fn no_file_of_a_pruned_log_can_lose_a_bit_unnoticed() {
    let good = TestLog::published_at(&[300, 70_000, 131_400]);
    for first in [65_792, 131_072] {
        let good = pruned(&good, first);
        let last = good.heads.last().unwrap().size();
        let read = |path: &String| tiles(last).any(|tile| tile.to_string() == *path);
        // Where few entries are left, their own hashes too.
        let judged = |path: &String| !path.contains("entries") && (first > 70_000 || !path.starts_with("tile/0/"));
        for path in good.files.keys().filter(|path| judged(path) && read(path)) {
            let mut log = TestLog { files: good.files.clone(), heads: good.heads.clone(), ..TestLog::published_at(&[]) };
            *log.files.get_mut(path).unwrap().last_mut().unwrap() ^= 1;
            assert!(audited_from(&log, first).is_err(), "{path} from {first} on");
        }
    }
}
