//! The issuer's keys: the ones that sign now and the ones that are published; and why nothing was minted.

use std::fmt;

use crate::jose::{Algorithm, KeySet, SigningKey};
use crate::oauth::{Generation, GenerationKey, GenerationKind, Issuer, Pseudonyms, Time};
use crate::token::IssuerKeys;

/// The issuer's name and keys, besides an admitted exchange and its grant the one thing that minting needs.
pub struct Minting<'a> {
    /// Our issuer identifier.
    pub issuer: &'a Issuer,
    /// The keys that sign.
    pub signers: &'a Signers,
    /// The key that seals ancestries.
    pub own: &'a IssuerKeys,
    /// The keys of the pseudonyms.
    pub pseudonyms: &'a Pseudonyms,
}

/// The signing keys, parsed once. A key is published before it signs and after it has signed for the last time.
#[derive(Debug)]
pub struct Signers {
    entries: Vec<SignerEntry>,
    /// The JWK of each, in order.
    jwks: Vec<String>,
    /// The generation of each key, in order, and every pseudonym that it has.
    generations: Vec<(Generation, Vec<GenerationKey>)>,
}

/// One signing key and the times of its use.
#[derive(Debug)]
pub struct SignerEntry {
    /// The key.
    pub key: SigningKey,
    /// The instant from which it signs.
    pub signs_from: Time,
    /// The instant from which it no longer signs, where it was replaced.
    pub retires: Option<Time>,
    /// True when it stands in the JWK set. One that no longer does still reads the tokens of tasks that it signed.
    pub published: bool,
}

/// Why a granted token was not minted, or a minted one not released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MintReason {
    /// No key signs under the API's algorithm now.
    NoKey,
    /// The signature, a seal or randomness failed.
    Crypto,
    /// The ancestry or the record would be longer than any may be.
    TooLarge,
    /// The receipt is for another hop or another record: a bug, and no token leaves.
    ReceiptForeign,
}

impl Signers {
    /// Takes every key that is to be published, or that still reads what it signed.
    pub fn new(entries: Vec<SignerEntry>, pseudonyms: &Pseudonyms) -> Self {
        let jwks = entries.iter().map(|entry| entry.key.public_jwk()).collect();
        let generation = |entry: &SignerEntry| {
            let every: Vec<GenerationKey> = pseudonyms.every(GenerationKind::Key, entry.key.kid().as_bytes()).collect();
            (Generation { key: pseudonyms.pseudonym(GenerationKind::Key, entry.key.kid().as_bytes()), number: 0 }, every)
        };
        Self { generations: entries.iter().map(generation).collect(), entries, jwks }
    }

    /// The generation of `key`, one of these, which ends when the key is revoked.
    ///
    /// # Errors
    /// `NoKey` when it is none of these.
    pub fn generation(&self, key: &SigningKey) -> Result<Generation, MintReason> {
        let mut known = self.entries.iter().zip(&self.generations);
        known.find(|(entry, _)| entry.key.kid() == key.kid()).map(|(_, (generation, _))| *generation).ok_or(MintReason::NoKey)
    }

    /// True for the generation of one of these keys. What it signed depends on it, and what came of that does not.
    pub fn is_generation(&self, key: &GenerationKey) -> bool {
        self.generations.iter().any(|(_, every)| every.contains(key))
    }

    /// The newest key that signs under `algorithm` at `now`.
    pub fn ready(&self, algorithm: Algorithm, now: Time) -> Option<&SigningKey> {
        let ready = |entry: &&SignerEntry| {
            entry.key.algorithm() == algorithm && entry.signs_from <= now && entry.retires.is_none_or(|end| now < end)
        };
        self.entries.iter().filter(ready).max_by_key(|entry| entry.signs_from).map(|entry| &entry.key)
    }

    /// True where a key is known by this `kid`.
    pub fn has(&self, kid: &str) -> bool {
        self.entries.iter().any(|entry| entry.key.kid() == kid)
    }

    /// The JWK set to publish at `now` (RFC 7517 §5). The key that signs ES256 tokens stands first, then those that sign
    /// under the other algorithms: there are validators that take the first key, whatever `kid` says.
    pub fn published(&self, now: Time) -> String {
        let mut shown: Vec<_> = self.entries.iter().zip(&self.jwks).filter(|(entry, _)| entry.published).collect();
        shown.sort_by_key(|(entry, _)| {
            let algorithm = entry.key.algorithm();
            let signs = self.ready(algorithm, now).is_some_and(|key| key.kid() == entry.key.kid());
            (!signs, algorithm != Algorithm::ES256)
        });
        let keys: Vec<&str> = shown.into_iter().map(|(_, jwk)| jwk.as_str()).collect();
        format!("{{\"keys\":[{}]}}", keys.join(","))
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

impl fmt::Display for MintReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoKey => "no signing key is ready for the algorithm of this API",
            Self::Crypto => "the token could not be signed",
            Self::TooLarge => {
                "the history of this delegation is too large to carry on; ask for fewer scopes or start a new transaction"
            }
            Self::ReceiptForeign => "the receipt does not fit the token",
        })
    }
}

impl std::error::Error for MintReason {}
