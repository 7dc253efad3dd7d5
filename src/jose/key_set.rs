//! JWK sets (RFC 7517 §5) and SPIFFE bundles, which are JWK sets with two members more.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use serde_json::value::RawValue;

use super::{Algorithm, JoseReason, KeyReason, KeySetReason, KeyUse, SigningKey, VerifyingKey, jwk};
use crate::crypto::Digest;
use crate::json::{self, Members};
use crate::oauth::is_printable;

/// A longer JWK set is refused.
pub const KEY_SET_BYTES_MAX: usize = 1024 * 1024;

/// A set of more keys is refused. The servers of a SPIFFE domain add a key at every start, and each stays for as long as its
/// authority would have lived, so that bundles of several hundred are met; of elliptic curves 2,048 keys are half of what
/// [`KEY_SET_BYTES_MAX`] holds.
pub const KEYS_MAX: usize = 2048;

/// The longest `kid` that is told, in characters.
const KID_SHOWN: usize = 64;

/// The public keys of one issuer, parsed once.
#[derive(Clone, Debug)]
pub struct KeySet {
    key_use: KeyUse,
    keys: Vec<VerifyingKey>,
    left_out: Vec<LeftOutKey>,
    digest: Digest,
    sequence: Option<u64>,
    refresh_hint: Option<Duration>,
}

/// An entry of a key set that is not used. `Display` is a clause for logs and diagnostics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOutKey {
    /// Its place among the entries, from 1.
    pub number: usize,
    /// Its `kid`, where it can be shown.
    pub kid: Option<String>,
    /// Why it is not used.
    pub reason: KeyReason,
}

impl KeySet {
    /// Reads a JWK set. An entry that cannot verify is left out, as RFC 7517 §5 asks, whatever it is, and remembered in
    /// [`Self::left_out`]: nobody else's tokens suffer from it. So is each of several keys that one `kid` names for the same
    /// algorithm, because nobody could tell which is meant, and a key that is there twice counts once.
    ///
    /// # Errors
    /// See [`KeySetReason`]: what makes the set as a whole unsafe or unreadable.
    pub fn parse(json: &[u8], key_use: KeyUse) -> Result<Self, KeySetReason> {
        let set = members(json)?;
        let (listed, number) = (entries(&set)?, |name| set.get(name).and_then(|raw| raw.get().parse().ok()));
        let (mut keys, mut left_out) = (Vec::new(), Vec::new());
        for (number, entry) in (1..).zip(&listed) {
            match jwk::parse(entry.get(), key_use) {
                Ok(key) => keys.push((number, key)),
                Err(reason) => left_out.push(LeftOutKey { number, kid: shown(jwk::kid(entry.get())), reason }),
            }
        }
        let keys = told_apart(keys, &mut left_out);
        let refresh_hint = number("spiffe_refresh_hint").map(Duration::from_secs);
        Ok(Self { key_use, digest: digest(&keys), keys, left_out, sequence: number("spiffe_sequence"), refresh_hint })
    }

    /// The entries of a JWK set, of any shape and use.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub(crate) fn entries(json: &[u8]) -> Result<Vec<&RawValue>, KeySetReason> {
        entries(&members(json)?)
    }

    /// The public halves of signing keys.
    pub fn of_signing_keys<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> Self {
        let keys: Vec<_> = keys.into_iter().map(|key| key.verifying_key().clone()).collect();
        let digest = digest(&keys);
        Self { key_use: KeyUse::Signature, digest, keys, left_out: Vec::new(), sequence: None, refresh_hint: None }
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

    /// The entries that are not used, in their order, with the reason for each.
    pub fn left_out(&self) -> &[LeftOutKey] {
        &self.left_out
    }

    /// `spiffe_sequence`: grows with each version of a bundle.
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// `spiffe_refresh_hint`: how often the publisher would like to be asked.
    pub fn refresh_hint(&self) -> Option<Duration> {
        self.refresh_hint
    }

    /// The one key that may have signed a token: by its `kid`, or without a `kid` the only key that fits its `alg`. The `kid` is
    /// a hint (RFC 7515 §4.1.4): in a set of keys without any it names the only one that fits.
    pub(super) fn select(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&VerifyingKey, JoseReason> {
        let fitting = |key: &&VerifyingKey| key.verifier(algorithm).is_some();
        if let Some(kid) = kid {
            let mut named = self.keys.iter().filter(|key| key.kid() == Some(kid)).peekable();
            if named.peek().is_some() {
                return named.find(fitting).ok_or(JoseReason::AlgorithmNotAllowed);
            }
            if self.keys.iter().any(|key| key.kid().is_some()) {
                return Err(JoseReason::UnknownKey);
            }
        }
        let mut fitting = self.keys.iter().filter(fitting);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            _ if kid.is_some() => Err(JoseReason::UnknownKey),
            _ => Err(JoseReason::AmbiguousKey),
        }
    }
}

fn members(json: &[u8]) -> Result<Members<'_>, KeySetReason> {
    if json.len() > KEY_SET_BYTES_MAX {
        return Err(KeySetReason::Long);
    }
    json::text(json).and_then(Members::read).map_err(|_| KeySetReason::Malformed)
}

/// The entries of a set, of any shape.
///
/// # Errors
/// When there is no array `keys`, there are too many entries, or one gives away what must never be published.
fn entries<'a>(set: &Members<'a>) -> Result<Vec<&'a RawValue>, KeySetReason> {
    let keys = set.get("keys").ok_or(KeySetReason::Malformed)?;
    let listed: Vec<&RawValue> = json::read_checked(keys.get()).map_err(|_| KeySetReason::Malformed)?;
    match listed.len() {
        count if count > KEYS_MAX => Err(KeySetReason::Count),
        _ if listed.iter().any(|entry| jwk::holds_secret(entry.get())) => Err(KeySetReason::Private),
        _ => Ok(listed),
    }
}

/// The keys that their `kid` tells apart. Each key of several that it does not, and each that is there already, joins those that
/// are left out.
fn told_apart(keys: Vec<(usize, VerifyingKey)>, left_out: &mut Vec<LeftOutKey>) -> Vec<VerifyingKey> {
    let named = keys.iter().flat_map(|(_, key)| names(key).map(|name| (name, key.thumbprint())));
    let (mut first, mut shared) = (HashMap::new(), HashSet::new());
    shared.extend(named.filter(|(name, key)| *first.entry(*name).or_insert(*key) != *key).map(|(name, _)| name));
    let mut seen = HashSet::new();
    let mut reason = |key: &VerifyingKey| match seen.insert(line(key)) {
        _ if names(key).any(|name| shared.contains(&name)) => Some(KeyReason::SharedKid),
        true => None,
        false => Some(KeyReason::Repeated),
    };
    let reasons: Vec<_> = keys.iter().map(|(_, key)| reason(key)).collect();
    let mut kept = Vec::with_capacity(keys.len());
    for ((number, key), reason) in keys.into_iter().zip(reasons) {
        match reason {
            None => kept.push(key),
            Some(reason) => left_out.push(LeftOutKey { number, kid: shown(key.kid().map(str::to_owned)), reason }),
        }
    }
    left_out.sort_unstable_by_key(|key| key.number);
    kept
}

/// The names by which a token may mean `key`.
fn names(key: &VerifyingKey) -> impl Iterator<Item = (&str, Algorithm)> {
    key.kid().into_iter().flat_map(|kid| key.algorithms().map(move |algorithm| (kid, algorithm)))
}

/// A `kid` that people can be shown.
fn shown(kid: Option<String>) -> Option<String> {
    kid.filter(|kid| kid.chars().count() <= KID_SHOWN && is_printable(kid))
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

impl LeftOutKey {
    /// True for a key that stands there for somebody else: a bundle has keys for other uses (SPIFFE Trust Domain and Bundle
    /// §4.2.2), and many an issuer has one for encryption.
    pub fn is_by_design(&self, key_use: KeyUse) -> bool {
        match self.reason {
            KeyReason::Use => key_use == KeyUse::JwtSvid,
            reason => reason == KeyReason::Encryption,
        }
    }
}

impl fmt::Display for LeftOutKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}", self.number)?;
        self.kid.as_ref().map_or(Ok(()), |kid| write!(f, " (kid {kid:?})"))?;
        write!(f, " {}", self.reason)
    }
}

#[cfg(test)]
mod tests;
