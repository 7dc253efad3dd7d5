//! Verification with aws-lc-rs, behind josekit's trait so that either can be replaced.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
};
use josekit::JoseError;
use josekit::jws::{JwsAlgorithm, JwsVerifier};

use super::{Algorithm, KeyReason};
use crate::crypto::Digest;

static KEYS_PARSED: AtomicU64 = AtomicU64::new(0);

/// How many keys this process has parsed: it must not grow while requests are served.
#[doc(hidden)]
pub fn keys_parsed() -> u64 {
    KEYS_PARSED.load(Ordering::Relaxed)
}

pub(super) fn count_parsed_key() {
    KEYS_PARSED.fetch_add(1, Ordering::Relaxed);
}

/// A public key, parsed once, with the algorithms that it may verify: one, or those of its type for an RSA key without `alg`.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    pub(super) kid: Option<Box<str>>,
    pub(super) thumbprint: Digest,
    pub(super) verifiers: Vec<Verifier>,
}

impl VerifyingKey {
    /// The key's `kid`, if it has one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The SHA-256 thumbprint of the key (RFC 7638 §3).
    pub fn thumbprint(&self) -> Digest {
        self.thumbprint
    }

    /// The algorithms that the key may verify.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.verifiers.iter().map(|verifier| verifier.algorithm)
    }

    pub(super) fn verifier(&self, algorithm: Algorithm) -> Option<&Verifier> {
        self.verifiers.iter().find(|verifier| verifier.algorithm == algorithm)
    }
}

/// One key for one algorithm.
#[derive(Clone)]
pub(super) struct Verifier {
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

impl Verifier {
    /// From a point (uncompressed, SEC 1 §2.3.3) for ECDSA, or the 32 bytes of an Ed25519 key.
    pub(super) fn new(algorithm: Algorithm, key: &[u8]) -> Result<Self, KeyReason> {
        let primitive: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::ES384 => &ECDSA_P384_SHA384_FIXED,
            Algorithm::ES512 => &ECDSA_P521_SHA512_FIXED,
            Algorithm::EdDSA => &ED25519,
            _ => return Err(KeyReason::Algorithm),
        };
        count_parsed_key();
        let key = ParsedPublicKey::new(primitive, key).map_err(|_| KeyReason::Malformed)?;
        Ok(Self { algorithm, key })
    }

    /// From modulus and exponent, big-endian.
    pub(super) fn rsa(algorithm: Algorithm, n: &[u8], e: &[u8]) -> Result<Self, KeyReason> {
        let primitive: &'static RsaParameters = match algorithm {
            Algorithm::RS256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RS384 => &RSA_PKCS1_2048_8192_SHA384,
            Algorithm::RS512 => &RSA_PKCS1_2048_8192_SHA512,
            Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
            Algorithm::PS384 => &RSA_PSS_2048_8192_SHA384,
            Algorithm::PS512 => &RSA_PSS_2048_8192_SHA512,
            _ => return Err(KeyReason::Algorithm),
        };
        count_parsed_key();
        let key = RsaPublicKeyComponents { n, e }.to_parsed_public_key(primitive).map_err(|_| KeyReason::Malformed)?;
        Ok(Self { algorithm, key })
    }
}

impl JwsVerifier for Verifier {
    fn algorithm(&self) -> &dyn JwsAlgorithm {
        &self.algorithm
    }

    fn key_id(&self) -> Option<&str> {
        None
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), JoseError> {
        self.key.verify_sig(message, signature).map_err(|cause| JoseError::InvalidSignature(cause.into()))
    }

    fn box_clone(&self) -> Box<dyn JwsVerifier> {
        Box::new(self.clone())
    }
}

impl JwsAlgorithm for Algorithm {
    fn name(&self) -> &str {
        Algorithm::name(*self)
    }

    fn box_clone(&self) -> Box<dyn JwsAlgorithm> {
        Box::new(*self)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({})", self.algorithm)
    }
}
