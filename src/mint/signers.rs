//! Which key signs now, and which keys are published.

use crate::jose::{Algorithm, KeySet, SigningKey};
use crate::oauth::Time;

/// The signing keys, parsed once. A key is published before it signs and after it has signed for the last time.
#[derive(Debug)]
pub struct Signers {
    entries: Vec<SignerEntry>,
    published: String,
}

/// One signing key and its times.
#[derive(Debug)]
pub struct SignerEntry {
    /// The key.
    pub key: SigningKey,
    /// From when on it signs.
    pub signs_from: Time,
    /// From when on it no longer signs, where it was replaced.
    pub retires: Option<Time>,
    /// Whether validators are to know it. One that no longer is still reads the tokens of tasks that it signed.
    pub published: bool,
}

impl Signers {
    /// Takes every key that is to be published, or that still reads what it signed.
    pub fn new(entries: Vec<SignerEntry>) -> Self {
        let shown = entries.iter().filter(|entry| entry.published);
        let keys: Vec<String> = shown.map(|entry| entry.key.public_jwk()).collect();
        let published = format!("{{\"keys\":[{}]}}", keys.join(","));
        Self { entries, published }
    }

    /// The newest key that signs under `algorithm` at `now`.
    pub fn ready(&self, algorithm: Algorithm, now: Time) -> Option<&SigningKey> {
        let ready = |entry: &&SignerEntry| {
            entry.key.algorithm() == algorithm && entry.signs_from <= now && entry.retires.is_none_or(|end| now < end)
        };
        self.entries.iter().filter(ready).max_by_key(|entry| entry.signs_from).map(|entry| &entry.key)
    }

    /// The JWK set to publish (RFC 7517 §5).
    pub fn published(&self) -> &str {
        &self.published
    }

    /// Every key, to verify what we signed. No token of ours is believed on a signature alone: what it descends from is sealed
    /// under a key that never leaves this server.
    pub fn key_set(&self) -> KeySet {
        KeySet::of_signing_keys(self.entries.iter().map(|entry| &entry.key))
    }

    /// The algorithms that any published key signs under, in order of publication.
    pub fn algorithms(&self) -> Vec<Algorithm> {
        let mut algorithms: Vec<Algorithm> = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.published) {
            if !algorithms.contains(&entry.key.algorithm()) {
                algorithms.push(entry.key.algorithm());
            }
        }
        algorithms
    }
}
