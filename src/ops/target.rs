//! What is to be ended.

use std::fmt;
use std::time::Duration;

use super::{OpsReason, registered};
use crate::commit::Revocable;
use crate::commit::contract::{RecordReader, Select, Stored};
use crate::exchange::Deployment;
use crate::ledger::record::Record;
use crate::lifecycle::{StateView, key_of};
use crate::oauth::{ClientId, Jti, RuleName, Subject, TaskId, Time, Txn};

/// How long a death is remembered beyond the last moment at which a token could have been presented.
const SKEW: Duration = Duration::from_secs(60);

/// More records of one transaction are not looked at; its death is then never forgotten.
const RECORDS_MAX: u32 = 10_000;

/// Something that operators end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The hop of this token, and what descends from it.
    Token(String),
    /// A hop, and what descends from it.
    Hop(Jti),
    /// Every hop of a transaction.
    Txn(Txn),
    /// A task, its children, and what was issued in them.
    Task(TaskId),
    /// Everything that an agent asked for or acts in.
    Agent(ClientId),
    /// The same of one attested running copy.
    Instance(ClientId, String),
    /// Every token about a subject.
    Subject(String),
    /// Everything that rests on a trust rule.
    Rule(RuleName),
}

impl Target {
    /// The names under which targets are asked for.
    pub const NAMES: [&'static str; 8] = ["token", "hop", "txn", "task", "agent", "instance", "subject", "rule"];

    /// The target of kind `name`; `instance` is of `agent`.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn parse(name: &str, value: &str, agent: Option<&str>) -> Result<Self, OpsReason> {
        let malformed = |what: &str| OpsReason::Malformed(format!("{name} {what}"));
        let client = |text: &str| ClientId::parse(text).map_err(|reason| malformed(&reason.to_string()));
        match name {
            "token" => Ok(Self::Token(value.to_owned())),
            "hop" => Jti::parse(value).map(Self::Hop).map_err(|_| malformed("must be a UUID, the jti of a token")),
            "txn" => Txn::parse(value).map(Self::Txn).map_err(|_| malformed("must be a UUID, the txn of a token")),
            "task" => TaskId::parse(value).map(Self::Task).map_err(|_| malformed("must be a UUID, the id of a task")),
            "agent" => client(value).map(Self::Agent),
            "instance" => {
                let agent = agent.ok_or_else(|| malformed("is of an agent; say which with agent"))?;
                Ok(Self::Instance(client(agent)?, value.to_owned()))
            }
            "subject" => Ok(Self::Subject(value.to_owned())),
            "rule" => RuleName::parse(value).map(Self::Rule).map_err(|reason| malformed(&reason.to_string())),
            _ => Err(malformed("is nothing that ends")),
        }
    }

    /// What ends, and when that may be forgotten.
    pub(super) fn ending(
        &self,
        world: &Deployment,
        state: &dyn StateView,
        records: &dyn RecordReader,
    ) -> Result<(Revocable, Option<Time>), OpsReason> {
        let key = &world.pseudonyms;
        match self {
            Self::Token(token) => {
                let jti = world.own.hop_of(token).map_err(|reason| OpsReason::Malformed(format!("token: {reason}")))?;
                hop(jti, world, records)
            }
            Self::Hop(jti) => hop(*jti, world, records),
            Self::Txn(txn) => Ok((Revocable::transaction(*txn, key), until_of(*txn, records)?)),
            Self::Task(id) => match state.task(&key_of(*id, key)) {
                Some(task) => Ok((task.fixed.revocable(key), Some(task.fixed.forget()))),
                None => Err(OpsReason::Unknown(format!("no task {id} is remembered"))),
            },
            Self::Agent(id) => registered(&world.catalog, id).map(|()| (Revocable::agent(id, key), None)),
            Self::Instance(agent, instance) => {
                registered(&world.catalog, agent).map(|()| (Revocable::instance(agent, instance, key), None))
            }
            Self::Subject(text) => Ok((Revocable::subject(&subject(text, world)?, key), None)),
            Self::Rule(name) => match world.trust.rule(name) {
                Some(_) => Ok((Revocable::rule(name, key), None)),
                None => Err(OpsReason::Unknown(format!("there is no trust rule {name} in the configuration"))),
            },
        }
    }
}

/// Nothing that descends from a hop outlives its token.
fn hop(jti: Jti, world: &Deployment, records: &dyn RecordReader) -> Result<(Revocable, Option<Time>), OpsReason> {
    let found = records.records(Select::Jti(jti), 0, 1).map_err(OpsReason::Store)?;
    let expires = found.first().and_then(expires).ok_or_else(|| OpsReason::Unknown(format!("no hop {jti} is recorded")))?;
    Ok((Revocable::hop(jti, &world.pseudonyms), Some(expires.plus(SKEW))))
}

/// Of a transaction that is only hops the death can be forgotten when none of them could be presented any more.
fn until_of(txn: Txn, records: &dyn RecordReader) -> Result<Option<Time>, OpsReason> {
    let found = records.records(Select::Txn(txn), 0, RECORDS_MAX).map_err(OpsReason::Store)?;
    if found.is_empty() {
        return Err(OpsReason::Unknown(format!("no hop of transaction {txn} is recorded")));
    }
    let plain = |stored: &Stored| {
        let record = Record::parse(&stored.record);
        matches!(record, Ok(Record::Hop(_) | Record::Refusal(_) | Record::Withheld(_)))
    };
    let all = found.len() < RECORDS_MAX as usize && found.iter().all(plain);
    let last = found.iter().filter_map(expires).max();
    Ok(last.filter(|_| all).map(|last| last.plus(SKEW)))
}

fn expires(stored: &Stored) -> Option<Time> {
    match Record::parse(&stored.record) {
        Ok(Record::Hop(hop)) => Some(hop.expires),
        _ => None,
    }
}

/// `<trust rule>:<id>`, or the id of an agent that acts for itself.
fn subject(text: &str, world: &Deployment) -> Result<Subject, OpsReason> {
    if let Ok(id) = ClientId::parse(text)
        && world.catalog.agent(&id).is_some()
    {
        return Ok(Subject::agent(&id));
    }
    let (rule, id) = text.split_once(':').unwrap_or_default();
    match RuleName::parse(rule) {
        Ok(rule) if !id.is_empty() => Ok(Subject::foreign(&rule, id)),
        _ => Err(OpsReason::Malformed("subject must be <trust rule>:<id>, as in the sub of its tokens, or an agent".to_owned())),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => f.write_str("the token's hop"),
            Self::Hop(jti) => jti.fmt(f),
            Self::Txn(txn) => txn.fmt(f),
            Self::Task(id) => id.fmt(f),
            Self::Agent(id) => id.fmt(f),
            Self::Instance(agent, instance) => write!(f, "{instance} of {agent}"),
            Self::Subject(subject) => f.write_str(subject),
            Self::Rule(rule) => rule.fmt(f),
        }
    }
}
