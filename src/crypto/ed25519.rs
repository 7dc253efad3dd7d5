//! Ed25519 signatures (RFC 8032) for the ledger's notes.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

const PEM_START: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";
const PEM_BYTES_MAX: usize = 4096;

/// A private Ed25519 key, parsed once. Never printed.
pub struct SignKey {
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl SignKey {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate() -> Result<Self, Ed25519Reason> {
        Self::of(Ed25519KeyPair::generate().map_err(|_| Ed25519Reason::Failed)?)
    }

    /// The key with this 32-byte private seed (RFC 8032 §5.1.5).
    ///
    /// # Errors
    /// None for 32 bytes; the type of the primitive allows one.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, Ed25519Reason> {
        Self::of(Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| Ed25519Reason::Private)?)
    }

    /// The key in a PKCS#8 PEM text (RFC 7468 §10, RFC 8410 §7), with or without its public half.
    ///
    /// # Errors
    /// When it is longer than 4 KiB, not PEM, or not an Ed25519 key.
    pub fn from_pem(pem: &str) -> Result<Self, Ed25519Reason> {
        let body = Some(pem)
            .filter(|pem| pem.len() <= PEM_BYTES_MAX)
            .and_then(|pem| pem.trim().strip_prefix(PEM_START))
            .and_then(|pem| pem.strip_suffix(PEM_END))
            .ok_or(Ed25519Reason::Private)?;
        let body: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
        let der = Zeroizing::new(STANDARD.decode(body.as_bytes()).map_err(|_| Ed25519Reason::Private)?);
        Self::of(Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| Ed25519Reason::Private)?)
    }

    /// The key as PKCS#8 version 1 in PEM, which every OpenSSL reads. The caller keeps it secret.
    ///
    /// # Errors
    /// None in practice; the type of the primitive allows one.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, Ed25519Reason> {
        let der = self.pair.to_pkcs8v1().map_err(|_| Ed25519Reason::Failed)?;
        // 48 bytes are 64 characters and no padding, so the lines are one encoding of the whole.
        let lines = der.as_ref().chunks(48).map(|line| STANDARD.encode(line)).collect::<Vec<_>>();
        Ok(Zeroizing::new(format!("{PEM_START}\n{}\n{PEM_END}\n", lines.join("\n"))))
    }

    /// The signature of `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.iter_mut().zip(self.pair.sign(message).as_ref()).for_each(|(to, from)| *to = *from);
        signature
    }

    /// The public half.
    pub fn public(&self) -> [u8; 32] {
        self.public
    }

    fn of(pair: Ed25519KeyPair) -> Result<Self, Ed25519Reason> {
        let public = pair.public_key().as_ref().try_into().map_err(|_| Ed25519Reason::Public)?;
        Ok(Self { pair, public })
    }
}

impl fmt::Debug for SignKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignKey")
    }
}

/// A public Ed25519 key, parsed once.
#[derive(Clone)]
pub struct VerifyKey {
    key: ParsedPublicKey,
    bytes: [u8; 32],
}

impl VerifyKey {
    /// The key in its 32-byte form (RFC 8032 §5.1.2).
    ///
    /// # Errors
    /// When the bytes are no Ed25519 public key.
    pub fn new(bytes: [u8; 32]) -> Result<Self, Ed25519Reason> {
        let key = ParsedPublicKey::new(&ED25519, bytes).map_err(|_| Ed25519Reason::Public)?;
        Ok(Self { key, bytes })
    }

    /// True when `signature` is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }

    /// The 32 bytes of the key.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyKey")
    }
}

/// Why there is no Ed25519 key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ed25519Reason {
    /// The private key could not be read.
    Private,
    /// The public key could not be read.
    Public,
    /// No randomness, or the primitive failed.
    Failed,
}

impl fmt::Display for Ed25519Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private => "the private key is not an Ed25519 key in PKCS#8 PEM",
            Self::Public => "the public key is not an Ed25519 key",
            Self::Failed => "the Ed25519 key could not be made",
        })
    }
}

impl std::error::Error for Ed25519Reason {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|i| u8::from_str_radix(hex.get(2 * i..2 * i + 2).unwrap(), 16).unwrap())
    }

    #[test]
    fn signs_as_rfc_8032_test_2_says() {
        let key = SignKey::from_seed(&bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")).unwrap();
        assert_eq!(key.public(), bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"));
        let signature = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c\
                         387b2eaeb4302aeeb00d291612bb0c00";
        assert_eq!(key.sign(&[0x72]), bytes(signature));
        let public = VerifyKey::new(key.public()).unwrap();
        assert!(public.verifies(&[0x72], &key.sign(&[0x72])));
        assert!(!public.verifies(&[0x73], &key.sign(&[0x72])));
        assert!(!public.verifies(&[0x72], &key.sign(&[0x72])[..63]));
    }

    #[test]
    fn a_key_comes_back_from_its_pem() {
        let key = SignKey::generate().unwrap();
        let pem = key.to_pem().unwrap();
        assert!(pem.lines().all(|line| line.len() <= 64));
        assert_eq!(SignKey::from_pem(&pem).unwrap().public(), key.public());
        // RFC 8410 §10.3, the first example.
        let example = format!("{PEM_START}\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n{PEM_END}");
        let public = bytes("19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1");
        assert_eq!(SignKey::from_pem(&example).unwrap().public(), public);
        assert_eq!(
            SignKey::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----").unwrap_err(),
            Ed25519Reason::Private
        );
    }
}
