//! Private test keys, read from JWK files (RFC 7517, RFC 7518 §6).

use std::fmt;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{base64url, from_base64url};

/// One private key with the algorithm it signs with.
pub struct Key {
    /// The `kid` member; empty when the file has none.
    pub kid: String,
    /// The `alg` that this key signs with by default.
    pub alg: String,
    jwk: Map<String, Value>,
    signer: Signer,
}

enum Signer {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(rsa::KeyPair),
}

/// The members that make a public key.
const BARE_MEMBERS: [&str; 6] = ["crv", "e", "kty", "n", "x", "y"];

/// The members of a JWK that only its owner may see.
const PRIVATE_MEMBERS: [&str; 6] = ["d", "p", "q", "dp", "dq", "qi"];

impl Key {
    /// Reads a private JWK.
    ///
    /// # Errors
    /// A sentence saying what is missing or malformed.
    pub fn from_jwk(text: &str) -> Result<Self, String> {
        let jwk: Map<String, Value> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let signer = Signer::from_jwk(&jwk)?;
        let text = |name: &str| jwk.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Self { kid: text("kid"), alg: text("alg"), signer, jwk })
    }

    /// The signature over `message` by the key's own algorithm.
    ///
    /// # Errors
    /// When the cryptographic library refuses.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let random = SystemRandom::new();
        let refused = |_| "the key could not sign".to_owned();
        match &self.signer {
            Signer::Ec(pair) => pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()).map_err(refused),
            Signer::Ed(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Signer::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(refused)?;
                Ok(signature)
            }
        }
    }

    /// The algorithm confusion: HMAC-SHA-256 with the public key, in PEM, as the secret (RFC 8725 §2.1).
    ///
    /// # Errors
    /// When the public key cannot be written.
    pub fn mac_with_public_key(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let pem = self.public_pem()?;
        Ok(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, pem.as_bytes()), message).as_ref().to_vec())
    }

    /// The public half, as it stands in a key set.
    pub fn public_jwk(&self) -> Value {
        let public = self.jwk.iter().filter(|(name, _)| !PRIVATE_MEMBERS.contains(&name.as_str()));
        Value::Object(public.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// The public half with nothing but the key: no `kid`, `alg` or `use`.
    pub fn bare_jwk(&self) -> Value {
        let members = self.jwk.iter().filter(|(name, _)| BARE_MEMBERS.contains(&name.as_str()));
        Value::Object(members.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// The whole key: what must never be sent.
    pub fn private_jwk(&self) -> Value {
        Value::Object(self.jwk.clone())
    }

    /// The SHA-256 thumbprint (RFC 7638 §3).
    ///
    /// # Errors
    /// When the key lacks a member.
    pub fn thumbprint(&self) -> Result<String, String> {
        let text = |name: &str| self.jwk.get(name).and_then(Value::as_str).ok_or_else(|| format!("the key has no member {name}"));
        let members: &[&str] = match text("kty")? {
            "EC" => &["crv", "kty", "x", "y"],
            "OKP" => &["crv", "kty", "x"],
            _ => &["e", "kty", "n"],
        };
        let pairs: Result<Vec<String>, String> =
            members.iter().map(|name| Ok(format!("\"{name}\":\"{}\"", text(name)?))).collect();
        let json = format!("{{{}}}", pairs?.join(","));
        Ok(base64url(digest::digest(&digest::SHA256, json.as_bytes())))
    }

    fn public_pem(&self) -> Result<String, String> {
        let refused = |_| "the public key could not be written".to_owned();
        let der = match &self.signer {
            Signer::Ec(pair) => pair.public_key().as_der().map_err(refused)?.as_ref().to_vec(),
            Signer::Ed(pair) => pair.public_key().as_ref().to_vec(),
            Signer::Rsa(pair) => {
                AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key()).map_err(refused)?.as_ref().to_vec()
            }
        };
        let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
        for line in STANDARD.encode(der).as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END PUBLIC KEY-----\n");
        Ok(pem)
    }
}

impl Signer {
    fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, String> {
        match jwk.get("crv").or(jwk.get("kty")).and_then(Value::as_str) {
            Some("P-256") => Self::ec(jwk, &ECDSA_P256_SHA256_FIXED_SIGNING),
            Some("P-384") => Self::ec(jwk, &ECDSA_P384_SHA384_FIXED_SIGNING),
            Some("Ed25519") => {
                let pair = Ed25519KeyPair::from_seed_and_public_key(&bytes(jwk, "d")?, &bytes(jwk, "x")?);
                pair.map(Self::Ed).map_err(|error| error.to_string())
            }
            Some("RSA") => Self::rsa(jwk),
            _ => Err("the key is neither P-256, P-384, Ed25519 nor RSA".to_owned()),
        }
    }

    fn ec(jwk: &Map<String, Value>, algorithm: &'static EcdsaSigningAlgorithm) -> Result<Self, String> {
        let point = [vec![4], bytes(jwk, "x")?, bytes(jwk, "y")?].concat();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &bytes(jwk, "d")?, &point);
        pair.map(Self::Ec).map_err(|error| error.to_string())
    }

    fn rsa(jwk: &Map<String, Value>) -> Result<Self, String> {
        let components = KeyPairComponents {
            public_key: PublicKeyComponents { n: bytes(jwk, "n")?, e: bytes(jwk, "e")? },
            d: bytes(jwk, "d")?,
            p: bytes(jwk, "p")?,
            q: bytes(jwk, "q")?,
            dP: bytes(jwk, "dp")?,
            dQ: bytes(jwk, "dq")?,
            qInv: bytes(jwk, "qi")?,
        };
        rsa::KeyPair::from_components(&components).map(Self::Rsa).map_err(|error| error.to_string())
    }
}

fn bytes(jwk: &Map<String, Value>, member: &str) -> Result<Vec<u8>, String> {
    let text = jwk.get(member).and_then(Value::as_str).ok_or_else(|| format!("the key has no member {member}"))?;
    from_base64url(text)
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).field("alg", &self.alg).finish_non_exhaustive()
    }
}
