//! Tokens of issuers that a trust rule vouches for: ID tokens, attestations, and access tokens of other servers.

use crate::jose::{Compact, Object};
use crate::oauth::{ActChain, Issuer, MayAct, ScopesOnApi, Subject, Time, TokenType};
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
        authentication: authentication(claims)?,
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
        SubjectKind::User => Origin::User { rule: name, issuer, client: obtained_by(rule.kind(), claims)? },
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
    if rule.kind() != TrustKind::Oauth {
        return Ok(None);
    }
    let scope = claims.text("scope").map_err(|_| TokenReason::Claims)?.unwrap_or_default();
    let mut held: Vec<ScopesOnApi> = Vec::new();
    for map in rule.scopes().iter().filter(|map| scope.split(' ').any(|name| name == map.from.as_str())) {
        match held.iter_mut().find(|held| held.api == map.api) {
            Some(held) => held.scopes = held.scopes.union(&[map.to.clone()].into_iter().collect()),
            None => held.push(ScopesOnApi { api: map.api.clone(), scopes: [map.to.clone()].into_iter().collect() }),
        }
    }
    Ok(Some(held))
}

/// The client that obtained a token: of an access token `client_id` (RFC 9068 §2.2); of an ID token `azp`, else the sole `aud`
/// (OpenID Connect Core §2). Otherwise it cannot be told.
fn obtained_by(kind: TrustKind, claims: &Object) -> Result<Option<String>, TokenReason> {
    if kind == TrustKind::Oauth {
        return Ok(claims.text("client_id").map_err(|_| TokenReason::Claims)?.map(|client| client.into_owned()));
    }
    if let Some(azp) = claims.text("azp").map_err(|_| TokenReason::Claims)? {
        return Ok(Some(azp.into_owned()));
    }
    let audiences = claims.strings("aud").map_err(|_| TokenReason::Claims)?.unwrap_or_default();
    let sole = audiences.first().filter(|_| audiences.len() == 1);
    Ok(sole.map(|audience| audience.clone().into_owned()))
}

fn chain(claims: &Object, issuer: &str, ours: &Issuer) -> Result<ActChain, TokenReason> {
    let Some(act) = claims.get("act") else { return Ok(ActChain::default()) };
    let chain = ActChain::parse(act, issuer).map_err(TokenReason::Act)?;
    chain.refuse_named_by(ours.as_str()).map_err(TokenReason::Act)?;
    Ok(chain)
}

pub(super) fn may_act(claims: &Object) -> Result<Option<MayAct>, TokenReason> {
    let Some(raw) = claims.get("may_act") else { return Ok(None) };
    let may_act: MayAct = serde_json::from_str(raw.get()).map_err(|_| TokenReason::MayAct)?;
    match may_act.sub.is_some() || may_act.client_id.is_some() {
        true => Ok(Some(may_act)),
        false => Err(TokenReason::MayAct),
    }
}

fn authentication(claims: &Object) -> Result<Authentication, TokenReason> {
    let amr = claims.strings("amr").map_err(|_| TokenReason::Claims)?.unwrap_or_default();
    Ok(Authentication {
        acr: claims.text("acr").map_err(|_| TokenReason::Claims)?.map(|acr| acr.into_owned()),
        amr: amr.into_iter().map(|method| method.into_owned()).collect(),
        time: claims.date("auth_time").map_err(|_| TokenReason::Claims)?,
    })
}
