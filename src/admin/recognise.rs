//! Whether anything knows a name that was given on a command line. A typing error is seen by that nothing does; what was asked
//! for is done all the same, for what is not known by now may come later.

use serde::Serialize;

use super::revoke::{RevokeTarget, subject};
use crate::commit::contract::{RecordReader, StoreReason};
use crate::deployment::Deployment;
use crate::diagnostic::nearest;
use crate::ledger::record::Record;
use crate::oauth::{ClientId, GenerationKind, Resource, RuleName};

/// Records read at once, from the newest back.
const PAGE: u64 = 4096;

/// The most running copies among whose names one is looked for that was meant.
const INSTANCES_MAX: usize = 10_000;

/// What is done, and whether anything knows the name of whom it was done to.
#[derive(Debug, Serialize)]
pub struct Recognised<T> {
    /// What is done.
    #[serde(flatten)]
    pub done: T,
    /// False where no record, file or trust rule knows the name.
    pub known: bool,
    /// The name that may have been meant, of an agent, running copy, trust rule or API; never of a subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
}

/// Looks for whatever knows the name of `target`: the files, and then the records, all of them if nothing does. Where these
/// cannot be read the name counts as known, and nothing is said.
pub fn recognised<T>(done: T, target: &RevokeTarget, deployment: &Deployment, records: &dyn RecordReader) -> Recognised<T> {
    let catalog = &deployment.catalog;
    let agents = || catalog.agents().map(|agent| agent.id.as_str());
    let rules = || deployment.trust.rules().map(|rule| rule.name().as_str());
    let (known, near) = match target {
        // Their ids come from records.
        RevokeTarget::Token(_) | RevokeTarget::Hop(_) | RevokeTarget::Txn(_) | RevokeTarget::Task(_) => (Ok(true), None),
        RevokeTarget::Agent(id) if catalog.agent(id).is_some() => (Ok(true), None),
        RevokeTarget::Agent(id) => (any(records, |record| has_agent(record, id)), nearest(id.as_str(), agents())),
        RevokeTarget::Instance(agent, instance) => has_instance(records, agent, instance),
        RevokeTarget::Rule(name) if deployment.trust.rule(name).is_some() => (Ok(true), None),
        RevokeTarget::Rule(name) => (any(records, |record| has_rule(record, name)), nearest(name.as_str(), rules())),
        RevokeTarget::Api(id) if catalog.api(id).is_some() => (Ok(true), None),
        RevokeTarget::Api(id) => {
            let apis = catalog.apis().map(|api| api.id.as_str());
            (any(records, |record| has_api(record, id)), nearest(id.as_str(), apis))
        }
        RevokeTarget::Subject(text) => (has_subject(text, deployment, records), None),
    };
    let known = known.unwrap_or(true);
    Recognised { done, known, nearest: near.filter(|_| !known) }
}

/// True where a record satisfies `holds`.
fn any(records: &dyn RecordReader, mut holds: impl FnMut(&Record<'_>) -> bool) -> Result<bool, StoreReason> {
    let (mut end, first) = (records.count()?, records.first()?);
    while end > first {
        let from = end.saturating_sub(PAGE).max(first);
        let page = records.records(crate::commit::contract::Select::All, from, u32::try_from(end - from).unwrap_or(u32::MAX))?;
        if page.iter().any(|stored| Record::parse(&stored.record).is_ok_and(|record| holds(&record))) {
            return Ok(true);
        }
        end = from;
    }
    Ok(false)
}

fn has_agent(record: &Record<'_>, id: &ClientId) -> bool {
    let named = |(_, sub): (&str, &str)| sub == id.as_str();
    match record {
        Record::Hop(hop) => {
            hop.client == *id || hop.actor == *id || hop.chain.iter().filter_map(|actor| actor.shown()).any(named)
        }
        Record::Task(task) => task.client == *id || task.holder == *id,
        Record::Refusal(refusal) => refusal.agent == *id,
        _ => false,
    }
}

fn has_rule(record: &Record<'_>, name: &RuleName) -> bool {
    matches!(record, Record::Hop(hop) if hop.inputs.rule.as_deref() == Some(name.as_str()))
}

fn has_api(record: &Record<'_>, id: &Resource) -> bool {
    match record {
        Record::Hop(hop) => hop.audience.contains(id),
        Record::Task(task) => task.authority.iter().any(|held| held.api == *id),
        _ => false,
    }
}

fn has_instance(records: &dyn RecordReader, agent: &ClientId, instance: &str) -> (Result<bool, StoreReason>, Option<String>) {
    let mut others: Vec<String> = Vec::new();
    let known = any(records, |record| match record {
        Record::Hop(hop) if hop.actor == *agent => match hop.instance.as_deref() {
            Some(known) if known == instance => true,
            Some(other) if others.len() < INSTANCES_MAX && others.iter().all(|known| known != other) => {
                others.push(other.to_owned());
                false
            }
            _ => false,
        },
        _ => false,
    });
    let near = nearest(instance, others.iter().map(String::as_str));
    (known, near)
}

/// A subject has a key where a record holds anything personal about it, its name to begin with.
fn has_subject(text: &str, deployment: &Deployment, records: &dyn RecordReader) -> Result<bool, StoreReason> {
    let Ok(subject) = subject(text, deployment) else { return Ok(false) };
    if let Some(id) = subject.rule().is_none().then(|| ClientId::parse(subject.as_str()).ok()).flatten() {
        return if deployment.catalog.agent(&id).is_some() { Ok(true) } else { any(records, |record| has_agent(record, &id)) };
    }
    if deployment.logins.names(&subject) {
        return Ok(true);
    }
    for key in deployment.pseudonyms.every(GenerationKind::Subject, subject.as_str().as_bytes()) {
        if records.has_subject_key(&key)? {
            return Ok(true);
        }
    }
    Ok(false)
}
