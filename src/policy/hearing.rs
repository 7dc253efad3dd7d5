//! Policy is asked, scope by scope. What is answered about one scope never depends on what else was asked for.

use std::sync::Arc;
use std::time::Duration;

use super::Policies;
use super::cedar::{Action, PolicyDecision, SharedContext};
use super::explain::{Explanation, merge};
use super::facts::{RequestContext, ScopeContext};
use super::policies::RequestResource;
use crate::catalog::{Agent, Api};
use crate::oauth::{ExchangeMode, Scope, Scopes};

/// The questions of one request, and what came of them.
pub(super) struct Evaluation<'a> {
    pub(super) policies: &'a Policies,
    facts: RequestContext<'a>,
    shared: SharedContext,
    /// Whether a task is to be opened.
    opens: bool,
    /// What policies had to say against.
    pub(super) explanation: Explanation,
    /// Whether the presenting of the actor's credential was refused where the exchange itself was permitted.
    pub(super) presenting_refused: bool,
    /// The policies that permitted what was granted, sorted.
    pub(super) deciding: Vec<String>,
    /// The shortest lifetime that they set.
    pub(super) lifetime: Option<Duration>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(policies: &'a Policies, facts: RequestContext<'a>) -> Self {
        Self {
            policies,
            facts,
            shared: SharedContext::new(),
            opens: false,
            explanation: Explanation::default(),
            presenting_refused: false,
            deciding: Vec::new(),
            lifetime: None,
        }
    }

    /// The questions of whether a task may be opened.
    pub(super) fn opening(policies: &'a Policies, facts: RequestContext<'a>) -> Self {
        Self { opens: true, ..Self::new(policies, facts) }
    }

    /// The part of `scopes` that policy permits. Who permitted it counts as deciding.
    pub(super) fn permitted(&mut self, api: &Arc<Api>, scopes: &Scopes) -> Scopes {
        let mut granted = Vec::new();
        for scope in scopes.iter() {
            if let Some(deciding) = self.permits(api, scope) {
                self.lifetime = self.lifetime.into_iter().chain(self.policies.lifetime(&deciding)).min();
                merge(&mut self.deciding, deciding);
                granted.push(scope.clone());
            }
        }
        granted.into_iter().collect()
    }

    /// Whether policy would permit any of `scopes`.
    pub(super) fn permits_any(&mut self, api: &Arc<Api>, scopes: &Scopes) -> bool {
        scopes.iter().any(|scope| self.permits(api, scope).is_some())
    }

    /// The policies that permit, where the whole of it is permitted.
    fn permits(&mut self, api: &Arc<Api>, scope: &Scope) -> Option<Vec<String>> {
        let standing = self.facts.standing;
        let (client, acting) = (standing.client().agent(), &standing.acting().agent);
        let (action, principal) = match standing.basis() {
            _ if self.opens => (Action::OpenTask, client),
            ExchangeMode::Impersonation => (Action::Impersonate, client),
            ExchangeMode::Delegation | ExchangeMode::Continuation | ExchangeMode::SelfExchange | ExchangeMode::OnBehalfOf => {
                (Action::Exchange, acting)
            }
        };
        let about = ScopeContext { api, info: api.scopes.get(scope)? };
        let mut deciding = self.asked(action, principal, &RequestResource::Scope(api.clone(), scope.clone()), about)?;
        if acting.id != client.id {
            let presenting = self.asked(Action::PresentActor, client, &RequestResource::Agent(acting.clone()), about);
            self.presenting_refused |= presenting.is_none();
            deciding.extend(presenting?);
        }
        Some(deciding)
    }

    fn asked(
        &mut self,
        action: Action,
        principal: &Arc<Agent>,
        resource: &RequestResource,
        about: ScopeContext<'_>,
    ) -> Option<Vec<String>> {
        let frame = self.policies.frame(action, principal, resource);
        let opinion = frame.map_or_else(PolicyDecision::unasked, |frame| frame.decide(&self.facts, about, &mut self.shared));
        if opinion.allowed {
            return Some(opinion.deciding);
        }
        let forbade = if opinion.permitted_but_erred { Vec::new() } else { opinion.deciding };
        self.explanation.add(opinion.erred, forbade);
        None
    }
}
