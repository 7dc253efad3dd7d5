//! Attestations as logins: `spiffe_jwt` (draft-ietf-oauth-spiffe-client-auth §3.1), `workload_jwt` (RFC 7523 §2.2 with a key
//! that the platform holds), and a subject token that speaks for its own subject. They are cached and reused, so no single use
//! is demanded.

use super::context::{AuthContext, AuthOutcome};
use super::{AssertionReason, Attested, AuthMethod, ClientReason};
use crate::jose::Compact;
use crate::oauth::ClientId;
use crate::trust::{SubjectKind, TrustKind, TrustReason, VerifiedAssertion};

/// Proves a client by a JWT-SVID.
///
/// # Errors
/// Why it is no acceptable JWT-SVID, that its `aud` is not the issuer identifier alone, or that it logs in no agent or several.
pub(super) async fn spiffe_jwt(context: &AuthContext<'_>, jws: &Compact<'_>) -> Result<AuthOutcome, ClientReason> {
    let assertion = verify(context, jws).await?;
    if assertion.rule().kind() != TrustKind::Spiffe {
        return Err(ClientReason::JwtAsSvid);
    }
    match assertion.audiences().as_slice() {
        [one] if one == context.audience.issuer.as_str() => login(context, &assertion),
        _ => Err(AssertionReason::Audience.into()),
    }
}

/// Proves a client by another attestation.
///
/// # Errors
/// Why no rule accepts it, that its `aud` names others too, or that it logs in no agent or several.
pub(super) async fn workload_jwt(context: &AuthContext<'_>, jws: &Compact<'_>) -> Result<AuthOutcome, ClientReason> {
    let assertion = verify(context, jws).await.map_err(stranger)?;
    if assertion.rule().kind() == TrustKind::Spiffe {
        return Err(ClientReason::SvidAsJwt);
    }
    check_sole_audience(context, &assertion)?;
    login(context, &assertion)
}

/// The login of a request without any client authentication: its subject token, if that is an attestation, speaks for its own
/// subject.
///
/// # Errors
/// `Missing`, with the cause inside where the subject token may be an attestation, which one of our own tokens is not;
/// `KeysUnavailable` when it cannot be judged now.
pub(super) async fn fallback(context: &AuthContext<'_>, subject_token: Option<&str>) -> Result<AuthOutcome, ClientReason> {
    let text = subject_token.ok_or(ClientReason::Missing)?;
    match own_login(context, text).await {
        Ok(outcome) => Ok(AuthOutcome { self_only: true, ..outcome }),
        Err(ClientReason::KeysUnavailable(reason)) => Err(ClientReason::KeysUnavailable(reason)),
        // A person's token and an identity assertion grant log in nobody, whoever sends them.
        Err(ClientReason::Missing) => Err(ClientReason::Missing),
        Err(_) if is_ours(context, text) => Err(ClientReason::Missing),
        Err(reason) => Err(ClientReason::MissingAttestation(Box::new(reason))),
    }
}

fn is_ours(context: &AuthContext<'_>, text: &str) -> bool {
    let names_us = |jws: &Compact<'_>| {
        let issuer = jws.unverified_claims().ok()?.text("iss").ok()??;
        Some(issuer == context.audience.issuer.as_str())
    };
    Compact::parse(text).ok().and_then(|jws| names_us(&jws)).unwrap_or_default()
}

async fn own_login(context: &AuthContext<'_>, text: &str) -> Result<AuthOutcome, ClientReason> {
    let jws = Compact::parse(text).map_err(ClientReason::Jose)?;
    let assertion = verify(context, &jws).await?;
    if assertion.rule().subject_kind() == SubjectKind::User || assertion.rule().kind() == TrustKind::IdJag {
        return Err(ClientReason::Missing);
    }
    check_sole_audience(context, &assertion)?;
    login(context, &assertion)
}

async fn verify(context: &AuthContext<'_>, jws: &Compact<'_>) -> Result<VerifiedAssertion, ClientReason> {
    context.trust.verify(jws, context.now).await.map_err(ClientReason::of_trust)
}

/// The login of the one agent that the attestation means.
fn login(context: &AuthContext<'_>, assertion: &VerifiedAssertion) -> Result<AuthOutcome, ClientReason> {
    let client = select(context, assertion, &context.logins.agents_of(assertion))?;
    let method = match assertion.rule().kind() {
        TrustKind::Spiffe => AuthMethod::SpiffeJwt,
        _ => AuthMethod::WorkloadJwt,
    };
    Ok(AuthOutcome {
        instance: assertion.instance().map(str::to_owned),
        attested: Some(Attested::from(assertion)),
        confirmation: assertion.confirmation(),
        evidence: Some(assertion.digest()),
        review: assertion.review(),
        issued: Some(assertion.issued()),
        ..AuthOutcome::new(client, method)
    })
}

/// Somebody else's server must not be able to log in here with what it was sent: `aud` is one name of ours and nobody else's.
fn check_sole_audience(context: &AuthContext<'_>, assertion: &VerifiedAssertion) -> Result<(), AssertionReason> {
    let issuer = context.audience.issuer.as_str();
    let ours = |name: &str| name == issuer || assertion.rule().audiences().iter().any(|audience| audience == name);
    match assertion.audiences().as_slice() {
        [one] if ours(one) => Ok(()),
        _ => Err(AssertionReason::AttestationAudience),
    }
}

/// The agent that `client_id` names among those that fit; a SPIFFE ID says no more than the JWT-SVID itself.
fn select(context: &AuthContext<'_>, assertion: &VerifiedAssertion, fitting: &[&ClientId]) -> Result<ClientId, ClientReason> {
    match (context.client_id, fitting) {
        (_, []) => Err(ClientReason::NoAgent),
        (Some(name), fitting) if !names_the_workload(context, assertion, name) => {
            let named = fitting.iter().find(|client| client.as_str() == name);
            named.map(|client| ClientId::clone(client)).ok_or(ClientReason::ClientIdDiffers)
        }
        (_, [one]) => Ok(ClientId::clone(one)),
        _ => Err(ClientReason::SeveralAgents),
    }
}

/// True when `client_id` is the SPIFFE ID of the JWT-SVID, and not the id of an agent that is called like one.
fn names_the_workload(context: &AuthContext<'_>, assertion: &VerifiedAssertion, name: &str) -> bool {
    let is_agent = ClientId::parse(name).is_ok_and(|id| context.catalog.agent(&id).is_some());
    let is_svid = assertion.rule().kind() == TrustKind::Spiffe;
    is_svid && assertion.spiffe_id().is_some_and(|id| id.as_str() == name) && !is_agent
}

/// True for a subject that claims to be a SPIFFE ID, a good one or not.
pub(super) fn claims_spiffe_id(sub: &str) -> bool {
    sub.get(..9).is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe://"))
}

/// An issuer that is neither a client nor trusted gets the same answer as a client with a bad signature.
fn stranger(reason: ClientReason) -> ClientReason {
    match reason {
        ClientReason::Trust(refused) if matches!(refused.reason(), TrustReason::Issuer | TrustReason::Disabled) => {
            ClientReason::Stranger
        }
        reason => reason,
    }
}

#[cfg(test)]
mod tests;
