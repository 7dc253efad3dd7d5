#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::ledger::{Edge, tiles};

/// A data folder and a key folder that go when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("countersign-tiles-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        ["data", "keys"].iter().for_each(|folder| fs::create_dir_all(path.join(folder)).unwrap());
        Self(path)
    }

    fn tiles(&self) -> TileFolder {
        TileFolder::new(&self.0.join("data"), &self.0.join("keys")).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn files_lie_where_the_specification_names_them_and_nothing_else_does() {
    let scratch = Scratch::new();
    let folder = scratch.tiles();
    let mut edge = Edge::empty();
    for index in 0..257_u64 {
        edge.append(&index.to_be_bytes()).unwrap();
    }
    let files = edge.take();
    folder.write(&files).unwrap();
    folder.write(&files).unwrap();
    for tile in tiles(257) {
        let bytes = folder.read(&tile.to_string()).unwrap().unwrap();
        assert!(files.contains(&(tile, bytes)), "{tile}");
    }
    assert_eq!(folder.read("tile/0/002").unwrap(), None);
    let ledger = scratch.0.join("data/ledger");
    assert_eq!(names(&ledger), ["tile"]);
    assert_eq!(names(&ledger.join("tile/0")), ["000", "001.p"], "no temporary file is left");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&ledger), mode(&ledger.join("tile/0/000"))), (0o700, 0o600));
    folder.tidy(&[], &[Tile::parse("tile/0/001").unwrap(), Tile::parse("tile/0/007").unwrap()]).unwrap();
    assert_eq!(names(&ledger.join("tile/0")), ["000"]);
}

#[test]
fn checkpoints_are_found_again_and_only_whoever_knows_the_newest_replaces_it() {
    let scratch = Scratch::new();
    let folder = scratch.tiles();
    assert_eq!(folder.signed().unwrap(), StoredCheckpoints::default());
    folder.swap(None, "one").unwrap();
    assert!(matches!(folder.swap(None, "two"), Err(StoreReason::Locked)));
    folder.swap(Some("one"), "two").unwrap();
    folder.publish(9, "one").unwrap();
    folder.publish(10, "two").unwrap();
    fs::write(scratch.0.join("data/ledger/checkpoints/.11.new"), "cut off").unwrap();
    fs::write(scratch.0.join("data/ledger/checkpoints/012"), "misspelled").unwrap();
    let kept = vec![(9, "one".to_owned()), (10, "two".to_owned())];
    let expected = StoredCheckpoints { swapped: Some("two".to_owned()), published: Some("two".to_owned()), kept };
    assert_eq!(scratch.tiles().signed().unwrap(), expected);
    assert!(scratch.0.join("keys/ledger.head").exists(), "what is remembered does not lie with the data");
    folder.tidy(&[9, 3], &[]).unwrap();
    assert_eq!(folder.log().kept().unwrap(), [(10, "two".to_owned())]);
}

#[test]
fn a_file_that_cannot_be_one_is_not_read() {
    let scratch = Scratch::new();
    let folder = scratch.tiles();
    let path = scratch.0.join("data/ledger/checkpoint");
    fs::File::create(&path).unwrap().set_len(NOTE_BYTES_MAX as u64 + 1).unwrap();
    assert!(matches!(folder.signed(), Err(StoreReason::Folder(_))));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(folder.signed(), Err(StoreReason::Folder(_))));
}

/// A backup or an export has full bundles as they are; in the folder of a server they lie packed, and read the same.
#[test]
fn a_bundle_that_is_put_back_is_packed_like_any_other() {
    let scratch = Scratch::new();
    let folder = scratch.tiles();
    let ledger = scratch.0.join("data/ledger");
    let mut edge = Edge::empty();
    for index in 0..260_u64 {
        edge.append(&index.to_be_bytes()).unwrap();
    }
    for (tile, bytes) in edge.take() {
        let (path, stored) = LogFolder::as_stored(&tile.to_string(), bytes.clone()).unwrap();
        let packed = tile.to_string() == "tile/entries/000";
        assert_eq!((path.ends_with(".lz4"), stored != bytes), (packed, packed), "{tile}");
        fs::create_dir_all(ledger.join(&path).parent().unwrap()).unwrap();
        fs::write(ledger.join(path), stored).unwrap();
        assert_eq!(folder.read(&tile.to_string()).unwrap(), Some(bytes), "{tile}");
    }
    let again = fs::read(ledger.join("tile/entries/000.lz4")).unwrap();
    assert_eq!(LogFolder::as_stored("tile/entries/000.lz4", again.clone()).unwrap(), ("tile/entries/000.lz4".to_owned(), again));
    let entries = |number| folder.log().widest_bundle(number).unwrap().map(|bytes| bytes.len() / 10);
    assert_eq!([entries(0), entries(1), entries(2)], [Some(256), Some(4), None]);
}
