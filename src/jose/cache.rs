//! Signatures that verified already: a token that is presented again need not cost a verification again.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::crypto::Digest;
use crate::oauth::Time;

const SHARDS: usize = 16;

/// Remembers which tokens verified under which keys, until they expire. It holds digests only: no token and no claim. Never
/// used for what counts once, such as client assertions.
pub struct Cache {
    shards: [RwLock<Shard>; SHARDS],
    half: usize,
}

/// Two generations: when the young one is full it becomes the old one, and what was old is forgotten.
#[derive(Default)]
struct Shard {
    young: HashMap<CacheKey, Time>,
    old: HashMap<CacheKey, Time>,
}

/// The digest of the whole token and the thumbprint of the key.
type CacheKey = (Digest, Digest);

impl Cache {
    /// A cache of at most `capacity` entries, rounded up to a multiple of 32.
    pub fn new(capacity: usize) -> Self {
        Self { shards: std::array::from_fn(|_| RwLock::default()), half: capacity.div_ceil(2 * SHARDS) }
    }

    /// The number of entries, expired ones included.
    pub fn len(&self) -> usize {
        let count = |shard: &RwLock<Shard>| {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            shard.young.len() + shard.old.len()
        };
        self.shards.iter().map(count).sum()
    }

    /// The most entries that there may be.
    pub fn capacity(&self) -> usize {
        self.half * 2 * SHARDS
    }

    /// True when there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True when this token verified under this key before, and had not expired by `now`.
    pub(super) fn knows(&self, token: Digest, key: Digest, now: Time) -> bool {
        let Some(shard) = self.shard(token) else { return false };
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        let until = shard.young.get(&(token, key)).or_else(|| shard.old.get(&(token, key)));
        until.is_some_and(|until| *until > now)
    }

    /// Remembers that this token verified under this key; forgets the oldest when full.
    pub(super) fn remember(&self, token: Digest, key: Digest, until: Time, now: Time) {
        let Some(shard) = self.shard(token).filter(|_| until > now && self.half > 0) else { return };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if shard.young.len() >= self.half {
            shard.old = std::mem::take(&mut shard.young);
        }
        shard.young.insert((token, key), until);
    }

    fn shard(&self, token: Digest) -> Option<&RwLock<Shard>> {
        let [first, ..] = token.0;
        self.shards.get(usize::from(first) % SHARDS)
    }
}

impl Default for Cache {
    /// 16,384 entries: at most two megabytes.
    fn default() -> Self {
        Self::new(16_384)
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cache")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Time = Time::from_seconds(100);
    const NOW: Time = Time::from_seconds(50);

    fn digest(number: u32) -> Digest {
        Digest::of(&number.to_be_bytes())
    }

    #[test]
    fn knows_the_same_token_under_the_same_key_until_it_expires() {
        let cache = Cache::new(64);
        cache.remember(digest(1), digest(2), LATER, NOW);
        assert!(cache.knows(digest(1), digest(2), NOW));
        assert!(!cache.knows(digest(1), digest(3), NOW));
        assert!(!cache.knows(digest(3), digest(2), NOW));
        assert!(!cache.knows(digest(1), digest(2), LATER));
    }

    #[test]
    fn never_grows_beyond_its_capacity_and_forgets_the_oldest() {
        let cache = Cache::new(320);
        for number in 0..10_000 {
            cache.remember(digest(number), digest(0), LATER, NOW);
            assert!(cache.knows(digest(number), digest(0), NOW));
        }
        assert!(cache.len() <= 320, "{}", cache.len());
        assert!(!cache.knows(digest(0), digest(0), NOW));
    }

    #[test]
    fn keeps_nothing_that_has_expired() {
        let cache = Cache::new(64);
        cache.remember(digest(1), digest(2), NOW, NOW);
        assert!(cache.is_empty());
    }
}
