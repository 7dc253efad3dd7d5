//! The JWS compact serialisation (RFC 7515 §3.1, §7.1), read strictly.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jws::JwsVerifier;

use super::{Algorithm, Cache, JoseReason, KeySet, Object, VerifyingKey};
use crate::crypto::Digest;
use crate::oauth::Time;

/// A longer token is refused before anything of it is decoded.
pub const COMPACT_BYTES_MAX: usize = 32 * 1024;

const KID_BYTES_MAX: usize = 255;

/// Header members that let the token choose its key, or change what its bytes mean: refused, never followed (RFC 8725 §3.5,
/// §3.10). `jwk` is refused too, but for proofs, and `jku` but for tokens of issuers whose keys somebody else has told.
const REFUSED: [&str; 6] = ["x5u", "x5c", "crit", "zip", "b64", "enc"];

/// A signed token, taken apart but not believed.
pub struct Compact<'a> {
    text: &'a str,
    signed: &'a str,
    signature: Vec<u8>,
    header: Object,
    kid: Option<Box<str>>,
    typ: Option<Box<str>>,
    claims: Option<Arc<Object>>,
    digest: Digest,
}

/// Claims under a signature that verified. That they are current, and meant for us, is for others to find out.
#[derive(Clone)]
pub struct Verified {
    claims: Arc<Object>,
    algorithm: Algorithm,
    key: Digest,
}

impl<'a> Compact<'a> {
    /// Takes `text` apart: three parts of canonical base64url without padding, the first a JSON object of unique members.
    ///
    /// # Errors
    /// The first thing that is not so, or a header member that is refused.
    pub fn parse(text: &'a str) -> Result<Self, JoseReason> {
        let token = Self::take_apart(text)?;
        if token.header.has("jwk") { Err(JoseReason::HeaderMember) } else { Ok(token) }
    }

    /// As [`Self::parse`], but the header may carry a `jwk`.
    pub(super) fn take_apart(text: &'a str) -> Result<Self, JoseReason> {
        if text.len() > COMPACT_BYTES_MAX {
            return Err(JoseReason::Long);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(JoseReason::Parts)?;
        let (header, payload) = signed.split_once('.').ok_or(JoseReason::Parts)?;
        if header.is_empty() || payload.contains('.') {
            return Err(JoseReason::Parts);
        }
        let header = Object::parse(decode(header)?).map_err(|_| JoseReason::Header)?;
        let (payload, signature) = (decode(payload)?, decode(signature)?);
        if header.names().any(|name| REFUSED.contains(&name)) {
            return Err(JoseReason::HeaderMember);
        }
        let (kid, typ) = (member(&header, "kid")?, member(&header, "typ")?);
        let claims = Object::parse(payload).ok().map(Arc::new);
        Ok(Self { text, signed, signature, header, kid, typ, claims, digest: Digest::of(text.as_bytes()) })
    }

    /// The algorithm that the header names.
    ///
    /// # Errors
    /// `Algorithm` when there is none or it is not a supported asymmetric signature.
    pub fn algorithm(&self) -> Result<Algorithm, JoseReason> {
        let name = self.header.text("alg").ok().flatten();
        name.and_then(|name| Algorithm::parse(&name)).ok_or(JoseReason::Algorithm)
    }

    /// The header's `kid`.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The header's `typ`, as sent.
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// True when the header's `typ` is `media_type`: in any case, with or without `application/` (RFC 7515 §4.1.9).
    pub fn typ_is(&self, media_type: &str) -> bool {
        let short = |text: &'_ str| match text.get(..12) {
            Some(prefix) if prefix.eq_ignore_ascii_case("application/") => text.get(12..).unwrap_or_default().to_owned(),
            _ => text.to_owned(),
        };
        self.typ().is_some_and(|typ| short(typ).eq_ignore_ascii_case(media_type))
    }

    /// True when the header says where the signer's keys are (`jku`). Nobody goes there: the keys of an issuer are found by its
    /// trust rule.
    pub fn names_key_address(&self) -> bool {
        self.header.has("jku")
    }

    /// The names of the header's members.
    pub fn header_names(&self) -> impl Iterator<Item = &str> {
        self.header.names()
    }

    /// The claims before anything was verified: to find out whose rules apply, and for nothing else.
    ///
    /// # Errors
    /// `Claims` when the payload is not a JSON object of unique members and modest depth.
    pub fn unverified_claims(&self) -> Result<&Object, JoseReason> {
        self.claims.as_deref().ok_or(JoseReason::Claims)
    }

    /// The whole token, for who must be asked about it. It is a credential.
    pub(crate) fn text(&self) -> &str {
        self.text
    }

    /// The SHA-256 of the whole token.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The claims, if the signature verifies under the one key of `keys` that may have made it, by an allowed algorithm.
    ///
    /// # Errors
    /// `AlgorithmNotAllowed`, `UnknownKey`, `AmbiguousKey`, `Signature` or `Claims`.
    pub fn verify_in(&self, keys: &KeySet, allowed: &[Algorithm]) -> Result<Verified, JoseReason> {
        let (key, algorithm) = self.select(keys, allowed)?;
        self.verify_by_selected(key, algorithm)
    }

    /// As [`Self::verify_in`], but a signature that verified under the same key before is believed while `cache` remembers it.
    ///
    /// # Errors
    /// As [`Self::verify_in`].
    pub fn verify_cached(&self, keys: &KeySet, allowed: &[Algorithm], cache: &Cache, now: Time) -> Result<Verified, JoseReason> {
        let (key, algorithm) = self.select(keys, allowed)?;
        if cache.knows(self.digest, key.thumbprint(), now) {
            return self.verified(key, algorithm);
        }
        let verified = self.verify_by_selected(key, algorithm)?;
        if let Ok(Some(expires)) = verified.claims().date("exp") {
            cache.remember(self.digest, key.thumbprint(), expires, now);
        }
        Ok(verified)
    }

    /// The claims, if the signature verifies under `key`.
    ///
    /// # Errors
    /// `AlgorithmNotAllowed` when the key is for another algorithm, `Signature` or `Claims`.
    pub fn verify(&self, key: &VerifyingKey) -> Result<Verified, JoseReason> {
        self.verify_by(key, self.algorithm()?)
    }

    pub(super) fn header(&self) -> &Object {
        &self.header
    }

    fn select<'k>(&self, keys: &'k KeySet, allowed: &[Algorithm]) -> Result<(&'k VerifyingKey, Algorithm), JoseReason> {
        let algorithm = self.algorithm()?;
        if !allowed.contains(&algorithm) {
            return Err(JoseReason::AlgorithmNotAllowed);
        }
        keys.select(self.kid(), algorithm).map(|key| (key, algorithm))
    }

    /// As [`Self::verify_by`]; a key without a `kid` may have been followed by the one that the token names.
    fn verify_by_selected(&self, key: &VerifyingKey, algorithm: Algorithm) -> Result<Verified, JoseReason> {
        let named = self.kid().is_none() || key.kid().is_some();
        self.verify_by(key, algorithm).map_err(|reason| match reason {
            JoseReason::Signature if !named => JoseReason::UnknownKey,
            reason => reason,
        })
    }

    fn verify_by(&self, key: &VerifyingKey, algorithm: Algorithm) -> Result<Verified, JoseReason> {
        self.check_signature(key, algorithm)?;
        self.verified(key, algorithm)
    }

    pub(super) fn check_signature(&self, key: &VerifyingKey, algorithm: Algorithm) -> Result<(), JoseReason> {
        let verifier = key.verifier(algorithm).ok_or(JoseReason::AlgorithmNotAllowed)?;
        #[cfg(test)]
        CHECKED.set(CHECKED.get() + 1);
        verifier.verify(self.signed.as_bytes(), &self.signature).map_err(|_| JoseReason::Signature)
    }

    fn verified(&self, key: &VerifyingKey, algorithm: Algorithm) -> Result<Verified, JoseReason> {
        let claims = self.claims.clone().ok_or(JoseReason::Claims)?;
        Ok(Verified { claims, algorithm, key: key.thumbprint() })
    }
}

#[cfg(test)]
thread_local! {
    static CHECKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The signatures that this thread has checked.
#[cfg(test)]
pub(crate) fn signatures_checked() -> usize {
    CHECKED.get()
}

impl Verified {
    /// The claims.
    pub fn claims(&self) -> &Object {
        &self.claims
    }

    /// The claims, for whoever keeps them.
    pub fn into_claims(self) -> Arc<Object> {
        self.claims
    }

    /// The algorithm of the signature.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The thumbprint of the key that signed (RFC 7638).
    pub fn key(&self) -> Digest {
        self.key
    }
}

fn decode(part: &str) -> Result<Vec<u8>, JoseReason> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JoseReason::Encoding)
}

fn member(header: &Object, name: &'static str) -> Result<Option<Box<str>>, JoseReason> {
    let text = header.text(name).map_err(|_| JoseReason::Header)?;
    match text {
        Some(text) if text.len() > KID_BYTES_MAX => Err(JoseReason::Header),
        text => Ok(text.map(Into::into)),
    }
}

/// Tokens are secret: never printed.
impl fmt::Debug for Compact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Compact({})", self.digest)
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verified({})", self.algorithm)
    }
}

#[cfg(test)]
mod tests;
