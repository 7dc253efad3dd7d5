//! Making the state of a data folder anew from its records, while no server runs on it.

use super::failure::Failure;
use super::folder::DataFolder;
use super::restore::refuse_unfinished;
use crate::commit::{Rebuilt, rebuild};
use crate::oauth::Clock;
use crate::store::{self, KeyClaim, KeyFiles, LedgerKeys, SystemClock, VouchedClock};

/// Makes the state in a data folder anew. `progress` hears how many records of how many were read.
///
/// # Errors
/// When no server ever ran on the folder, or one runs; when keys or records cannot be used.
pub fn rebuild_state(folder: &DataFolder, progress: impl FnMut(u64, u64)) -> Result<Rebuilt, Failure> {
    let data = folder.data.as_path();
    if !store::is_used(data) {
        return Err(Failure::new(format!("{}: no server ever ran on this folder", data.display())));
    }
    refuse_unfinished(data)?;
    let config = folder.configuration()?;
    let mut store = store::open(data).map_err(|reason| Failure::at(data, &reason))?;
    let keys = KeyFiles::open(&config.settings.keys.dir, SystemClock.now())?;
    let claim = KeyClaim::take(&config.settings.keys.dir, data)?;
    let ledger = LedgerKeys::open(&config.settings.keys.dir)?;
    claim.require_known(&keys, &ledger)?;
    let clock = VouchedClock::new(data).clock()?;
    rebuild(&mut *store, keys.commit(&ledger)?, &clock, None, progress).map_err(|reason| Failure::store(data, &reason))
}
