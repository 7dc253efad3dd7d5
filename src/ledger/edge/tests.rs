#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use super::*;
use crate::ledger::testlog::{TestLog, entry};
use crate::ledger::tile::tiles;

#[test]
fn at_every_size_exactly_the_tiles_of_that_size_are_there() {
    let mut log = TestLog::published_at(&[]);
    for size in [1, 2, 255, 256, 257, 511, 512, 513, 700, 65_535, 65_536, 65_537, 70_000] {
        log.publish(size);
        let missing = tiles(size).map(|tile| tile.to_string()).find(|path| !log.files.contains_key(path));
        assert_eq!(missing, None, "at {size}");
    }
    let full = |path: &String| !path.contains(".p/");
    let expected = tiles(70_000).map(|tile| tile.to_string()).filter(full).count();
    assert_eq!(log.files.keys().filter(|path| full(path) && path.starts_with("tile/")).count(), expected);
}

#[test]
fn nothing_new_gives_no_files() {
    let mut edge = Edge::empty();
    assert!(edge.take().is_empty());
    edge.append(b"one").unwrap();
    let paths = |files: Vec<TileFile>| files.into_iter().map(|(tile, _)| tile.to_string()).collect::<Vec<_>>();
    assert_eq!(paths(edge.take()), ["tile/entries/000.p/1", "tile/0/000.p/1"]);
    assert!(edge.take().is_empty());
    (1..256).for_each(|_| assert!(edge.append(b"more").is_ok()));
    assert_eq!(paths(edge.take()), ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
    assert!(edge.take().is_empty());
}

#[test]
fn a_loaded_edge_goes_on_as_the_one_that_was_lost() {
    for size in [0, 1, 255, 256, 257, 700, 65_536, 65_800] {
        let mut log = TestLog::published_at(&[size]);
        let mut loaded = Edge::load(&log, size).unwrap();
        assert_eq!(loaded.root(), log.edge.root(), "{size}");
        for edge in [&mut loaded, &mut log.edge] {
            (size..size + 300).for_each(|index| assert!(edge.append(&entry(index)).is_ok()));
        }
        assert_eq!(loaded.root(), log.edge.root(), "{size}");
        assert_eq!(loaded.take(), log.edge.take(), "{size}");
    }
}

#[test]
fn an_edge_is_loaded_from_the_full_tiles_too_where_the_partial_ones_are_gone() {
    let mut log = TestLog::published_at(&[700, 66_000]);
    let all = log.files.clone();
    log.files.retain(|path, _| !path.contains(".p/"));
    let mut edge = Edge::load(&log, 700).unwrap();
    assert_eq!((edge.size(), edge.root()), (700, log.heads.first().unwrap().root()));
    (700..66_000).for_each(|index| assert!(edge.append(&entry(index)).is_ok()));
    assert_eq!(edge.root(), log.edge.root());
    let wrong = edge.take().into_iter().find(|(tile, bytes)| all.get(&tile.to_string()) != Some(bytes));
    assert_eq!(wrong.map(|(tile, _)| tile), None);
}

#[test]
fn what_is_missing_cut_or_changed_is_not_loaded() {
    let size = 257;
    let load = |change: &dyn Fn(&mut TestLog)| {
        let mut log = TestLog::published_at(&[size]);
        change(&mut log);
        Edge::load(&log, size).map(|edge| edge.root() == log.edge.root()).map_err(|reason| reason.to_string())
    };
    let flip = |path: &'static str| move |log: &mut TestLog| *log.files.get_mut(path).unwrap().last_mut().unwrap() ^= 1;
    assert_eq!(load(&|_| ()), Ok(true));
    let gone = |path: &'static str| load(&move |log| drop(log.files.remove(path)));
    assert_eq!(gone("tile/0/001.p/1"), Err("tile/0/001.p/1 is missing".to_owned()));
    assert_eq!(gone("tile/1/000.p/1"), Err("tile/1/000.p/1 is missing".to_owned()));
    assert_eq!(gone("tile/entries/001.p/1"), Err("tile/entries/001.p/1 is missing".to_owned()));
    assert_eq!(load(&flip("tile/entries/001.p/1")), Err("entry 256 is not the one whose hash is in the tree".to_owned()));
    assert_eq!(load(&flip("tile/1/000.p/1")), Ok(false));
    let cut = |path: &'static str| load(&move |log| log.files.get_mut(path).unwrap().truncate(7));
    assert_eq!(cut("tile/0/001.p/1"), Err("tile/0/001.p/1 has not the length that its width implies".to_owned()));
    let long = load(&|log| log.files.get_mut("tile/0/001.p/1").unwrap().extend([0; 32]));
    assert_eq!(long, Err("tile/0/001.p/1 has not the length that its width implies".to_owned()));
    assert_eq!(cut("tile/entries/001.p/1"), Err("the entry bundle ends within its entry 0".to_owned()));
}
