//! A token that brings its own key (RFC 9449 §4.2). A type of its own, so that nothing else ever takes its key from a token.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Algorithm, Compact, JoseReason, KeyReason, Object, Verified, VerifyingKey, jwk};
use crate::crypto::Digest;

/// A proof, taken apart but not believed: it shows that its signer holds the key that it names, and nothing else.
pub struct EmbeddedKeyJws<'a>(Compact<'a>);

/// The keys that proofs brought along lately, parsed: a client signs its proofs with the same key again and again. Never
/// remembers that anything verified under them: every proof's own signature is checked. At most as many keys as its capacity;
/// when it is full it begins anew.
pub struct ProofKeys {
    keys: RwLock<HashMap<(Digest, Algorithm), Arc<VerifyingKey>>>,
    capacity: usize,
}

/// Why a proof is refused before its claims are looked at. Each `Display` is a public sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbeddedKeyReason {
    /// Not a JWS that we read, or its signature is not good.
    Jose(JoseReason),
    /// The header has no `jwk`, or one that is no JSON object of unique members.
    KeyMissing,
    /// The `jwk` holds private or symmetric key material.
    KeyPrivate,
    /// The `jwk` cannot verify a signature by the algorithm of the header.
    Key(KeyReason),
}

impl<'a> EmbeddedKeyJws<'a> {
    /// Takes `text` apart, by the same strict rules as any other token.
    ///
    /// # Errors
    /// The first thing that is not so.
    pub fn parse(text: &'a str) -> Result<Self, EmbeddedKeyReason> {
        let proof = Compact::take_apart(text).map_err(EmbeddedKeyReason::Jose)?;
        if proof.names_key_address() { Err(EmbeddedKeyReason::Jose(JoseReason::HeaderMember)) } else { Ok(Self(proof)) }
    }

    /// True when the header's `typ` is `media_type`: in any case, with or without `application/` (RFC 7515 §4.1.9).
    pub fn typ_is(&self, media_type: &str) -> bool {
        self.0.typ_is(media_type)
    }

    /// The SHA-256 of the whole proof.
    pub fn digest(&self) -> Digest {
        self.0.digest()
    }

    /// The claims, if the signature verifies under the very key that the header brings, by an allowed algorithm. `known` spares
    /// the parsing of a key that proved itself before.
    ///
    /// # Errors
    /// See [`EmbeddedKeyReason`].
    pub fn verify(&self, allowed: &[Algorithm], known: &ProofKeys) -> Result<Verified, EmbeddedKeyReason> {
        let algorithm = allowed_algorithm(&self.0, allowed)?;
        let key = self.0.header().raw("jwk").ok_or(EmbeddedKeyReason::KeyMissing)?;
        verify_by(&self.0, key, algorithm, known)
    }
}

/// The claims of `proof`, if its signature verifies under `jwk`, the key to which another credential that was verified is bound
/// (RFC 7800 §3.2), by an allowed algorithm. `known` as for [`EmbeddedKeyJws::verify`].
///
/// # Errors
/// `Algorithm`, `AlgorithmNotAllowed`, `Claims`, and `Signature` also where the key is none for the algorithm.
pub fn verify_by_confirmed_key(
    proof: &Compact<'_>,
    jwk: &str,
    allowed: &[Algorithm],
    known: &ProofKeys,
) -> Result<Verified, JoseReason> {
    let verified = allowed_algorithm(proof, allowed).and_then(|algorithm| verify_by(proof, jwk, algorithm, known));
    verified.map_err(|reason| match reason {
        EmbeddedKeyReason::Jose(reason) => reason,
        EmbeddedKeyReason::KeyMissing | EmbeddedKeyReason::KeyPrivate | EmbeddedKeyReason::Key(_) => JoseReason::Signature,
    })
}

fn allowed_algorithm(proof: &Compact<'_>, allowed: &[Algorithm]) -> Result<Algorithm, EmbeddedKeyReason> {
    let algorithm = proof.algorithm().map_err(EmbeddedKeyReason::Jose)?;
    let is_allowed = allowed.contains(&algorithm);
    if is_allowed { Ok(algorithm) } else { Err(EmbeddedKeyReason::Jose(JoseReason::AlgorithmNotAllowed)) }
}

fn verify_by(proof: &Compact<'_>, jwk: &str, algorithm: Algorithm, known: &ProofKeys) -> Result<Verified, EmbeddedKeyReason> {
    let name = Digest::of(jwk.as_bytes());
    if let Some(key) = known.known(name, algorithm) {
        return proof.verify(&key).map_err(EmbeddedKeyReason::Jose);
    }
    let key = Arc::new(parse(jwk, algorithm)?);
    let verified = proof.verify(&key).map_err(EmbeddedKeyReason::Jose)?;
    known.remember(name, algorithm, key);
    Ok(verified)
}

fn parse(key: &str, algorithm: Algorithm) -> Result<VerifyingKey, EmbeddedKeyReason> {
    let members = Object::parse(key).map_err(|_| EmbeddedKeyReason::KeyMissing)?;
    if members.names().any(jwk::is_private) {
        return Err(EmbeddedKeyReason::KeyPrivate);
    }
    jwk::of_proof(key, algorithm).map_err(EmbeddedKeyReason::Key)
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

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most keys that there may be.
    pub fn capacity(&self) -> usize {
        self.capacity
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

impl fmt::Display for EmbeddedKeyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jose(JoseReason::AlgorithmNotAllowed) => f.write_str("the alg of the header is not accepted for proofs"),
            Self::Jose(reason) => reason.fmt(f),
            Self::KeyMissing => {
                f.write_str("the header must have the public key that signed it as jwk, a JSON object of unique members")
            }
            Self::KeyPrivate => {
                f.write_str("the jwk of the header holds private key material; send the public half, and replace this key")
            }
            Self::Key(reason) => write!(f, "the jwk of the header {reason}"),
        }
    }
}

impl std::error::Error for EmbeddedKeyReason {}

/// Proofs are secret while they are fresh: never printed.
impl fmt::Debug for EmbeddedKeyJws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmbeddedKeyJws({})", self.digest())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::jose::{SigningKey, generate_key};

    /// RFC 9449 §4.1, figure 2.
    const RFC: &str = concat!(
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR",
        "nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaH",
        "RtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLv",
        "qRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
    );

    #[test]
    fn the_proof_of_the_rfc_verifies_and_its_key_has_the_rfcs_thumbprint() {
        let proof = EmbeddedKeyJws::parse(RFC).unwrap();
        assert!(proof.typ_is("dpop+jwt"));
        let keys = ProofKeys::default();
        let verified = proof.verify(&[Algorithm::ES256], &keys).unwrap();
        // RFC 9449 §6.1, figure 7.
        assert_eq!(verified.key().to_string(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
        assert_eq!(verified.claims().text("htu").unwrap().as_deref(), Some("https://server.example.com/token"));
        assert_eq!(
            proof.verify(&[Algorithm::EdDSA], &keys).unwrap_err(),
            EmbeddedKeyReason::Jose(JoseReason::AlgorithmNotAllowed)
        );
    }

    #[test]
    fn a_key_in_the_header_counts_in_a_proof_and_nowhere_else() {
        assert_eq!(Compact::parse(RFC).unwrap_err(), JoseReason::HeaderMember);
        let key = SigningKey::from_pem(&generate_key(Algorithm::ES256).unwrap(), Algorithm::ES256).unwrap();
        let own = key.sign("dpop+jwt", b"{}").unwrap();
        assert_eq!(
            EmbeddedKeyJws::parse(&own).unwrap().verify(&[Algorithm::ES256], &ProofKeys::default()).unwrap_err(),
            EmbeddedKeyReason::KeyMissing
        );
        for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::PS256] {
            let key = SigningKey::from_pem(&generate_key(algorithm).unwrap(), algorithm).unwrap();
            let proof = key.sign_with_key("dpop+jwt", b"{}").unwrap();
            let verified = EmbeddedKeyJws::parse(&proof).unwrap().verify(&[algorithm], &ProofKeys::default()).unwrap();
            assert_eq!(verified.key(), key.verifying_key().thumbprint());
        }
    }

    #[test]
    fn a_known_key_is_parsed_once_and_every_signature_is_checked() {
        let key = SigningKey::from_pem(&generate_key(Algorithm::ES256).unwrap(), Algorithm::ES256).unwrap();
        let other = SigningKey::from_pem(&generate_key(Algorithm::ES256).unwrap(), Algorithm::ES256).unwrap();
        let keys = ProofKeys::new(1);
        let proof = key.sign_with_key("dpop+jwt", b"{}").unwrap();
        for _ in 0..2 {
            assert!(EmbeddedKeyJws::parse(&proof).unwrap().verify(&[Algorithm::ES256], &keys).is_ok());
            assert_eq!(keys.len(), 1);
        }
        // A forger shows the key that is known by now.
        let (header, _) = proof.split_once('.').unwrap();
        let forged = format!("{header}.{}", other.sign_with_key("dpop+jwt", b"{}").unwrap().split_once('.').unwrap().1);
        let refused = EmbeddedKeyJws::parse(&forged).unwrap().verify(&[Algorithm::ES256], &keys).unwrap_err();
        assert_eq!(refused, EmbeddedKeyReason::Jose(JoseReason::Signature));
        let none_yet = ProofKeys::new(1);
        let stranger = other.sign_with_key("dpop+jwt", b"{}").unwrap();
        let forged = format!("{}.{}", stranger.split_once('.').unwrap().0, proof.split_once('.').unwrap().1);
        assert!(EmbeddedKeyJws::parse(&forged).unwrap().verify(&[Algorithm::ES256], &none_yet).is_err() && none_yet.is_empty());
        let roomless = ProofKeys::new(0);
        assert!(EmbeddedKeyJws::parse(&proof).unwrap().verify(&[Algorithm::ES256], &roomless).is_ok() && roomless.is_empty());
        // A key that does not prove itself is not remembered, and never are there more than there is room for.
        let flood = other.sign_with_key("dpop+jwt", b"{}").unwrap();
        assert!(EmbeddedKeyJws::parse(&format!("{}AA", &flood)).unwrap().verify(&[Algorithm::ES256], &keys).is_err());
        assert!(keys.known(Digest::of(b"x"), Algorithm::ES256).is_none());
        assert!(EmbeddedKeyJws::parse(&flood).unwrap().verify(&[Algorithm::ES256], &keys).is_ok());
        assert_eq!(keys.len(), 1);
    }
}
