//! Who may present which token as subject. Policy can only narrow this; where the origin cannot be told, the answer is no.

use crate::catalog::Catalog;
use crate::client::AuthenticatedClient;
use crate::crypto::Digest;
use crate::oauth::{ActChain, ClientId, ExchangeMode, Issuer, RuleName};
use crate::token::{IssuedClaims, Origin, VerifiedSubject};

use super::{AdmissionReason, visible};

/// In which role `client` presents `subject`.
///
/// # Errors
/// When it may not.
pub(super) fn role(
    client: &AuthenticatedClient,
    subject: &VerifiedSubject,
    catalog: &Catalog,
    issuer: &Issuer,
) -> Result<ExchangeMode, AdmissionReason> {
    match subject.origin() {
        Origin::Own(own) => of_our_own(client, own, subject.chain(), catalog, issuer),
        Origin::Task(own, key) => of_a_task(client, own, *key, subject.chain(), issuer),
        Origin::User { rule, client: obtained_by, .. } => of_a_user(client, rule, obtained_by.as_deref()),
        Origin::Attestation { rule, presenters, .. } => {
            let itself = client.attested().is_some_and(|known| known.rule == *rule && known.id == subject.subject().id());
            match (itself, presenters.contains(&client.agent().id)) {
                (true, _) if subject.chain().is_empty() => Ok(ExchangeMode::SelfExchange),
                (true, _) | (false, true) => Ok(ExchangeMode::Delegation),
                (false, false) => Err(AdmissionReason::OtherWorkload),
            }
        }
    }
}

/// Our own access token: its client or current actor continues; the agent of the API it is for acts on behalf of its subject.
fn of_our_own(
    client: &AuthenticatedClient,
    own: &IssuedClaims,
    chain: &ActChain,
    catalog: &Catalog,
    issuer: &Issuer,
) -> Result<ExchangeMode, AdmissionReason> {
    let id = &client.agent().id;
    if own.client == *id || acts(id, chain, issuer) {
        return Ok(ExchangeMode::Continuation);
    }
    visible::held_by(id, own, catalog).next().map(|_| ExchangeMode::OnBehalfOf).ok_or(AdmissionReason::Presenter)
}

/// A task token: its holder, with the key that it is bound to, or with any key of its own where it is bound to none.
fn of_a_task(
    client: &AuthenticatedClient,
    own: &IssuedClaims,
    bound: Option<Digest>,
    chain: &ActChain,
    issuer: &Issuer,
) -> Result<ExchangeMode, AdmissionReason> {
    let id = &client.agent().id;
    if own.client != *id {
        return Err(AdmissionReason::TaskHolder);
    }
    let (login, proof) = (client.key(), client.proven().dpop().map(|proof| proof.key));
    match bound {
        // One that is bound to no key is entered with a key that is registered for its holder, and a proof brings any.
        None if login.is_none() => return Err(AdmissionReason::TaskKeyless),
        Some(_) if login.or(proof).is_none() => return Err(AdmissionReason::TaskKeyless),
        Some(_) if bound != login && bound != proof => return Err(AdmissionReason::TaskKey),
        _ => {}
    }
    Ok(if acts(id, chain, issuer) { ExchangeMode::Continuation } else { ExchangeMode::Delegation })
}

fn acts(id: &ClientId, chain: &ActChain, issuer: &Issuer) -> bool {
    chain.current().is_some_and(|actor| actor.iss() == issuer.as_str() && actor.sub() == id.as_str())
}

/// An ID token: an agent whose file lists the client it was issued to under its trust rule.
fn of_a_user(client: &AuthenticatedClient, rule: &RuleName, obtained_by: Option<&str>) -> Result<ExchangeMode, AdmissionReason> {
    let obtained_by = obtained_by.ok_or(AdmissionReason::OriginUnknown)?;
    let listed = client.agent().foreign_clients.iter().any(|(known, id)| known == rule && id == obtained_by);
    listed.then_some(ExchangeMode::Delegation).ok_or(AdmissionReason::Presenter)
}
