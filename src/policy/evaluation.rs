//! The evaluation of policy for one request, scope by scope. The answer about one scope never depends on what else was asked
//! for.

use std::sync::Arc;

use super::annotations::PermitTerms;
use super::cedar::{Action, PolicyDecision, SharedContext};
use super::context::{Attribute, PolicyValue, ScopeContext, UsedAttributes};
use super::input::PolicyInput;
use super::outcome::{Denial, DenialReason, Explanation, PolicyOutcome, merge};
use super::policies::{Policies, RequestResource};
use super::request_context::RequestContext;
use crate::catalog::Api;
use crate::oauth::{Scope, Scopes};

/// The questions of one request, and the answers so far.
pub(super) struct Evaluation<'a, I> {
    pub(super) policies: &'a Policies,
    context: I,
    shared: SharedContext,
    /// The action that every scope is asked about.
    pub(super) action: Action,
    /// True once a question was put.
    asked: bool,
    /// True once one was put that policies answer by how the subject logged in.
    reads_login: bool,
    /// The attributes that policies read of what was not permitted.
    read: UsedAttributes,
    /// The policies that stood in the way.
    pub(super) explanation: Explanation,
    /// True where the presenting of the actor's credential was refused where the exchange itself was permitted.
    pub(super) presenting_refused: bool,
    /// The policies that permitted what was granted, sorted.
    pub(super) deciding: Vec<String>,
    /// The terms that they set, the strictest of each.
    pub(super) terms: PermitTerms,
    /// True where something was refused only because the token would not be bound to a key.
    pub(super) unbound: bool,
}

impl<'a, I: PolicyInput> Evaluation<'a, I> {
    /// The questions of whether `action` is permitted in this context.
    pub(super) fn new(policies: &'a Policies, context: I, action: Action) -> Self {
        Self {
            policies,
            context,
            shared: SharedContext::new(),
            action,
            asked: false,
            reads_login: false,
            read: UsedAttributes::default(),
            explanation: Explanation::default(),
            presenting_refused: false,
            deciding: Vec::new(),
            terms: PermitTerms::default(),
            unbound: false,
        }
    }

    /// The part of `scopes` that policy permits. The policies that permitted it count as deciding.
    pub(super) fn permitted(&mut self, api: &Arc<Api>, scopes: &Scopes) -> Scopes {
        let mut granted = Vec::new();
        for scope in scopes.iter() {
            if let Some((deciding, terms)) = self.permits(api, scope) {
                self.terms = std::mem::take(&mut self.terms).and(&terms);
                merge(&mut self.deciding, deciding);
                granted.push(scope.clone());
            }
        }
        granted.into_iter().collect()
    }

    /// True where policy would permit any of `scopes`.
    pub(super) fn permits_any(&mut self, api: &Arc<Api>, scopes: &Scopes) -> bool {
        // What was not asked for is no reason to prove a key.
        let unbound = self.unbound;
        let any = scopes.iter().any(|scope| self.permits(api, scope).is_some());
        self.unbound = unbound;
        any
    }

    /// The policies that permit, with their terms, where the whole of it is permitted.
    fn permits(&mut self, api: &Arc<Api>, scope: &Scope) -> Option<(Vec<String>, PermitTerms)> {
        let on = ScopeContext { api, info: api.scopes.get(scope)? };
        let mut deciding = self.ask(self.action, &RequestResource::Scope(api.clone(), scope.clone()), on)?;
        let actor = self.context.acting();
        if actor.id != self.context.client().id {
            let shown = RequestResource::Agent(Arc::clone(actor));
            let presenting = self.ask(Action::PresentActor, &shown, on);
            self.presenting_refused |= presenting.is_none();
            deciding.extend(presenting?);
        }
        let terms = self.met(&deciding)?;
        Some((deciding, terms))
    }

    /// The terms of the policies that permit, where the request meets them.
    fn met(&mut self, deciding: &[String]) -> Option<PermitTerms> {
        let terms = self.policies.terms(deciding);
        let unapproved = terms.approval.is_some() && !self.context.is_approved();
        let unbound = terms.is_bound && !self.context.is_bound();
        self.unbound |= unbound && !unapproved;
        if unapproved || unbound {
            self.explanation.add(Vec::new(), deciding.to_vec());
        }
        (!unapproved && !unbound).then_some(terms)
    }

    /// Puts a question. In an exchange that shows its actor that actor is the principal, and else the client.
    fn ask(&mut self, action: Action, resource: &RequestResource, on: ScopeContext<'_>) -> Option<Vec<String>> {
        self.asked = true;
        let principal = if action.is_of_actor() { self.context.acting() } else { self.context.client() };
        let template = self.policies.template(action, principal, resource);
        self.reads_login |= template.as_ref().is_some_and(|template| template.reads_login());
        let read = template.as_ref().map(|template| template.used()).unwrap_or_default();
        let decision =
            template.map_or_else(PolicyDecision::unanswerable, |template| template.decide(&self.context, on, &mut self.shared));
        let decision = self.policies.counted(decision, self.context.now());
        if decision.allowed {
            return Some(decision.deciding);
        }
        self.read = self.read.and(read);
        let forbade = if decision.permitted_but_erred { Vec::new() } else { decision.deciding };
        self.explanation.add(decision.erred, forbade);
        None
    }
}

/// The attributes that whoever asks can give: by a login, a proof, a task or an attestation.
const OWN: [Attribute; 7] = [
    Attribute::Instance,
    Attribute::Task,
    Attribute::Purpose,
    Attribute::Acr,
    Attribute::Amr,
    Attribute::AuthAge,
    Attribute::Binding,
];

impl<I: PolicyInput> Evaluation<'_, I> {
    /// The attributes that policies read of what was not permitted, and that the request leaves empty though it could give them.
    pub(super) fn missing(&self, api: &Api, scope: &Scope) -> Vec<&'static str> {
        let Some(info) = api.scopes.get(scope) else { return Vec::new() };
        let is_empty = |attribute: &Attribute| match self.context.value(*attribute, ScopeContext { api, info }) {
            PolicyValue::Text(text) => text.is_empty() || text == "none",
            PolicyValue::Name(name) => name.is_empty(),
            PolicyValue::Set(members) => members.is_empty(),
            PolicyValue::Number(number) => number == i64::MAX,
            _ => false,
        };
        let read = OWN.into_iter().filter(|attribute| self.read.contains(*attribute));
        read.filter(is_empty).map(Attribute::as_str).collect()
    }
}

impl<'a> Evaluation<'a, RequestContext<'a>> {
    /// The outcome where nothing is granted for `reason`. `granted` decides on the same request in another evaluation: where
    /// approval makes it a grant, approval is what is missing, and where another login of the subject does, that is.
    pub(super) fn refused<G>(self, reason: DenialReason, granted: impl Fn(&mut Self) -> bool) -> PolicyOutcome<G> {
        let otherwise = |context: RequestContext<'a>| granted(&mut Self::new(self.policies, context, self.action));
        let approvable = self.policies.mention_approval() && otherwise(self.context.approved());
        let by_login = |acr: Option<&'a str>, age: Option<i64>| otherwise(self.context.after_login(acr, age));
        let can_help = self.reads_login && !approvable && self.context.is_of_person();
        let step_up = if can_help { self.policies.logins.step_up(by_login) } else { None };
        let reason = match step_up {
            _ if self.unbound => DenialReason::Unbound,
            Some(login) => DenialReason::StepUp(login),
            None => reason,
        };
        let policy_set = self.asked.then(|| self.policies.digest());
        let denial = Denial { reason, explanation: self.explanation, policy_set };
        if approvable { PolicyOutcome::ApprovalNeeded(denial) } else { PolicyOutcome::Denial(denial) }
    }
}
