//! The context of a policy request: its attributes, named and typed as the schema has them.

use std::borrow::Cow;

use crate::binding::SenderConstraint;
use crate::catalog::{Api, ScopeInfo};
use crate::lifecycle::AdmittedExchange;
use crate::oauth::{ClientId, Issuer, Subject, Time};
use crate::trust::{SET, SubjectKind};

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
    approved: bool,
}

/// The part of the context that belongs to the scope that is decided on.
#[derive(Clone, Copy)]
pub(super) struct ScopeContext<'a> {
    pub(super) api: &'a Api,
    pub(super) info: &'a ScopeInfo,
}

/// The value of an attribute.
pub(super) enum PolicyValue<'a> {
    Text(&'a str),
    Name(String),
    Set(Vec<Cow<'a, str>>),
    Number(i64),
    Flag(bool),
    Instant(Time),
    Subject(&'a Subject),
}

named! {
    /// An attribute of the context.
    pub(super) enum Attribute {
        Subject = "subject", Client = "client", Actor = "actor", Chain = "chain", Depth = "depth", Instance = "instance",
        Task = "task", Purpose = "purpose", Data = "data", Touched = "touched", Destination = "destination", Effect = "effect",
        Time = "time", Acr = "acr", Amr = "amr", AuthAge = "auth_age", Binding = "binding", Approved = "approved",
        Basis = "basis", Trust = "trust",
    }
}

/// A set of attributes: those that some policies mention. What no policy mentions need not be built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UsedAttributes(u32);

impl UsedAttributes {
    pub(super) const ALL: Self = Self(u32::MAX);

    /// The sets of the subject, which are an entity of their own.
    pub(super) const SETS: Self = Self(1 << 31);

    /// The attribute called `name`; everything when there is none of that name.
    pub(super) fn named(name: &str) -> Self {
        let found = Attribute::NAMES.iter().find(|(known, _)| *known == name);
        found.map_or(Self::ALL, |(_, attribute)| Self(1 << *attribute as u32))
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn contains(self, attribute: Attribute) -> bool {
        self.0 & (1 << attribute as u32) != 0
    }

    pub(super) fn contains_sets(self) -> bool {
        self.0 & Self::SETS.0 != 0
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Attribute> {
        Attribute::NAMES.into_iter().map(|(_, attribute)| attribute).filter(move |attribute| self.contains(*attribute))
    }

    /// True where a context of these attributes is the same for every scope of a request.
    pub(super) fn same_for_all_scopes(self) -> bool {
        ![Attribute::Data, Attribute::Destination, Attribute::Effect].iter().any(|attribute| self.contains(*attribute))
    }
}

impl<'a> RequestContext<'a> {
    /// The context of an exchange.
    pub(super) fn new(admitted: &'a AdmittedExchange, constraint: &'a SenderConstraint, issuer: &'a Issuer, now: Time) -> Self {
        let purpose = admitted.task().map_or("", |task| task.purpose.as_str());
        let actor = admitted.current_actor().agent.id.as_str();
        Self { admitted, constraint, issuer, now, actor, purpose, approved: false }
    }

    /// The context of the opening of a task with this purpose and for this holder.
    pub(super) fn of_task(self, purpose: &'a str, holder: &'a ClientId) -> Self {
        Self { actor: holder.as_str(), purpose, ..self }
    }

    /// The context as if a person had approved the request.
    pub(super) fn approved(self) -> Self {
        Self { approved: true, ..self }
    }

    /// True where a person has approved the request.
    pub(super) fn is_approved(&self) -> bool {
        self.approved
    }

    /// The value of one attribute.
    pub(super) fn value(&self, attribute: Attribute, on: ScopeContext<'a>) -> PolicyValue<'a> {
        let admitted = self.admitted;
        match attribute {
            Attribute::Subject => PolicyValue::Subject(admitted.subject().subject()),
            Attribute::Client => PolicyValue::Text(admitted.client().agent().id.as_str()),
            Attribute::Actor => PolicyValue::Text(self.actor),
            Attribute::Chain => self.chain(),
            Attribute::Depth => PolicyValue::Number(i64::from(admitted.depth())),
            Attribute::Instance => PolicyValue::Text(admitted.current_actor().instance.as_deref().unwrap_or_default()),
            Attribute::Task => admitted.task().map_or(PolicyValue::Text(""), |task| PolicyValue::Name(task.id.to_string())),
            Attribute::Purpose => PolicyValue::Text(self.purpose),
            Attribute::Data => texts(&on.info.data),
            Attribute::Touched => texts(admitted.subject().own().map_or(&[], |own| own.touched.as_slice())),
            Attribute::Destination => PolicyValue::Text(on.api.destination.as_str()),
            Attribute::Effect => PolicyValue::Text(on.info.effect.as_str()),
            Attribute::Time => PolicyValue::Instant(self.now),
            Attribute::Acr => PolicyValue::Text(admitted.subject().authentication().acr.as_deref().unwrap_or_default()),
            Attribute::Amr => texts(&admitted.subject().authentication().amr),
            Attribute::AuthAge => PolicyValue::Number(self.authentication_age()),
            Attribute::Binding => PolicyValue::Text(self.constraint.as_str()),
            Attribute::Approved => PolicyValue::Flag(self.approved),
            Attribute::Basis => PolicyValue::Text(admitted.mode().as_str()),
            Attribute::Trust => PolicyValue::Text(admitted.subject().rule().map_or("", |rule| rule.as_str())),
        }
    }

    /// The attributes of the subject's entity.
    pub(super) fn subject(&self) -> [(&'static str, &'a str); 3] {
        let subject = self.admitted.subject().subject();
        [("kind", self.subject_kind()), ("rule", subject.rule().map_or("", |rule| rule.as_str())), ("id", subject.id())]
    }

    /// The attributes of the subject that are texts, as its trust rule maps them.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.attributes().filter(|(name, _)| !name.ends_with(SET))
    }

    /// The members of its attributes that are sets, each with the name of its set.
    pub(super) fn members(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.attributes().filter_map(|(name, value)| Some((name.strip_suffix(SET)?, value)))
    }

    fn attributes(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.admitted.subject().attributes().iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Empty where the token of a foreign subject does not say: it is not an agent for that.
    fn subject_kind(&self) -> &'static str {
        match self.admitted.subject().kind() {
            None if self.admitted.subject().subject().rule().is_some() => "",
            None => "agent",
            Some(SubjectKind::User) => "user",
            Some(SubjectKind::Workload) => "workload",
        }
    }

    fn chain(&self) -> PolicyValue<'a> {
        let ours = self.issuer.as_str();
        let named = self.admitted.chain().iter().map(|actor| match actor.iss() == ours {
            true => Cow::Borrowed(actor.sub()),
            false => Cow::Owned(format!("{}|{}", actor.iss(), actor.sub())),
        });
        PolicyValue::Set(named.collect())
    }

    /// Seconds since the subject authenticated; the greatest number when that is not known, older than any policy admits.
    fn authentication_age(&self) -> i64 {
        let since = |at| i64::try_from(self.now.since(at).as_secs()).unwrap_or(i64::MAX);
        self.admitted.subject().authentication().time.map_or(i64::MAX, since)
    }
}

fn texts(values: &[String]) -> PolicyValue<'_> {
    PolicyValue::Set(values.iter().map(|value| Cow::Borrowed(value.as_str())).collect())
}
