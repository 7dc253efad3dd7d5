//! Tokens of issuers that a trust rule vouches for: ID tokens, attestations, and access tokens of other servers.

use std::borrow::Cow;

use crate::jose::{Compact, Object};
use crate::oauth::{ActChain, CLOCK_SKEW, ForeignName, Issuer, MayAct, ScopesOnApi, Subject, Time, TokenType};
use crate::trust::{SubjectKind, TrustKind, TrustRule, TrustStore, VerifiedAssertion};

use super::{Authentication, Origin, TokenReason, VerifiedSubject};

/// Verifies a token under the trust rules and reads who it speaks of.
///
/// # Errors
/// When no rule vouches for it, or its `act` or `may_act` cannot be honoured.
pub(super) async fn verify(
    jws: &Compact<'_>,
    declared: TokenType,
    trust: &TrustStore,
    ours: &Issuer,
    now: Time,
) -> Result<VerifiedSubject, TokenReason> {
    let assertion = trust.verify(jws, now).await?;
    if declared == TokenType::IdToken && assertion.rule().kind() == TrustKind::Oauth {
        return Err(TokenReason::NotIdToken);
    }
    let claims = assertion.claims();
    Ok(VerifiedSubject {
        subject: Subject::foreign(assertion.rule().name(), assertion.id()),
        chain: chain(claims, assertion.issuer(), ours)?,
        may_act: may_act(claims)?,
        issued: assertion.issued(),
        expires: assertion.expires(),
        authentication: authentication(claims, now)?,
        attributes: assertion.attributes().iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        scope_limit: scope_limit(assertion.rule(), claims)?,
        digest: assertion.digest(),
        confirmation: assertion.confirmation(),
        origin: origin(&assertion, claims)?,
    })
}

fn origin(assertion: &VerifiedAssertion, claims: &Object) -> Result<Origin, TokenReason> {
    let rule = assertion.rule();
    let (name, issuer) = (rule.name().clone(), assertion.issuer().to_owned());
    Ok(match rule.subject_kind() {
        SubjectKind::User => Origin::User { rule: name, issuer, client: obtained_by(rule, claims)? },
        SubjectKind::Workload => Origin::Attestation {
            rule: name,
            issuer,
            presenters: rule.presenters().to_vec(),
            instance: assertion.instance().map(str::to_owned),
        },
    })
}

/// The scopes that a foreign access token gives here: exactly those that its rule makes of its own (RFC 9068 §2.2.3). An
/// unknown scope gives none.
fn scope_limit(rule: &TrustRule, claims: &Object) -> Result<Option<Vec<ScopesOnApi>>, TokenReason> {
    let Some(form) = rule.access_tokens() else { return Ok(None) };
    let scopes = form.scopes(claims).ok_or(TokenReason::Claims)?;
    let mut held: Vec<ScopesOnApi> = Vec::new();
    for map in rule.scopes().iter().filter(|map| scopes.iter().any(|name| name == map.from.as_str())) {
        match held.iter_mut().find(|held| held.api == map.api) {
            Some(held) => held.scopes = held.scopes.union(&[map.to.clone()].into_iter().collect()),
            None => held.push(ScopesOnApi { api: map.api.clone(), scopes: [map.to.clone()].into_iter().collect() }),
        }
    }
    Ok(Some(held))
}

/// The client that obtained a token: of an access token the one that its form names (RFC 9068 §2.2); of an ID token `azp`, else
/// the sole `aud` (OpenID Connect Core §2). Otherwise it cannot be told.
fn obtained_by(rule: &TrustRule, claims: &Object) -> Result<Option<String>, TokenReason> {
    if let Some(form) = rule.access_tokens() {
        return Ok(form.client(claims).map(Cow::into_owned));
    }
    if let Some(azp) = claims.text("azp").map_err(|_| TokenReason::Claims)? {
        return Ok(Some(azp.into_owned()));
    }
    let audiences = claims.strings("aud").map_err(|_| TokenReason::Claims)?.unwrap_or_default();
    let sole = audiences.first().filter(|_| audiences.len() == 1);
    Ok(sole.map(|audience| audience.clone().into_owned()))
}

fn chain(claims: &Object, issuer: &str, ours: &Issuer) -> Result<ActChain, TokenReason> {
    let Some(act) = claims.member("act") else { return Ok(ActChain::default()) };
    let chain = ActChain::parse(act, issuer).map_err(TokenReason::Act)?;
    chain.refuse_named_by(ours.as_str()).map_err(TokenReason::Act)?;
    Ok(chain)
}

fn may_act(claims: &Object) -> Result<Option<MayAct>, TokenReason> {
    claims.raw("may_act").map(|raw| MayAct::parse(raw).map_err(TokenReason::MayAct)).transpose()
}

/// The authentication of the subject. What it says stands in what is issued, so it is held to the rule for names; the time of
/// an authentication is not ahead, and what the skew of clocks puts there counts as now.
fn authentication(claims: &Object, now: Time) -> Result<Authentication, TokenReason> {
    let text = |text: Cow<'_, str>| ForeignName::parse(text).map(ForeignName::into_string).map_err(TokenReason::Authentication);
    let amr = claims.strings("amr").map_err(|_| TokenReason::Claims)?.unwrap_or_default();
    let time = claims.date("auth_time").map_err(|_| TokenReason::Claims)?;
    if time.is_some_and(|time| time > now.plus(CLOCK_SKEW)) {
        return Err(TokenReason::AuthenticatedLater);
    }
    Ok(Authentication {
        acr: claims.text("acr").map_err(|_| TokenReason::Claims)?.map(text).transpose()?,
        amr: amr.into_iter().map(text).collect::<Result<_, _>>()?,
        time: time.map(|time| time.min(now)),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_time_of_authentication_ahead_is_now_within_the_skew_and_refused_beyond_it() {
        let now = Time::from_seconds(1_800_000_000);
        let at = |seconds: i64| authentication(&Object::parse(format!(r#"{{"auth_time":{seconds}}}"#)).unwrap(), now);
        for (ahead, told) in [(-1, -1), (0, 0), (1, 0), (60, 0)] {
            let time = at(now.seconds() + ahead).unwrap().time;
            assert_eq!(time, Some(Time::from_seconds(now.seconds() + told)), "{ahead}");
        }
        assert!(matches!(at(now.seconds() + 61), Err(TokenReason::AuthenticatedLater)));
    }
}
