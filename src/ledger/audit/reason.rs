//! The faults that an audit finds.

use std::error::Error;
use std::fmt;

use crate::ledger::bundle::EntryBundleReason;
use crate::ledger::nodes::NodeReason;
use crate::ledger::tile::{Tile, TileKind};

/// A fault in a log, and its place.
#[derive(Debug)]
pub enum AuditReason {
    /// There is no checkpoint to audit against.
    NoCheckpoint,
    /// The checkpoints are not of one log in rising order.
    Order,
    /// A file is missing, unreadable or of the wrong length.
    File(NodeReason),
    /// A bundle is malformed.
    Bundle(Tile, EntryBundleReason),
    /// A bundle ends before its last entry.
    Short(Tile),
    /// A bundle goes on after its last entry.
    Long(Tile),
    /// The entry of this index was signed, and yet is not what an entry should be.
    Entry(u64, Box<dyn Error + Send + Sync>),
    /// The entry of this index is not the one that was signed.
    Changed(u64),
    /// The hash of this number in a tile is not that of the entries.
    Tile(Tile, u64),
    /// The entries do not have the root that was signed at this size.
    Root(u64),
}

impl From<NodeReason> for AuditReason {
    fn from(reason: NodeReason) -> Self {
        Self::File(reason)
    }
}

impl fmt::Display for AuditReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCheckpoint => f.write_str("the log has no checkpoint"),
            Self::Order => f.write_str("the checkpoints are not those of one log in rising order of size"),
            Self::File(reason) => reason.fmt(f),
            Self::Bundle(tile, reason) => write!(f, "{tile}: {reason}"),
            Self::Short(tile) => write!(f, "{tile} has fewer than {} entries", tile.width()),
            Self::Long(tile) => write!(f, "{tile} has more than {} entries", tile.width()),
            Self::Entry(index, reason) => write!(f, "entry {index} was signed, but is no record: {reason}"),
            Self::Changed(index) => write!(f, "entry {index} was changed: its hash is not the one in the signed tree"),
            Self::Tile(tile, offset) => tile_differs(f, *tile, *offset),
            Self::Root(size) => {
                write!(f, "the first {size} entries have not the root signed at that size: entries or checkpoint were replaced")
            }
        }
    }
}

fn tile_differs(f: &mut fmt::Formatter<'_>, tile: Tile, offset: u64) -> fmt::Result {
    write!(f, "{tile}: hash {offset} is not that of ")?;
    match tile.kind() {
        TileKind::Hashes(level) if level > 0 => {
            let (first, width) = (u128::from(tile.start() + offset) << (8 * u32::from(level)), 1_u128 << (8 * u32::from(level)));
            write!(f, "the entries {first} to {}", first + width - 1)
        }
        _ => write!(f, "entry {}", tile.start() + offset),
    }
}

impl Error for AuditReason {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File(reason) => reason.source(),
            Self::Entry(_, reason) => Some(reason.as_ref()),
            _ => None,
        }
    }
}
