//! The records whose bytes lie in their entry bundle alone. A bundle is believed where the tree over its entries has the root
//! that the store remembers, and nothing is read from it before.

use std::ops::Range;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::folder::failed;
use crate::commit::contract::StoreReason;
use crate::crypto::Digest;
use crate::ledger::merkle::{complete, leaf_hash};
use crate::ledger::{BundleEntries, LogFiles, TILE_WIDTH, Tile, TileKind};
use crate::store::tiles::{LEDGER_FOLDER, LogFolder};

/// Records in a full bundle.
pub(super) const RECORDS: u64 = TILE_WIDTH as u64;

/// The entry bundles of one data folder. The last one that was read is kept: records are mostly read in a row.
#[derive(Debug)]
pub(super) struct EntryBundles {
    log: LogFolder,
    last: Option<FullBundle>,
}

/// A full bundle.
#[derive(Debug)]
pub(super) struct FullBundle {
    number: u64,
    bytes: Vec<u8>,
    entries: Vec<Range<usize>>,
}

impl EntryBundles {
    pub(super) fn new(data: &Path) -> Self {
        Self { log: LogFolder::new(&data.join(LEDGER_FOLDER)), last: None }
    }

    /// The files of the log.
    pub(super) fn log(&self) -> &LogFolder {
        &self.log
    }

    /// The bytes of the record at `index`.
    ///
    /// # Errors
    /// `Bundle` when its bundle is missing, or not the one that was published; `Failed`.
    pub(super) fn record(&mut self, connection: &Connection, index: u64) -> Result<Vec<u8>, StoreReason> {
        let number = index / RECORDS;
        if self.last.as_ref().is_none_or(|last| last.number != number) {
            self.last = Some(self.believed(connection, number)?);
        }
        let record = self.last.as_ref().and_then(|bundle| bundle.entry(index % RECORDS));
        record.map(<[u8]>::to_vec).ok_or(StoreReason::Corrupt("a record is in no entry bundle"))
    }

    fn believed(&self, connection: &Connection, number: u64) -> Result<FullBundle, StoreReason> {
        let mut query = connection.prepare_cached("SELECT root FROM bundles WHERE number = ?1").map_err(failed)?;
        let root: Option<[u8; 32]> = query.query_row([number], |row| row.get(0)).optional().map_err(failed)?;
        let root = root.ok_or(StoreReason::Corrupt("the root of an entry bundle is missing"))?;
        let bundle = FullBundle::read(&self.log, number)?;
        if bundle.root() == Some(Digest(root)) { Ok(bundle) } else { Err(fault(number, "was changed")) }
    }
}

impl FullBundle {
    /// Reads a bundle, which is believed only by its root.
    ///
    /// # Errors
    /// `Bundle` when it is missing, or no full bundle.
    pub(super) fn read(log: &LogFolder, number: u64) -> Result<Self, StoreReason> {
        let read = log.read(&path(number)).map_err(|error| fault(number, &format!("cannot be read ({error})")))?;
        let bytes = read.ok_or_else(|| fault(number, "is missing"))?;
        let (mut entries, mut at) = (Vec::with_capacity(TILE_WIDTH.into()), 0);
        for entry in BundleEntries::of(&bytes) {
            let length = entry.map_err(|_| fault(number, "was changed"))?.len();
            // Each stands after its length, in two bytes.
            entries.push(at + 2..at + 2 + length);
            at += 2 + length;
        }
        if entries.len() != usize::from(TILE_WIDTH) {
            return Err(fault(number, "was changed"));
        }
        Ok(Self { number, bytes, entries })
    }

    /// The entry of this number within the bundle.
    pub(super) fn entry(&self, number: u64) -> Option<&[u8]> {
        let place = self.entries.get(usize::try_from(number).ok()?)?;
        self.bytes.get(place.clone())
    }

    /// The root of the tree over its entries.
    pub(super) fn root(&self) -> Option<Digest> {
        let leaves: Vec<Digest> = (0..RECORDS).filter_map(|number| self.entry(number)).map(leaf_hash).collect();
        complete(&leaves)
    }
}

/// The path of a full bundle in the log.
fn path(number: u64) -> String {
    tile(number).map(|tile| tile.to_string()).unwrap_or_default()
}

/// A full bundle as a tile.
pub(super) fn tile(number: u64) -> Option<Tile> {
    Tile::new(TileKind::Entries, number, TILE_WIDTH)
}

/// The fault of a bundle.
pub(super) fn fault(number: u64, what: &str) -> StoreReason {
    StoreReason::Bundle(path(number), what.to_owned())
}
