//! Terms: what a record can be found by. They are read off the record alone, so an index of them can always be made again.

use std::fmt::Display;

use super::event::RevocableRecord;
use super::hop::{ActorRecord, Evidence, HopRecord};
use super::task::TaskRecord;
use super::{Kind, Record, RefusalRecord};
use crate::crypto::Digest;
use crate::oauth::{GenerationKey, GenerationKind};

/// The fields that records are found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// An agent that acts, or acted before in the chain.
    Actor,
    /// An agent in any role: it asks, acts, holds a task, was refused, ended, or ended something.
    Agent,
    /// The id of an API that a token is for or was asked for, or on which a task holds authority.
    Api,
    /// A class of data that was touched, or may be.
    DataClass,
    /// The OAuth error code of a refusal.
    Error,
    /// The reference that a refusal's answer carried.
    ErrorId,
    /// A running copy of an agent.
    Instance,
    /// The `jti` of a token: of a hop's own, of its parent's, of one that ended or never left.
    Jti,
    /// The kind of record.
    Kind,
    /// The outcome: one of [`OUTCOMES`].
    Outcome,
    /// A policy that decided.
    Policy,
    /// A trust rule that vouched for the subject, or that changed.
    Rule,
    /// A scope that was granted, or asked for where that was refused.
    Scope,
    /// A subject that stands in the clear: an agent.
    Subject,
    /// The keyed pseudonym of a subject that ended, which stands in the record.
    SubjectEnded,
    /// The pseudonym of a subject, made under a key that is destroyed with it. No record has it; see `commit::subject_mark`.
    SubjectMark,
    /// A task.
    Task,
    /// The digest of a token: of the one that was issued, or of one that was presented.
    Token,
    /// A transaction.
    Txn,
}

/// One thing that a record can be found by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term {
    /// The field.
    pub field: Field,
    /// Its value, as it stands in records.
    pub value: String,
}

impl Field {
    /// Every field that an investigator can ask for by a value, and the name of the parameter.
    pub const ASKED: [(&'static str, Self); 15] = [
        ("actor", Self::Actor),
        ("agent", Self::Agent),
        ("api", Self::Api),
        ("data_class", Self::DataClass),
        ("error", Self::Error),
        ("error_id", Self::ErrorId),
        ("instance", Self::Instance),
        ("jti", Self::Jti),
        ("kind", Self::Kind),
        ("outcome", Self::Outcome),
        ("policy", Self::Policy),
        ("rule", Self::Rule),
        ("scope", Self::Scope),
        ("task", Self::Task),
        ("txn", Self::Txn),
    ];

    /// True where nearly every value is a new one.
    pub fn is_id(self) -> bool {
        matches!(self, Self::ErrorId | Self::Jti | Self::Task | Self::Token | Self::Txn)
    }

    /// The number under which an index has it; never given to another one.
    pub fn number(self) -> u8 {
        match self {
            Self::Actor => 1,
            Self::Agent => 2,
            Self::Api => 3,
            Self::DataClass => 4,
            Self::Error => 5,
            Self::ErrorId => 6,
            Self::Instance => 7,
            Self::Jti => 8,
            Self::Kind => 9,
            Self::Outcome => 10,
            Self::Policy => 11,
            Self::Rule => 12,
            Self::Scope => 13,
            Self::Subject => 14,
            Self::SubjectEnded => 15,
            Self::SubjectMark => 16,
            Self::Task => 17,
            Self::Token => 18,
            Self::Txn => 19,
        }
    }
}

impl Term {
    /// The term of this value.
    pub fn new(field: Field, value: impl Display) -> Self {
        Self { field, value: value.to_string() }
    }

    /// The term of the token with this digest.
    pub fn token(digest: &Digest) -> Self {
        Self::new(Field::Token, digest)
    }

    /// The term of the end of a subject with this pseudonym.
    pub fn subject_ended(key: &GenerationKey) -> Self {
        Self::new(Field::SubjectEnded, hexadecimal(&key.0))
    }

    /// The term of a subject by the mark that dies with its key.
    pub fn subject_mark(mark: &[u8; 16]) -> Self {
        Self::new(Field::SubjectMark, hexadecimal(mark))
    }
}

/// The outcomes that records tell of.
pub const OUTCOMES: [&str; 6] = ["granted", "refused", "withheld", "ended", "suspended", "resumed"];

impl Kind {
    /// The outcome that a record of this kind tells of; none where it tells of none.
    pub fn outcome(self) -> Option<&'static str> {
        match self {
            Self::Hop | Self::Task => Some("granted"),
            Self::Refusal => Some("refused"),
            Self::Withheld => Some("withheld"),
            Self::Death | Self::Retirement => Some("ended"),
            Self::Suspension => Some("suspended"),
            Self::Resumption => Some("resumed"),
            Self::State | Self::Configuration | Self::Key | Self::Epoch | Self::Retention => None,
        }
    }

    /// Its name, as it stands in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hop => "hop",
            Self::Task => "task",
            Self::Refusal => "refusal",
            Self::Withheld => "withheld",
            Self::Death => "death",
            Self::Suspension => "suspension",
            Self::Resumption => "resumption",
            Self::Retirement => "retirement",
            Self::State => "state",
            Self::Configuration => "configuration",
            Self::Key => "key",
            Self::Epoch => "epoch",
            Self::Retention => "retention",
        }
    }
}

/// Every term of a record, each once, sorted.
pub fn terms(record: &Record<'_>) -> Vec<Term> {
    let mut found = TermList(vec![Term::new(Field::Kind, record.kind().name())]);
    found.one(Field::Outcome, record.kind().outcome());
    found.one(Field::Txn, record.txn());
    found.one(Field::Jti, record.jti());
    match record {
        Record::Hop(hop) => found.hop(hop),
        Record::Task(task) => found.task(task),
        Record::Refusal(refusal) => found.refusal(refusal),
        Record::Revocation(record) => found.things(&record.by, &record.ends),
        Record::StatusChange(record) => found.things(&record.by, &record.things),
        Record::Withheld(_) | Record::State(_) | Record::Configuration(_) => {}
        Record::Key(_) | Record::Epoch(_) | Record::Retention(_) => {}
    }
    found.0.sort_unstable();
    found.0.dedup();
    found.0
}

/// The terms that were found so far.
struct TermList(Vec<Term>);

impl TermList {
    fn hop(&mut self, hop: &HopRecord<'_>) {
        self.one(Field::Actor, Some(&hop.actor));
        self.one(Field::Agent, Some(&hop.actor));
        self.one(Field::Agent, Some(&hop.client));
        self.every(Field::Api, &hop.audience);
        self.one(Field::Api, hop.handed_to.as_deref());
        self.every(Field::Scope, hop.scope.iter());
        self.every(Field::DataClass, &*hop.inputs.touched);
        self.every(Field::Policy, &*hop.policies);
        self.one(Field::Rule, hop.inputs.rule.as_deref());
        self.one(Field::Instance, hop.instance.as_deref());
        self.one(Field::Jti, hop.parent);
        self.one(Field::Task, hop.task);
        self.one(Field::Token, Some(hop.token));
        self.one(Field::Subject, hop.subject.as_ref().map(|subject| &subject.0));
        self.chain(&hop.chain);
        self.evidence(&hop.evidence);
    }

    fn task(&mut self, task: &TaskRecord<'_>) {
        self.every(Field::Agent, [&task.client, &task.holder]);
        self.every(Field::Api, task.authority.iter().map(|on| &on.api));
        self.every(Field::Scope, task.authority.iter().flat_map(|on| on.scope.iter()));
        self.every(Field::DataClass, &*task.data_classes);
        self.every(Field::Policy, &*task.policies);
        self.one(Field::Jti, task.hop);
        self.one(Field::Task, Some(task.task));
        self.one(Field::Task, task.parent);
        self.one(Field::Token, Some(task.token));
        self.one(Field::Subject, task.subject.as_ref().map(|subject| &subject.0));
        self.chain(&task.chain);
        self.evidence(&task.evidence);
    }

    fn refusal(&mut self, refusal: &RefusalRecord<'_>) {
        self.one(Field::Agent, Some(&refusal.agent));
        self.every(Field::Api, &refusal.audience);
        self.every(Field::Scope, refusal.requested.iter());
        self.every(Field::Policy, &*refusal.policies);
        self.one(Field::Error, Some(&refusal.error));
        self.one(Field::ErrorId, Some(&refusal.error_id));
        self.one(Field::Jti, refusal.parent);
        self.one(Field::Token, refusal.subject_token);
    }

    /// What ended or changed, and who asked for it.
    fn things(&mut self, by: &str, things: &[RevocableRecord<'_>]) {
        self.one(Field::Agent, Some(by));
        for thing in things {
            let name = thing.name.as_deref();
            match thing.of {
                GenerationKind::Agent => self.one(Field::Agent, name),
                GenerationKind::Rule => self.one(Field::Rule, name),
                GenerationKind::Api => self.one(Field::Api, name),
                GenerationKind::Task => self.one(Field::Task, name),
                GenerationKind::Transaction => self.one(Field::Txn, name),
                GenerationKind::Hop => self.one(Field::Jti, name),
                // It stands there as its agent's id, which has no space, and its name.
                GenerationKind::Instance => {
                    let parts = name.and_then(|name| name.split_once(' '));
                    self.one(Field::Agent, parts.map(|(agent, _)| agent));
                    self.one(Field::Instance, parts.map(|(_, instance)| instance));
                }
                GenerationKind::Subject => self.0.push(Term::subject_ended(&thing.key)),
                GenerationKind::Key => {}
            }
            self.one(Field::Txn, thing.txn);
        }
    }

    fn chain(&mut self, chain: &[ActorRecord<'_>]) {
        for actor in chain {
            self.one(Field::Actor, actor.sub.as_deref());
            self.one(Field::Agent, actor.sub.as_deref());
            self.one(Field::Instance, actor.instance.as_deref());
        }
    }

    /// The tokens that were presented. Logins and proofs are no tokens that act for anybody.
    fn evidence(&mut self, evidence: &Evidence) {
        self.one(Field::Token, evidence.subject_token);
        self.one(Field::Token, evidence.actor_token);
    }

    fn one(&mut self, field: Field, value: Option<impl Display>) {
        self.0.extend(value.map(|value| Term::new(field, value)));
    }

    fn every(&mut self, field: Field, values: impl IntoIterator<Item = impl Display>) {
        self.0.extend(values.into_iter().map(|value| Term::new(field, value)));
    }
}

fn hexadecimal(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}
