//! Who may see a token, and how much of it (RFC 7662 §2.2, §4).

use super::in_force::in_force;
use super::{ActiveClient, AdmissionReason, Rules, alive};
use crate::catalog::{Catalog, ChainShown};
use crate::oauth::{ActChain, ClientId, ScopesOnApi};
use crate::token::{IssuedClaims, VerifiedIssued};

/// One of our own access tokens, alive, with what one of its APIs may see of it. Made only by [`visible`].
#[derive(Debug)]
pub struct Visible {
    token: VerifiedIssued,
    held: Vec<ScopesOnApi>,
    act: ActChain,
}

/// Decides whether `client` may see `token`: it is the agent of an API that the token is for, and everything that the token
/// rests on is alive and in force.
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
    alive(rules.state, &own.generations, rules.now).map_err(AdmissionReason::Dead)?;
    let act = shown(&token, rules.catalog);
    Ok(Visible { token, held, act })
}

impl Visible {
    /// The token.
    pub fn token(&self) -> &VerifiedIssued {
        &self.token
    }

    /// What it permits on the APIs of whoever asked; other APIs that it is for are none of its business.
    pub fn held(&self) -> &[ScopesOnApi] {
        &self.held
    }

    /// Who acts, as far as the token shows it.
    pub fn act(&self) -> &ActChain {
        &self.act
    }
}

/// What `own` permits on the APIs that name `agent` as their own.
pub(super) fn held_by<'a>(
    agent: &'a ClientId,
    own: &'a IssuedClaims,
    catalog: &'a Catalog,
) -> impl Iterator<Item = &'a ScopesOnApi> {
    own.held.iter().filter(move |held| catalog.api(&held.api).is_some_and(|api| api.agent.as_ref() == Some(agent)))
}

/// As much as the token itself shows; only who acts now, where any API that it is for asks for that by now.
fn shown(token: &VerifiedIssued, catalog: &Catalog) -> ActChain {
    let full = |held: &ScopesOnApi| catalog.api(&held.api).is_some_and(|api| api.chain == ChainShown::Full);
    match token.own().held.iter().all(full) {
        true => token.shown().clone(),
        false => token.shown().outermost(),
    }
}
