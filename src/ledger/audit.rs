//! The audit of a whole log from nothing but its files: every hash is derived again from the entries, every tile compared,
//! and every checkpoint checked against the tree of its size, so that each also extends the one before. One pass, a few tiles
//! in memory.

mod reason;

use super::bundle::BundleEntries;
use super::checkpoint::Checkpoint;
use super::edge::HashEdge;
use super::merkle::{Nodes, complete, includes, inclusion, leaf_hash};
use super::nodes::{NodeReason, TileNodes, read_bundle, read_tile};
use super::tile::{LEVELS, LogFiles, TILE_WIDTH, Tile, TileKind, hashes, tiles};
use crate::crypto::Digest;
pub use reason::AuditReason;

/// The extent of what an audit found in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// Entries read and hashed.
    pub entries: u64,
    /// Tiles of hashes compared.
    pub tiles: u64,
    /// Checkpoints whose root was derived again.
    pub checkpoints: u64,
}

/// Audits the log in `files` up to the last of `heads`, which are its checkpoints in rising order of size, opened by the
/// caller ([`Checkpoint::open`]) and so known to be signed. `inspect` judges each entry by its index and bytes: its schema is
/// not known here.
///
/// It notices whatever contradicts those checkpoints. It cannot notice a log that was rewritten as a whole and signed again
/// with the log's own key unless an older checkpoint is among `heads`.
///
/// # Errors
/// The first thing that is wrong, with what and where.
pub fn audit<F, I, E>(files: &F, heads: &[Checkpoint], inspect: I) -> Result<AuditReport, AuditReason>
where
    F: LogFiles + ?Sized,
    I: FnMut(u64, &[u8]) -> Result<(), E>,
    E: std::error::Error + Send + Sync + 'static,
{
    audit_from(files, 0, heads, inspect)
}

/// The same of a log that has the entries from `first` on, a multiple of 256, and every hash over those before: these are taken
/// from the tiles, which must lead to what was signed. No checkpoint may be of fewer entries.
///
/// # Errors
/// As of [`audit`].
pub fn audit_from<F, I, E>(files: &F, first: u64, heads: &[Checkpoint], inspect: I) -> Result<AuditReport, AuditReason>
where
    F: LogFiles + ?Sized,
    I: FnMut(u64, &[u8]) -> Result<(), E>,
    E: std::error::Error + Send + Sync + 'static,
{
    let Some(last) = heads.last() else { return Err(AuditReason::NoCheckpoint) };
    let ordered =
        heads.iter().zip(heads.iter().skip(1)).all(|(one, next)| one.size() <= next.size() && one.origin() == next.origin());
    if !ordered || heads.first().is_some_and(|head| head.size() < first) || !first.is_multiple_of(u64::from(TILE_WIDTH)) {
        return Err(AuditReason::Order);
    }
    let edge = HashEdge::load_within(files, first, last.size())?;
    let mut pass = Pass { files, last, heads, edge, inspect, report: AuditReport::default() };
    pass.tiles_before(first)?;
    pass.reached_heads()?;
    let mut at = first;
    while let Some(tile) = Tile::holding(TileKind::Entries, at, last.size()) {
        pass.bundle(tile)?;
        at += u64::from(TILE_WIDTH);
    }
    Ok(pass.report)
}

struct Pass<'a, F: ?Sized, I> {
    files: &'a F,
    last: &'a Checkpoint,
    /// Those not reached yet.
    heads: &'a [Checkpoint],
    edge: HashEdge,
    inspect: I,
    report: AuditReport,
}

impl<F, I, E> Pass<'_, F, I>
where
    F: LogFiles + ?Sized,
    I: FnMut(u64, &[u8]) -> Result<(), E>,
    E: std::error::Error + Send + Sync + 'static,
{
    fn bundle(&mut self, tile: Tile) -> Result<(), AuditReason> {
        let bytes = read_bundle(self.files, tile)?;
        let mut entries = BundleEntries::of(&bytes);
        let malformed = |reason| AuditReason::Bundle(tile, reason);
        for _ in 0..tile.width() {
            let entry = entries.next().ok_or(AuditReason::Short(tile))?.map_err(malformed)?;
            self.entry(entry)?;
        }
        // A full bundle in place of a partial one goes on behind the last checkpoint: that is not judged.
        if tile.is_full() && entries.next().is_some() {
            return Err(AuditReason::Long(tile));
        }
        Ok(())
    }

    /// The full tiles over the entries before `first`: each must have the hash that stands for it one level higher.
    fn tiles_before(&mut self, first: u64) -> Result<(), AuditReason> {
        let mut nodes = TileNodes::new(self.files, self.last.size());
        for tile in tiles(first).filter(|tile| tile.is_full() && !tile.is_pruned(first)) {
            let TileKind::Hashes(level) = tile.kind() else { continue };
            let found = read_tile(self.files, tile)?;
            let found = hashes(&found).and_then(|hashes| complete(&hashes));
            if found != Some(nodes.node(8 * (u32::from(level) + 1), tile.index())?) {
                return Err(AuditReason::Tile(tile, 0));
            }
            self.report.tiles += 1;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &[u8]) -> Result<(), AuditReason> {
        let index = self.edge.size();
        let leaf = leaf_hash(entry);
        if let Err(reason) = (self.inspect)(index, entry) {
            let signed = self.is_signed(index, leaf);
            return Err(if signed { AuditReason::Entry(index, Box::new(reason)) } else { AuditReason::Changed(index) });
        }
        self.edge.append(leaf);
        self.report.entries += 1;
        for (tile, bytes) in self.edge.take_full() {
            self.tile(tile, &bytes, true)?;
        }
        self.reached_heads()
    }

    /// Compares the checkpoints of exactly this size, and the partial tiles that had to be served with them.
    fn reached_heads(&mut self) -> Result<(), AuditReason> {
        while let Some((head, rest)) = self.heads.split_first().filter(|(head, _)| head.size() == self.edge.size()) {
            self.heads = rest;
            self.report.checkpoints += 1;
            let tiles = self.partial_tiles();
            // A tile that differs says more closely what is wrong than the root does; one that is missing does not.
            let named = matches!(tiles, Err(AuditReason::Changed(_) | AuditReason::Tile(..)));
            if self.edge.root() != head.root() && !named {
                return Err(AuditReason::Root(head.size()));
            }
            tiles?;
        }
        Ok(())
    }

    fn partial_tiles(&mut self) -> Result<(), AuditReason> {
        for level in 0..LEVELS {
            if let Some(tile) = Tile::partial(TileKind::Hashes(level), self.edge.size()) {
                let bytes = self.edge.partial(level).to_vec();
                // It may go as soon as the full tile is there, which is compared when the pass gets there.
                let replaced = Tile::holding(tile.kind(), tile.start(), self.last.size()).is_some_and(|tile| tile.is_full());
                self.tile(tile, &bytes, !replaced)?;
            }
        }
        Ok(())
    }

    /// Compares a tile with the bytes that it should have.
    fn tile(&mut self, tile: Tile, expected: &[u8], needed: bool) -> Result<(), AuditReason> {
        let path = tile.to_string();
        let found = self.files.read(&path).map_err(|source| NodeReason::Unreadable(path.clone(), source))?;
        let Some(found) = found else {
            return if needed { self.absent(tile, expected, path) } else { Ok(()) };
        };
        self.report.tiles += 1;
        if found == expected { Ok(()) } else { Err(self.culprit(tile, expected, &found)) }
    }

    /// A partial tile may be gone where the log has since grown and the full one stands in its place.
    fn absent(&mut self, tile: Tile, expected: &[u8], path: String) -> Result<(), AuditReason> {
        let full = tile.full().to_string();
        let found =
            if tile.is_full() { None } else { self.files.read(&full).map_err(|source| NodeReason::Unreadable(full, source))? };
        match found {
            None => Err(NodeReason::Missing(path).into()),
            Some(found) if found.starts_with(expected) => Ok(()),
            Some(found) => Err(self.culprit(tile.full(), expected, found.get(..expected.len()).unwrap_or(&found))),
        }
    }

    /// Entry and tile disagree: whichever the signed tree does not contain was changed.
    fn culprit(&self, tile: Tile, expected: &[u8], found: &[u8]) -> AuditReason {
        let (Some(expected), Some(found), true) = (hashes(expected), hashes(found), expected.len() == found.len()) else {
            return NodeReason::Size(tile.to_string()).into();
        };
        let Some((offset, (derived, stored))) =
            (0..).zip(expected.iter().zip(&found)).find(|(_, (derived, stored))| derived != stored)
        else {
            return AuditReason::Tile(tile, 0);
        };
        let at = tile.start() + offset;
        if tile.kind() == TileKind::Hashes(0) && self.is_signed(at, *stored) && !self.is_signed(at, *derived) {
            return AuditReason::Changed(at);
        }
        AuditReason::Tile(tile, offset)
    }

    /// True when the tree of the last checkpoint has this hash as leaf `index`, as far as the tiles can show it.
    fn is_signed(&self, index: u64, leaf: Digest) -> bool {
        let path = inclusion(&mut TileNodes::new(self.files, self.last.size()), index, self.last.size());
        path.ok().flatten().is_some_and(|path| includes(leaf, index, &path, self.last.size(), self.last.root()))
    }
}

#[cfg(test)]
mod tests;
