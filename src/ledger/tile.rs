//! Tiles of a log as C2SP tlog-tiles names them: coordinates, paths, and the exact set of them that a size of the tree implies.

use std::fmt::{self, Write};
use std::io;

use crate::crypto::Digest;

/// Hashes in a full tile, and entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;
/// Bytes of a full tile of hashes.
pub(super) const TILE_BYTES: usize = TILE_WIDTH as usize * 32;
/// Levels above which no tile of a tree of less than 2⁶⁴ entries can stand.
pub(super) const LEVELS: u8 = 8;
const LEVEL_MAX: u8 = 63;
/// The path of the checkpoint.
pub const CHECKPOINT_PATH: &str = "checkpoint";
/// The path of the index of the first entry that a pruned log has (C2SP tlog-tiles, minimum index), in decimal; there is none in
/// a log that has all.
pub const FIRST_PATH: &str = "first";

/// The files of a log by their path in it, such as `checkpoint` or `tile/0/000.p/7`: a folder, a server, a bundle.
pub trait LogFiles {
    /// The bytes at `path`; `None` where there is no such file.
    ///
    /// # Errors
    /// When that cannot be told.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;
}

/// The content of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TileKind {
    /// The entries themselves, a bundle.
    Entries,
    /// Hashes at a level of tiles, each over 256^level entries.
    Hashes(u8),
}

/// The coordinates of one tile: full, or partial on the right edge of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    kind: TileKind,
    index: u64,
    width: u16,
}

impl Tile {
    /// The tile of that kind, index and width; `None` where the level is above 63 or the width not 1 to 256.
    pub fn new(kind: TileKind, index: u64, width: u16) -> Option<Self> {
        let level = if let TileKind::Hashes(level) = kind { level } else { 0 };
        (level <= LEVEL_MAX && (1..=TILE_WIDTH).contains(&width)).then_some(Self { kind, index, width })
    }

    /// The tile that holds number `at` of its level (entry `at` for bundles), as wide as the tree of `size` entries has it;
    /// `None` beyond its end.
    pub fn holding(kind: TileKind, at: u64, size: u64) -> Option<Self> {
        let count = kind.count(size);
        let index = at / u64::from(TILE_WIDTH);
        let width = (count - index.saturating_mul(u64::from(TILE_WIDTH)).min(count)).min(u64::from(TILE_WIDTH));
        (at < count).then_some(Self { kind, index, width: u16::try_from(width).ok()? })
    }

    /// The unfinished tile of that kind in the tree of `size` entries, if it has one.
    pub fn partial(kind: TileKind, size: u64) -> Option<Self> {
        Self::holding(kind, kind.count(size).checked_sub(1)?, size).filter(|tile| !tile.is_full())
    }

    /// The tile at a path without leading slash, such as `tile/0/x001/067.p/5` or `tile/entries/000`. There is one spelling
    /// of each.
    ///
    /// # Errors
    /// When the path is any other.
    pub fn parse(path: &str) -> Result<Self, TilePathReason> {
        let tile = Self::parse_loosely(path).ok_or(TilePathReason)?;
        // Whatever a number may also be written like, only one spelling is what we print.
        Some(tile).filter(|tile| tile.to_string() == path).ok_or(TilePathReason)
    }

    /// Its content.
    pub fn kind(&self) -> TileKind {
        self.kind
    }

    /// Its number in its level, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes or entries it holds, 1 to 256.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// True when it can grow no more.
    pub fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The number, in its level, of the first hash or entry that it holds.
    pub fn start(&self) -> u64 {
        self.index.saturating_mul(u64::from(TILE_WIDTH))
    }

    /// True when a tree of `size` entries has everything that is in it, so that it can be shown to whoever may see that tree.
    pub fn is_within(&self, size: u64) -> bool {
        self.start().saturating_add(u64::from(self.width)) <= self.kind.count(size)
    }

    /// True when a log that has the entries from `first` on need not have it: it holds nothing but entries before, or their own
    /// hashes (C2SP tlog-tiles, pruning). Hashes of higher levels stay.
    pub fn is_pruned(&self, first: u64) -> bool {
        let own = matches!(self.kind, TileKind::Entries | TileKind::Hashes(0));
        own && self.start().saturating_add(u64::from(TILE_WIDTH)) <= first
    }

    /// This tile once it is full.
    pub fn full(self) -> Self {
        Self { width: TILE_WIDTH, ..self }
    }

    fn parse_loosely(path: &str) -> Option<Self> {
        if path.len() > 64 {
            return None;
        }
        let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let kind = if kind == "entries" { TileKind::Entries } else { TileKind::Hashes(kind.parse().ok()?) };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, width.parse().ok()?),
            None => (rest, TILE_WIDTH),
        };
        let mut value: u64 = 0;
        for group in index.split('/') {
            let digits = group.strip_prefix('x').unwrap_or(group);
            value = value.checked_mul(1000)?.checked_add(digits.parse().ok().filter(|_| digits.len() == 3)?)?;
        }
        Self::new(kind, value, width)
    }
}

impl TileKind {
    /// How many hashes (or entries) of this kind a tree of `size` entries has: floor(size / 256^level).
    fn count(self, size: u64) -> u64 {
        let level = if let Self::Hashes(level) = self { level } else { 0 };
        size.checked_shr(u32::from(level) * 8).unwrap_or(0)
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Entries => f.write_str("tile/entries/")?,
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        write_index(f, self.index / 1000)?;
        write!(f, "{:03}", self.index % 1000)?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

fn write_index(f: &mut fmt::Formatter<'_>, thousands: u64) -> fmt::Result {
    if thousands == 0 {
        return Ok(());
    }
    write_index(f, thousands / 1000)?;
    f.write_char('x')?;
    write!(f, "{:03}/", thousands % 1000)
}

/// Every tile, full and partial, that a tree of `size` entries has.
pub fn tiles(size: u64) -> impl Iterator<Item = Tile> {
    tiles_between(0, size)
}

/// The tiles that a tree of `new` entries has and one of `old` had not: bundles first, then hashes level by level. Nothing
/// where `new <= old`.
pub fn tiles_between(old: u64, new: u64) -> impl Iterator<Item = Tile> {
    let kinds = std::iter::once(TileKind::Entries).chain((0..LEVELS).map(TileKind::Hashes));
    kinds.flat_map(move |kind| {
        let (before, after) = (kind.count(old), kind.count(new));
        let first = before / u64::from(TILE_WIDTH);
        let end = if before < after { after.div_ceil(u64::from(TILE_WIDTH)) } else { first };
        (first..end).filter_map(move |index| Tile::holding(kind, index.checked_mul(u64::from(TILE_WIDTH))?, new))
    })
}

/// The hashes in the bytes of a tile; `None` unless they are whole hashes.
pub fn hashes(bytes: &[u8]) -> Option<Vec<Digest>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| hashes.iter().map(|hash| Digest(*hash)).collect())
}

/// A path that names no tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TilePathReason;

impl fmt::Display for TilePathReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the path names no tile: it is tile/LEVEL/NUMBER or tile/entries/NUMBER, with .p/WIDTH for a partial one")
    }
}

impl std::error::Error for TilePathReason {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn paths(size: u64) -> Vec<String> {
        tiles(size).map(|tile| tile.to_string()).collect()
    }

    #[test]
    fn paths_are_spelled_as_the_specification_shows() {
        let tile = Tile::parse("tile/0/x001/x234/067").unwrap();
        assert_eq!((tile.kind(), tile.index(), tile.width()), (TileKind::Hashes(0), 1_234_067, 256));
        let tile = Tile::parse("tile/entries/x001/067.p/1").unwrap();
        assert_eq!((tile.kind(), tile.index(), tile.width()), (TileKind::Entries, 1067, 1));
        for path in ["tile/63/000", "tile/1/999.p/255", "tile/2/x018/x446/x744/x073/x709/x551/615"] {
            assert_eq!(Tile::parse(path).unwrap().to_string(), path);
        }
    }

    #[test]
    fn every_other_spelling_is_refused() {
        let refused = [
            "",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/",
            "/tile/0/000",
            "tile/0/000/",
            "tile//000",
            "tile/0//000",
            "tile/8/0/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/257",
            "tile/0/000.p/01",
            "tile/0/000.p/",
            "tile/0/000.p",
            "tile/0/000.p/+1",
            "tile/0/000.p/1.p/1",
            "tile/0/000.p/-1",
            "tile/0/000.p/65537",
            "tile/0/0",
            "tile/0/00",
            "tile/0/0000",
            "tile/0/x000/001",
            "tile/0/x1/001",
            "tile/0/x001/",
            "tile/0/x001",
            "tile/0/001/001",
            "tile/0/x001/x001",
            "tile/0/X001/001",
            "tile/0/+01",
            "tile/64/000",
            "tile/00/000",
            "tile/01/000",
            "tile/+1/000",
            "tile/-1/000",
            "tile/256/000",
            "tile/entries/x1/000",
            "tile/data/000",
            "tile/Entries/000",
            "tile/entries",
            "tile/0/000 ",
            "tile/0/00\u{660}",
            "tile/0/..",
            "tile/0/../0/000",
            "TILE/0/000",
            "checkpoint",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
            "tile/8/000.p/1?x",
            "tile/0/000%2ep/1",
        ];
        for path in refused {
            assert_eq!(Tile::parse(path), Err(TilePathReason), "{path}");
        }
    }

    #[test]
    fn sizes_have_exactly_these_tiles() {
        assert!(paths(0).is_empty());
        assert_eq!(paths(1), ["tile/entries/000.p/1", "tile/0/000.p/1"]);
        assert_eq!(paths(255), ["tile/entries/000.p/255", "tile/0/000.p/255"]);
        assert_eq!(paths(256), ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(paths(257), ["tile/entries/000", "tile/entries/001.p/1", "tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]);
        let full = |kind: &'static str, count| (0..count).map(move |n| format!("tile/{kind}/{n:03}"));
        let more = |list: &[&str]| list.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        let at_65536: Vec<_> =
            full("entries", 256).chain(full("0", 256)).chain(more(&["tile/1/000", "tile/2/000.p/1"])).collect();
        assert_eq!(paths(65_536), at_65536);
        let at_70000: Vec<_> = full("entries", 273)
            .chain(more(&["tile/entries/273.p/112"]))
            .chain(full("0", 273))
            .chain(more(&["tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"]))
            .collect();
        assert_eq!(paths(70_000), at_70000);
    }

    #[test]
    fn between_two_sizes_lie_the_tiles_that_only_the_larger_has() {
        for (old, new) in
            [(0, 1), (1, 1), (2, 1), (1, 255), (255, 256), (256, 257), (200, 700), (65_535, 65_536), (65_536, 70_000)]
        {
            let had: std::collections::HashSet<_> = tiles(old).collect();
            let expected: Vec<_> = if old < new { tiles(new).filter(|tile| !had.contains(tile)).collect() } else { Vec::new() };
            assert_eq!(tiles_between(old, new).collect::<Vec<_>>(), expected, "{old} to {new}");
        }
    }

    #[test]
    fn the_largest_sizes_neither_panic_nor_overflow() {
        let tile = Tile::holding(TileKind::Entries, u64::MAX - 1, u64::MAX).unwrap();
        assert_eq!((tile.index(), tile.width()), (u64::MAX / 256, 255));
        assert_eq!(Tile::holding(TileKind::Hashes(8), 0, u64::MAX), None);
        assert_eq!(tiles_between(u64::MAX - 1, u64::MAX).count(), 2);
    }
}
