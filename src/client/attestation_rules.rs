//! The rules that the proofs of client attestations are held to.

use std::sync::Arc;
use std::time::Duration;

use super::Nonces;
use crate::jose::ProofKeys;

/// How old a proof of a client attestation may be, and whether it must answer a challenge.
#[derive(Clone, Debug)]
pub struct ClientAttestationRules {
    /// How old a proof may be by its `iat`: for so long its `jti` is remembered.
    pub age_max: Duration,
    /// The keys that proofs were verified by lately.
    pub known: Arc<ProofKeys>,
    /// The maker and knower of challenges.
    pub challenges: Nonces,
    /// True when a proof must carry a challenge of ours (draft-ietf-oauth-attestation-based-client-auth §6).
    pub challenge_required: bool,
}
