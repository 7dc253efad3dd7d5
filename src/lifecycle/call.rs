//! Who may ask whether one of our own tokens may be used now: whoever holds it, and the agent of an API that it is for.

use std::sync::Arc;

use super::active::ActiveClient;
use super::admit::continues;
use super::in_force::{Rules, held_by, in_force};
use super::liveness::alive;
use super::reason::AdmissionReason;
use crate::catalog::{Agent, Api};
use crate::oauth::{ClientId, ExchangeMode, Scope, ScopesOnApi};
use crate::token::VerifiedIssued;

/// One of our own access tokens, alive, in the hands of somebody whom its use concerns. Made only by [`callable`].
#[derive(Debug)]
pub struct CallableToken {
    token: VerifiedIssued,
    client: Arc<Agent>,
    actor: Arc<Agent>,
    basis: ExchangeMode,
    api: Arc<Api>,
}

/// Lets `client` ask about the use of `token` at `api`: its client and its current actor may, and the agent of that API where the
/// token is for it. Everything that the token rests on must be alive and in force.
///
/// # Errors
/// See [`AdmissionReason`]; whoever asked is told only that the token is not active.
pub fn callable(
    client: &ActiveClient,
    token: VerifiedIssued,
    api: &Arc<Api>,
    rules: &Rules<'_>,
) -> Result<CallableToken, AdmissionReason> {
    let (own, id) = (token.own(), &client.agent().id);
    let concerned = held_by(id, own, rules.catalog).any(|held| held.api == api.id);
    if !(concerned || continues(id, own, token.chain(), rules.issuer)) {
        return Err(AdmissionReason::Presenter);
    }
    in_force(token.subject(), &own.agents, token.chain(), rules)?;
    alive(rules.state, &own.generations, rules.now).map_err(AdmissionReason::NotAlive)?;
    let agent = |id: &ClientId| rules.catalog.agent(id).cloned().ok_or(AdmissionReason::AgentInactive);
    let asked = agent(&own.client)?;
    let acts = token.chain().current().filter(|actor| actor.iss() == rules.issuer.as_str());
    let acts = acts.map(|actor| ClientId::parse(actor.sub()).map_err(|_| AdmissionReason::AgentInactive)).transpose()?;
    let actor = acts.map_or_else(|| Ok(Arc::clone(&asked)), |id| agent(&id))?;
    // A token of before does not say how it was come by, and policy may ask: it is not guessed.
    let basis = own.basis.ok_or(AdmissionReason::OriginUnknown)?;
    Ok(CallableToken { client: asked, actor, basis, api: Arc::clone(api), token })
}

impl CallableToken {
    /// The token.
    pub fn token(&self) -> &VerifiedIssued {
        &self.token
    }

    /// The agent that it was issued to.
    pub fn client(&self) -> &Arc<Agent> {
        &self.client
    }

    /// The agent that acts by it.
    pub fn actor(&self) -> &Arc<Agent> {
        &self.actor
    }

    /// The mode of the exchange that issued it.
    pub fn basis(&self) -> ExchangeMode {
        self.basis
    }

    /// The API that is asked about.
    pub fn api(&self) -> &Arc<Api> {
        &self.api
    }

    /// True where it gives `scope` on that API.
    pub fn gives(&self, scope: &Scope) -> bool {
        ScopesOnApi::on(&self.token.own().held, &self.api.id).any(|held| held == scope)
    }
}
