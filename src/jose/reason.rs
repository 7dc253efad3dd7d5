//! Why a token or a key is refused.

use std::fmt;

/// Why a text is no acceptable JWS, or its claims cannot be read. Each `Display` is a public sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JoseReason {
    /// More than [`super::COMPACT_BYTES_MAX`] bytes.
    Long,
    /// Not exactly three parts: a JWE, a JSON serialisation, or something else.
    Parts,
    /// A part is not canonical base64url without padding.
    Encoding,
    /// The header is not a JSON object, repeats a member, or has a member of the wrong type.
    Header,
    /// The header carries a member that would choose the key or change the meaning of the payload.
    HeaderMember,
    /// `alg` is missing, unsigned, symmetric or unknown.
    Algorithm,
    /// `alg` is known but not allowed for this issuer, or not the one its key is for.
    AlgorithmNotAllowed,
    /// No key of the issuer has the token's `kid`.
    UnknownKey,
    /// The token has no `kid`, and not exactly one key fits its `alg`.
    AmbiguousKey,
    /// The signature does not verify under the key.
    Signature,
    /// The payload is not a JSON object, repeats a member at some depth, or is nested too deeply.
    Claims,
    /// The named claim has the wrong JSON type, or is out of range.
    ClaimType(&'static str),
    /// A JWS could not be signed.
    Signing,
}

impl fmt::Display for JoseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Long => "the token is longer than 32 KiB",
            Self::Parts => "the token is not a signed JWT in compact form, which has three parts",
            Self::Encoding => "the token is not canonical base64url without padding",
            Self::Header => "the header of the token is not a JSON object of unique members with string alg, kid and typ",
            Self::HeaderMember => "the header of the token has a member that is not accepted here; alg, kid and typ suffice",
            Self::Algorithm => "the alg of the token is not a supported asymmetric signature",
            Self::AlgorithmNotAllowed => "the alg of the token is not allowed for its issuer and key",
            Self::UnknownKey => "the kid of the token is not among the keys of its issuer",
            Self::AmbiguousKey => "the token has no kid and its issuer has no single key that fits its alg",
            Self::Signature => "the signature of the token does not verify",
            Self::Claims => "the payload of the token is not a JSON object of unique members and modest depth",
            Self::ClaimType(claim @ ("exp" | "iat" | "nbf" | "auth_time")) => {
                return write!(f, "the claim {claim} of the token must be a number of seconds since 1970");
            }
            Self::ClaimType(claim) => return write!(f, "the claim {claim} of the token has the wrong type"),
            Self::Signing => "a token could not be signed",
        })
    }
}

impl std::error::Error for JoseReason {}

/// Why one key is not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyReason {
    /// Not a JWK or PEM, or members missing or malformed.
    Malformed,
    /// A key type or curve that no supported algorithm uses.
    Type,
    /// `use` or `key_ops` says it is for something else.
    Use,
    /// For encryption, as many issuers have one beside those that sign.
    Encryption,
    /// `alg` is unknown or does not go with the key's type and curve.
    Algorithm,
    /// Private or symmetric key material where a public key is wanted.
    Private,
    /// RSA with fewer than 2,048 or more than 8,192 bits, an exponent that is even or too small, or factors that can be
    /// computed.
    Strength,
    /// A key that stands in the set already.
    Repeated,
    /// Another key of the set has the same `kid` for the same algorithm.
    SharedKid,
}

impl fmt::Display for KeyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "is not a well-formed key",
            Self::Type => "has a key type or curve that no supported algorithm uses",
            Self::Use => "is not for verifying such tokens, says its use or key_ops",
            Self::Encryption => "is for encryption, says its use",
            Self::Algorithm => "has an alg that is unknown or does not go with its type",
            Self::Private => "holds private or symmetric key material; a public key belongs there",
            Self::Strength => "is an RSA key outside 2048 to 8192 bits, with a weak exponent, or of the ROCA kind",
            Self::Repeated => "is in the set already",
            Self::SharedKid => "has the kid of another key of the set, so that the kid names neither",
        })
    }
}

impl std::error::Error for KeyReason {}

/// Why a whole key set is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySetReason {
    /// More than [`super::KEY_SET_BYTES_MAX`] bytes.
    Long,
    /// Not a JSON object of unique members with an array `keys`.
    Malformed,
    /// More than [`super::KEYS_MAX`] keys.
    Count,
    /// Holds private or symmetric key material, which must never be published.
    Private,
}

impl fmt::Display for KeySetReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Long => "is longer than 1 MiB",
            Self::Malformed => "is not a JWK set: a JSON object of unique members with an array keys",
            Self::Count => "has more than 2048 keys",
            Self::Private => "holds private or symmetric key material; publish public keys only, and replace these",
        })
    }
}

impl std::error::Error for KeySetReason {}
