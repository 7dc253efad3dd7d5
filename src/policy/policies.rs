//! The set of policies in force.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use super::annotations::{PermitTerms, PolicyException};
use super::cedar::{self, Action, ParsedPolicy, PolicyDecision, RequestTemplate, ResourceRef, Slice};
use super::context::Attribute;
use super::index::Index;
use super::loader::PolicyLoader;
use super::step_up::LoginCandidates;
use crate::catalog::{Agent, Api, ScopeInfo};
use crate::crypto::Digest;
use crate::diagnostic::Diagnostic;
use crate::oauth::{Scope, Time};

/// Policies, parsed, strictly validated against the schema and indexed. Immutable, except for what it remembers of recent
/// questions.
pub struct Policies {
    pub(super) policies: Vec<ParsedPolicy>,
    index: Index,
    terms: HashMap<String, PermitTerms>,
    digest: Digest,
    warnings: Vec<Diagnostic>,
    mention_approval: bool,
    /// Some permits stop counting by themselves.
    has_exceptions: bool,
    /// The logins that they tell apart.
    pub(super) logins: LoginCandidates,
    memory: RwLock<Memory>,
}

/// As many questions are remembered; then memory starts afresh.
const TEMPLATES_MAX: usize = 2048;

/// The lasting parts of the questions asked lately.
#[derive(Default)]
struct Memory {
    templates: HashMap<Key, Remembered>,
    slices: HashMap<Vec<usize>, Arc<Slice>>,
}

/// A question by the places of its parts in memory: `Remembered` holds on to them, so that no other part can take such a place.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    action: Action,
    principal: usize,
    resource: (usize, Option<Scope>),
}

struct Remembered {
    template: Arc<RequestTemplate>,
    _held: (Arc<Agent>, RequestResource),
}

/// The resource of a question, to be held on to.
#[derive(Clone)]
pub(super) enum RequestResource {
    Scope(Arc<Api>, Scope),
    Agent(Arc<Agent>),
}

impl Policies {
    /// Reads policy files, given by path and text. No policies at all permit nothing.
    ///
    /// # Errors
    /// Every complaint, with its line. Warnings are kept for [`Policies::warnings`].
    pub fn parse(files: &[(PathBuf, String)]) -> Result<Self, Vec<Diagnostic>> {
        PolicyLoader::of(files).map(Self::of)
    }

    fn of(loaded: PolicyLoader<'_>) -> Self {
        let index = Index::new(loaded.policies.iter().map(|policy| &policy.head));
        let mention_approval = loaded.policies.iter().any(|policy| policy.used.contains(Attribute::Approved));
        let PolicyLoader { policies, terms, warnings, digest, .. } = loaded;
        let mention_approval = mention_approval || terms.values().any(|terms| terms.approval.is_some());
        let has_exceptions = terms.values().any(|terms| terms.exception.is_some());
        let logins = LoginCandidates::of(policies.iter());
        Self { policies, logins, index, terms, digest, warnings, mention_approval, has_exceptions, memory: RwLock::default() }
    }

    /// The remarks of `check` where nothing is wrong.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// SHA-256 over the schema and every file, by name: name, 0x00, length in decimal, 0x00, text.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The number of policies.
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    /// Their ids, in the order of files and of places in them.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.policies.iter().map(ParsedPolicy::id)
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// True where there are none, so that nothing is permitted.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// True where some policy may permit `agent` an exchange for `scope` of `api`: as its head says, whatever its conditions
    /// do.
    pub fn may_permit(&self, agent: &Agent, api: &Api, scope: &Scope) -> bool {
        let Some(info) = api.scopes.get(scope) else { return false };
        let head = cedar::request_head(Action::Exchange, agent, ResourceRef::Scope(api, scope, info));
        let applying = head.map(|head| self.index.applying(&head)).unwrap_or_default();
        applying.into_iter().any(|at| self.policies.get(at).is_some_and(|policy| policy.permits))
    }

    /// The exceptions that count at `now`, by the id of their permit, the one that is over first in front.
    pub fn exceptions(&self, now: Time) -> Vec<(&str, &PolicyException)> {
        let exceptions = self.terms.iter().filter_map(|(id, terms)| Some((id.as_str(), terms.exception.as_ref()?)));
        let mut living: Vec<_> = exceptions.filter(|(_, exception)| exception.expires > now).collect();
        living.sort_unstable_by_key(|(id, exception)| (exception.expires, *id));
        living
    }

    /// True where a policy reads `context.approved`, or permits what was approved only.
    pub(super) fn mention_approval(&self) -> bool {
        self.mention_approval
    }

    /// The terms of all the policies named, together.
    pub(super) fn terms(&self, ids: &[String]) -> PermitTerms {
        ids.iter().filter_map(|id| self.terms.get(id)).fold(PermitTerms::default(), PermitTerms::and)
    }

    /// A decision without the permits that do not count at `now` any more.
    pub(super) fn counted(&self, decision: PolicyDecision, now: Time) -> PolicyDecision {
        match self.has_exceptions {
            true => decision.without(|id| self.terms.get(id).is_some_and(|terms| terms.is_over(now))),
            false => decision,
        }
    }

    /// The lasting part of a question; remembered. None when it cannot even be put.
    pub(super) fn template(
        &self,
        action: Action,
        principal: &Arc<Agent>,
        asked: &RequestResource,
    ) -> Option<Arc<RequestTemplate>> {
        let key = Key { action, principal: Arc::as_ptr(principal) as usize, resource: asked.place() };
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = memory.templates.get(&key) {
            return Some(known.template.clone());
        }
        drop(memory);
        let resource = asked.resource()?;
        let applying = self.index.applying(&cedar::request_head(action, principal, resource)?);
        let template = Arc::new(cedar::template(self.slice(applying)?, action, principal, resource)?);
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        memory.templates.insert(key, Remembered { template: template.clone(), _held: (principal.clone(), asked.clone()) });
        Some(template)
    }

    /// The policies at these positions, all of whose heads are met, put together once.
    fn slice(&self, positions: Vec<usize>) -> Option<Arc<Slice>> {
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        if memory.templates.len() >= TEMPLATES_MAX {
            *memory = Memory::default();
        }
        if let Some(known) = memory.slices.get(&positions) {
            return Some(known.clone());
        }
        let slice = Arc::new(Slice::met(positions.iter().filter_map(|at| self.policies.get(*at)))?);
        memory.slices.insert(positions, slice.clone());
        Some(slice)
    }
}

impl RequestResource {
    fn place(&self) -> (usize, Option<Scope>) {
        match self {
            Self::Scope(api, scope) => (Arc::as_ptr(api) as usize, Some(scope.clone())),
            Self::Agent(agent) => (Arc::as_ptr(agent) as usize, None),
        }
    }

    pub(super) fn resource(&self) -> Option<ResourceRef<'_>> {
        match self {
            Self::Scope(api, scope) => api.scopes.get(scope).map(|info: &ScopeInfo| ResourceRef::Scope(api, scope, info)),
            Self::Agent(agent) => Some(ResourceRef::Agent(agent)),
        }
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policies").field("policies", &self.policies.len()).field("digest", &self.digest).finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Policies {
    pub(super) fn unvalidated(files: &[(PathBuf, String)]) -> Self {
        Self::of(PolicyLoader::unvalidated(files))
    }

    pub(super) fn policies(&self) -> &[ParsedPolicy] {
        &self.policies
    }

    pub(super) fn remembered(&self) -> usize {
        self.memory.read().unwrap_or_else(PoisonError::into_inner).templates.len()
    }
}
