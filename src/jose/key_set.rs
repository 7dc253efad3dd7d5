//! JWK sets (RFC 7517 §5) and SPIFFE bundles, which are JWK sets with two members more.

use std::time::Duration;

use serde_json::value::RawValue;

use super::{Algorithm, JoseReason, KeyReason, KeySetReason, KeyUse, Object, SigningKey, VerifyingKey, jwk};
use crate::crypto::Digest;

/// A longer JWK set is refused.
pub const KEY_SET_BYTES_MAX: usize = 1024 * 1024;

const KEYS_MAX: usize = 256;

/// The public keys of one issuer, parsed once.
#[derive(Clone, Debug)]
pub struct KeySet {
    key_use: KeyUse,
    keys: Vec<VerifyingKey>,
    skipped: Vec<(usize, KeyReason)>,
    digest: Digest,
    sequence: Option<u64>,
    refresh_hint: Option<Duration>,
}

impl KeySet {
    /// Reads a JWK set. Keys that cannot verify are left out, as RFC 7517 §5 asks, and remembered in [`Self::skipped`].
    ///
    /// # Errors
    /// See [`KeySetReason`]: what makes the set as a whole unsafe or unreadable.
    pub fn parse(json: &[u8], key_use: KeyUse) -> Result<Self, KeySetReason> {
        if json.len() > KEY_SET_BYTES_MAX {
            return Err(KeySetReason::Long);
        }
        let set = Object::parse(json).map_err(|_| KeySetReason::Malformed)?;
        let listed: Vec<&RawValue> = set.member("keys").ok_or(KeySetReason::Malformed)?;
        if listed.len() > KEYS_MAX {
            return Err(KeySetReason::Count);
        }
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for (position, key) in listed.into_iter().enumerate() {
            refuse_private(key)?;
            match jwk::parse(key.get(), key_use) {
                Ok(key) => keys.push(key),
                Err(reason) => skipped.push((position, reason)),
            }
        }
        let number = |name| set.raw(name).and_then(|raw| raw.parse().ok());
        let refresh_hint = number("spiffe_refresh_hint").map(Duration::from_secs);
        let sequence = number("spiffe_sequence");
        let set = Self { key_use, digest: digest(&keys), keys, skipped, sequence, refresh_hint };
        set.refuse_duplicates()?;
        Ok(set)
    }

    /// The public halves of signing keys.
    pub fn of_signing_keys<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> Self {
        let keys: Vec<_> = keys.into_iter().map(|key| key.verifying_key().clone()).collect();
        let digest = digest(&keys);
        Self { key_use: KeyUse::Signature, digest, keys, skipped: Vec::new(), sequence: None, refresh_hint: None }
    }

    /// The use of its keys.
    pub fn key_use(&self) -> KeyUse {
        self.key_use
    }

    /// The identity of the set: its usable keys, in any order.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// True when no key is usable: then nothing verifies.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The usable keys.
    pub fn keys(&self) -> &[VerifyingKey] {
        &self.keys
    }

    /// The positions of the keys that were left out, and why.
    pub fn skipped(&self) -> &[(usize, KeyReason)] {
        &self.skipped
    }

    /// `spiffe_sequence`: grows with each version of a bundle.
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// `spiffe_refresh_hint`: how often the publisher would like to be asked.
    pub fn refresh_hint(&self) -> Option<Duration> {
        self.refresh_hint
    }

    /// The one key that may have signed a token: by its `kid`, or without a `kid` the only key that fits its `alg`.
    pub(super) fn select(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&VerifyingKey, JoseReason> {
        let fitting = |key: &&VerifyingKey| key.verifier(algorithm).is_some();
        if let Some(kid) = kid {
            let mut named = self.keys.iter().filter(|key| key.kid() == Some(kid)).peekable();
            named.peek().ok_or(JoseReason::UnknownKey)?;
            return named.find(fitting).ok_or(JoseReason::AlgorithmNotAllowed);
        }
        let mut fitting = self.keys.iter().filter(fitting);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            _ => Err(JoseReason::AmbiguousKey),
        }
    }

    fn refuse_duplicates(&self) -> Result<(), KeySetReason> {
        let served = self.keys.iter().flat_map(|key| key.algorithms().map(move |algorithm| (key.kid(), algorithm)));
        let mut named: Vec<_> = served.filter(|(kid, _)| kid.is_some()).collect();
        let count = named.len();
        named.sort_unstable();
        named.dedup();
        if named.len() == count { Ok(()) } else { Err(KeySetReason::Duplicate) }
    }
}

fn refuse_private(key: &RawValue) -> Result<(), KeySetReason> {
    let key = Object::parse(key.get()).map_err(|_| KeySetReason::Malformed)?;
    if key.names().any(jwk::is_private) { Err(KeySetReason::Private) } else { Ok(()) }
}

fn digest(keys: &[VerifyingKey]) -> Digest {
    let mut lines: Vec<String> = keys.iter().map(line).collect();
    lines.sort_unstable();
    Digest::of(lines.concat().as_bytes())
}

fn line(key: &VerifyingKey) -> String {
    let algorithms: Vec<_> = key.algorithms().map(Algorithm::name).collect();
    format!("{} {} {:?}\n", key.thumbprint(), algorithms.join(","), key.kid())
}

#[cfg(test)]
mod tests;
