//! One key per subject, under which its disclosures are encrypted. Destroying a subject's key erases the clear values and leaves
//! every record as it is.

use std::collections::HashMap;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::contract::{CommitStore, Sealed, StoreReason};
use crate::crypto::{Digest, SealKey, SealReason, random};
use crate::oauth::GenerationKey;

const KEY_LABEL: &[u8] = b"countersign/subject-key/1/";
const DISCLOSURES_LABEL: &[u8] = b"countersign/disclosures/1/";

/// Seals disclosures for the writer. Keys are made when first needed, kept wrapped in the store, and cached.
pub(super) struct SubjectKeys {
    root: Arc<SealKey>,
    /// Keys used lately, and those used before them: when the first half is full it becomes the second.
    recent: HashMap<GenerationKey, SealKey>,
    earlier: HashMap<GenerationKey, SealKey>,
    half: usize,
}

/// A new subject's wrapped key, to be stored with the batch.
pub(super) type Made = Option<(GenerationKey, Vec<u8>)>;

impl SubjectKeys {
    pub(super) fn new(root: Arc<SealKey>, max: usize) -> Self {
        Self { root, recent: HashMap::new(), earlier: HashMap::new(), half: (max / 2).max(1) }
    }

    /// Encrypts `clear` for the record with the digest `record`.
    pub(super) fn seal(
        &mut self,
        store: &mut dyn CommitStore,
        subject: GenerationKey,
        record: &Digest,
        clear: &[u8],
    ) -> Result<(Vec<u8>, Made), StoreReason> {
        let (key, made) = self.take(store, subject)?;
        let sealed = key.seal(&context(DISCLOSURES_LABEL, &record.0), clear).map_err(failed);
        self.keep(subject, key);
        Ok((sealed?, made))
    }

    /// Drops every cached key: one made for a batch that failed is nowhere stored.
    pub(super) fn clear(&mut self) {
        self.recent.clear();
        self.earlier.clear();
    }

    fn take(&mut self, store: &mut dyn CommitStore, subject: GenerationKey) -> Result<(SealKey, Made), StoreReason> {
        if let Some(key) = self.recent.remove(&subject).or_else(|| self.earlier.remove(&subject)) {
            return Ok((key, None));
        }
        if let Some(wrapped) = store.subject_key(&subject)? {
            return Ok((unwrap_key(&self.root, subject, &wrapped).map_err(failed)?, None));
        }
        let secret = Zeroizing::new(random::<32>().map_err(failed)?);
        let wrapped = self.root.seal(&context(KEY_LABEL, &subject.0), secret.as_slice()).map_err(failed)?;
        Ok((SealKey::new(&secret).map_err(failed)?, Some((subject, wrapped))))
    }

    fn keep(&mut self, subject: GenerationKey, key: SealKey) {
        if self.recent.len() >= self.half {
            self.earlier = std::mem::take(&mut self.recent);
        }
        self.recent.insert(subject, key);
    }
}

/// The clear disclosures of the record with the digest `record`, for those who hold the root key.
///
/// # Errors
/// When the root key is another, or any of it was changed or belongs to another record.
pub fn reveal(root: &SealKey, record: &Digest, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SealReason> {
    let key = unwrap_key(root, sealed.subject, &sealed.wrapped_key)?;
    key.open(&context(DISCLOSURES_LABEL, &record.0), &sealed.sealed)
}

fn unwrap_key(root: &SealKey, subject: GenerationKey, wrapped: &[u8]) -> Result<SealKey, SealReason> {
    let secret = root.open(&context(KEY_LABEL, &subject.0), wrapped)?;
    SealKey::new(secret.as_slice().try_into().map_err(|_| SealReason)?)
}

fn context(label: &[u8], of: &[u8]) -> Vec<u8> {
    [label, of].concat()
}

fn failed(reason: SealReason) -> StoreReason {
    StoreReason::Failed(Box::new(reason))
}
