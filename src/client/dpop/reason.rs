//! Why a DPoP proof is refused.

use std::error::Error;
use std::fmt;

use crate::client::claim::kind_of;
use crate::jose::EmbeddedKeyReason;

/// The check of RFC 9449 §4.3 that a proof fails. `Display` is the public sentence: what was expected, never what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DpopReason {
    /// More than one `DPoP` header (check 1).
    Repeated,
    /// Not a single well-formed JWT, its algorithm, its signature or its key (checks 2, 5, 6, 7).
    Proof(EmbeddedKeyReason),
    /// A claim is missing (check 3).
    ClaimMissing(&'static str),
    /// A claim has the wrong JSON type (check 3).
    ClaimType(&'static str),
    /// `jti` is empty or longer than 255 bytes.
    JtiLength,
    /// `typ` is another (check 4).
    Typ,
    /// `htm` is another method than this (check 8).
    Htm(&'static str),
    /// `htu` is another address (check 9).
    Htu,
    /// No nonce, and one is required (check 10).
    NonceMissing,
    /// A nonce that is not ours or no longer counts (check 10).
    NonceStale,
    /// Made too long ago (check 11).
    Old,
    /// Made in the future (check 11).
    Ahead,
    /// `ath` is not the digest of the access token that the request shows (check 12).
    Ath,
    /// The request shows an access token by the scheme `DPoP`, and no proof.
    Missing,
}

impl DpopReason {
    /// True when a nonce is all that is missing: the answer then brings one (RFC 9449 §8).
    pub fn wants_nonce(self) -> bool {
        matches!(self, Self::NonceMissing | Self::NonceStale)
    }
}

impl fmt::Display for DpopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Repeated => "there must be one DPoP header at most",
            Self::Proof(reason) => return write!(f, "DPoP proof: {reason}"),
            Self::ClaimMissing(claim) => return write!(f, "DPoP proof: the claim {claim} is required (jti, htm, htu, iat)"),
            Self::ClaimType(claim) => return write!(f, "DPoP proof: the claim {claim} must be {}", kind_of(claim)),
            Self::JtiLength => "DPoP proof: jti must have 1 to 255 bytes",
            Self::Typ => "DPoP proof: the typ of the header must be dpop+jwt",
            Self::Htm(method) => return write!(f, "DPoP proof: htm must be {method}, the method of this request"),
            Self::Htu => concat!(
                "DPoP proof: htu must be the address of this endpoint as the metadata of this server has it, ",
                "with scheme, host, port and path, without query and fragment"
            ),
            Self::NonceMissing => "DPoP proof: a nonce is required; sign anew with that of the DPoP-Nonce header",
            Self::NonceStale => {
                "DPoP proof: the nonce does not count, or no longer; sign anew with that of the DPoP-Nonce header"
            }
            Self::Old => "DPoP proof: iat lies too far back; sign one for each request, and check the clock that signed it",
            Self::Ahead => "DPoP proof: iat must lie at most 60 seconds ahead; check the clock that signed it",
            Self::Ath => "DPoP proof: ath must be the SHA-256 of the access token of this request, in base64url",
            Self::Missing => "the access token is sent by the scheme DPoP, and the DPoP header with the proof is missing",
        })
    }
}

impl Error for DpopReason {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Proof(reason) => Some(reason),
            _ => None,
        }
    }
}
