//! The hashes of a tree, read from the files of its tiles.

use std::{fmt, io};

use super::bundle::EntryBundle;
use super::merkle::{Nodes, complete};
use super::tile::{LogFiles, TILE_BYTES, TILE_WIDTH, Tile, TileKind, hashes};
use crate::crypto::Digest;

/// Tiles kept in memory: a proof needs at most two of each level.
const KEPT_MAX: usize = 16;

/// The nodes of the tree of a given size, from its tiles. Whatever is built from them must be verified against the root: a
/// file may lie.
pub struct TileNodes<'a, F: ?Sized> {
    files: &'a F,
    size: u64,
    kept: Vec<(Tile, Vec<Digest>)>,
}

impl<'a, F: LogFiles + ?Sized> TileNodes<'a, F> {
    /// The nodes of the tree of `size` entries.
    pub fn new(files: &'a F, size: u64) -> Self {
        Self { files, size, kept: Vec::new() }
    }

    /// The hashes of a tile of this tree.
    fn tile(&mut self, tile: Tile) -> Result<&[Digest], NodeReason> {
        let position = match self.kept.iter().position(|(kept, _)| *kept == tile) {
            Some(position) => position,
            None => {
                let bytes = read_tile(self.files, tile)?;
                let hashes = hashes(&bytes).ok_or_else(|| NodeReason::Size(tile.to_string()))?;
                if self.kept.len() >= KEPT_MAX {
                    self.kept.remove(0);
                }
                self.kept.push((tile, hashes));
                self.kept.len() - 1
            }
        };
        Ok(self.kept.get(position).map(|(_, hashes)| hashes.as_slice()).unwrap_or_default())
    }
}

impl<F: LogFiles + ?Sized> Nodes for TileNodes<'_, F> {
    type Error = NodeReason;

    fn node(&mut self, height: u32, index: u64) -> Result<Digest, NodeReason> {
        let level = u8::try_from(height / 8).map_err(|_| NodeReason::Beyond)?;
        let count = 1_u64 << (height % 8);
        let (first, last) = (index * count, index * count + (count - 1));
        // The last hash must be in the tree; the first then is in the same tile, for both are aligned.
        let tile = Tile::holding(TileKind::Hashes(level), last, self.size).ok_or(NodeReason::Beyond)?;
        let start = usize::try_from(first % u64::from(TILE_WIDTH)).map_err(|_| NodeReason::Beyond)?;
        let hashes = self.tile(tile)?.get(start..).and_then(|hashes| hashes.get(..usize::try_from(count).ok()?));
        hashes.and_then(complete).ok_or(NodeReason::Beyond)
    }
}

/// The bytes of a tile or bundle of a log: of its own file, or the beginning of the full one that may have taken its place.
///
/// # Errors
/// When there is neither, or what is there is malformed.
pub fn tile_bytes<F: LogFiles + ?Sized>(files: &F, tile: Tile) -> Result<Vec<u8>, NodeReason> {
    if tile.kind() != TileKind::Entries {
        return read_tile(files, tile);
    }
    let bytes = read_bundle(files, tile)?;
    let bundle = EntryBundle::load(&bytes, tile.width()).map_err(|_| NodeReason::Size(tile.to_string()))?;
    Ok(bundle.bytes().to_vec())
}

/// The bytes of a tile of hashes: of its own file, or the beginning of the full one that may have taken its place.
pub(super) fn read_tile<F: LogFiles + ?Sized>(files: &F, tile: Tile) -> Result<Vec<u8>, NodeReason> {
    let (path, length) = (tile.to_string(), usize::from(tile.width()) * 32);
    if let Some(bytes) = read(files, &path)? {
        return if bytes.len() == length { Ok(bytes) } else { Err(NodeReason::Size(path)) };
    }
    let full = read(files, &tile.full().to_string())?.filter(|_| !tile.is_full());
    let mut bytes = full.ok_or_else(|| NodeReason::Missing(path.clone()))?;
    if bytes.len() != TILE_BYTES {
        return Err(NodeReason::Size(tile.full().to_string()));
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// The bytes of a bundle: of its own file, or of the full one that may have taken its place (then with more entries).
pub(super) fn read_bundle<F: LogFiles + ?Sized>(files: &F, tile: Tile) -> Result<Vec<u8>, NodeReason> {
    let path = tile.to_string();
    if let Some(bytes) = read(files, &path)? {
        return Ok(bytes);
    }
    let full = if tile.is_full() { None } else { read(files, &tile.full().to_string())? };
    full.ok_or(NodeReason::Missing(path))
}

fn read<F: LogFiles + ?Sized>(files: &F, path: &str) -> Result<Option<Vec<u8>>, NodeReason> {
    files.read(path).map_err(|source| NodeReason::Unreadable(path.to_owned(), source))
}

/// Why a tile, or a hash from it, is not at hand.
#[derive(Debug)]
pub enum NodeReason {
    /// There is no file at this path.
    Missing(String),
    /// The file at this path could not be read.
    Unreadable(String, io::Error),
    /// The file at this path has not the length that its path says.
    Size(String),
    /// The tree is too small to have that hash.
    Beyond,
}

impl fmt::Display for NodeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "{path} is missing"),
            Self::Unreadable(path, _) => write!(f, "{path} could not be read"),
            Self::Size(path) => write!(f, "{path} has not the length that its width implies"),
            Self::Beyond => f.write_str("the tree is too small to have that hash"),
        }
    }
}

impl std::error::Error for NodeReason {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Unreadable(_, source) = self { Some(source) } else { None }
    }
}
