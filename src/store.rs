//! One native implementation for each contract: what the stored things mean is no concern of this room.

mod clock;
mod in_force;
mod keys;
mod sequences;
mod sqlite;
mod tiles;

use std::path::Path;
use std::sync::Arc;

use crate::commit::FindIndex;
use crate::commit::contract::{CommitStore, RecordReader, StorePruner, StoreReason, StoreTrimmer};
pub use clock::{SystemClock, SystemTimepieces, VouchedClock};
pub use in_force::InForceFile;
pub use keys::{
    KEY_NOTICE, KeyAges, KeyCheck, KeyClaim, KeyFiles, KeyFilesReason, KeyRole, LEDGER_OVERLAP, LedgerKey, LedgerKeys,
    OwnerReason, RingEntry, SecretEntry, ServedWith, find_key, missing, remember, require_own, revoke_key,
};
pub use sequences::{SEQUENCES_FILE, SequenceFile};
use sqlite::{SqliteFindIndex, SqlitePruner, SqliteReader, SqliteStore, SqliteTrimmer};
pub use tiles::{LEDGER_FOLDER, LogFolder, STATES, TileFolder, VKEY_PATH, first_of};

/// Takes the data folder as the commit store of this process alone, making it if there is none. Nothing is read before
/// [`CommitStore::open`].
///
/// # Errors
/// `Locked` when another server has it; `Folder` when it cannot be made, or is accessible to others and not ours.
pub fn open(data: &Path) -> Result<Box<dyn CommitStore>, StoreReason> {
    Ok(Box::new(SqliteStore::new(data)?))
}

/// A read-only view of the records in a data folder, with or without a running server. Each has a connection of its own.
///
/// # Errors
/// `Folder` when no server has used the folder; `Newer` when a newer version of this program did.
pub fn reader(data: &Path) -> Result<Arc<dyn RecordReader>, StoreReason> {
    Ok(Arc::new(SqliteReader::open(data)?))
}

/// Copies the database of the data folder `data` into the folder `to`, as it is at one moment, with or without a running server.
///
/// # Errors
/// `Folder` when no server has used the folder, or there is a database in `to`; `Failed` when it cannot be read or written.
pub fn copy_database(data: &Path, to: &Path) -> Result<(), StoreReason> {
    sqlite::copy(data, to)
}

/// The index that finds the records of a data folder, as far as it was made; with or without a running server. In memory where
/// the folder cannot be written to.
///
/// # Errors
/// `Folder` or `Failed` when it cannot be made.
pub fn find_index(data: &Path) -> Result<Box<dyn FindIndex>, StoreReason> {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    match SqliteFindIndex::open(data) {
        // Who may only read has it for this once.
        Err(StoreReason::Folder(error)) if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem) => {
            Ok(Box::new(SqliteFindIndex::in_memory()?))
        }
        opened => Ok(Box::new(opened?)),
    }
}

/// A sentence about the first difference between the index of a data folder and one that `fill` makes anew; none where both say
/// the same.
///
/// # Errors
/// What `fill` answers; `Failed`.
pub fn compare_index<E: From<StoreReason>>(
    data: &Path,
    fill: impl FnOnce(&mut dyn FindIndex) -> Result<(), E>,
) -> Result<Option<String>, E> {
    let mut anew = SqliteFindIndex::in_memory()?;
    fill(&mut anew)?;
    Ok(SqliteFindIndex::open(data)?.difference(&anew)?)
}

/// Leaves published records in a data folder to their entry bundles, for whoever holds that folder's lock.
pub fn trimmer(data: &Path) -> Box<dyn StoreTrimmer> {
    Box::new(SqliteTrimmer::new(data))
}

/// Removes what is recorded as pruned from a data folder, for whoever holds that folder's lock.
pub fn pruner(data: &Path) -> Box<dyn StorePruner> {
    Box::new(SqlitePruner::new(data))
}

/// True where a server has used the data folder before.
pub fn is_used(data: &Path) -> bool {
    sqlite::is_used(data)
}
