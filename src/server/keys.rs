//! The keys of a configuration: those of its key folder, and stand-ins for checking one without them.

use std::sync::Arc;

use super::failure::Failure;
use crate::config::ServerKeys;
use crate::crypto::{MacKey, SealKey, random};
use crate::jose::Cache;
use crate::keys::Sequences;
use crate::mint::Signers;
use crate::oauth::Pseudonyms;
use crate::store::KeyFiles;

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
