//! Revocation by operators: a target and everything that descends from it.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::outcome::{acts, counts_from, remembered_until};
use super::reason::AdminReason;
use crate::commit::contract::{RecordReader, Select, Stored};
use crate::commit::{Commit, Revocable, Revocation};
use crate::deployment::Deployment;
use crate::ledger::record::Record;
use crate::lifecycle::{INSTANCE_REMEMBERED, StateView};
use crate::oauth::{ClientId, ForeignName, GenerationKind, Jti, Resource, RuleName, Subject, TaskId, Time, Txn};

/// How long a revocation is remembered beyond the last moment at which a token could have been presented.
const SKEW: Duration = Duration::from_secs(60);

/// Nothing that this server signs lives longer: task tokens, for 90 days.
const SIGNED_MAX: Duration = Duration::from_hours(24 * 91);

/// The most records of one transaction that are read; the revocation of a longer one is never forgotten.
const RECORDS_MAX: u32 = 10_000;

/// A target of revocation by operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevokeTarget {
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
    /// Everything that one attested running copy of an agent asked for or acts in.
    Instance(ClientId, String),
    /// Every token about a subject.
    Subject(String),
    /// Everything that rests on a trust rule.
    Rule(RuleName),
    /// Every token for an API, and what came from one.
    Api(Resource),
}

/// A target that was revoked.
#[derive(Debug, Serialize)]
pub struct RevokedTarget {
    /// Its kind: `hop`, `agent` and so on.
    pub ended: &'static str,
    /// Its name.
    pub name: String,
    /// False while that acts in memory only: it is recorded when the store takes records again, and nothing is issued until then.
    pub recorded: bool,
    /// Seconds since 1970 from which on evidence that vouches for it must have been issued to count; none for what nothing
    /// vouches for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts_from: Option<i64>,
    /// Seconds since 1970 until which the end is remembered, at least, because something from before it could be presented; none
    /// for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remembered_until: Option<i64>,
}

/// Revokes `target` and everything that came from it, whether or not anything knows the name. When it returns `Ok`, that acts;
/// and is durable where it says so.
///
/// # Errors
/// See [`AdminReason`].
pub async fn revoke(
    deployment: &Deployment,
    commit: &Commit,
    records: &dyn RecordReader,
    target: &RevokeTarget,
    reason: Option<&str>,
) -> Result<RevokedTarget, AdminReason> {
    let (ends, until) = target.revocables(deployment, &*commit.state(), records)?;
    let (ended, name) = ends.first().map(|thing| (thing.kind.label(), thing.name.clone())).unwrap_or_default();
    let reason = reason.unwrap_or("revoked by an operator").to_owned();
    let revocation = Revocation { ends: ends.clone(), by: ClientId::operators(), reason, until };
    let recorded = acts(commit, &ends, commit.end(revocation)).await?;
    let counts_from = target.is_vouched_for().then(|| counts_from(commit, &ends)).flatten();
    let remembered_until = until.and_then(|until| remembered_until(commit, &ends, until));
    Ok(RevokedTarget { ended, name: name.unwrap_or_else(|| target.to_string()), recorded, counts_from, remembered_until })
}

/// Revokes what the key `name` of this server signed: a signing key by its `kid`, a key of the ledger by its verifier key. When
/// it returns `Ok`, that acts, and is durable where it says so. The key itself is revoked in its folder.
///
/// # Errors
/// See [`AdminReason`].
pub async fn revoke_key(
    deployment: &Deployment,
    commit: &Commit,
    name: &str,
    now: Time,
    reason: Option<&str>,
) -> Result<RevokedTarget, AdminReason> {
    let reason = reason.unwrap_or("revoked by an operator").to_owned();
    // It signs nothing more, so this outlives whatever it signed.
    let until = Some(now.plus(SIGNED_MAX));
    let ends = Revocable::key(name, &deployment.pseudonyms);
    let revocation = Revocation { ends: ends.clone(), by: ClientId::operators(), reason, until };
    let recorded = acts(commit, &ends, commit.end(revocation)).await?;
    let (ended, name) = (GenerationKind::Key.label(), name.to_owned());
    Ok(RevokedTarget { ended, name, recorded, counts_from: None, remembered_until: None })
}

impl RevokeTarget {
    /// The names of the kinds of targets.
    pub const NAMES: [&'static str; 9] = ["token", "hop", "txn", "task", "agent", "instance", "subject", "rule", "api"];

    /// The target of kind `name`; `instance` is of `agent`.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn parse(name: &str, value: &str, agent: Option<&str>) -> Result<Self, AdminReason> {
        let malformed = |what: &str| AdminReason::Malformed(format!("{name} {what}"));
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
            "api" => Resource::parse(value).map(Self::Api).map_err(|reason| malformed(&reason.to_string())),
            _ => Err(malformed("is nothing that ends")),
        }
    }

    /// The revocables that the target names, and when their revocation may be forgotten; none for never.
    fn revocables(
        &self,
        deployment: &Deployment,
        state: &dyn StateView,
        records: &dyn RecordReader,
    ) -> Result<(Vec<Revocable>, Option<Time>), AdminReason> {
        let key = &deployment.pseudonyms;
        match self {
            Self::Token(token) => {
                let genuine =
                    deployment.own.hop_of(token).map_err(|reason| AdminReason::Malformed(format!("token: {reason}")))?;
                hop(genuine.jti(), deployment, records)
            }
            Self::Hop(jti) => hop(*jti, deployment, records),
            Self::Txn(txn) => Ok((Revocable::transaction(*txn, key), until_of(*txn, records)?)),
            Self::Task(id) => match state.task(id) {
                Some(task) => Ok((vec![task.terms.revocable()], Some(task.terms.forget()))),
                None => Err(AdminReason::Unknown(format!("no task {id} is remembered"))),
            },
            Self::Agent(id) => Ok((Revocable::agent(id, key), None)),
            Self::Instance(agent, instance) => {
                let lasting = || deployment.trust.rules().any(|rule| rule.has_lasting_instances());
                let lasting = deployment.logins.has_vouched_certificates(agent) && lasting();
                let until = (!lasting).then(|| state.floor().plus(INSTANCE_REMEMBERED));
                Ok((Revocable::instance(agent, instance, key), until))
            }
            Self::Subject(text) => Ok((Revocable::subject(&subject(text, deployment)?, key), None)),
            Self::Api(id) => Ok((Revocable::api(id, key), None)),
            Self::Rule(name) => Ok((Revocable::rule(name, key), None)),
        }
    }

    /// True for what evidence vouches for, by name.
    fn is_vouched_for(&self) -> bool {
        !matches!(self, Self::Token(_) | Self::Hop(_) | Self::Txn(_) | Self::Task(_))
    }
}

/// Nothing that descends from a hop outlives its token.
fn hop(jti: Jti, deployment: &Deployment, records: &dyn RecordReader) -> Result<(Vec<Revocable>, Option<Time>), AdminReason> {
    let found = records.records(Select::Jti(jti), 0, 1).map_err(AdminReason::Store)?;
    let known = found.first().and_then(|stored| Some((expires(stored)?, stored.txn?)));
    let (expires, txn) = known.ok_or_else(|| AdminReason::Unknown(format!("no hop {jti} is recorded")))?;
    Ok((Revocable::hop(jti, txn, &deployment.pseudonyms), Some(expires.plus(SKEW))))
}

/// Of a transaction that is only hops the revocation can be forgotten when none of them could be presented any more.
fn until_of(txn: Txn, records: &dyn RecordReader) -> Result<Option<Time>, AdminReason> {
    let found = records.records(Select::Txn(txn), 0, RECORDS_MAX).map_err(AdminReason::Store)?;
    if found.is_empty() {
        return Err(AdminReason::Unknown(format!("no hop of transaction {txn} is recorded")));
    }
    let plain = |stored: &Stored| Record::parse(&stored.record).is_ok_and(|record| !matches!(record, Record::Task(_)));
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
pub(super) fn subject(text: &str, deployment: &Deployment) -> Result<Subject, AdminReason> {
    let agent = ClientId::parse(text).ok().filter(|id| deployment.catalog.agent(id).is_some() || !text.contains(':'));
    let foreign =
        || text.split_once(':').and_then(|(rule, id)| Some((RuleName::parse(rule).ok()?, ForeignName::parse(id).ok()?)));
    let malformed = "subject must be <trust rule>:<id>, as in the sub of its tokens, or an agent";
    match (agent, foreign()) {
        (Some(id), _) => Ok(Subject::agent(&id)),
        (None, Some((rule, id))) => Ok(Subject::foreign(&rule, &id)),
        _ => Err(AdminReason::Malformed(malformed.to_owned())),
    }
}

impl fmt::Display for RevokeTarget {
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
            Self::Api(id) => id.fmt(f),
        }
    }
}
