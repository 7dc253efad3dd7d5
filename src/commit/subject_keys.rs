//! One key per subject, of which each of its disclosures gets a key of its own to be encrypted under. Destroying a subject's
//! key erases the clear values and leaves every record as it is.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use zeroize::Zeroizing;

use super::contract::{CommitStore, SealedDisclosures, StoreReason, UNKNOWN_ROOT};
use crate::crypto::{Digest, MacKey, MessageKeys, SealKey, SealReason, random};
use crate::oauth::GenerationKey;

const KEY_LABEL: &[u8] = b"countersign/subject-key/1/";
const DISCLOSURES_LABEL: &[u8] = b"countersign/disclosures/1/";
const MARK_LABEL: &[u8] = b"countersign/subject-mark/1/";
const TASK_LABEL: &[u8] = b"countersign/task-terms/1/";

/// Clear values, to be encrypted under the key of the subject they are about and stored beside the record.
#[derive(Debug)]
pub struct Disclosed {
    /// The pseudonym of the subject.
    pub subject: GenerationKey,
    /// The disclosures (`ledger::Disclosures::into_json`), one JSON array of strings; empty when there are none; never written
    /// unencrypted.
    pub values: Zeroizing<Vec<u8>>,
}

/// So many keys are wrapped anew in one step: less work than a flush.
const PAGE: u32 = 64;

/// The key under which the keys of subjects are wrapped, which opens what those before it wrapped.
#[derive(Clone, Debug)]
pub struct RootKey {
    /// The key.
    pub key: Arc<SealKey>,
    /// Ids that tell one root key from another and nothing about it: of this one, and of those before it that are kept.
    pub ids: Vec<String>,
}

/// One step towards a store in which every key of a subject is wrapped under one root key.
#[derive(Clone, Debug)]
pub enum RewrapStep {
    /// New keys are wrapped under this root key from now on.
    Take(RootKey),
    /// Some keys, of the subjects after this one, are wrapped anew where they are wrapped under an earlier root key.
    Page(Option<GenerationKey>),
    /// No key is wrapped under an earlier root key any more, durably. Every page found that so.
    Settle,
}

/// The result of such a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RewrapProgress {
    /// Keys may be wrapped under other root keys than the one that was taken.
    pub others: bool,
    /// The last subject of the page; none where that was the last page.
    pub last: Option<GenerationKey>,
    /// The number of keys that were wrapped anew.
    pub rewrapped: u32,
    /// The number of keys that no root key opens.
    pub damaged: u32,
}

/// Seals disclosures for the writer. Keys are made when first needed, kept wrapped in the store, and cached.
pub(super) struct SubjectKeys {
    root: RootKey,
    /// Keys used lately, and those used before them: when the first half is full it becomes the second.
    recent: HashMap<GenerationKey, MessageKeys>,
    earlier: HashMap<GenerationKey, MessageKeys>,
    half: usize,
    /// How many keys are held, for others to see.
    held: Arc<AtomicUsize>,
}

/// Why nothing was sealed.
#[derive(Debug)]
pub(super) enum SealFailure {
    /// The store failed, and with it the batch.
    Store(StoreReason),
    /// This subject's key does not open under the root key, or there is no randomness. Nobody else is concerned.
    Key(SealReason),
}

impl From<SealReason> for SealFailure {
    fn from(reason: SealReason) -> Self {
        Self::Key(reason)
    }
}

/// A new subject's wrapped key, to be stored with the batch.
pub(super) type Made = Option<(GenerationKey, Vec<u8>)>;

impl SubjectKeys {
    pub(super) fn new(root: RootKey, max: usize) -> Self {
        Self { root, recent: HashMap::new(), earlier: HashMap::new(), half: (max / 2).max(1), held: Arc::default() }
    }

    /// How many keys are held, also later.
    pub(super) fn held(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.held)
    }

    /// Encrypts `clear` for the record with the digest `record`.
    pub(super) fn seal(
        &mut self,
        store: &mut dyn CommitStore,
        subject: GenerationKey,
        record: &Digest,
        clear: &[u8],
    ) -> Result<(Vec<u8>, Made), SealFailure> {
        let (key, made) = self.take(store, subject)?;
        // A new key is cached only when its wrapped form goes into the batch.
        let sealed = key.seal(&context(DISCLOSURES_LABEL, &record.0), clear)?;
        self.keep(subject, key);
        Ok((sealed, made))
    }

    /// The terms of the task `key` as version 0.1.0 sealed them, before it did so under a key of their own.
    pub(super) fn open_task(&self, key: GenerationKey, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealReason> {
        self.root.key.open(&context(TASK_LABEL, &key.0), sealed)
    }

    /// Does one step of wrapping the keys in `store` anew.
    pub(super) fn step(&mut self, store: &mut dyn CommitStore, step: &RewrapStep) -> Result<RewrapProgress, SealFailure> {
        match step {
            RewrapStep::Take(root) => {
                self.root = root.clone();
                self.admit(store).map_err(SealFailure::Store)
            }
            RewrapStep::Page(after) => self.page(store, *after),
            RewrapStep::Settle => {
                let current: Vec<String> = self.root.ids.iter().take(1).cloned().collect();
                store.set_roots(&current).map_err(SealFailure::Store)?;
                Ok(RewrapProgress::default())
            }
        }
    }

    /// Says in `store` that keys may be wrapped under this root key, too, before any is.
    ///
    /// # Errors
    /// `Roots` when they are wrapped under one that is neither this nor one before it.
    pub(super) fn admit(&self, store: &mut dyn CommitStore) -> Result<RewrapProgress, StoreReason> {
        let stored = store.roots()?;
        let strange = |id: &&String| *id != UNKNOWN_ROOT && !self.root.ids.contains(id);
        let missing: Vec<String> = stored.iter().filter(strange).cloned().collect();
        if !missing.is_empty() {
            return Err(StoreReason::Roots(missing));
        }
        let new: Vec<String> = self.root.ids.iter().filter(|id| !stored.contains(id)).cloned().collect();
        let is_new = !new.is_empty();
        let roots = [stored, new].concat();
        if is_new {
            store.set_roots(&roots)?;
        }
        Ok(RewrapProgress { others: roots.len() > 1, ..RewrapProgress::default() })
    }

    fn page(&self, store: &mut dyn CommitStore, after: Option<GenerationKey>) -> Result<RewrapProgress, SealFailure> {
        let (root, mut progress, mut failed) = (&self.root.key, RewrapProgress::default(), None);
        let mut wrap = |subject: GenerationKey, wrapped: &[u8]| {
            let context = context(KEY_LABEL, &subject.0);
            if root.open_alone(&context, wrapped).is_ok() {
                return None;
            }
            let Ok(secret) = root.open(&context, wrapped) else {
                progress.damaged += 1;
                return None;
            };
            progress.rewrapped += 1;
            root.seal(&context, &secret).map_err(|reason| failed = Some(reason)).ok()
        };
        let last = store.rewrap(after, PAGE, &mut wrap).map_err(SealFailure::Store)?;
        failed.map_or(Ok(RewrapProgress { last, ..progress }), |reason| Err(SealFailure::Key(reason)))
    }

    /// Drops every cached key: one made for a batch that failed is nowhere stored.
    pub(super) fn clear(&mut self) {
        self.recent.clear();
        self.earlier.clear();
    }

    fn take(&mut self, store: &mut dyn CommitStore, subject: GenerationKey) -> Result<(MessageKeys, Made), SealFailure> {
        if let Some(key) = self.recent.remove(&subject).or_else(|| self.earlier.remove(&subject)) {
            return Ok((key, None));
        }
        if let Some(wrapped) = store.subject_key(&subject).map_err(SealFailure::Store)? {
            let secret = unwrap_key(&self.root.key, subject, &wrapped)?;
            return Ok((MessageKeys::new(&secret), None));
        }
        let secret = Zeroizing::new(random::<32>()?);
        let wrapped = self.root.key.seal(&context(KEY_LABEL, &subject.0), secret.as_slice())?;
        Ok((MessageKeys::new(&secret), Some((subject, wrapped))))
    }

    fn keep(&mut self, subject: GenerationKey, key: MessageKeys) {
        if self.recent.len() >= self.half {
            self.earlier = std::mem::take(&mut self.recent);
        }
        self.recent.insert(subject, key);
        self.held.store(self.recent.len() + self.earlier.len(), Ordering::Relaxed);
    }
}

/// The clear disclosures of the record with the digest `record`, for those who hold the root key.
///
/// # Errors
/// See [`RevealReason`].
pub fn reveal(root: &SealKey, record: &Digest, sealed: &SealedDisclosures) -> Result<Zeroizing<Vec<u8>>, RevealReason> {
    let secret = unwrap_key(root, sealed.subject, &sealed.wrapped_key).map_err(|_| RevealReason::Root)?;
    let context = context(DISCLOSURES_LABEL, &record.0);
    // Version 0.1.0 sealed under the key of the subject itself.
    let as_before = |_| SealKey::new(&secret)?.open(&context, &sealed.sealed);
    MessageKeys::new(&secret).open(&context, &sealed.sealed).or_else(as_before).map_err(|_| RevealReason::Subject)
}

/// The mark by which an index knows the subject with this wrapped key: whoever has not the key cannot tell whose it is, and
/// nobody can once the key is destroyed. None where the root key does not open it.
pub fn subject_mark(root: &SealKey, subject: GenerationKey, wrapped: &[u8]) -> Option<[u8; 16]> {
    let secret = unwrap_key(root, subject, wrapped).ok()?;
    Some(MacKey::new(&secret).mac(&[MARK_LABEL]))
}

/// The reason for which disclosures do not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevealReason {
    /// The root key is another than the one that wrapped the key of the subject, or that was changed.
    Root,
    /// They were sealed under another key of the subject, which was destroyed before this one was made; or for another record, or
    /// they were changed.
    Subject,
}

fn unwrap_key(root: &SealKey, subject: GenerationKey, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, SealReason> {
    let secret = root.open(&context(KEY_LABEL, &subject.0), wrapped)?;
    secret.as_slice().try_into().map(Zeroizing::new).map_err(|_| SealReason)
}

fn context(label: &[u8], of: &[u8]) -> Vec<u8> {
    [label, of].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn what_version_0_1_0_sealed_under_the_key_of_the_subject_is_readable() {
        let (root, secret, record) = (SealKey::new(&[1; 32]).unwrap(), [2; 32], Digest([3; 32]));
        let subject = GenerationKey([4; 16]);
        let wrapped_key = root.seal(&context(KEY_LABEL, &subject.0), &secret).unwrap();
        let context = context(DISCLOSURES_LABEL, &record.0);
        let before = SealKey::new(&secret).unwrap().seal(&context, b"[1]").unwrap();
        let now = MessageKeys::new(&secret).seal(&context, b"[1]").unwrap();
        for sealed in [before, now] {
            let sealed = SealedDisclosures { subject, wrapped_key: wrapped_key.clone(), sealed };
            assert_eq!(reveal(&root, &record, &sealed).unwrap().as_slice(), b"[1]");
            assert_eq!(reveal(&root, &Digest([5; 32]), &sealed), Err(RevealReason::Subject));
        }
    }
}
