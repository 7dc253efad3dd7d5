//! Records that are pruned, read from the archives that have them. Nothing there finds a record but reading all.

use std::path::{Path, PathBuf};

use super::output::Failure;
use crate::commit::contract::Stored;
use crate::ledger::{BundleEntries, Record, TILE_WIDTH, Tile, TileKind, tile_bytes};
use crate::oauth::Time;
use crate::store::{LEDGER_FOLDER, LogFolder};

/// The records before the index `first`, from which on the data folder `data` has them, that are `wanted`. Whoever shows one
/// proves it.
///
/// # Errors
/// When the archives do not have them all, or cannot be read.
pub(super) fn archived_records(
    data: &Path,
    archives: &[PathBuf],
    first: u64,
    wanted: impl Fn(&Record<'_>) -> bool,
) -> Result<Vec<Stored>, Failure> {
    if archives.is_empty() {
        return Ok(Vec::new());
    }
    let log = LogFolder::new(&data.join(LEDGER_FOLDER)).with_archives(archives);
    let (mut found, width) = (Vec::new(), u64::from(TILE_WIDTH));
    for number in log.first(false)? / width..first / width {
        let Some(tile) = Tile::new(TileKind::Entries, number, TILE_WIDTH) else { continue };
        let bytes = tile_bytes(&log, tile)?;
        for (index, entry) in (tile.start()..).zip(BundleEntries::of(&bytes)) {
            let entry = entry?;
            let record = Record::parse(entry).map_err(|reason| Failure::new(format!("entry {index} is no record: {reason}")))?;
            if wanted(&record) {
                let (jti, txn) = (record.jti(), record.txn());
                found.push(Stored { index, at: Time::from_millis(0), jti, txn, record: entry.to_vec() });
            }
        }
    }
    Ok(found)
}

/// The sentence that says where to look for what a data folder that has the records from `first` on does not find.
pub(super) fn elsewhere(first: u64, archives: &[PathBuf]) -> String {
    match (first, archives.is_empty()) {
        (0, _) => String::new(),
        (_, true) => format!("; the records before {first} are pruned: name the archive that has them with --archive DIR"),
        (_, false) => format!("; the records before {first} are pruned, and the archive has none either"),
    }
}
