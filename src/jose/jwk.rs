//! One public JWK (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::verify::{Verifier, VerifyingKey};
use super::{Algorithm, KeyReason, Object};
use crate::crypto::Digest;
use crate::json::{Members, string, strings};

/// The tokens that the keys of a set are to verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// JWTs: keys with `use: sig` or no `use`.
    Signature,
    /// JWT-SVIDs: keys with `use: jwt-svid` and no others (SPIFFE JWT-SVID §4.1).
    JwtSvid,
}

/// Members that only a private or symmetric key has; `priv` is that of post-quantum keys.
const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
const EXPONENT_MIN: u64 = 65_537;
const KID_BYTES_MAX: usize = 255;

/// The parameters of a public key, decoded (RFC 7518 §6).
enum KeyParameters {
    Ec { algorithm: Algorithm, crv: &'static str, x: Vec<u8>, y: Vec<u8> },
    Ed25519 { x: Vec<u8> },
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// True for a member of a JWK that must never be published.
pub(super) fn is_private(member: &str) -> bool {
    PRIVATE.contains(&member)
}

/// True where the entry of a key set has private or symmetric key material, also when it is no good JWK otherwise. What many
/// serialisers write for a member that the key does not have (`null`, an empty text or list) is none.
pub(super) fn holds_secret(entry: &str) -> bool {
    let secret = |name: &str, value: &str| is_private(name) && !matches!(value, "null" | "\"\"" | "[]");
    Members::written(entry).is_some_and(|members| members.iter().any(|(name, value)| secret(name, value.get())))
}

/// The `kid` of an entry, good or not, where it is a text.
pub(super) fn kid(entry: &str) -> Option<String> {
    let members = Members::written(entry)?;
    let (_, kid) = members.iter().find(|(name, _)| name == "kid")?;
    string(kid.get()).map(Cow::into_owned)
}

/// Reads one JWK. Of its members `kty`, `crv`, `x`, `y`, `n`, `e`, `kid`, `alg`, `use` and `key_ops` are read; whatever the
/// others hold, the key is the same without them. A member that is `null` is not there.
///
/// # Errors
/// Why this key cannot verify tokens of that use.
pub(super) fn parse(json: &str, key_use: KeyUse) -> Result<VerifyingKey, KeyReason> {
    let jwk = Jwk::read(json)?;
    jwk.check_use(key_use)?;
    let kid = jwk.text("kid")?;
    if kid.as_ref().is_some_and(|kid| kid.is_empty() || kid.len() > KID_BYTES_MAX) {
        return Err(KeyReason::Malformed);
    }
    let parameters = KeyParameters::read(&jwk)?;
    let verifiers = parameters.verifiers(jwk.pinned()?)?;
    Ok(VerifyingKey { kid: kid.map(Box::from), thumbprint: parameters.thumbprint(), verifiers })
}

/// Reads the JWK that a proof brings along, for the one algorithm by which the proof is signed.
///
/// # Errors
/// Why this key cannot verify such a signature.
pub(super) fn of_proof(json: &str, algorithm: Algorithm) -> Result<VerifyingKey, KeyReason> {
    let jwk = Jwk::read(json)?;
    jwk.check_use(KeyUse::Signature)?;
    let parameters = KeyParameters::read(&jwk)?;
    if !parameters.serves(algorithm) || jwk.pinned()?.is_some_and(|pinned| pinned != algorithm) {
        return Err(KeyReason::Algorithm);
    }
    Ok(VerifyingKey { kid: None, thumbprint: parameters.thumbprint(), verifiers: vec![parameters.verifier(algorithm)?] })
}

/// The thumbprint (RFC 7638 §3) of the public JWK `json`, whose text is known to be an object of unique members if it is one.
/// No verifier is built.
///
/// # Errors
/// `Private` when it holds private or symmetric key material; else why nobody could prove this key by a signature.
pub fn public_thumbprint(json: &str) -> Result<Digest, KeyReason> {
    let members = Object::parse(json).map_err(|_| KeyReason::Malformed)?;
    if members.names().any(is_private) {
        return Err(KeyReason::Private);
    }
    let jwk = Jwk::read(json)?;
    jwk.check_use(KeyUse::Signature)?;
    let parameters = KeyParameters::read(&jwk)?;
    match jwk.pinned()? {
        Some(algorithm) if !parameters.serves(algorithm) => Err(KeyReason::Algorithm),
        _ => Ok(parameters.thumbprint()),
    }
}

/// The members of a JWK, whose values are read when they are asked for.
struct Jwk<'a>(Members<'a>);

impl<'a> Jwk<'a> {
    fn read(json: &'a str) -> Result<Self, KeyReason> {
        Members::read(json).map(Self).map_err(|_| KeyReason::Malformed)
    }

    /// The member called `name`, as it was written.
    fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|value| value.get()).filter(|value| *value != "null")
    }

    fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, KeyReason> {
        self.raw(name).map(|raw| string(raw).ok_or(KeyReason::Malformed)).transpose()
    }

    /// The algorithm that the key names, which is then the only one it serves (RFC 7517 §4.4).
    fn pinned(&self) -> Result<Option<Algorithm>, KeyReason> {
        self.text("alg")?.map(|name| Algorithm::parse(&name).ok_or(KeyReason::Algorithm)).transpose()
    }

    /// `use: sig` or none (RFC 7517 §4.2); for a SPIFFE bundle exactly `jwt-svid` (SPIFFE Trust Domain and Bundle §4.2.2).
    fn check_use(&self, key_use: KeyUse) -> Result<(), KeyReason> {
        match (key_use, self.text("use")?.as_deref()) {
            (KeyUse::Signature, None | Some("sig")) | (KeyUse::JwtSvid, Some("jwt-svid")) => {}
            (KeyUse::Signature, Some("enc")) => return Err(KeyReason::Encryption),
            _ => return Err(KeyReason::Use),
        }
        let named = self.raw("key_ops").filter(|list| *list != "[]");
        let named = named.map(|list| strings(list).filter(|_| list.starts_with('[')).ok_or(KeyReason::Malformed));
        let verifies = named.transpose()?.is_none_or(|named| named.iter().any(|operation| operation == "verify"));
        if verifies { Ok(()) } else { Err(KeyReason::Use) }
    }

    fn bytes(&self, member: &str) -> Result<Vec<u8>, KeyReason> {
        let text = self.text(member)?.ok_or(KeyReason::Malformed)?;
        URL_SAFE_NO_PAD.decode(text.as_bytes()).map_err(|_| KeyReason::Malformed)
    }

    /// A coordinate has the full length of its curve (RFC 7518 §6.2.1.2).
    fn coordinate(&self, member: &str, size: usize) -> Result<Vec<u8>, KeyReason> {
        self.bytes(member).and_then(|bytes| if bytes.len() == size { Ok(bytes) } else { Err(KeyReason::Malformed) })
    }

    /// A `Base64urlUInt` (RFC 7518 §2); leading zero bytes, which some issuers write, do not count.
    fn integer(&self, member: &str) -> Result<Vec<u8>, KeyReason> {
        let bytes = self.bytes(member)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let bytes = bytes.get(zeros..).unwrap_or_default().to_vec();
        if bytes.is_empty() { Err(KeyReason::Malformed) } else { Ok(bytes) }
    }
}

impl KeyParameters {
    fn read(jwk: &Jwk<'_>) -> Result<Self, KeyReason> {
        match (jwk.text("kty")?.as_deref().ok_or(KeyReason::Malformed)?, jwk.text("crv").ok().flatten().as_deref()) {
            ("EC", Some("P-256")) => Self::ec(jwk, Algorithm::ES256, "P-256", 32),
            ("EC", Some("P-384")) => Self::ec(jwk, Algorithm::ES384, "P-384", 48),
            ("EC", Some("P-521")) => Self::ec(jwk, Algorithm::ES512, "P-521", 66),
            ("OKP", Some("Ed25519")) => Ok(Self::Ed25519 { x: jwk.coordinate("x", 32)? }),
            ("RSA", _) => Self::rsa(jwk),
            _ => Err(KeyReason::Type),
        }
    }

    fn ec(jwk: &Jwk<'_>, algorithm: Algorithm, crv: &'static str, size: usize) -> Result<Self, KeyReason> {
        Ok(Self::Ec { algorithm, crv, x: jwk.coordinate("x", size)?, y: jwk.coordinate("y", size)? })
    }

    fn rsa(jwk: &Jwk<'_>) -> Result<Self, KeyReason> {
        let (n, e) = (jwk.integer("n")?, jwk.integer("e")?);
        let leading = n.first().map_or(0, |byte| byte.leading_zeros() as usize);
        let bits = n.len() * 8 - leading;
        let exponent = e.iter().try_fold(0_u64, |value, byte| value.checked_mul(256)?.checked_add(u64::from(*byte)));
        let strong = exponent.is_some_and(|exponent| exponent >= EXPONENT_MIN && exponent % 2 == 1);
        if MODULUS_BITS.contains(&bits) && strong && !has_roca(&n) { Ok(Self::Rsa { n, e }) } else { Err(KeyReason::Strength) }
    }

    fn possible(&self) -> &[Algorithm] {
        match self {
            Self::Ec { algorithm, .. } => std::slice::from_ref(algorithm),
            Self::Ed25519 { .. } => &[Algorithm::EdDSA],
            Self::Rsa { .. } => &Algorithm::RSA,
        }
    }

    fn serves(&self, algorithm: Algorithm) -> bool {
        self.possible().contains(&algorithm)
    }

    fn verifiers(&self, pinned: Option<Algorithm>) -> Result<Vec<Verifier>, KeyReason> {
        let served: Vec<_> = self.possible().iter().filter(|one| pinned.is_none_or(|pinned| pinned == **one)).collect();
        if served.is_empty() {
            return Err(KeyReason::Algorithm);
        }
        served.into_iter().map(|algorithm| self.verifier(*algorithm)).collect()
    }

    fn verifier(&self, algorithm: Algorithm) -> Result<Verifier, KeyReason> {
        match self {
            Self::Ec { x, y, .. } => Verifier::new(algorithm, &[&[4], x.as_slice(), y].concat()),
            Self::Ed25519 { x } => Verifier::new(algorithm, x),
            Self::Rsa { n, e } => Verifier::rsa(algorithm, n, e),
        }
    }

    /// RFC 7638 §3.2, RFC 8037 §2: the required members in alphabetical order, without white space.
    fn thumbprint(&self) -> Digest {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let members = match self {
            Self::Ec { crv, x, y, .. } => format!(r#"{{"crv":"{crv}","kty":"EC","x":"{}","y":"{}"}}"#, text(x), text(y)),
            Self::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x)),
            Self::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n)),
        };
        Digest::of(members.as_bytes())
    }
}

/// The fingerprint of keys that a broken library made, so that their factors can be computed (CVE-2017-15361): modulo each of
/// these primes the modulus is a power of 65537. Of other keys one in a hundred million looks like that.
fn has_roca(n: &[u8]) -> bool {
    const PRIMES: [u32; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];
    let power_of_generator = |prime: u32| {
        let rest = n.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let powers = std::iter::successors(Some(1), |power| Some(power * 65_537 % prime));
        powers.take(prime as usize).any(|power| power == rest)
    };
    PRIMES.into_iter().all(power_of_generator)
}
