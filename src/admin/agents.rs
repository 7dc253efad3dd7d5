//! The agents: the inventory, which says who is accountable for each, whether it may act and what it did with what it has; and
//! the changes of their status.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::outcome::acts;
use super::reason::{AdminReason, registered};
use crate::catalog::{Agent, ScopeEffect, Status};
use crate::client::{Dated, ExpiryState};
use crate::commit::contract::{RecordReader, Select, StoreReason};
use crate::commit::{Commit, Revocable, StatusChange, Transition};
use crate::deployment::Deployment;
use crate::ledger::record::Record;
use crate::ledger::{AgentUse, Usage};
use crate::lifecycle::{InactiveStatus, StateView};
use crate::oauth::{ClientId, GenerationKey, Time};

/// Records read at once.
const PAGE: u32 = 4096;

/// One agent of the inventory.
#[derive(Debug, Serialize)]
pub struct AgentReport {
    /// Its id.
    pub id: String,
    /// The accountable person.
    pub owner: String,
    /// Its team.
    pub team: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its status.
    pub status: StatusReport,
    /// Its running copies that the record suspends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<InstanceReport>,
    /// Seconds since 1970 when it last asked for or acted by a hop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_use: Option<i64>,
    /// Its limits of tokens in an hour, and how much of each is used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub velocity: Vec<VelocityReport>,
    /// Hops that it asked for.
    pub hops_asked: u64,
    /// Hops by which it acts.
    pub hops_acted: u64,
    /// The ways in which it may log in, and those in which it did.
    pub logins: Vec<LoginReport>,
    /// Keys and certificates of its logins that have expired or will within 30 days, the first to end first.
    pub near_expiry: Vec<ExpiryReport>,
    /// The scopes that some policy may permit it and none of its hops ever had.
    pub never_used: Vec<UnusedScopes>,
}

/// The status of an agent: `active`, `suspended` or `retired`.
#[derive(Debug, Serialize)]
pub struct StatusReport {
    /// Of its file.
    pub file: String,
    /// Of the record.
    pub recorded: String,
    /// The stricter of both, which holds.
    pub holds: String,
}

/// A limit of the tokens that an agent may be issued in an hour.
#[derive(Debug, Serialize)]
pub struct VelocityReport {
    /// The effect: those with a scope that has it count.
    pub effect: &'static str,
    /// So many at most.
    pub per_hour: u32,
    /// So many in the hour before now.
    pub used: u32,
}

/// A way to log in.
#[derive(Debug, Serialize)]
pub struct LoginReport {
    /// The method.
    pub method: String,
    /// True where its file has it.
    pub configured: bool,
    /// Hops that it asked for with it.
    pub hops: u64,
    /// Seconds since 1970 of the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_use: Option<i64>,
}

/// A key or certificate that has expired or soon will.
#[derive(Debug, Serialize)]
pub struct ExpiryReport {
    /// `certificate`, `authority` or `key`.
    pub what: &'static str,
    /// SHA-256 of a certificate in base64url; the `kid` of a key, or its number in the set.
    pub name: String,
    /// The method of the login that goes by it.
    pub login: &'static str,
    /// The file that holds it, or what else does.
    pub held_by: String,
    /// The file and line of the configuration that name it.
    pub named_at: String,
    /// Seconds since 1970 until which it counts.
    pub not_after: i64,
    /// True where that is past.
    pub expired: bool,
}

/// Scopes of one API.
#[derive(Debug, Serialize)]
pub struct UnusedScopes {
    /// The API.
    pub api: String,
    /// The scopes.
    pub scopes: Vec<String>,
}

/// An agent whose status was changed, or the status of one running copy of it.
#[derive(Debug, Serialize)]
pub struct ChangedStatus {
    /// The agent.
    pub agent: String,
    /// Its running copy, where only that was suspended or resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// False while that acts in memory only: it is recorded when the store takes records again, and nothing is issued until then.
    pub recorded: bool,
}

/// A running copy of an agent that the record suspends.
#[derive(Debug, Serialize)]
pub struct InstanceReport {
    /// Its name, as attested.
    pub instance: String,
    /// Its status.
    pub status: String,
}

/// Suspends, resumes or retires an agent in the record, or suspends or resumes one running copy of it. When it returns `Ok`, that
/// acts; and is durable where it says so.
///
/// # Errors
/// See [`AdminReason`].
pub async fn change_status(
    deployment: &Deployment,
    commit: &Commit,
    (agent, instance): (&ClientId, Option<&str>),
    transition: Transition,
    reason: Option<&str>,
) -> Result<ChangedStatus, AdminReason> {
    registered(&deployment.catalog, agent)?;
    if transition != Transition::Retire && deployment.recorded_status(agent, &*commit.state()) == Some(InactiveStatus::Retired) {
        return Err(AdminReason::Retired);
    }
    let keys = &deployment.pseudonyms;
    let things = match (instance, transition) {
        (Some(_), Transition::Retire) => {
            return Err(AdminReason::Malformed("a running copy is suspended, not retired".to_owned()));
        }
        (Some(instance), _) => Revocable::instance(agent, instance, keys),
        (None, _) => Revocable::agent(agent, keys),
    };
    let reason = reason.unwrap_or("asked for by an operator").to_owned();
    let change = StatusChange { turn: transition, things: things.clone(), by: ClientId::operators(), reason };
    let recorded = acts(commit, &things, commit.hold(change, Vec::new())).await?;
    Ok(ChangedStatus { agent: agent.to_string(), instance: instance.map(str::to_owned), recorded })
}

/// Counts the records that `usage` has not counted yet. The first time that is all of them.
///
/// # Errors
/// `Store` when they cannot be read.
pub fn catch_up(usage: &mut Usage, records: &dyn RecordReader) -> Result<(), AdminReason> {
    loop {
        let page = records.records(Select::All, usage.next(), PAGE).map_err(AdminReason::Store)?;
        if page.is_empty() {
            return Ok(());
        }
        for stored in page {
            match Record::parse(&stored.record) {
                Ok(record) => usage.add(stored.index, &record),
                Err(_) => return Err(AdminReason::Store(StoreReason::Corrupt("a record"))),
            }
        }
    }
}

/// A part of all agents.
#[derive(Debug, Serialize)]
pub struct AgentPage {
    /// The agents, in alphabetical order.
    pub agents: Vec<AgentReport>,
    /// The agent after which the next part begins; none in the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The agents that are asked about.
#[derive(Clone, Copy, Debug)]
pub enum AgentQuery<'a> {
    /// The one of that id.
    One(&'a str),
    /// Those whose ids come later, as many as a page has; all of them from an empty one on.
    After(&'a str),
}

/// The most agents of a page.
pub const AGENT_PAGE_MAX: usize = 100;

/// The agents that are asked about, as of `now`.
pub fn inventory(deployment: &Deployment, commit: &Commit, usage: &Usage, wanted: AgentQuery<'_>, now: Time) -> AgentPage {
    let is_wanted = |agent: &&Arc<Agent>| match wanted {
        AgentQuery::One(id) => agent.id.as_str() == id,
        AgentQuery::After(id) => agent.id.as_str() > id,
    };
    let mut agents: Vec<&Arc<Agent>> = deployment.catalog.agents().filter(is_wanted).collect();
    agents.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    let is_last = agents.len() <= AGENT_PAGE_MAX;
    agents.truncate(AGENT_PAGE_MAX);
    let next = agents.last().filter(|_| !is_last).map(|agent| agent.id.to_string());
    let report = |agent: &Arc<Agent>| report(agent, deployment, commit, &usage.of(&agent.id), now);
    AgentPage { agents: agents.into_iter().map(report).collect(), next }
}

fn report(agent: &Arc<Agent>, deployment: &Deployment, commit: &Commit, used: &AgentUse, now: Time) -> AgentReport {
    let state = commit.state();
    let recorded = recorded_status(deployment.recorded_status(&agent.id, &*state));
    AgentReport {
        id: agent.id.to_string(),
        owner: agent.owner.clone(),
        team: agent.team.clone(),
        kind: agent.kind.as_str(),
        status: StatusReport {
            file: agent.status.as_str().to_owned(),
            recorded: recorded.as_str().to_owned(),
            holds: agent.status.stricter(recorded).as_str().to_owned(),
        },
        instances: instances(agent, deployment, &*state, used),
        last_use: used.last.map(Time::seconds),
        velocity: velocity(agent, commit, now),
        hops_asked: used.asked,
        hops_acted: used.acted,
        logins: logins(agent, deployment, used),
        near_expiry: near_expiry(deployment.logins.dated_of(&agent.id), now),
        never_used: never_used(agent, deployment, used),
    }
}

fn velocity(agent: &Agent, commit: &Commit, now: Time) -> Vec<VelocityReport> {
    let used = |effect| commit.velocities().used(&agent.id, effect, now);
    let report =
        |(effect, per_hour): (ScopeEffect, u32)| VelocityReport { effect: effect.as_str(), per_hour, used: used(effect) };
    agent.velocity.iter().map(report).collect()
}

/// The state says whether one that was suspended is so still.
fn instances(agent: &Agent, deployment: &Deployment, state: &dyn StateView, used: &AgentUse) -> Vec<InstanceReport> {
    let report = |instance: &String| {
        let things = Revocable::instance(&agent.id, instance, &deployment.pseudonyms);
        let keys: Vec<GenerationKey> = things.iter().map(|thing| thing.key).collect();
        let inactive = state.generations(&keys).into_iter().filter_map(|state| state.inactive).max()?;
        Some(InstanceReport { instance: instance.clone(), status: recorded_status(Some(inactive)).as_str().to_owned() })
    };
    used.suspended.iter().filter_map(report).collect()
}

pub(super) fn recorded_status(inactive: Option<InactiveStatus>) -> Status {
    match inactive {
        None => Status::Active,
        Some(InactiveStatus::Suspended) => Status::Suspended,
        Some(InactiveStatus::Retired) => Status::Retired,
    }
}

fn logins(agent: &Agent, deployment: &Deployment, used: &AgentUse) -> Vec<LoginReport> {
    let configured = deployment.logins.methods_of(&agent.id);
    let mut logins: BTreeMap<&str, LoginReport> = BTreeMap::new();
    for method in &configured {
        let method = method.as_str();
        logins.insert(method, LoginReport { method: method.to_owned(), configured: true, hops: 0, last_use: None });
    }
    for (method, (hops, last)) in &used.logins {
        let empty = || LoginReport { method: method.clone(), configured: false, hops: 0, last_use: None };
        let login = logins.entry(method).or_insert_with(empty);
        (login.hops, login.last_use) = (*hops, Some(last.seconds()));
    }
    logins.into_values().collect()
}

fn near_expiry(dated: &[Dated], now: Time) -> Vec<ExpiryReport> {
    let told = |dated: &Dated| {
        let expiry = dated.expiry(now)?;
        Some(ExpiryReport {
            what: dated.kind.as_str(),
            name: dated.name.clone(),
            login: dated.login.as_str(),
            held_by: dated.held_by.to_string(),
            named_at: dated.place.to_string(),
            not_after: dated.not_after.seconds(),
            expired: expiry == ExpiryState::Expired,
        })
    };
    let mut ends: Vec<ExpiryReport> = dated.iter().filter_map(told).collect();
    ends.sort_by_key(|end| end.not_after);
    ends
}

/// By the heads of the policies alone: their conditions may permit less.
fn never_used(agent: &Arc<Agent>, deployment: &Deployment, used: &AgentUse) -> Vec<UnusedScopes> {
    let mut unused: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for api in deployment.catalog.apis() {
        for scope in api.scopes.keys() {
            let never = !used.authority.contains(&(api.id.clone(), scope.clone()));
            if never && deployment.policies.may_permit(agent, api, scope) {
                unused.entry(api.id.to_string()).or_default().push(scope.to_string());
            }
        }
    }
    unused.into_iter().map(|(api, scopes)| UnusedScopes { api, scopes }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{AuthMethod, DatedKind};
    use crate::diagnostic::SourceLocation;

    #[test]
    fn only_what_is_near_its_end_is_told_and_the_first_to_end_first() {
        let dated = |name: &str, seconds: i64| Dated {
            kind: DatedKind::Certificate,
            login: AuthMethod::SelfSignedTls,
            name: name.to_owned(),
            held_by: "a.pem".into(),
            place: SourceLocation::line("a.toml", 7),
            not_after: Time::from_seconds(seconds),
        };
        let all = [dated("later", 86_400 * 41), dated("near", 86_400 * 39), dated("over", 86_400 * 9)];
        let told = near_expiry(&all, Time::from_seconds(86_400 * 10));
        let told = serde_json::to_value(told).unwrap_or_default();
        let end = |name: &str, not_after: i64, expired: bool| {
            serde_json::json!({ "what": "certificate", "name": name, "login": "self_signed_tls_client_auth", "held_by": "a.pem",
                "named_at": "a.toml:7", "not_after": not_after, "expired": expired })
        };
        assert_eq!(told, serde_json::json!([end("over", 86_400 * 9, true), end("near", 86_400 * 39, false)]));
    }
}
