//! `private_key_jwt`: a JWT that the client signed with its own key (RFC 7523 §2.2 and §3, as tightened by rfc7523bis).

use std::borrow::Cow;
use std::time::Duration;

use super::context::{AuthContext, AuthOutcome};
use super::login::KeyLogin;
use super::{AssertionAudience, AssertionReason, AuthMethod, ClientReason};
use crate::crypto::Digest;
use crate::jose::{Compact, JoseReason, Object, Verified};
use crate::keys::KeysUnavailable;
use crate::oauth::{CLOCK_SKEW, ClientId, JTI_BYTES_MAX, ShareKey, SingleUse, SingleUseKind, Time};

const LIFETIME_MAX: Duration = Duration::from_secs(3600);

/// How long the keys of a client that publishes them are waited for, where there are none or none that fits.
const KEYS_WAIT: Duration = Duration::from_millis(500);

/// The client whose own assertion this claims to be; none when it claims to be something else, or no such client has keys.
pub(super) fn client(context: &AuthContext<'_>, iss: Option<&str>, sub: Option<&str>) -> Option<ClientId> {
    let client = ClientId::parse(iss.filter(|_| iss == sub)?).ok()?;
    (!context.logins.keys_of(&client).is_empty()).then_some(client)
}

/// Proves `client`, which the assertion names as issuer and subject, by one of its registered keys.
///
/// # Errors
/// `Unproven` when no key verifies it, `KeysUnpublished` when there are none at the moment; only who holds a key learns which
/// rule the claims break.
pub(super) async fn prove(context: &AuthContext<'_>, jws: &Compact<'_>, client: ClientId) -> Result<AuthOutcome, ClientReason> {
    if jws.names_key_address() {
        return Err(ClientReason::Jose(JoseReason::HeaderMember));
    }
    let verified = verify(context.logins.keys_of(&client), jws, context.now);
    let (login, verified) = tokio::time::timeout(KEYS_WAIT, verified).await.unwrap_or(Err(ClientReason::KeysUnpublished))?;
    check_typ(jws)?;
    check_parties(verified.claims(), &client)?;
    check_audience(verified.claims(), login, context.audience)?;
    let (issued, expires) = check_dates(verified.claims(), context.now)?;
    let digest = single_use(verified.claims(), &client)?;
    Ok(AuthOutcome {
        key: Some(verified.key()),
        evidence: Some(jws.digest()),
        issued: Some(issued),
        single_use: Some(SingleUse {
            digest: digest.0,
            expires,
            issued: issued.min(context.now),
            kind: SingleUseKind::Assertion,
            share: ShareKey::of(&client),
        }),
        ..AuthOutcome::new(client, AuthMethod::PrivateKeyJwt)
    })
}

/// The outcome of `login`, whose assertion names a client as issuer and subject. A refusal that could tell whether there is that
/// client takes the same work and the same time for every name: one signature is verified, if need be by a key of nobody, and
/// where some client publishes its keys all are answered when those would have been waited for in vain.
pub(super) async fn alike(
    context: &AuthContext<'_>,
    jws: &Compact<'_>,
    login: impl Future<Output = Result<AuthOutcome, ClientReason>>,
) -> Result<AuthOutcome, ClientReason> {
    let wait = context.logins.waits_for_keys().then(|| tokio::time::sleep(KEYS_WAIT));
    let outcome = login.await;
    let verified = match &outcome {
        Err(ClientReason::Unproven(JoseReason::Signature | JoseReason::Claims)) => true,
        Err(ClientReason::Unproven(_) | ClientReason::Stranger | ClientReason::KeysUnpublished) => false,
        _ => return outcome,
    };
    if !verified {
        jws.verify_in_vain();
    }
    if let Some(wait) = wait {
        wait.await;
    }
    outcome
}

/// Never through the cache of verified tokens: an assertion counts once.
async fn verify<'l>(logins: &'l [KeyLogin], jws: &Compact<'_>, now: Time) -> Result<(&'l KeyLogin, Verified), ClientReason> {
    let mut refused = ClientReason::Unproven(JoseReason::UnknownKey);
    for login in logins {
        match under(login, jws, now).await {
            Ok(verified) => return Ok((login, verified)),
            // That the keys of one login cannot be had counts only when no other serves.
            Err(_) if matches!(refused, ClientReason::KeysUnpublished) => {}
            Err(reason) => refused = reason,
        }
    }
    Err(refused)
}

/// An unknown `kid` may be a new key: where the client publishes its keys they are looked at once more, if the refresh policy
/// allows it.
async fn under(login: &KeyLogin, jws: &Compact<'_>, now: Time) -> Result<Verified, ClientReason> {
    let keys = login.keys.in_force(now).await.map_err(unpublished)?;
    match jws.verify_in(&keys, &login.algorithms) {
        Err(JoseReason::UnknownKey) => {
            let newer = login.keys.after_refetch(now).await.map_err(unpublished)?.unwrap_or(keys);
            jws.verify_in(&newer, &login.algorithms)
        }
        verified => verified,
    }
    .map_err(ClientReason::Unproven)
}

fn unpublished(_: KeysUnavailable) -> ClientReason {
    ClientReason::KeysUnpublished
}

/// Absent is fine, another kind of token is not (rfc7523bis §4, RFC 8725 §3.11).
fn check_typ(jws: &Compact<'_>) -> Result<(), AssertionReason> {
    let fits = jws.typ().is_none() || jws.typ_is("JWT") || jws.typ_is("client-authentication+jwt");
    if fits { Ok(()) } else { Err(AssertionReason::Typ) }
}

fn check_parties(claims: &Object, client: &ClientId) -> Result<(), AssertionReason> {
    let is_client = |name| claims.text(name).is_ok_and(|text| text.as_deref() == Some(client.as_str()));
    if is_client("iss") && is_client("sub") { Ok(()) } else { Err(AssertionReason::Subject) }
}

/// A string, or an array of exactly one (rfc7523bis §3): an assertion that names two servers could be replayed between them.
fn check_audience(claims: &Object, login: &KeyLogin, ours: &AssertionAudience) -> Result<(), AssertionReason> {
    let endpoint = Some(ours.token_endpoint.as_str()).filter(|_| login.accept_token_endpoint);
    let is_ours = |name: &Cow<'_, str>| **name == *ours.issuer.as_str() || Some(&**name) == endpoint;
    match claims.strings("aud").ok().flatten().as_deref() {
        Some([one]) if is_ours(one) => Ok(()),
        _ if endpoint.is_some() => Err(AssertionReason::AudienceOrEndpoint),
        _ => Err(AssertionReason::Audience),
    }
}

/// The instant at which it was issued, without `iat` the earliest that there may be, and its `exp`: no leeway for that, the
/// moment after it the `jti` may be forgotten.
fn check_dates(claims: &Object, now: Time) -> Result<(Time, Time), AssertionReason> {
    let date = |name| claims.date(name).map_err(|_| AssertionReason::ClaimType(name));
    let (exp, iat, nbf) = (date("exp")?.ok_or(AssertionReason::ExpiryMissing)?, date("iat")?, date("nbf")?);
    if exp <= now {
        return Err(AssertionReason::Expired);
    }
    if iat.max(nbf).is_some_and(|from| from > now.plus(CLOCK_SKEW)) {
        return Err(AssertionReason::Ahead);
    }
    if exp.since(iat.unwrap_or(now)) > LIFETIME_MAX {
        return Err(AssertionReason::Lifetime);
    }
    Ok((iat.unwrap_or(exp.before(LIFETIME_MAX)), exp))
}

/// The value that the commit remembers until the assertion has expired. A client id has no zero byte, so the parts cannot run
/// together.
fn single_use(claims: &Object, client: &ClientId) -> Result<Digest, AssertionReason> {
    let jti = claims.text("jti").map_err(|_| AssertionReason::ClaimType("jti"))?.ok_or(AssertionReason::JtiMissing)?;
    if jti.is_empty() || jti.len() > JTI_BYTES_MAX {
        return Err(AssertionReason::JtiLength);
    }
    Ok(Digest::of_parts(&[b"client_assertion\0", client.as_str().as_bytes(), b"\0", jti.as_bytes()]))
}

#[cfg(test)]
mod tests;
