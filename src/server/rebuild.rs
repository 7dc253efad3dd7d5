//! Making the state of a data folder anew from its records, while no server runs on it.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::commit::{Rebuilt, rebuild};
use crate::config::Sources;
use crate::oauth::Clock;
use crate::store::{self, KeyClaim, KeyFiles, LedgerKeys, SystemClock};

/// Makes the state in the data folder `data` of the server whose settings are in `files` anew. `progress` hears how many records
/// of how many were read.
///
/// # Errors
/// When no server ever ran on the folder, or one runs; when keys or records cannot be used.
pub fn rebuild_state(data: &Path, files: &[PathBuf], progress: impl FnMut(u64, u64)) -> Result<Rebuilt, Failure> {
    if !store::is_used(data) {
        return Err(Failure::new(format!("{}: no server ever ran on this folder", data.display())));
    }
    let config = Sources::new(files.to_vec()).load().config.map_err(Failure::configuration)?;
    let mut store = store::open(data).map_err(|reason| Failure::at(data, &reason))?;
    let claim = KeyClaim::take(&config.settings.keys.dir, data)?;
    let keys = KeyFiles::open(&config.settings.keys.dir, SystemClock.now())?;
    let ledger = LedgerKeys::open(&config.settings.keys.dir)?;
    claim.require_known(&keys, &ledger)?;
    rebuild(&mut *store, keys.commit(&ledger)?, SystemClock.now(), progress).map_err(|reason| Failure::store(data, &reason))
}
