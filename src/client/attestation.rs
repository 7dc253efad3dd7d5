//! Attestations as logins: what JWT-SVIDs and other workload tokens have in common.

use super::authenticate::{AuthContext, Proof};
use super::{AssertionReason, Attested, AuthMethod, ClientReason, spiffe};
use crate::jose::Compact;
use crate::oauth::ClientId;
use crate::trust::{TrustKind, VerifiedAssertion};

/// Verifies an attestation under the trust rules.
///
/// # Errors
/// Why no rule vouches for it; `KeysUnavailable` when its issuer's keys cannot be had.
pub(super) async fn vouch(room: &AuthContext<'_>, jws: &Compact<'_>) -> Result<VerifiedAssertion, ClientReason> {
    room.trust.vouch(jws, room.now).await.map_err(ClientReason::of_trust)
}

/// The login of the one agent that the attestation means.
///
/// # Errors
/// `NoAgent`, `SeveralAgents` or `ClientIdDiffers`.
pub(super) fn login(room: &AuthContext<'_>, vouched: &VerifiedAssertion) -> Result<Proof, ClientReason> {
    let client = select(room, vouched, &room.logins.agents_of(vouched))?;
    let method = match vouched.rule().kind() {
        TrustKind::Spiffe => AuthMethod::SpiffeJwt,
        _ => AuthMethod::WorkloadJwt,
    };
    let rule = vouched.rule().name().clone();
    Ok(Proof {
        instance: vouched.instance().map(str::to_owned),
        attested: Some(Attested { rule, id: vouched.id().to_owned(), expires: vouched.expires() }),
        binding: vouched.binding(),
        evidence: Some(vouched.digest()),
        ..Proof::new(client, method)
    })
}

/// The login of a request without any client authentication: its subject token, if that is an attestation, speaks for its own
/// subject.
///
/// # Errors
/// `Missing`, with the cause inside where there is a subject token; `KeysUnavailable` when it cannot be judged now.
pub(super) async fn fallback(room: &AuthContext<'_>, subject_token: Option<&str>) -> Result<Proof, ClientReason> {
    let text = subject_token.ok_or(ClientReason::Missing)?;
    match own_login(room, text).await {
        Ok(proof) => Ok(Proof { self_only: true, ..proof }),
        Err(ClientReason::KeysUnavailable(reason)) => Err(ClientReason::KeysUnavailable(reason)),
        Err(reason) => Err(ClientReason::MissingAttestation(Box::new(reason))),
    }
}

async fn own_login(room: &AuthContext<'_>, text: &str) -> Result<Proof, ClientReason> {
    let jws = Compact::parse(text).map_err(ClientReason::Jose)?;
    let vouched = vouch(room, &jws).await?;
    sole_audience(room, &vouched)?;
    login(room, &vouched)
}

/// Somebody else's server must not be able to log in here with what it was sent: `aud` is one name of ours and nobody else's.
///
/// # Errors
/// `AttestationAudience`.
pub(super) fn sole_audience(room: &AuthContext<'_>, vouched: &VerifiedAssertion) -> Result<(), ClientReason> {
    let issuer = room.audience.issuer.as_str();
    let ours = |name: &str| name == issuer || vouched.rule().audiences().iter().any(|audience| audience == name);
    match vouched.audiences().as_slice() {
        [one] if ours(one) => Ok(()),
        _ => Err(AssertionReason::AttestationAudience.into()),
    }
}

/// By `client_id` where it says which; a SPIFFE ID says no more than the JWT-SVID itself.
fn select(room: &AuthContext<'_>, vouched: &VerifiedAssertion, fitting: &[&ClientId]) -> Result<ClientId, ClientReason> {
    match (room.client_id, fitting) {
        (_, []) => Err(ClientReason::NoAgent),
        (Some(name), fitting) if !names_the_workload(room, vouched, name) => {
            let named = fitting.iter().find(|client| client.as_str() == name);
            named.map(|client| ClientId::clone(client)).ok_or(ClientReason::ClientIdDiffers)
        }
        (_, [one]) => Ok(ClientId::clone(one)),
        _ => Err(ClientReason::SeveralAgents),
    }
}

/// Whether `client_id` is the SPIFFE ID of the JWT-SVID, and not the id of an agent that is called like one.
fn names_the_workload(room: &AuthContext<'_>, vouched: &VerifiedAssertion, name: &str) -> bool {
    let is_agent = ClientId::parse(name).is_ok_and(|id| room.catalog.agent(&id).is_some());
    vouched.rule().kind() == TrustKind::Spiffe && spiffe::id_of(vouched).is_some_and(|id| id.as_str() == name) && !is_agent
}

#[cfg(test)]
mod tests;
