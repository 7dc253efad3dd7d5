//! A log in memory for tests, grown and published as a server would, and written to a folder for foreign programs.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::note::tests::{signer, verifiers};
use super::{CHECKPOINT_PATH, Checkpoint, Edge, LogFiles, NoteSigner, NoteVerifier};

/// A log whose entries are their own numbers, in varying length.
pub(crate) struct TestLog {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) heads: Vec<Checkpoint>,
    pub(crate) edge: Edge,
    pub(crate) signer: NoteSigner,
}

/// The largest log that is tested: `COUNTERSIGN_LARGE=10000000` makes it that, without it 70,000 entries are enough.
pub(crate) fn largest() -> u64 {
    std::env::var("COUNTERSIGN_LARGE").map_or(70_000, |size| size.parse().unwrap())
}

impl TestLog {
    /// A log that published a checkpoint at each of these sizes, in rising order.
    pub(crate) fn published_at(sizes: &[u64]) -> Self {
        let signer = signer("log.example/ledger", 1);
        let mut log = Self { files: BTreeMap::new(), heads: Vec::new(), edge: Edge::empty(), signer };
        sizes.iter().for_each(|size| log.publish(*size));
        log
    }

    /// Grows the log to `size` and publishes its checkpoint.
    pub(crate) fn publish(&mut self, size: u64) {
        while self.edge.size() < size {
            self.edge.append(&entry(self.edge.size())).unwrap();
        }
        for (tile, bytes) in self.edge.take() {
            let earlier = self.files.insert(tile.to_string(), bytes);
            assert_eq!(earlier, None, "{tile} was written twice");
        }
        let head = Checkpoint::new(self.signer.name().clone(), size, self.edge.root());
        let note = head.sign(&[&self.signer]).unwrap();
        self.files.insert(CHECKPOINT_PATH.to_owned(), note.into_bytes());
        self.heads.push(head);
    }

    pub(crate) fn known(&self) -> Vec<NoteVerifier> {
        verifiers(&[&self.signer])
    }

    pub(crate) fn write(&self, folder: &Path) {
        for (path, bytes) in &self.files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}

impl LogFiles for TestLog {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.files.get(path).cloned())
    }
}

/// Entry `index` of the log.
pub(crate) fn entry(index: u64) -> Vec<u8> {
    format!("{{\"entry\":{index},\"more\":\"{}\"}}", "x".repeat(usize::try_from(index % 61).unwrap())).into_bytes()
}
