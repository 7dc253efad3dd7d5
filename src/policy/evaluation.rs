//! The evaluation of policy for one request, scope by scope. The answer about one scope never depends on what else was asked
//! for.

use std::sync::Arc;
use std::time::Duration;

use super::cedar::{Action, PolicyDecision, SharedContext};
use super::context::{RequestContext, ScopeContext};
use super::outcome::{ApprovalNeeded, Denial, DenialReason, Explanation, PolicyOutcome, merge};
use super::policies::{Policies, RequestResource};
use crate::catalog::{Agent, Api};
use crate::oauth::{ExchangeMode, Resource, Scope, Scopes};

/// The questions of one request, and the answers so far.
pub(super) struct Evaluation<'a> {
    pub(super) policies: &'a Policies,
    context: RequestContext<'a>,
    shared: SharedContext,
    /// True where a task is to be opened.
    opens: bool,
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
    pub(super) fn new(policies: &'a Policies, context: RequestContext<'a>) -> Self {
        Self {
            policies,
            context,
            shared: SharedContext::new(),
            opens: false,
            asked: false,
            explanation: Explanation::default(),
            presenting_refused: false,
            deciding: Vec::new(),
            lifetime: None,
        }
    }

    /// The questions of whether a task may be opened.
    pub(super) fn of_task(policies: &'a Policies, context: RequestContext<'a>) -> Self {
        Self { opens: true, ..Self::new(policies, context) }
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
        let admitted = self.context.admitted;
        let (client, acting) = (admitted.client().agent(), &admitted.current_actor().agent);
        let (action, principal) = match admitted.mode() {
            _ if self.opens => (Action::OpenTask, client),
            ExchangeMode::Impersonation => (Action::Impersonate, client),
            ExchangeMode::Delegation | ExchangeMode::Continuation | ExchangeMode::SelfExchange | ExchangeMode::OnBehalfOf => {
                (Action::Exchange, acting)
            }
        };
        let about = ScopeContext { api, info: api.scopes.get(scope)? };
        let mut deciding = self.ask(action, principal, &RequestResource::Scope(api.clone(), scope.clone()), about)?;
        if acting.id != client.id {
            let presenting = self.ask(Action::PresentActor, client, &RequestResource::Agent(acting.clone()), about);
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
        about: ScopeContext<'_>,
    ) -> Option<Vec<String>> {
        self.asked = true;
        let template = self.policies.template(action, principal, resource);
        let decision =
            template.map_or_else(PolicyDecision::unasked, |template| template.decide(&self.context, about, &mut self.shared));
        if decision.allowed {
            return Some(decision.deciding);
        }
        let forbade = if decision.permitted_but_erred { Vec::new() } else { decision.deciding };
        self.explanation.add(decision.erred, forbade);
        None
    }

    /// The outcome where nothing is granted for `reason`. `granted` decides on the same request in another evaluation: where
    /// approval makes it a grant, approval is what is missing.
    pub(super) fn refused<G>(
        self,
        reason: DenialReason,
        targets: Vec<Resource>,
        granted: impl FnOnce(&mut Self) -> bool,
    ) -> PolicyOutcome<G> {
        let approvable = self.policies.mention_approval() && granted(&mut self.approved());
        let policy_set = self.asked.then(|| self.policies.digest());
        let denial = Denial { reason, targets, explanation: self.explanation, policy_set };
        match approvable {
            true => PolicyOutcome::ApprovalNeeded(ApprovalNeeded { denial }),
            false => PolicyOutcome::Denial(denial),
        }
    }

    /// A new evaluation of the same request, as if a person had approved it.
    fn approved(&self) -> Self {
        Self { opens: self.opens, ..Self::new(self.policies, self.context.approved()) }
    }
}
