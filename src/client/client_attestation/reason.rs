//! Why a client attestation or its proof logs nobody in.

use std::error::Error;
use std::fmt;

use crate::client::claim::kind_of;
use crate::jose::JoseReason;
use crate::trust::{TrustReason, TrustRefusal};

/// Why a client attestation or its proof does not log in. Each `Display` is a public sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAttestationReason {
    /// A proof without an attestation.
    Missing,
    /// An attestation without any proof.
    ProofMissing,
    /// The attestation is not a JWS that we read.
    Jose(JoseReason),
    /// No trust rule of kind `client_attester` accepts the attestation.
    Trust(TrustRefusal),
    /// Its `aud` names others.
    Audience,
    /// It is bound to no whole key.
    Key,
    /// It is genuine, but the agent that it names does not log in by it.
    NoAgent,
    /// The proof is not a JWS that we read, or not signed by the key that the attestation names.
    Proof(JoseReason),
    /// The proof's `typ` is of another kind of token.
    ProofTyp,
    /// The proof's `aud` is not the issuer identifier alone.
    ProofAudience,
    /// The proof lacks the named claim.
    ClaimMissing(&'static str),
    /// The named claim of the proof has the wrong JSON type.
    ClaimType(&'static str),
    /// The proof's `jti` is empty or longer than 255 bytes.
    JtiLength,
    /// The proof is too old.
    Old,
    /// The proof is from the future.
    Ahead,
    /// The proof carries no challenge, and must.
    ChallengeMissing,
    /// The proof's challenge is not ours, or over.
    ChallengeStale,
}

impl ClientAttestationReason {
    /// True where the answer must give the client a challenge (draft-ietf-oauth-attestation-based-client-auth §6.1).
    pub fn wants_challenge(&self) -> bool {
        matches!(self, Self::ChallengeMissing | Self::ChallengeStale)
    }

    /// True where the client must get a newer attestation (draft-ietf-oauth-attestation-based-client-auth §7.4).
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::Trust(refused) if refused.reason() == TrustReason::Expired)
    }

    fn of_proof(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proof(JoseReason::AlgorithmNotAllowed) => "the alg of the header is not accepted for proofs",
            Self::Proof(JoseReason::Signature) => "it is not signed by the key in the cnf of the attestation",
            Self::Proof(reason) => return fmt::Display::fmt(reason, f),
            Self::ProofTyp => "typ must be oauth-client-attestation-pop+jwt",
            Self::ProofAudience => "aud must be the issuer identifier of this server alone",
            Self::ClaimMissing(claim) => return write!(f, "the claim {claim} is required"),
            Self::ClaimType(claim) => return write!(f, "the claim {claim} must be {}", kind_of(claim)),
            Self::JtiLength => "jti must have 1 to 255 bytes",
            Self::Old => "it is too old; sign a new one for each request, and check the clock that signed it",
            Self::Ahead => "iat and nbf must lie at most 60 seconds ahead; check the clock that signed it",
            Self::ChallengeMissing => "it must carry a challenge of this server; take that of the answer and sign a new one",
            _ => "its challenge is none of this server, or is over; take that of the answer and sign a new one",
        })
    }
}

impl fmt::Display for ClientAttestationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the header OAuth-Client-Attestation is required with OAuth-Client-Attestation-PoP",
            Self::ProofMissing => concat!(
                "the header OAuth-Client-Attestation must come with a proof of its key: ",
                "OAuth-Client-Attestation-PoP, or DPoP where the agent logs in so"
            ),
            Self::Jose(reason) => return write!(f, "the header OAuth-Client-Attestation: {reason}"),
            Self::Trust(refused) if refused.reason() == TrustReason::Issuer => concat!(
                "the header OAuth-Client-Attestation: no attester that is trusted here signed it; ",
                "a trust rule of kind client_attester must hold its keys"
            ),
            Self::Trust(refused) => return write!(f, "the header OAuth-Client-Attestation: {refused}"),
            Self::Audience => "the header OAuth-Client-Attestation: its aud names other servers than this one; leave it out",
            Self::Key => "the header OAuth-Client-Attestation: its cnf must have the public key of the instance as jwk",
            Self::NoAgent => concat!(
                "the header OAuth-Client-Attestation: it is genuine, but no agent of that sub logs in by it and such a proof; ",
                "a [[login]] of the agent's file with this attester and attest_jwt_client_auth, ",
                "or attest_jwt_client_auth_dpop, would"
            ),
            proof => {
                f.write_str("the header OAuth-Client-Attestation-PoP: ")?;
                return proof.of_proof(f);
            }
        })
    }
}

impl Error for ClientAttestationReason {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Trust(refused) => Some(refused),
            Self::Jose(reason) | Self::Proof(reason) => Some(reason),
            _ => None,
        }
    }
}
