//! The right edge of a growing log: what is needed to write its next tiles without reading any.

use std::fmt;

use super::bundle::{BundleEntries, EntryBundle, EntryBundleReason};
use super::frontier::Frontier;
use super::merkle::leaf_hash;
use super::nodes::{NodeReason, TileNodes, read_bundle, read_tile};
use super::tile::{LEVELS, LogFiles, TILE_BYTES, TILE_WIDTH, Tile, TileKind};
use crate::crypto::Digest;

/// One file of the log: the path it has, and its bytes.
pub type TileFile = (Tile, Vec<u8>);

/// The hashes in the unfinished tile of each level, and the frontier of the tree.
#[derive(Clone, Debug)]
pub struct HashEdge {
    frontier: Frontier,
    /// As bytes of their files, by level.
    levels: [Vec<u8>; LEVELS as usize],
    full: Vec<TileFile>,
    taken: u64,
}

impl HashEdge {
    /// The edge of the log without entries.
    pub fn empty() -> Self {
        Self { frontier: Frontier::empty(), levels: Default::default(), full: Vec::new(), taken: 0 }
    }

    /// The edge of the log of `size` entries whose tiles are in `files`. The caller compares its root with what was signed.
    ///
    /// # Errors
    /// When a tile is missing or malformed.
    pub fn load<F: LogFiles + ?Sized>(files: &F, size: u64) -> Result<Self, NodeReason> {
        Ok(Self { taken: size, ..Self::load_within(files, size, size)? })
    }

    /// The edge of the log of the first `at` entries, by the tiles of the tree of `size` entries. At a multiple of 256 it needs
    /// no tile of level 0.
    ///
    /// # Errors
    /// When a tile is missing or malformed.
    pub fn load_within<F: LogFiles + ?Sized>(files: &F, at: u64, size: u64) -> Result<Self, NodeReason> {
        let frontier = Frontier::load(&mut TileNodes::new(files, size), at)?;
        let mut edge = Self { frontier, ..Self::empty() };
        for (level, bytes) in (0..LEVELS).zip(&mut edge.levels) {
            let kind = TileKind::Hashes(level);
            if let Some(tile) = Tile::partial(kind, at) {
                let grown = Tile::holding(kind, tile.start(), size).ok_or(NodeReason::Beyond)?;
                *bytes = read_tile(files, grown)?;
                bytes.truncate(usize::from(tile.width()) * 32);
            }
        }
        Ok(edge)
    }

    /// Appends the entry with hash `leaf`.
    pub fn append(&mut self, leaf: Digest) {
        let Self { frontier, levels, full, .. } = self;
        let size = frontier.size() + 1;
        frontier.append(leaf, |height, hash| {
            if height % 8 == 0 {
                let level = height / 8;
                full.extend(levels.get_mut(level as usize).and_then(|bytes| push_hash(bytes, level, hash, size)));
            }
        });
    }

    /// The full tiles that came to be since this or [`Self::take`] was last called.
    pub fn take_full(&mut self) -> Vec<TileFile> {
        std::mem::take(&mut self.full)
    }

    /// All tiles of hashes that the log has now and had not when this was last called, partial ones included.
    pub fn take(&mut self) -> Vec<TileFile> {
        let mut files = self.take_full();
        for (level, bytes) in (0..LEVELS).zip(&self.levels) {
            let kind = TileKind::Hashes(level);
            let partial = Tile::partial(kind, self.size()).filter(|tile| Tile::partial(kind, self.taken) != Some(*tile));
            files.extend(partial.map(|tile| (tile, bytes.clone())));
        }
        self.taken = self.size();
        files
    }

    /// The number of entries.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root of the tree.
    pub fn root(&self) -> Digest {
        self.frontier.root()
    }

    /// The bytes of the unfinished tile of a level; empty where there is none.
    pub(super) fn partial(&self, level: u8) -> &[u8] {
        self.levels.get(usize::from(level)).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Adds a hash to the unfinished tile of a level; returns the tile if that made it full.
fn push_hash(bytes: &mut Vec<u8>, level: u32, hash: Digest, size: u64) -> Option<TileFile> {
    bytes.extend_from_slice(&hash.0);
    if bytes.len() < TILE_BYTES {
        return None;
    }
    let kind = TileKind::Hashes(u8::try_from(level).ok()?);
    let tile = Tile::holding(kind, (size >> (8 * level)) - 1, size)?;
    Some((tile, std::mem::replace(bytes, Vec::with_capacity(TILE_BYTES))))
}

/// The right edge with its unfinished bundle: entries go in, files come out. Memory is bounded by how much is appended
/// between two calls of [`Edge::take`].
#[derive(Clone, Debug)]
pub struct Edge {
    hashes: HashEdge,
    bundle: EntryBundle,
    full: Vec<TileFile>,
    taken: u64,
}

impl Edge {
    /// The edge of the log without entries.
    pub fn empty() -> Self {
        Self { hashes: HashEdge::empty(), bundle: EntryBundle::default(), full: Vec::new(), taken: 0 }
    }

    /// The edge of the log of `size` entries in `files`: reads one tile of each level and at most one bundle, whatever the
    /// size. The caller compares its root with what was signed.
    ///
    /// # Errors
    /// When a tile is missing or malformed, or the unfinished bundle is not what its tile of hashes says.
    pub fn load<F: LogFiles + ?Sized>(files: &F, size: u64) -> Result<Self, EdgeReason> {
        let hashes = HashEdge::load(files, size)?;
        let Some(tile) = Tile::partial(TileKind::Entries, size) else { return Ok(Self { hashes, taken: size, ..Self::empty() }) };
        let bundle = EntryBundle::load(&read_bundle(files, tile)?, tile.width())?;
        let leaves = BundleEntries::of(bundle.bytes()).map(|entry| entry.map(leaf_hash));
        for (at, (leaf, stored)) in (tile.start()..).zip(leaves.zip(hashes.partial(0).as_chunks::<32>().0)) {
            if leaf?.0 != *stored {
                return Err(EdgeReason::Entry(at));
            }
        }
        Ok(Self { hashes, bundle, full: Vec::new(), taken: size })
    }

    /// The edge of the log of the first `at` entries, a multiple of 256, by the tiles of hashes of the tree of `size` entries; no
    /// file counts as taken. The caller compares the root that what is appended leads to with what was signed.
    ///
    /// # Errors
    /// When a tile is missing or malformed.
    pub fn load_within<F: LogFiles + ?Sized>(files: &F, at: u64, size: u64) -> Result<Self, NodeReason> {
        Ok(Self { hashes: HashEdge::load_within(files, at, size)?, ..Self::empty() })
    }

    /// Appends an entry and says its hash.
    ///
    /// # Errors
    /// When it is longer than 65,535 bytes; then nothing was appended.
    pub fn append(&mut self, entry: &[u8]) -> Result<Digest, EntryBundleReason> {
        self.bundle.push(entry)?;
        let leaf = leaf_hash(entry);
        self.hashes.append(leaf);
        if self.bundle.width() == TILE_WIDTH {
            let tile = Tile::holding(TileKind::Entries, self.size() - 1, self.size());
            let bytes = self.bundle.take();
            self.full.extend(tile.map(|tile| (tile, bytes)));
        }
        Ok(leaf)
    }

    /// The full tiles and bundles that came to be since this or [`Self::take`] was last called: what may be written while a long
    /// way is still to go.
    pub fn take_full(&mut self) -> Vec<TileFile> {
        let mut files = std::mem::take(&mut self.full);
        files.append(&mut self.hashes.take_full());
        files
    }

    /// The files that the log has now and had not when this was last called. They must be durable before a checkpoint of this
    /// size is signed.
    pub fn take(&mut self) -> Vec<TileFile> {
        let mut files = std::mem::take(&mut self.full);
        let partial = Tile::partial(TileKind::Entries, self.size()).filter(|_| self.taken < self.size());
        files.extend(partial.map(|tile| (tile, self.bundle.bytes().to_vec())));
        files.append(&mut self.hashes.take());
        self.taken = self.size();
        files
    }

    /// The number of entries.
    pub fn size(&self) -> u64 {
        self.hashes.size()
    }

    /// The root of the tree.
    pub fn root(&self) -> Digest {
        self.hashes.root()
    }
}

/// Why the edge of a log could not be loaded.
#[derive(Debug)]
pub enum EdgeReason {
    /// A tile is not at hand.
    Node(NodeReason),
    /// The unfinished bundle is malformed.
    Bundle(EntryBundleReason),
    /// The entry of this index is not the one whose hash is in the tree.
    Entry(u64),
}

impl From<NodeReason> for EdgeReason {
    fn from(reason: NodeReason) -> Self {
        Self::Node(reason)
    }
}

impl From<EntryBundleReason> for EdgeReason {
    fn from(reason: EntryBundleReason) -> Self {
        Self::Bundle(reason)
    }
}

impl fmt::Display for EdgeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(reason) => reason.fmt(f),
            Self::Bundle(reason) => reason.fmt(f),
            Self::Entry(index) => write!(f, "entry {index} is not the one whose hash is in the tree"),
        }
    }
}

impl std::error::Error for EdgeReason {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Node(reason) = self { reason.source() } else { None }
    }
}

#[cfg(test)]
mod tests;
