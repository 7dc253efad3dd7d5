//! The contract by which records are removed from a store.

use super::store_reason::StoreReason;
use crate::oauth::{Time, Txn};

/// Tells whether a transaction is held by now. It is asked while the store is locked: what is held later is recorded later.
pub type IsHeld<'a> = &'a dyn Fn(&Txn) -> bool;

/// Removes records that are recorded as pruned, the oldest first, a whole entry bundle at a time; and personal values by their
/// age. Used by one thread, beside the writer. Whatever a crash leaves is removed later.
pub trait StorePruner: Send {
    /// The index of the first record that is kept.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn first(&mut self) -> Result<u64, StoreReason>;

    /// The time of the commit of the record at `index`, where it lies in its entry bundle alone.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn time_of(&mut self, index: u64) -> Result<Option<Time>, StoreReason>;

    /// Removes from the store the next 256 records with their disclosures. Where one of them is of a transaction that is held,
    /// they stay, and the disclosures of those that are. Done whole or not at all, and durable.
    ///
    /// # Errors
    /// `Corrupt` where they do not lie in their bundle alone; others as of the store.
    fn prune(&mut self, is_held: IsHeld<'_>) -> Result<(), StoreReason>;

    /// Removes whatever stayed for a transaction that is held no longer.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn release(&mut self, is_held: IsHeld<'_>) -> Result<(), StoreReason>;

    /// Removes the files of at most `bundles` entry bundles that are no longer in the store, with the tile of their own hashes.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn sweep(&mut self, bundles: u64) -> Result<(), StoreReason>;

    /// Removes the disclosures of at most `limit` records from `from` on that were committed by `until` and are of no transaction
    /// that is held. Returns where to go on; none where nothing older is left.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn forget(&mut self, from: u64, limit: u32, until: Time, is_held: IsHeld<'_>) -> Result<Option<u64>, StoreReason>;

    /// The bytes of the archived state of that index that lies beside the log; none where none does.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn archived_state(&mut self, index: u64) -> Result<Option<Vec<u8>>, StoreReason>;
}
