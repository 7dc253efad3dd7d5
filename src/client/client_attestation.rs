//! `attest_jwt_client_auth`: a client attestation, by which an attester vouches for the key of an instance of a client, and the
//! proof of that key (draft-ietf-oauth-attestation-based-client-auth §7). Either may be anybody's until both are verified; which
//! clients there are is told to nobody before that.

mod reason;

pub use reason::ClientAttestationReason;

use super::context::{AuthContext, AuthOutcome};
use super::dpop::Worth;
use super::{Attested, AuthMethod, ClientAttestationRules, ClientReason, PROOF_ALGORITHMS};
use crate::crypto::Digest;
use crate::jose::{Compact, Object, verify_by_confirmed_key};
use crate::oauth::{CLOCK_SKEW, ClientId, Confirmation, JTI_BYTES_MAX, ShareKey, SingleUse, SingleUseKind, Time};
use crate::trust::VerifiedAssertion;

/// A proof that is genuine and current, but for its single use.
struct VerifiedProof {
    jti: String,
    issued: Time,
    expires: Time,
}

/// Proves the client that `attestation` names, by `proof` of the key that it is bound to. Without one its key is left to the DPoP
/// proof of the request: then the login is bound to it, and so is what is issued.
///
/// # Errors
/// The first check that fails; `KeysUnavailable` when an attester's keys are not there.
pub(super) async fn prove(
    context: &AuthContext<'_>,
    attestation: &str,
    proof: Option<&str>,
) -> Result<AuthOutcome, ClientReason> {
    let jws = Compact::parse(attestation).map_err(ClientAttestationReason::Jose)?;
    jws.algorithm().map_err(ClientAttestationReason::Jose)?;
    let assertion =
        context.trust.verify_client_attestation(&jws, context.now).await.map_err(|refused| match refused.reason() {
            reason if reason.is_no_verdict() => ClientReason::KeysUnavailable(reason),
            _ => ClientAttestationReason::Trust(refused).into(),
        })?;
    check_attested_audience(context, assertion.claims())?;
    let key = attested_key(&assertion)?;
    let proof = proof.map(|proof| verify(context, &assertion, proof)).transpose()?;
    let client = client(context, &assertion, proof.is_none())?;
    let method = if proof.is_some() { AuthMethod::AttestJwt } else { AuthMethod::AttestJwtDpop };
    Ok(AuthOutcome {
        instance: assertion.instance().map(str::to_owned),
        attested: Some(Attested::from(&assertion)),
        confirmation: proof.is_none().then_some(Confirmation::Dpop(key)),
        key: Some(key),
        evidence: Some(assertion.digest()),
        issued: Some(assertion.issued()),
        single_use: proof.map(|proof| single_use(&client, key, &proof)),
        ..AuthOutcome::new(client, method)
    })
}

/// An attestation that is for somebody is for us (RFC 7519 §4.1.3). The draft gives it no `aud`.
fn check_attested_audience(context: &AuthContext<'_>, claims: &Object) -> Result<(), ClientAttestationReason> {
    let issuer = context.audience.issuer.as_str();
    match claims.has("aud").then(|| claims.strings("aud").ok().flatten().unwrap_or_default()) {
        Some(audiences) if !audiences.iter().any(|audience| audience == issuer) => Err(ClientAttestationReason::Audience),
        _ => Ok(()),
    }
}

/// The thumbprint of the key of the instance. Its rule accepts an attestation with a whole key alone.
fn attested_key(assertion: &VerifiedAssertion) -> Result<Digest, ClientAttestationReason> {
    match assertion.confirmation() {
        Some(Confirmation::Dpop(key)) => Ok(key),
        _ => Err(ClientAttestationReason::Key),
    }
}

/// The agent that the attestation names, where it logs in by attestations under that rule and by such a proof.
fn client(context: &AuthContext<'_>, assertion: &VerifiedAssertion, dpop: bool) -> Result<ClientId, ClientReason> {
    let sub = assertion.claims().text("sub").ok().flatten().unwrap_or_default();
    let named = ClientId::parse(&sub).ok();
    let client = named.filter(|client| context.logins.takes_attestation(client, assertion.rule().name(), dpop));
    let client = client.ok_or(ClientAttestationReason::NoAgent)?;
    match context.client_id {
        Some(name) if name != client.as_str() => Err(ClientReason::ClientIdDiffers),
        _ => Ok(client),
    }
}

/// Checks a proof of the key of `assertion` (draft-ietf-oauth-attestation-based-client-auth §7.2); its single use is left to the
/// commit.
fn verify(
    context: &AuthContext<'_>,
    assertion: &VerifiedAssertion,
    proof: &str,
) -> Result<VerifiedProof, ClientAttestationReason> {
    let proof = Compact::parse(proof).map_err(ClientAttestationReason::Proof)?;
    if !proof.typ_is("oauth-client-attestation-pop+jwt") {
        return Err(ClientAttestationReason::ProofTyp);
    }
    let key = assertion.claims().pointer("/cnf/jwk").unwrap_or_default();
    let verified = verify_by_confirmed_key(&proof, key, &PROOF_ALGORITHMS, &context.attestations.known);
    let verified = verified.map_err(ClientAttestationReason::Proof)?;
    let claims = verified.claims();
    check_audience(context, claims)?;
    let jti = jti(claims)?;
    let (issued, expires) = current_until(claims, context.attestations, context.now)?;
    Ok(VerifiedProof { jti, issued, expires })
}

/// A string, or an array of exactly one: a proof is for one server.
fn check_audience(context: &AuthContext<'_>, claims: &Object) -> Result<(), ClientAttestationReason> {
    match claims.strings("aud").ok().flatten().as_deref() {
        Some([one]) if *one == context.audience.issuer.as_str() => Ok(()),
        _ => Err(ClientAttestationReason::ProofAudience),
    }
}

fn jti(claims: &Object) -> Result<String, ClientAttestationReason> {
    let jti = claims.text("jti").map_err(|_| ClientAttestationReason::ClaimType("jti"))?;
    let jti = jti.ok_or(ClientAttestationReason::ClaimMissing("jti"))?;
    let fits = (1..=JTI_BYTES_MAX).contains(&jti.len());
    if fits { Ok(jti.into_owned()) } else { Err(ClientAttestationReason::JtiLength) }
}

/// The time at which the proof was made, and that from which it is no longer accepted, if it is now. A challenge of ours says
/// better than a clock of the client's when that was, so then `iat` need only be there. A challenge that is not ours, or over,
/// never counts, also where none is required: whoever has one was given it.
fn current_until(claims: &Object, rules: &ClientAttestationRules, now: Time) -> Result<(Time, Time), ClientAttestationReason> {
    let date = |name| claims.date(name).map_err(|_| ClientAttestationReason::ClaimType(name));
    let (made, exp, nbf) = (date("iat")?.ok_or(ClientAttestationReason::ClaimMissing("iat"))?, date("exp")?, date("nbf")?);
    if exp.is_some_and(|exp| exp <= now) {
        return Err(ClientAttestationReason::Old);
    }
    if nbf.is_some_and(|nbf| nbf > now.plus(CLOCK_SKEW)) {
        return Err(ClientAttestationReason::Ahead);
    }
    let challenge = claims.text("challenge").map_err(|_| ClientAttestationReason::ClaimType("challenge"))?;
    match challenge.as_deref().map(|challenge| rules.challenges.worth(challenge, now)) {
        Some(Worth::Until(expires)) => return Ok((made.min(now), expires)),
        Some(Worth::Over | Worth::Nothing) => return Err(ClientAttestationReason::ChallengeStale),
        None if rules.challenge_required => return Err(ClientAttestationReason::ChallengeMissing),
        None => {}
    }
    let expires = made.plus(rules.age_max);
    match (made > now.plus(CLOCK_SKEW), expires <= now) {
        (true, _) => Err(ClientAttestationReason::Ahead),
        (_, true) => Err(ClientAttestationReason::Old),
        _ => Ok((made.min(now), expires)),
    }
}

/// The value that the commit remembers until the proof no longer counts, in the share of the client. A client id has no zero
/// byte, so the parts cannot run together.
fn single_use(client: &ClientId, key: Digest, proof: &VerifiedProof) -> SingleUse {
    let parts: [&[u8]; 5] = [b"client_attestation_pop\0", client.as_str().as_bytes(), b"\0", &key.0, proof.jti.as_bytes()];
    SingleUse {
        digest: Digest::of_parts(&parts).0,
        expires: proof.expires,
        issued: proof.issued,
        kind: SingleUseKind::Assertion,
        share: ShareKey::of(client),
    }
}

#[cfg(test)]
mod tests;
