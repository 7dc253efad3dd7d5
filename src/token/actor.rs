//! The actor token: a direct credential of a registered agent.

use crate::catalog::Catalog;
use crate::client::ClientAuths;
use crate::jose::Compact;
use crate::oauth::{ClientId, Subject, Time, TokenType};
use crate::request::PresentedToken;
use crate::trust::TrustStore;

use super::{IssuerKeys, Origin, TokenReason, VerifiedActor, VerifiedSubject, foreign};

/// Verifies an actor token: one of our own tokens whose subject is an agent, or an attestation that logs in exactly one agent.
///
/// # Errors
/// Why it is not genuine, not direct (it carries `act` or `may_act`), or not one agent's.
pub async fn verify_actor(
    presented: &PresentedToken,
    own: &IssuerKeys,
    (trust, logins, catalog): (&TrustStore, &ClientAuths, &Catalog),
    now: Time,
) -> Result<VerifiedActor, TokenReason> {
    let jws = Compact::parse(presented.text())?;
    match (own.issued(&jws)?, presented.declared()) {
        (true, TokenType::IdToken) => Err(TokenReason::DeclaredWrongly),
        (true, _) => of_our_own(own.verify(&jws, now)?.into(), catalog),
        (false, TokenType::AccessToken) => Err(TokenReason::ForeignAccessToken),
        (false, _) => attested(&jws, trust, logins, catalog, now).await,
    }
}

fn of_our_own(token: VerifiedSubject, catalog: &Catalog) -> Result<VerifiedActor, TokenReason> {
    if !token.chain.is_empty() {
        return Err(TokenReason::ActorDelegated);
    }
    let (Origin::Own(own), Some(digest)) = (token.origin, token.digest) else { return Err(TokenReason::ActorUnknown) };
    // An impersonating token has no act either, but its subject is not the agent that holds it.
    let direct = token.subject.rule().is_none() && own.client.as_str() == token.subject.as_str();
    let agent = ClientId::parse(token.subject.as_str()).ok().filter(|_| direct).and_then(|id| catalog.agent(&id).cloned());
    Ok(VerifiedActor {
        agent: agent.ok_or(TokenReason::ActorUnknown)?,
        attested: None,
        instance: None,
        generations: own.generations,
        issued: token.issued,
        expires: token.expires,
        digest,
        confirmation: token.confirmation,
        review: None,
    })
}

async fn attested(
    jws: &Compact<'_>,
    trust: &TrustStore,
    logins: &ClientAuths,
    catalog: &Catalog,
    now: Time,
) -> Result<VerifiedActor, TokenReason> {
    let assertion = trust.verify(jws, now).await?;
    let claims = assertion.claims();
    if foreign::names_actor(assertion.rule(), claims) || claims.has("may_act") {
        return Err(TokenReason::ActorDelegated);
    }
    let agents = logins.agents_of(&assertion);
    let [agent] = agents.as_slice() else { return Err(TokenReason::ActorUnknown) };
    Ok(VerifiedActor {
        agent: catalog.agent(agent).cloned().ok_or(TokenReason::ActorUnknown)?,
        attested: Some(Subject::foreign(assertion.rule().name(), assertion.id())),
        instance: assertion.instance().map(str::to_owned),
        generations: Vec::new(),
        issued: assertion.issued(),
        expires: assertion.expires(),
        digest: assertion.digest(),
        confirmation: assertion.confirmation(),
        review: assertion.review(),
    })
}
