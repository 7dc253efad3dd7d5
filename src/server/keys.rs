//! The keys of a configuration: those of its key folder, what is recorded of them, and stand-ins for checking one without them.

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

/// Revokes once more what the records name as revoked and the key folder, as one put back from a backup does, lists as in use.
/// Returns its keys as they are then.
pub(super) fn revoke_again(commit: &Commit, files: KeyFiles, keys: &KeySettings, now: Time) -> Result<KeyFiles, Failure> {
    let revived = commit.revived_keys(&files.events(&LedgerKeys::open(&keys.dir)?));
    if revived.is_empty() {
        return Ok(files);
    }
    for check in &revived {
        store::revoke_key(&keys.dir, &check.id, now)?;
        tracing::warn!(key = check.id, role = check.of.name(), "the key was revoked before, and is revoked again");
    }
    Ok(KeyFiles::open_or_create(&keys.dir, &keys.algorithms, now)?)
}

/// Records what happened to the keys of the folder.
pub(super) async fn record_keys(commit: &Commit, files: &KeyFiles, keys: &KeySettings) -> Result<(), Failure> {
    let recorded = commit.record_keys(files.events(&LedgerKeys::open(&keys.dir)?)).await;
    recorded.map_err(|reason| Failure::new(format!("what happened to the keys cannot be recorded: {reason}")))
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
