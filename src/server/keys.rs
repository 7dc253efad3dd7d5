//! The keys of a configuration: those of its key folder, what is recorded of them, and stand-ins for checking one without them.

use std::path::Path;
use std::sync::Arc;

use super::failure::Failure;
use crate::commit::Commit;
use crate::config::{KeySettings, ServerKeys};
use crate::crypto::{MacKey, SealKey, random};
use crate::jose::Cache;
use crate::keys::Sequences;
use crate::mint::Signers;
use crate::oauth::{Pseudonyms, Time};
use crate::store::{self, KeyFiles, LedgerKeys};

/// The keys of the folder, parsed. `verified` and `sequences` go with them from one configuration to the next.
pub(super) fn server_keys(files: &KeyFiles, verified: &Arc<Cache>, sequences: &Arc<Sequences>) -> Result<ServerKeys, Failure> {
    Ok(ServerKeys {
        signers: files.signers()?,
        ancestry: files.ancestry()?,
        pseudonyms: files.pseudonyms()?,
        verified: Arc::clone(verified),
        sequences: Arc::clone(sequences),
    })
}

/// The keys of the folder, if it has every key that the records name. Those that they name as revoked and the folder, as one put
/// back from a backup does, lists as in use, are revoked once more.
pub(super) fn as_recorded(commit: &Commit, files: KeyFiles, keys: &KeySettings, now: Time) -> Result<KeyFiles, Failure> {
    let listed = files.events(&LedgerKeys::open(&keys.dir)?);
    commit.require_keys(&listed).map_err(|reason| Failure::at(&keys.dir, &reason))?;
    let revived = commit.revived_keys(&listed);
    if revived.is_empty() {
        return Ok(files);
    }
    for check in &revived {
        store::revoke_key(&keys.dir, &check.id, now)?;
        tracing::warn!(key = check.id, role = check.of.name(), "the key was revoked before, and is revoked again");
    }
    Ok(KeyFiles::open_or_create(&keys.dir, &keys.algorithms, now)?)
}

/// Records what happened to the keys of the folder `dir`: now, or when the store takes records again.
pub(super) async fn record_keys(commit: &Commit, files: &KeyFiles, dir: &Path) -> Result<(), Failure> {
    if let Err(reason) = commit.record_keys(files.events(&LedgerKeys::open(dir)?)).await {
        tracing::error!(%reason, "what happened to the keys is not recorded yet; it will be before anything else is");
    }
    Ok(())
}

/// Keys that nobody has: checking a configuration must neither need nor make the server's own.
///
/// # Errors
/// When there is no randomness.
pub fn stand_in_keys() -> Result<ServerKeys, Failure> {
    let nobody: [u8; 32] = random()?;
    let pseudonyms = Pseudonyms::new(MacKey::new(&nobody), Vec::new());
    Ok(ServerKeys {
        signers: Signers::new(Vec::new(), &pseudonyms),
        ancestry: SealKey::new(&nobody)?,
        pseudonyms,
        verified: Arc::new(Cache::new(1)),
        sequences: Arc::default(),
    })
}
