//! `workload_jwt`: an attestation under a trust rule as client assertion (RFC 7523 §2.2 with a key that the platform holds).

use super::authenticate::{AuthContext, Proof};
use super::{ClientReason, attestation};
use crate::jose::Compact;
use crate::trust::{TrustKind, TrustReason};

/// Proves a client by an attestation. Platforms reuse these, so no single use is demanded.
///
/// # Errors
/// Why no rule vouches for it, that its `aud` names others too, or that it logs in no agent or several.
pub(super) async fn prove(room: &AuthContext<'_>, jws: &Compact<'_>) -> Result<Proof, ClientReason> {
    let vouched = attestation::vouch(room, jws).await.map_err(stranger)?;
    if vouched.rule().kind() == TrustKind::Spiffe {
        return Err(ClientReason::SvidAsJwt);
    }
    attestation::sole_audience(room, &vouched)?;
    attestation::login(room, &vouched)
}

/// An issuer that is neither a client nor trusted gets the same answer as a client with a bad signature.
fn stranger(reason: ClientReason) -> ClientReason {
    match reason {
        ClientReason::Trust(TrustReason::Issuer | TrustReason::Disabled) => ClientReason::Stranger,
        reason => reason,
    }
}
