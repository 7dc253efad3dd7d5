//! The answer beforehand: what would be decided about a request, by which policies, what was missing, and which request that
//! differs least would be permitted.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::Policies;
use super::assumed::AssumedRequest;
use super::cedar::parts::{compared, parts};
use super::cedar::truth::Datum;
use super::cedar::{self, ParsedPolicy, ResourceRef, SharedContext, Slice};
use super::context::ScopeContext;
use super::evaluation::Evaluation;
use super::input::PolicyInput;
use crate::oauth::{Scope, Scopes};

/// As many requests are tried for the nearest that is permitted.
const TRIED_MAX: usize = 3_000;

named! {
    /// The verdict on a request.
    pub enum PolicyVerdict {
        /// Policy permits it.
        Permit = "permit",
        /// Policy would permit it once it is approved.
        ApprovalNeeded = "approval_needed",
        /// Policy does not permit it.
        Deny = "deny",
    }
}

/// The answer about a request that is assumed.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyExplanation {
    /// The verdict on all of its scopes: that on the one that is permitted least.
    #[serde(serialize_with = "named")]
    pub decision: PolicyVerdict,
    /// The answer about each scope.
    pub scopes: Vec<ScopeExplanation>,
    /// The attributes of the context that policies read here and the request does not give.
    pub not_given: Vec<&'static str>,
}

/// The answer about one scope.
#[derive(Clone, Debug, Serialize)]
pub struct ScopeExplanation {
    /// The scope.
    pub scope: String,
    /// The verdict on it.
    #[serde(serialize_with = "named")]
    pub decision: PolicyVerdict,
    /// The policies that decided, by id: those that permit, or those that stood in the way.
    pub policies: Vec<String>,
    /// The longest lifetime that they leave, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<u64>,
    /// The permits that could apply, each with its conditions that do not hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<UnmetPermit>,
    /// The differences of the nearest request that is permitted; empty where none was found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nearest: Vec<String>,
}

/// A permit that does not apply.
#[derive(Clone, Debug, Serialize)]
pub struct UnmetPermit {
    /// The permit, by id.
    pub policy: String,
    /// Its conditions that do not hold, as it writes them.
    pub conditions: Vec<String>,
}

/// A change to a request: the path of an attribute, and its other value.
type Change = (String, Datum);

impl Policies {
    /// Decides on a request that is assumed, and says why.
    pub fn explain(&self, request: &AssumedRequest) -> PolicyExplanation {
        let scopes: Vec<_> = request.scopes.iter().map(|scope| self.explained(request, scope)).collect();
        let decision = scopes.iter().map(|scope| scope.decision).max().unwrap_or(PolicyVerdict::Deny);
        let read: Vec<&ParsedPolicy> = request.scopes.iter().flat_map(|scope| self.applying(request, scope)).collect();
        let not_given = request.not_given().filter(|attribute| read.iter().any(|policy| policy.used.contains(*attribute)));
        PolicyExplanation { decision, scopes, not_given: not_given.map(|attribute| attribute.as_str()).collect() }
    }

    fn explained(&self, request: &AssumedRequest, scope: &Scope) -> ScopeExplanation {
        let (decision, evaluation) = self.verdict(request, scope);
        let stood = || evaluation.explanation.forbade.iter().chain(&evaluation.explanation.erred).cloned().collect();
        let permitted = decision == PolicyVerdict::Permit;
        ScopeExplanation {
            scope: scope.to_string(),
            decision,
            policies: if permitted { evaluation.deciding.clone() } else { stood() },
            lifetime: evaluation.terms.lifetime.map(|lifetime| lifetime.as_secs()),
            unmet: if permitted { Vec::new() } else { self.unmet(request, scope) },
            nearest: if permitted { Vec::new() } else { self.nearest(request, scope) },
        }
    }

    fn verdict(&self, request: &AssumedRequest, scope: &Scope) -> (PolicyVerdict, Evaluation<'_, AssumedRequest>) {
        let one: Scopes = std::iter::once(scope.clone()).collect();
        let asked = |request: AssumedRequest| {
            let (action, api) = (request.action, Arc::clone(&request.api));
            let mut evaluation = Evaluation::new(self, request, action);
            (!evaluation.permitted(&api, &one).is_empty(), evaluation)
        };
        let (permitted, evaluation) = asked(request.clone());
        let verdict = match permitted {
            true => PolicyVerdict::Permit,
            false if self.mention_approval() && asked(request.approved()).0 => PolicyVerdict::ApprovalNeeded,
            false => PolicyVerdict::Deny,
        };
        (verdict, evaluation)
    }

    /// The policies whose heads the request meets.
    fn applying(&self, request: &AssumedRequest, scope: &Scope) -> impl Iterator<Item = &ParsedPolicy> {
        let resource = request.api.scopes.get(scope).map(|info| ResourceRef::Scope(&request.api, scope, info));
        let head = resource.and_then(|resource| cedar::request_head(request.action, principal(request), resource));
        let places = head.map(|head| self.index().applying(&head)).unwrap_or_default();
        places.into_iter().filter_map(|at| self.policies.get(at))
    }

    fn unmet(&self, request: &AssumedRequest, scope: &Scope) -> Vec<UnmetPermit> {
        let conditions = |policy: &ParsedPolicy| {
            let parts = parts(&policy.form());
            parts.into_iter().filter(|(_, part)| !holds(part, request, scope)).map(|(written, _)| written).collect::<Vec<_>>()
        };
        let permits = self.applying(request, scope).filter(|policy| policy.permits);
        let unmet = permits.map(|policy| UnmetPermit { policy: policy.id().to_owned(), conditions: conditions(policy) });
        unmet.filter(|unmet| !unmet.conditions.is_empty()).collect()
    }

    /// The fewest changes by which the request would be permitted, in words.
    fn nearest(&self, request: &AssumedRequest, scope: &Scope) -> Vec<String> {
        let changes = self.changes(request, scope);
        let mut tried = 0;
        let mut permitted = |of: &[&Change]| {
            tried += 1;
            let changed = of.iter().try_fold(request.clone(), |request, (path, value)| request.with(path, value));
            changed.is_some_and(|changed| self.verdict(&changed, scope).0 == PolicyVerdict::Permit)
        };
        let words = |of: &[&Change]| of.iter().map(|(path, value)| format!("{path} = {value}")).collect::<Vec<_>>();
        if let Some(one) = changes.iter().find(|one| permitted(&[one])) {
            return words(&[one]);
        }
        let pairs = changes.iter().enumerate().flat_map(|(at, one)| changes.iter().skip(at + 1).map(move |other| [one, other]));
        let pairs = pairs.filter(|[one, other]| one.0 != other.0).take(TRIED_MAX);
        pairs.into_iter().find(|pair| permitted(pair)).map(|pair| words(&pair)).unwrap_or_default()
    }

    /// The values that the policies whose heads the request meets tell apart, approval and a binding among them.
    fn changes(&self, request: &AssumedRequest, scope: &Scope) -> Vec<Change> {
        let mut changes = BTreeSet::new();
        let forms: Vec<Value> = self.applying(request, scope).map(ParsedPolicy::form).collect();
        forms.iter().for_each(|form| compared(form, &mut changes));
        let approval = ("context.approved".to_owned(), Datum::Flag(true));
        let bound = ("context.binding".to_owned(), Datum::Text("dpop".to_owned()));
        changes.into_iter().chain([approval, bound]).collect()
    }
}

fn principal(request: &AssumedRequest) -> &crate::catalog::Agent {
    if request.action.is_of_actor() { request.acting() } else { request.client() }
}

/// True where a policy that is one condition permits.
fn holds(part: &ParsedPolicy, request: &AssumedRequest, scope: &Scope) -> bool {
    let asked = || {
        let info = request.api.scopes.get(scope)?;
        let slice = Arc::new(Slice::new(std::iter::once(part))?);
        let resource = ResourceRef::Scope(&request.api, scope, info);
        let template = cedar::template(slice, request.action, principal(request), resource)?;
        Some(template.decide(request, ScopeContext { api: &request.api, info }, &mut SharedContext::new()).allowed)
    };
    asked().unwrap_or_default()
}

fn named<S: serde::Serializer>(verdict: &PolicyVerdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(verdict.as_str())
}
