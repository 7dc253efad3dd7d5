//! Who may see one of our own tokens (RFC 7662 §2.2, §4), and who may revoke one (RFC 7009 §2).

use std::time::Duration;

use super::active::ActiveClient;
use super::in_force::{Rules, held_by, in_force};
use super::liveness::alive;
use super::reason::AdmissionReason;
use super::revocation::{Revocable, Revocation};
use crate::catalog::{Catalog, ChainShown};
use crate::oauth::{ActChain, Pseudonyms, ScopesOnApi};
use crate::token::VerifiedIssued;

/// The time for which a revocation is remembered beyond the last moment at which the token could have been presented.
const SKEW: Duration = Duration::from_secs(60);

/// One of our own access tokens, alive, with the part of it that one of its APIs may see. Made only by [`visible`].
#[derive(Debug)]
pub struct Visible {
    token: VerifiedIssued,
    held: Vec<ScopesOnApi>,
    act: ActChain,
}

/// Shows `token` to `client`, which must be the agent of an API that the token is for; everything that the token rests on must
/// be alive and in force.
///
/// # Errors
/// See [`AdmissionReason`]; whoever asked is told only that the token is not active.
pub fn visible(client: &ActiveClient, token: VerifiedIssued, rules: &Rules<'_>) -> Result<Visible, AdmissionReason> {
    let own = token.own();
    let held: Vec<ScopesOnApi> = held_by(&client.agent().id, own, rules.catalog).cloned().collect();
    if held.is_empty() {
        return Err(AdmissionReason::Presenter);
    }
    in_force(token.subject(), &own.agents, token.chain(), rules)?;
    alive(rules.state, &own.generations, rules.now).map_err(AdmissionReason::NotAlive)?;
    let act = shown(&token, rules.catalog);
    Ok(Visible { token, held, act })
}

/// The revocation of `token` by `client`: of its hop, and with that of every token that descends from it. None when it has
/// ended already. Agents that are suspended do not stand in the way: what is suspended comes back, and a revoked token must
/// not.
///
/// # Errors
/// `Revoker` when the token was neither issued to `client` nor for an API of which it is the agent (RFC 7009 §2.1).
pub fn revocation(
    client: &ActiveClient,
    token: &VerifiedIssued,
    rules: &Rules<'_>,
) -> Result<Option<Revocation>, AdmissionReason> {
    let (own, id) = (token.own(), &client.agent().id);
    // Whose it is comes first: who may not revoke it learns nothing of its life.
    let reason = if own.client == *id {
        "revoked by the client it was issued to"
    } else if held_by(id, own, rules.catalog).next().is_some() {
        "revoked by the agent of an API it is for"
    } else {
        return Err(AdmissionReason::Revoker);
    };
    if alive(rules.state, &own.generations, rules.now).is_err_and(|dead| dead.is_final()) {
        return Ok(None);
    }
    Ok(Some(Revocation {
        ends: Revocable::hop(own.jti, own.txn, rules.pseudonyms),
        by: id.clone(),
        reason: reason.to_owned(),
        until: Some(token.expires().plus(SKEW)),
    }))
}

/// `revocation`, which `client` may make of `token`, of everything by which it may make it: every token that the client asked for
/// or acts in, or every one for those of its APIs that the token is for. For whoever ends more tokens than are remembered one
/// by one.
pub fn widened(
    client: &ActiveClient,
    token: &VerifiedIssued,
    revocation: Revocation,
    pseudonyms: &Pseudonyms,
    catalog: &Catalog,
) -> Revocation {
    let (own, id) = (token.own(), &client.agent().id);
    let ends = match own.client == *id {
        true => Revocable::agent(id, pseudonyms),
        false => held_by(id, own, catalog).flat_map(|held| Revocable::api(&held.api, pseudonyms)).collect(),
    };
    let reason = format!("{}; more than are remembered one by one", revocation.reason);
    Revocation { ends, until: None, reason, ..revocation }
}

impl Visible {
    /// The token.
    pub fn token(&self) -> &VerifiedIssued {
        &self.token
    }

    /// The scopes on the APIs of whoever asked; other APIs that it is for are none of its business.
    pub fn held(&self) -> &[ScopesOnApi] {
        &self.held
    }

    /// The `act` claim, as far as the token shows it.
    pub fn act(&self) -> &ActChain {
        &self.act
    }
}

/// The chain as the token itself shows it; only the current actor, where any API that it is for asks for that by now.
fn shown(token: &VerifiedIssued, catalog: &Catalog) -> ActChain {
    let full = |held: &ScopesOnApi| catalog.api(&held.api).is_some_and(|api| api.chain == ChainShown::Full);
    match token.own().held.iter().all(full) {
        true => token.shown().clone(),
        false => token.shown().outermost(),
    }
}
