//! Signing with aws-lc-rs, behind josekit's trait; josekit makes key pairs and reads and prints them.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use josekit::JoseError;
use josekit::jwk::alg::{ec, ed, rsa};
use josekit::jwk::{Jwk, KeyPair};
use josekit::jws::{JwsAlgorithm, JwsSigner};
use zeroize::Zeroizing;

use super::verify::{VerifyingKey, count_parsed_key};
use super::{Algorithm, JoseReason, KeyReason, KeyUse, jwk};

const RSA_BITS: u32 = 2048;

/// Headers for these types are written once per key.
const USUAL_TYPES: [&str; 2] = ["at+jwt", "JWT"];

/// A private key for one algorithm, parsed once. Its `kid` is the thumbprint of its public half (RFC 7638), so that two keys
/// never share one.
#[derive(Clone)]
pub struct SigningKey {
    signer: Signer,
    kid: Box<str>,
    public: Jwk,
    verifying: VerifyingKey,
    headers: Vec<(&'static str, String)>,
}

/// A new private key for `algorithm`, as PKCS#8 in PEM.
///
/// # Errors
/// When there is no randomness.
pub fn generate_key(algorithm: Algorithm) -> Result<Zeroizing<String>, KeyReason> {
    let pair = generate_pair(algorithm).map_err(|_| KeyReason::Malformed)?;
    String::from_utf8(pair.to_pem_private_key()).map(Zeroizing::new).map_err(|_| KeyReason::Malformed)
}

impl SigningKey {
    /// Reads a private key, PKCS#8 in PEM, that is to sign by `algorithm`.
    ///
    /// # Errors
    /// `Malformed` when it is no such PEM, or a key of another type or size than the algorithm's.
    pub fn from_pem(pem: &str, algorithm: Algorithm) -> Result<Self, KeyReason> {
        count_parsed_key();
        let pair = read_pair(pem, algorithm).map_err(|_| KeyReason::Malformed)?;
        let der = der(&Zeroizing::new(pair.to_pem_private_key())).ok_or(KeyReason::Malformed)?;
        let signer = Signer { algorithm, key: Arc::new(Pair::new(algorithm, &der)?) };
        let mut public = pair.to_jwk_public_key();
        public.set_algorithm(algorithm.name());
        public.set_key_use("sig");
        let mut verifying = jwk::parse(&public.to_string(), KeyUse::Signature)?;
        let kid = verifying.thumbprint().to_string();
        public.set_key_id(kid.clone());
        verifying.kid = Some(kid.clone().into());
        let headers = USUAL_TYPES.map(|typ| (typ, header(algorithm, &kid, typ))).into();
        Ok(Self { signer, kid: kid.into(), public, verifying, headers })
    }

    /// The key's identifier.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm that it signs by.
    pub fn algorithm(&self) -> Algorithm {
        self.signer.algorithm
    }

    /// The public half as a JWK with `kid`, `use` and `alg`.
    pub fn public_jwk(&self) -> String {
        self.public.to_string()
    }

    /// The public half, ready to verify.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// `claims`, a JSON object, as a compact JWS with the header members `alg`, `kid` and `typ`.
    ///
    /// # Errors
    /// `Signing` when the primitive fails, which needs a lack of randomness.
    pub fn sign(&self, typ: &str, claims: &[u8]) -> Result<String, JoseReason> {
        let usual = self.headers.iter().find(|(known, _)| *known == typ);
        let mut token = String::with_capacity(160 + (claims.len() + self.signer.signature_len()) * 4 / 3);
        match usual {
            Some((_, header)) => token.push_str(header),
            None => token.push_str(&header(self.algorithm(), &self.kid, typ)),
        }
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.sign_bytes(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// `claims` as a compact JWS that brings its own key in the header member `jwk`, as a DPoP proof does (RFC 9449 §4.2).
    ///
    /// # Errors
    /// `Signing` when the primitive fails, which needs a lack of randomness.
    pub fn sign_with_key(&self, typ: &str, claims: &[u8]) -> Result<String, JoseReason> {
        let mut bare = self.public.clone();
        ["use", "alg", "kid"].into_iter().try_for_each(|name| bare.set_parameter(name, None)).map_err(|_| JoseReason::Signing)?;
        let typ = serde_json::to_string(typ).unwrap_or_default();
        let header = format!(r#"{{"typ":{typ},"alg":"{}","jwk":{bare}}}"#, self.algorithm());
        let message = [header.as_bytes(), claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        let signature = self.sign_bytes(message.as_bytes())?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The bare signature over `message`, for tests that need another header.
    pub(crate) fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>, JoseReason> {
        self.signer.sign(message).map_err(|_| JoseReason::Signing)
    }
}

fn header(algorithm: Algorithm, kid: &str, typ: &str) -> String {
    let quoted = |text| serde_json::to_string(text).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{algorithm}","kid":{},"typ":{}}}"#, quoted(kid), quoted(typ)))
}

fn generate_pair(algorithm: Algorithm) -> Result<Box<dyn KeyPair>, JoseError> {
    Ok(match algorithm {
        Algorithm::ES256 => Box::new(ec::EcKeyPair::generate(ec::EcCurve::P256)?),
        Algorithm::ES384 => Box::new(ec::EcKeyPair::generate(ec::EcCurve::P384)?),
        Algorithm::ES512 => Box::new(ec::EcKeyPair::generate(ec::EcCurve::P521)?),
        Algorithm::EdDSA => Box::new(ed::EdKeyPair::generate(ed::EdCurve::Ed25519)?),
        _ => Box::new(rsa::RsaKeyPair::generate(RSA_BITS)?),
    })
}

fn read_pair(pem: &str, algorithm: Algorithm) -> Result<Box<dyn KeyPair>, JoseError> {
    Ok(match algorithm {
        Algorithm::ES256 => Box::new(ec::EcKeyPair::from_pem(pem, Some(ec::EcCurve::P256))?),
        Algorithm::ES384 => Box::new(ec::EcKeyPair::from_pem(pem, Some(ec::EcCurve::P384))?),
        Algorithm::ES512 => Box::new(ec::EcKeyPair::from_pem(pem, Some(ec::EcCurve::P521))?),
        Algorithm::EdDSA => Box::new(ed::EdKeyPair::from_pem(pem)?),
        _ => Box::new(rsa::RsaKeyPair::from_pem(pem)?),
    })
}

/// The PKCS#8 structure inside a PEM text (josekit's own DER is PKCS#1 or SEC 1 for some keys).
fn der(pem: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let lines = std::str::from_utf8(pem).ok()?.lines();
    let body: Zeroizing<String> = Zeroizing::new(lines.filter(|line| !line.starts_with("-----")).collect());
    STANDARD.decode(body.as_bytes()).ok().map(Zeroizing::new)
}

/// One private key for one algorithm.
#[derive(Clone)]
struct Signer {
    algorithm: Algorithm,
    key: Arc<Pair>,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

impl Pair {
    fn new(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyReason> {
        match algorithm {
            Algorithm::ES256 => Self::ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, der),
            Algorithm::ES384 => Self::ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, der),
            Algorithm::ES512 => Self::ecdsa(&ECDSA_P521_SHA512_FIXED_SIGNING, der),
            Algorithm::RS256 => Self::rsa(&RSA_PKCS1_SHA256, der),
            Algorithm::RS384 => Self::rsa(&RSA_PKCS1_SHA384, der),
            Algorithm::RS512 => Self::rsa(&RSA_PKCS1_SHA512, der),
            Algorithm::PS256 => Self::rsa(&RSA_PSS_SHA256, der),
            Algorithm::PS384 => Self::rsa(&RSA_PSS_SHA384, der),
            Algorithm::PS512 => Self::rsa(&RSA_PSS_SHA512, der),
            // The older form of PKCS#8, which OpenSSL writes, carries no public half to check the private one against.
            Algorithm::EdDSA => {
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Self::Ed25519).map_err(|_| KeyReason::Malformed)
            }
        }
    }

    fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm, der: &[u8]) -> Result<Self, KeyReason> {
        EcdsaKeyPair::from_pkcs8(algorithm, der).map(Self::Ecdsa).map_err(|_| KeyReason::Malformed)
    }

    fn rsa(encoding: &'static dyn RsaEncoding, der: &[u8]) -> Result<Self, KeyReason> {
        RsaKeyPair::from_pkcs8(der).map(|pair| Self::Rsa(pair, encoding)).map_err(|_| KeyReason::Malformed)
    }
}

impl JwsSigner for Signer {
    fn algorithm(&self) -> &dyn JwsAlgorithm {
        &self.algorithm
    }

    fn key_id(&self) -> Option<&str> {
        None
    }

    fn signature_len(&self) -> usize {
        match &*self.key {
            Pair::Ecdsa(_) => 132,
            Pair::Ed25519(_) => 64,
            Pair::Rsa(pair, _) => pair.public_modulus_len(),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, JoseError> {
        let failed = |cause: aws_lc_rs::error::Unspecified| JoseError::InvalidSignature(cause.into());
        match &*self.key {
            Pair::Ecdsa(pair) => pair.sign(&SystemRandom::new(), message).map(|sign| sign.as_ref().to_vec()).map_err(failed),
            Pair::Ed25519(pair) => pair.try_sign(message).map(|sign| sign.as_ref().to_vec()).map_err(failed),
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &SystemRandom::new(), message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }

    fn box_clone(&self) -> Box<dyn JwsSigner> {
        Box::new(self.clone())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.algorithm)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, {})", self.signer.algorithm, self.kid)
    }
}

#[cfg(test)]
mod tests;
