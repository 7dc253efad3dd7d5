//! Tokens of issuers that a trust rule vouches for: ID tokens, attestations, and access tokens of other servers.

use std::borrow::Cow;

use crate::crypto::Digest;
use crate::jose::{Compact, JoseReason, Object};
use crate::oauth::{
    ActChain, CLOCK_SKEW, ForeignName, Issuer, MayAct, Resource, Scopes, ScopesOnApi, ShareKey, SingleUse, SingleUseKind,
    Subject, Time, TokenType,
};
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
    if declared == TokenType::IdToken && matches!(assertion.rule().kind(), TrustKind::Oauth | TrustKind::IdJag) {
        return Err(TokenReason::NotIdToken);
    }
    let claims = assertion.claims();
    if assertion.rule().kind() == TrustKind::IdJag && assertion.audiences() != [ours.as_str()] {
        return Err(TokenReason::HandedElsewhere);
    }
    Ok(VerifiedSubject {
        subject: Subject::foreign(assertion.rule().name(), assertion.id()),
        chain: chain(assertion.rule(), claims, ours)?,
        may_act: may_act(claims)?,
        issued: assertion.issued(),
        expires: assertion.expires(),
        authentication: authentication(assertion.rule(), claims, now)?,
        attributes: assertion.attributes().to_vec(),
        scope_limit: scope_limit(assertion.rule(), claims)?,
        digest: Some(assertion.digest()),
        confirmation: assertion.confirmation(),
        review: assertion.review(),
        single_use: single_use(&assertion),
        origin: origin(&assertion, claims)?,
    })
}

/// Reads of a token that its rule accepts what else an exchange reads: who acts and may act, and how its subject authenticated.
///
/// # Errors
/// What cannot be honoured.
pub fn presentable(assertion: &VerifiedAssertion, ours: &Issuer, now: Time) -> Result<(), TokenReason> {
    let (rule, claims) = (assertion.rule(), assertion.claims());
    chain(rule, claims, ours)?;
    may_act(claims)?;
    authentication(rule, claims, now).map(drop)
}

fn origin(assertion: &VerifiedAssertion, claims: &Object) -> Result<Origin, TokenReason> {
    let rule = assertion.rule();
    let (name, issuer) = (rule.name().clone(), assertion.issuer().to_owned());
    Ok(match rule.subject_kind() {
        kind if rule.kind() == TrustKind::IdJag => {
            let client = claims.text("client_id").map_err(|_| TokenReason::Claims)?.ok_or(TokenReason::Claims)?.into_owned();
            Origin::IdJag { rule: name, issuer, kind, client, resources: resources(claims)?, scope: handed_scope(claims)? }
        }
        SubjectKind::User => Origin::User { rule: name, issuer, client: obtained_by(rule, claims)? },
        SubjectKind::Workload => Origin::Attestation {
            rule: name,
            issuer,
            presenters: rule.presenters().to_vec(),
            instance: assertion.instance().map(str::to_owned),
        },
    })
}

/// `resource` of an identity assertion grant: one URI or several.
fn resources(claims: &Object) -> Result<Vec<Resource>, TokenReason> {
    let named = if claims.has("resource") { claims.strings("resource").map_err(|_| TokenReason::Claims)? } else { None };
    let read = |text: &Cow<'_, str>| Resource::parse(text).map_err(|_| TokenReason::Claims);
    named.unwrap_or_default().iter().map(read).collect()
}

/// `scope` of an identity assertion grant. An empty one gives nothing.
fn handed_scope(claims: &Object) -> Result<Option<Scopes>, TokenReason> {
    let read = |text: Cow<'_, str>| match text.as_ref() {
        "" => Ok(Scopes::default()),
        text => Scopes::parse(text).map_err(|_| TokenReason::Claims),
    };
    claims.text("scope").map_err(|_| TokenReason::Claims)?.map(read).transpose()
}

/// The value by which an identity assertion grant counts once, in whichever parameter. No issuer has a zero byte, so that the
/// parts cannot run together.
fn single_use(assertion: &VerifiedAssertion) -> Option<SingleUse> {
    let rule = assertion.rule();
    let jti = assertion.claims().text("jti").ok().flatten().filter(|_| rule.kind() == TrustKind::IdJag)?;
    Some(SingleUse {
        digest: Digest::of_parts(&[b"id_jag\0", rule.issuer().as_bytes(), b"\0", jti.as_bytes()]).0,
        expires: assertion.expires(),
        issued: assertion.issued(),
        kind: SingleUseKind::Grant,
        share: ShareKey::NOBODY,
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
///
/// # Errors
/// When a claim that would tell is of another type.
pub fn obtained_by(rule: &TrustRule, claims: &Object) -> Result<Option<String>, TokenReason> {
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

fn chain(rule: &TrustRule, claims: &Object, ours: &Issuer) -> Result<ActChain, TokenReason> {
    let Some(act) = claims.member("act").filter(|_| names_actor(rule, claims)) else { return Ok(ActChain::default()) };
    let chain = ActChain::parse(act, rule.issuer()).map_err(TokenReason::Act)?;
    chain.refuse_named_by(ours.as_str()).map_err(TokenReason::Act)?;
    Ok(chain)
}

/// True where `act` names somebody who acts (RFC 8693 §4.1). A platform may note there, of a workload, by what token it got this
/// one; that identifies nobody.
pub(super) fn names_actor(rule: &TrustRule, claims: &Object) -> bool {
    const IDENTIFYING: [&str; 4] = ["sub", "iss", "client_id", "act"];
    let Some(act) = claims.raw("act") else { return false };
    let note = Object::parse(act).is_ok_and(|act| !IDENTIFYING.iter().any(|name| act.has(name)) && act.names().next().is_some());
    !note || rule.kind() != TrustKind::Oidc || rule.subject_kind() != SubjectKind::Workload
}

fn may_act(claims: &Object) -> Result<Option<MayAct>, TokenReason> {
    claims.raw("may_act").map(|raw| MayAct::parse(raw).map_err(TokenReason::MayAct)).transpose()
}

/// The authentication of the subject. What it says stands in what is issued, so it is held to the rule for names; the time of
/// an authentication is not ahead, and what the skew of clocks puts there counts as now.
///
/// Each claim is optional, so that one of a type that issuers should not write is not known (for policies that is the worst that
/// it could be) and told to the operator.
fn authentication(rule: &TrustRule, claims: &Object, now: Time) -> Result<Authentication, TokenReason> {
    let text = |text: Cow<'_, str>| ForeignName::parse(text).map(ForeignName::into_string).map_err(TokenReason::Authentication);
    let amr = optional(rule, claims, "amr", claims.strings("amr")).unwrap_or_default();
    let time = optional(rule, claims, "auth_time", claims.date("auth_time"));
    if time.is_some_and(|time| time > now.plus(CLOCK_SKEW)) {
        return Err(TokenReason::AuthenticatedLater);
    }
    Ok(Authentication {
        acr: optional(rule, claims, "acr", claims.text("acr")).map(text).transpose()?,
        amr: amr.into_iter().map(text).collect::<Result<_, _>>()?,
        time: time.map(|time| time.min(now)),
    })
}

/// The value of an optional claim; none where it is absent, null, or not as it should be.
fn optional<T>(rule: &TrustRule, claims: &Object, claim: &str, read: Result<Option<T>, JoseReason>) -> Option<T> {
    let value = claims.raw(claim).filter(|value| *value != "null")?;
    read.unwrap_or_else(|_| {
        rule.tell_unread(claim, Some(value));
        None
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::sync::Arc;

    use super::*;
    use crate::jose::KeySet;
    use crate::keys::KeySource;
    use crate::trust::{IssuerSelector, TrustRuleParts};

    fn rule() -> TrustRule {
        let keys = KeySource::Fixed(Arc::new(KeySet::of_signing_keys([])));
        let selector = IssuerSelector::Issuer(Issuer::parse("https://idp.example").unwrap());
        TrustRule::new(TrustRuleParts::for_tests("idp", TrustKind::Oidc, selector, keys)).unwrap()
    }

    #[test]
    fn a_time_of_authentication_ahead_is_now_within_the_skew_and_refused_beyond_it() {
        let now = Time::from_seconds(1_800_000_000);
        let claims = |seconds: i64| Object::parse(format!(r#"{{"auth_time":{seconds}}}"#)).unwrap();
        let at = |seconds: i64| authentication(&rule(), &claims(seconds), now);
        for (ahead, told) in [(-1, -1), (0, 0), (1, 0), (60, 0)] {
            let time = at(now.seconds() + ahead).unwrap().time;
            assert_eq!(time, Some(Time::from_seconds(now.seconds() + told)), "{ahead}");
        }
        assert!(matches!(at(now.seconds() + 61), Err(TokenReason::AuthenticatedLater)));
    }

    /// Every type that issuers write where they should not: what cannot be read is not known, and never half known.
    #[test]
    fn how_the_subject_authenticated_is_known_or_not_known_and_refuses_nobody() {
        let now = Time::from_seconds(1_800_000_000);
        let of = |claim: &str, value: &str| {
            let claims = Object::parse(format!(r#"{{"{claim}":{value}}}"#)).unwrap();
            authentication(&rule(), &claims, now).unwrap()
        };
        let odd = [
            "null",
            "true",
            "{}",
            "[]",
            "[7]",
            r#"["pwd",7]"#,
            r#"["pwd",null]"#,
            r#"[["pwd"]]"#,
            r#"{"a":1}"#,
            r#""2026-11-29T18:52:01.180Z""#,
            "1e400",
            "-1e300",
            "99999999999999999999",
        ];
        for value in odd {
            let known = [of("acr", value).acr, of("auth_time", value).time.map(|_| "known".to_owned())];
            let text = value.starts_with('"');
            assert_eq!(known, [text.then(|| value.trim_matches('"').to_owned()), None], "{value}");
            let amr = if text { vec![value.trim_matches('"').to_owned()] } else { Vec::new() };
            assert_eq!(of("amr", value).amr, amr, "{value}");
        }
        assert_eq!(of("amr", r#"["pwd","otp"]"#).amr, ["pwd", "otp"]);
        assert_eq!(of("auth_time", "1799999999.75").time.map(Time::seconds), Some(1_799_999_999));
        let refused = Object::parse(r#"{"acr":"a\u202eb"}"#).unwrap();
        assert!(matches!(authentication(&rule(), &refused, now), Err(TokenReason::Authentication(_))));
    }
}
