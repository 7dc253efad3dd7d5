//! The policy language: the only room that knows the engine. A policy that raises an error is skipped by the engine, a `forbid`
//! too; so whoever asks here treats any error as a refusal.

mod entities;
mod heads;
pub(super) mod mentions;
pub(super) mod parts;
mod stated;
pub(super) mod truth;
mod unknown;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, OnceLock};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, ParseErrors, Policy, PolicyId, PolicySet, Request, Response, Schema,
    ValidationMode, Validator,
};
use miette::Diagnostic;

use super::annotations::Annotations;
use super::context::{Attribute, ScopeContext, UsedAttributes};
use super::index::{PolicyHead, RequestHead};
use super::input::PolicyInput;
use super::outcome::UNANSWERABLE;
use crate::catalog::{Agent, Api, ScopeInfo};
use crate::diagnostic::SourceLocation;
use crate::oauth::Scope;
use entities::{agent_entity, expression, scope_entity, scope_uid, stated_uids, subject, uid};
use mentions::Mention;

/// The schema that policies are validated against.
pub(super) const SCHEMA: &str = include_str!("../../conf/policies/schema.cedarschema");

/// Reads the schema once.
static VALIDATOR: LazyLock<Result<Validator, String>> = LazyLock::new(|| {
    let (schema, _) = Schema::from_cedarschema_str(SCHEMA).map_err(|error| error.to_string())?;
    Ok(Validator::new(schema))
});

/// Policies may look at their principal, resource, subject and intent, at the sets of a subject and the numbers of an intent, not
/// at what lies behind those: nothing else is there when they run.
const REACH: u32 = 2;

/// The action of a question. One scope is one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Exchange,
    Impersonate,
    PresentActor,
    OpenTask,
    HandOver,
}

/// The resource of a question.
#[derive(Clone, Copy)]
pub(super) enum ResourceRef<'a> {
    Scope(&'a Api, &'a Scope, &'a ScopeInfo),
    Agent(&'a Agent),
}

/// A policy, and the facts that its text alone tells.
#[derive(Debug)]
pub(super) struct ParsedPolicy {
    policy: Policy,
    /// The policy without its head, once a question met it.
    met: OnceLock<Policy>,
    pub(super) head: PolicyHead,
    pub(super) used: UsedAttributes,
    /// Its annotations, as written.
    pub(super) annotations: Annotations,
    pub(super) permits: bool,
    /// The names in it.
    pub(super) mentions: Vec<Mention>,
    /// Its beginning.
    pub(super) location: SourceLocation,
}

/// A remark on a text: the byte at which it applies, where that is known, and the words.
pub(super) struct Remark {
    pub(super) at: Option<usize>,
    pub(super) message: String,
}

/// The findings of validation, by policy: errors, and what is only suspicious.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<(String, Remark)>,
    pub(super) warnings: Vec<(String, Remark)>,
    /// Those that no request meets.
    pub(super) impossible: BTreeSet<String>,
}

/// The policies that could apply to some questions.
#[derive(Debug)]
pub(super) struct Slice {
    set: PolicySet,
    used: UsedAttributes,
}

/// A question without the particulars of a request: everything that does not change from one request to the next.
#[derive(Debug)]
pub(super) struct RequestTemplate {
    slice: Arc<Slice>,
    principal: EntityUid,
    action: EntityUid,
    resource: EntityUid,
    entities: Entities,
}

/// Contexts that are the same for every scope of a request, by the attributes that they have.
pub(super) type SharedContext = Vec<(UsedAttributes, Context)>;

/// An answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PolicyDecision {
    /// True where it is permitted and no policy raised an error.
    pub(super) allowed: bool,
    /// True where it would be permitted, had no policy raised an error.
    pub(super) permitted_but_erred: bool,
    /// The policies that decided, by id: those that permit, or those that forbid.
    pub(super) deciding: Vec<String>,
    /// The policies that raised an error.
    pub(super) erred: Vec<String>,
}

impl RequestTemplate {
    /// True where a policy that could apply reads how the subject logged in.
    pub(super) fn reads_login(&self) -> bool {
        self.slice.used.contains(Attribute::Acr) || self.slice.used.contains(Attribute::AuthAge)
    }

    /// The attributes that a policy that could apply reads.
    pub(super) fn used(&self) -> UsedAttributes {
        self.slice.used
    }

    /// Decides. A context built for another scope of the same request is taken over where no policy could tell the difference.
    pub(super) fn decide(&self, request: &impl PolicyInput, on: ScopeContext<'_>, shared: &mut SharedContext) -> PolicyDecision {
        self.response(request, on, shared).map_or_else(PolicyDecision::unanswerable, |response| PolicyDecision::of(&response))
    }

    fn response(&self, request: &impl PolicyInput, on: ScopeContext<'_>, shared: &mut SharedContext) -> Option<Response> {
        let context = self.slice.context(request, on, shared)?;
        let (principal, action, resource) = (self.principal.clone(), self.action.clone(), self.resource.clone());
        let asked = Request::new(principal, action, resource, context, None).ok()?;
        let ask = |entities: &Entities| Authorizer::new().is_authorized(&asked, &self.slice.set, entities);
        let used = self.slice.used;
        let mut more = if used.contains(Attribute::Subject) { subject(request, used)? } else { Vec::new() };
        if used.contains(Attribute::Intent) {
            more.extend(stated::entities(stated_uids()?, request.intent())?);
        }
        if more.is_empty() {
            Some(ask(&self.entities))
        } else {
            Some(ask(&self.entities.clone().add_entities(more, None).ok()?))
        }
    }
}

impl PolicyDecision {
    fn of(response: &Response) -> Self {
        let erred: Vec<String> = response.diagnostics().errors().map(|error| erring(error).to_owned()).collect();
        let permitted = response.decision() == Decision::Allow;
        let deciding = response.diagnostics().reason().map(|id| AsRef::<str>::as_ref(id).to_owned()).collect();
        Self { allowed: permitted && erred.is_empty(), permitted_but_erred: permitted && !erred.is_empty(), deciding, erred }
    }

    /// The decision as it is without the permits that are `over`. It is the one that there is without them: what permits adds
    /// nothing to what others decide.
    pub(super) fn without(mut self, over: impl Fn(&str) -> bool) -> Self {
        let permitted = self.allowed || self.permitted_but_erred;
        self.erred.retain(|id| !over(id));
        self.deciding.retain(|id| !permitted || !over(id));
        let permitted = permitted && !self.deciding.is_empty();
        let erred = !self.erred.is_empty();
        Self { allowed: permitted && !erred, permitted_but_erred: permitted && erred, ..self }
    }

    /// The decision on a question that the engine could not be asked: refused.
    pub(super) fn unanswerable() -> Self {
        Self { erred: vec![UNANSWERABLE.to_owned()], ..Self::default() }
    }
}

fn erring(error: &cedar_policy::AuthorizationError) -> &str {
    match error {
        cedar_policy::AuthorizationError::PolicyEvaluationError(error) => error.policy_id().as_ref(),
    }
}

impl Slice {
    /// Puts policies together.
    pub(super) fn new<'a>(policies: impl Iterator<Item = &'a ParsedPolicy>) -> Option<Self> {
        Self::of(policies, |parsed| parsed.policy.clone())
    }

    /// Puts policies together for questions whose heads they all meet, so that no head need be looked at again.
    pub(super) fn met<'a>(policies: impl Iterator<Item = &'a ParsedPolicy>) -> Option<Self> {
        Self::of(policies, |parsed| parsed.met.get_or_init(|| heads::without_head(&parsed.policy)).clone())
    }

    fn of<'a>(policies: impl Iterator<Item = &'a ParsedPolicy>, form: fn(&ParsedPolicy) -> Policy) -> Option<Self> {
        let policies: Vec<&ParsedPolicy> = policies.collect();
        let used = policies.iter().fold(UsedAttributes::default(), |used, parsed| used.and(parsed.used));
        let set = PolicySet::from_policies(policies.iter().map(|parsed| form(parsed))).ok()?;
        Some(Self { set, used })
    }

    fn context(&self, request: &impl PolicyInput, on: ScopeContext<'_>, shared: &mut SharedContext) -> Option<Context> {
        if let Some((_, context)) = shared.iter().find(|(used, _)| *used == self.used) {
            return Some(context.clone());
        }
        let pair = |attribute: Attribute| Some((attribute.as_str().to_owned(), expression(request.value(attribute, on))?));
        let pairs = self.used.iter().map(pair).collect::<Option<Vec<_>>>()?;
        let context = Context::from_pairs(pairs).ok()?;
        if self.used.same_for_all_scopes() {
            shared.push((self.used, context.clone()));
        }
        Some(context)
    }
}

impl Action {
    /// Every action that is asked about.
    pub(super) const ALL: [Self; 5] = [Self::Exchange, Self::Impersonate, Self::PresentActor, Self::OpenTask, Self::HandOver];

    /// The actions by which tokens for a scope are issued.
    pub(super) const ISSUING: [Self; 2] = [Self::Exchange, Self::Impersonate];

    /// True where the principal is the agent that acts, and not the client.
    pub(super) fn is_of_actor(self) -> bool {
        matches!(self, Self::Exchange | Self::HandOver)
    }

    /// The entity, as Cedar prints it.
    pub(super) fn entity(self) -> String {
        format!("Action::{:?}", self.name())
    }

    /// The name, as policies have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Impersonate => "impersonate",
            Self::PresentActor => "present_actor",
            Self::OpenTask => "open_task",
            Self::HandOver => "hand_over",
        }
    }
}

/// The part of a question that heads can tell apart.
pub(super) fn request_head(action: Action, principal: &Agent, resource: ResourceRef<'_>) -> Option<RequestHead> {
    let printed = |uid: Option<EntityUid>| uid.map(|uid| uid.to_string());
    let agent = |agent: &Agent| Some(vec![printed(uid("Agent", agent.id.as_str()))?, printed(uid("Team", &agent.team))?]);
    let (kind, resources) = match resource {
        ResourceRef::Agent(other) => ("Agent", agent(other)?),
        ResourceRef::Scope(api, scope, _) => {
            ("Scope", vec![printed(scope_uid(api, scope))?, printed(uid("Api", api.id.as_str()))?])
        }
    };
    let action = printed(uid("Action", action.name()))?;
    Some(RequestHead { principals: agent(principal)?, action, resources, kinds: ("Agent", kind) })
}

/// Builds everything about a question that lasts.
pub(super) fn template(
    slice: Arc<Slice>,
    action: Action,
    principal: &Agent,
    resource: ResourceRef<'_>,
) -> Option<RequestTemplate> {
    let asking = agent_entity(principal)?;
    let asked = match resource {
        ResourceRef::Agent(agent) => agent_entity(agent)?,
        ResourceRef::Scope(api, scope, info) => scope_entity(api, scope, info)?,
    };
    let (principal, resource, action) = (asking.uid(), asked.uid(), uid("Action", action.name())?);
    let entities = Entities::from_entities([asking, asked], None).ok()?;
    Some(RequestTemplate { slice, principal, action, resource, entities })
}

impl ParsedPolicy {
    /// Its id, as deciding policies are named in records.
    pub(super) fn id(&self) -> &str {
        self.policy.id().as_ref()
    }

    /// Its text as written.
    pub(super) fn text(&self) -> String {
        self.policy.to_string()
    }

    /// Where something that is not known would help the caller.
    pub(super) fn unknown_helps(&self) -> Vec<Remark> {
        let sentences = self.policy.to_json().map(|json| unknown::sentences(&json, self.permits, self.used));
        sentences.unwrap_or_default().into_iter().map(|message| Remark { at: None, message }).collect()
    }

    /// Its JSON form.
    pub(super) fn form(&self) -> serde_json::Value {
        self.policy.to_json().unwrap_or_default()
    }

    /// True where it has this annotation.
    pub(super) fn says(&self, annotation: &str) -> bool {
        self.annotations.contains_key(annotation)
    }

    /// This policy under another id.
    pub(super) fn called(mut self, id: &str) -> Self {
        self.policy = self.policy.new_id(PolicyId::new(id));
        self
    }

    fn new(policy: &Policy) -> Self {
        let json = policy.to_json().ok();
        let head = heads::head(policy);
        let is_asked = head.actions.iter().flatten().all(|action| Action::ALL.iter().any(|asked| asked.entity() == *action));
        Self {
            policy: policy.clone(),
            met: OnceLock::new(),
            head,
            used: json.as_ref().map_or(UsedAttributes::ALL, used),
            annotations: policy.annotations().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            permits: policy.effect() == cedar_policy::Effect::Permit,
            mentions: json.map(|json| mentions::mentions(&json, is_asked)).unwrap_or_default(),
            location: SourceLocation::default(),
        }
    }
}

/// Reads the policies of one text, in order.
///
/// # Errors
/// Everything in it that is not a policy.
pub(super) fn read(text: &str) -> Result<Vec<ParsedPolicy>, Vec<Remark>> {
    let set: PolicySet = text.parse().map_err(|errors: ParseErrors| errors.iter().map(remark).collect::<Vec<_>>())?;
    let template = |template: &cedar_policy::Template| Remark {
        at: text.find(&template.to_string()),
        message: "templates are not used here: write out what stands in the place of ?principal and ?resource".to_owned(),
    };
    let templates: Vec<Remark> = set.templates().map(template).collect();
    if templates.is_empty() { Ok(set.policies().map(ParsedPolicy::new).collect()) } else { Err(templates) }
}

/// Validates policies strictly against the schema.
///
/// # Errors
/// The schema itself is broken.
pub(super) fn validate<'a>(policies: impl Iterator<Item = &'a ParsedPolicy>) -> Result<Findings, String> {
    let validator = VALIDATOR.as_ref().map_err(Clone::clone)?;
    let set = PolicySet::from_policies(policies.map(|parsed| parsed.policy.clone())).map_err(|error| error.to_string())?;
    let found = validator.validate_with_level(&set, ValidationMode::Strict, REACH);
    Ok(Findings {
        errors: found.validation_errors().map(|error| (error.policy_id().to_string(), remark(error))).collect(),
        warnings: found.validation_warnings().map(|warning| (warning.policy_id().to_string(), remark(warning))).collect(),
        impossible: found.validation_warnings().filter(is_impossible).map(|warning| warning.policy_id().to_string()).collect(),
    })
}

fn is_impossible(warning: &&cedar_policy::ValidationWarning) -> bool {
    matches!(warning, cedar_policy::ValidationWarning::ImpossiblePolicy(_))
}

fn remark(diagnostic: &(impl Diagnostic + ?Sized)) -> Remark {
    let at = diagnostic.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
    let help = diagnostic.help().map(|help| format!(" ({help})")).unwrap_or_default();
    let words = format!("{diagnostic}{help}");
    Remark { at, message: words.split_whitespace().collect::<Vec<_>>().join(" ") }
}

/// The attributes of the context that a policy mentions, told from its JSON form. One that speaks of the context as a whole
/// uses all of them.
fn used(json: &serde_json::Value) -> UsedAttributes {
    match json {
        serde_json::Value::Object(members) => match members.iter().next() {
            Some((name, operand)) if members.len() == 1 && (name == "." || name == "has") && of_context(operand) => {
                mentioned(operand).map_or(UsedAttributes::ALL, UsedAttributes::named)
            }
            Some((name, operand)) if name == "Var" && operand == "context" => UsedAttributes::ALL,
            _ => members.values().fold(UsedAttributes::default(), |found, inner| found.and(used(inner))),
        },
        serde_json::Value::Array(items) => items.iter().fold(UsedAttributes::default(), |found, inner| found.and(used(inner))),
        serde_json::Value::String(name) if name == "sets" => UsedAttributes::SETS,
        _ => UsedAttributes::default(),
    }
}

fn of_context(operand: &serde_json::Value) -> bool {
    operand.pointer("/left/Var").is_some_and(|name| name == "context")
}

fn mentioned(operand: &serde_json::Value) -> Option<&str> {
    let attribute = operand.get("attr")?;
    attribute.as_str().or_else(|| attribute.get(0)?.as_str())
}

/// The answer that slices and trimmed contexts are compared with.
#[cfg(test)]
pub(super) mod oracle {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    /// The answer of all policies at once, with everything in the context, request and entities checked against the schema.
    pub(in crate::policy) fn answer(
        policies: &[ParsedPolicy],
        (action, principal, resource): (Action, &Agent, ResourceRef<'_>),
        request: &impl PolicyInput,
        on: ScopeContext<'_>,
    ) -> PolicyDecision {
        let schema = VALIDATOR.as_ref().unwrap().schema();
        let slice = Slice { used: UsedAttributes::ALL, ..Slice::new(policies.iter()).unwrap() };
        let context = slice.context(request, on, &mut SharedContext::new()).unwrap();
        let template = template(Arc::new(slice), action, principal, resource).unwrap();
        let asked = Request::new(template.principal, template.action, template.resource, context, Some(schema)).unwrap();
        let told = subject(request, UsedAttributes::ALL)
            .unwrap()
            .into_iter()
            .chain(stated::entities(stated_uids().unwrap(), request.intent()).unwrap());
        let entities = template.entities.iter().cloned().chain(told);
        let entities = Entities::from_entities(entities, Some(schema)).unwrap();
        PolicyDecision::of(&Authorizer::new().is_authorized(&asked, &template.slice.set, &entities))
    }
}
