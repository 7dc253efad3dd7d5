//! The evaluation of policy for one request, scope by scope. The answer about one scope never depends on what else was asked
//! for.

use std::sync::Arc;
use std::time::Duration;

use super::cedar::{Action, PolicyDecision, SharedContext};
use super::context::{RequestContext, ScopeContext};
use super::outcome::{Denial, DenialReason, Explanation, PolicyOutcome, merge};
use super::policies::{Policies, RequestResource};
use crate::catalog::{Agent, Api};
use crate::oauth::{Scope, Scopes};

/// The questions of one request, and the answers so far.
pub(super) struct Evaluation<'a> {
    pub(super) policies: &'a Policies,
    context: RequestContext<'a>,
    shared: SharedContext,
    /// The action that every scope is asked about.
    pub(super) action: Action,
    /// Whoever would do it: the client, or in an exchange that shows its actor, that actor.
    principal: &'a Arc<Agent>,
    /// True once a question was put.
    asked: bool,
    /// The policies that stood in the way.
    pub(super) explanation: Explanation,
    /// True where the presenting of the actor's credential was refused where the exchange itself was permitted.
    pub(super) presenting_refused: bool,
    /// The policies that permitted what was granted, sorted.
    pub(super) deciding: Vec<String>,
    /// The shortest lifetime that they set.
    pub(super) lifetime: Option<Duration>,
}

impl<'a> Evaluation<'a> {
    /// The questions of whether `action` is permitted in this context.
    pub(super) fn new(policies: &'a Policies, context: RequestContext<'a>, action: Action) -> Self {
        let principal = match action {
            Action::Exchange | Action::HandOver => &context.admitted.current_actor().agent,
            Action::Impersonate | Action::OpenTask | Action::PresentActor => context.admitted.client().agent(),
        };
        Self {
            policies,
            context,
            shared: SharedContext::new(),
            action,
            principal,
            asked: false,
            explanation: Explanation::default(),
            presenting_refused: false,
            deciding: Vec::new(),
            lifetime: None,
        }
    }

    /// The part of `scopes` that policy permits. The policies that permitted it count as deciding.
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

    /// True where policy would permit any of `scopes`.
    pub(super) fn permits_any(&mut self, api: &Arc<Api>, scopes: &Scopes) -> bool {
        scopes.iter().any(|scope| self.permits(api, scope).is_some())
    }

    /// The policies that permit, where the whole of it is permitted.
    fn permits(&mut self, api: &Arc<Api>, scope: &Scope) -> Option<Vec<String>> {
        let (client, actor) = (self.context.admitted.client().agent(), &self.context.admitted.current_actor().agent);
        let on = ScopeContext { api, info: api.scopes.get(scope)? };
        let mut deciding = self.ask(self.action, self.principal, &RequestResource::Scope(api.clone(), scope.clone()), on)?;
        if actor.id != client.id {
            let presenting = self.ask(Action::PresentActor, client, &RequestResource::Agent(actor.clone()), on);
            self.presenting_refused |= presenting.is_none();
            deciding.extend(presenting?);
        }
        Some(deciding)
    }

    fn ask(
        &mut self,
        action: Action,
        principal: &Arc<Agent>,
        resource: &RequestResource,
        on: ScopeContext<'_>,
    ) -> Option<Vec<String>> {
        self.asked = true;
        let template = self.policies.template(action, principal, resource);
        let decision =
            template.map_or_else(PolicyDecision::unanswerable, |template| template.decide(&self.context, on, &mut self.shared));
        if decision.allowed {
            return Some(decision.deciding);
        }
        let forbade = if decision.permitted_but_erred { Vec::new() } else { decision.deciding };
        self.explanation.add(decision.erred, forbade);
        None
    }

    /// The outcome where nothing is granted for `reason`. `granted` decides on the same request in another evaluation: where
    /// approval makes it a grant, approval is what is missing.
    pub(super) fn refused<G>(self, reason: DenialReason, granted: impl FnOnce(&mut Self) -> bool) -> PolicyOutcome<G> {
        let approved = || Self::new(self.policies, self.context.approved(), self.action);
        let approvable = self.policies.mention_approval() && granted(&mut approved());
        let policy_set = self.asked.then(|| self.policies.digest());
        let denial = Denial { reason, explanation: self.explanation, policy_set };
        if approvable { PolicyOutcome::ApprovalNeeded(denial) } else { PolicyOutcome::Denial(denial) }
    }
}
