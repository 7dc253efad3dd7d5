//! The context of a request that was admitted.

use std::borrow::Cow;
use std::sync::Arc;

use super::context::{Attribute, PolicyValue, ScopeContext, texts};
use super::input::PolicyInput;
use super::intent::{StatedIntent, settled_purpose};
use crate::binding::SenderConstraint;
use crate::catalog::Agent;
use crate::lifecycle::AdmittedExchange;
use crate::oauth::{ActChain, ClientId, Intent, Issuer, Subject, Time};
use crate::token::Authentication;
use crate::trust::SubjectKind;

/// The part of the context that is the same for every scope of a request.
#[derive(Clone, Copy)]
pub(super) struct RequestContext<'a> {
    pub(super) admitted: &'a AdmittedExchange,
    pub(super) constraint: &'a SenderConstraint,
    pub(super) issuer: &'a Issuer,
    pub(super) now: Time,
    /// The agent that acts, or that is to hold the task that is opened.
    actor: &'a str,
    purpose: &'a str,
    intent: Option<&'a Intent>,
    approved: bool,
    /// The authentication context and age as if the subject had logged in that way; none as it did.
    login: (Option<&'a str>, Option<i64>),
}

impl<'a> RequestContext<'a> {
    /// The context of an exchange.
    pub(super) fn new(admitted: &'a AdmittedExchange, constraint: &'a SenderConstraint, issuer: &'a Issuer, now: Time) -> Self {
        let purpose = settled_purpose(admitted).unwrap_or_default();
        let actor = admitted.current_actor().agent.id.as_str();
        Self { admitted, constraint, issuer, now, actor, purpose, intent: None, approved: false, login: (None, None) }
    }

    /// The context of an exchange for which this intent was stated.
    pub(super) fn with_intent(self, stated: StatedIntent<'a>) -> Self {
        let StatedIntent { intent, purpose } = stated;
        Self { intent, purpose, ..self }
    }

    /// The context of the opening of a task with this purpose and for this holder.
    pub(super) fn of_task(self, purpose: &'a str, holder: &'a ClientId) -> Self {
        Self { actor: holder.as_str(), purpose, ..self }
    }

    fn subject_kind(&self) -> &'static str {
        kind_name(self.admitted.subject().kind(), self.admitted.subject().subject())
    }

    /// The context as if the subject had logged in with that authentication context, or that many seconds ago.
    pub(super) fn after_login(self, acr: Option<&'a str>, age: Option<i64>) -> Self {
        Self { login: (acr, age), ..self }
    }

    /// True where the subject is a person, who can log in again.
    pub(super) fn is_of_person(&self) -> bool {
        self.admitted.subject().kind() == Some(SubjectKind::User)
    }

    fn chain(&self) -> PolicyValue<'a> {
        named_chain(self.admitted.chain(), self.issuer)
    }

    /// Seconds since the subject authenticated; the greatest number when that is not known, older than any policy admits.
    fn authentication_age(&self) -> i64 {
        if let (_, Some(age)) = self.login {
            return age;
        }
        age(self.admitted.subject().authentication(), self.now)
    }
}

/// Seconds between an authentication and `now`; the greatest number where that is not known.
pub(super) fn age(authentication: &Authentication, now: Time) -> i64 {
    let since = |at| i64::try_from(now.since(at).as_secs()).unwrap_or(i64::MAX);
    authentication.time.map_or(i64::MAX, since)
}

/// The members of a chain: agents by their ids, foreign actors with their issuers.
pub(super) fn named_chain<'a>(chain: &'a ActChain, issuer: &Issuer) -> PolicyValue<'a> {
    let named = chain.iter().map(|actor| match actor.iss() == issuer.as_str() {
        true => Cow::Borrowed(actor.sub()),
        false => Cow::Owned(format!("{}|{}", actor.iss(), actor.sub())),
    });
    PolicyValue::Set(named.collect())
}

/// The kind of a subject. Empty where the token of a foreign one does not say: it is not an agent for that.
pub(super) fn kind_name(kind: Option<SubjectKind>, subject: &Subject) -> &'static str {
    match kind {
        None if subject.rule().is_some() => "",
        None => "agent",
        Some(SubjectKind::User) => "user",
        Some(SubjectKind::Workload) => "workload",
    }
}

impl PolicyInput for RequestContext<'_> {
    fn client(&self) -> &Arc<Agent> {
        self.admitted.client().agent()
    }

    fn acting(&self) -> &Arc<Agent> {
        &self.admitted.current_actor().agent
    }

    fn now(&self) -> Time {
        self.now
    }

    fn is_bound(&self) -> bool {
        self.constraint.issued().is_some()
    }

    fn is_approved(&self) -> bool {
        self.approved
    }

    fn approved(&self) -> Self {
        Self { approved: true, ..*self }
    }

    fn intent(&self) -> Option<&Intent> {
        self.intent
    }

    fn value<'b>(&'b self, attribute: Attribute, on: ScopeContext<'b>) -> PolicyValue<'b> {
        let admitted = self.admitted;
        match attribute {
            Attribute::Subject => PolicyValue::Subject(self.subject_id()),
            Attribute::Client => PolicyValue::Text(self.client().id.as_str()),
            Attribute::Actor => PolicyValue::Text(self.actor),
            Attribute::Chain => self.chain(),
            Attribute::Depth => PolicyValue::Number(i64::from(admitted.depth())),
            Attribute::Instance => PolicyValue::Text(admitted.current_actor().instance.as_deref().unwrap_or_default()),
            Attribute::Task => admitted.task().map_or(PolicyValue::Text(""), |task| PolicyValue::Name(task.id.to_string())),
            Attribute::Purpose => PolicyValue::Text(self.purpose),
            Attribute::Touched => texts(admitted.subject().own().map_or(&[], |own| own.touched.as_slice())),
            Attribute::Data | Attribute::Destination | Attribute::Effect => on.value(attribute, self.intent),
            Attribute::Intent => PolicyValue::Intent,
            Attribute::Time => PolicyValue::Instant(self.now),
            Attribute::Acr => {
                let told = || admitted.subject().authentication().acr.as_deref();
                PolicyValue::Text(self.login.0.or_else(told).unwrap_or_default())
            }
            Attribute::Amr => texts(&admitted.subject().authentication().amr),
            Attribute::AuthAge => PolicyValue::Number(self.authentication_age()),
            Attribute::Binding => PolicyValue::Text(self.constraint.as_str()),
            Attribute::Approved => PolicyValue::Flag(self.approved),
            Attribute::Basis => PolicyValue::Text(admitted.mode().as_str()),
            Attribute::Trust => PolicyValue::Text(admitted.subject().trust().map_or("", |rule| rule.as_str())),
        }
    }

    fn subject_id(&self) -> &str {
        self.admitted.subject().subject().as_str()
    }

    fn subject(&self) -> [(&'static str, &str); 3] {
        let subject = self.admitted.subject().subject();
        [("kind", self.subject_kind()), ("rule", subject.rule().map_or("", |rule| rule.as_str())), ("id", subject.id())]
    }

    fn attributes(&self) -> &[(String, String)] {
        self.admitted.subject().attributes()
    }
}
