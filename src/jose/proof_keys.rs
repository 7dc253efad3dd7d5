//! The keys that proofs brought along lately, parsed: a client signs its proofs with the same key again and again.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Algorithm, VerifyingKey};
use crate::crypto::Digest;

/// Remembers parsed keys, never that anything verified under them: every proof's own signature is checked. At most as many
/// keys as its capacity; when it is full it begins anew.
pub struct ProofKeys {
    keys: RwLock<HashMap<(Digest, Algorithm), Arc<VerifyingKey>>>,
    capacity: usize,
}

impl ProofKeys {
    /// Room for `capacity` keys.
    pub fn new(capacity: usize) -> Self {
        Self { keys: RwLock::default(), capacity }
    }

    pub(super) fn known(&self, jwk: Digest, algorithm: Algorithm) -> Option<Arc<VerifyingKey>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&(jwk, algorithm)).map(Arc::clone)
    }

    /// Remembers a key whose holder has just proved it.
    pub(super) fn remember(&self, jwk: Digest, algorithm: Algorithm, key: Arc<VerifyingKey>) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= self.capacity {
            keys.clear();
        }
        if self.capacity > 0 {
            keys.insert((jwk, algorithm), key);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Default for ProofKeys {
    /// 1,024 keys: about a megabyte, and a few of RSA.
    fn default() -> Self {
        Self::new(1024)
    }
}

impl fmt::Debug for ProofKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProofKeys")
    }
}
