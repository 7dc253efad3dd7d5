//! The usage of a ledger by agents, counted from their hops.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Kind, Record, StatusChangeRecord};
use crate::oauth::{ClientId, GenerationKind, Resource, Scope, Time};

/// The usage of every agent of a ledger.
#[derive(Debug, Default)]
pub struct Usage {
    agents: BTreeMap<ClientId, AgentUse>,
    /// The instant of the last first hop, by the trust rule that vouched for its subject and the client that asked.
    rules: BTreeMap<String, BTreeMap<ClientId, Time>>,
    first: Option<u64>,
    next: u64,
}

/// The usage of one agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentUse {
    /// Hops that it asked for.
    pub asked: u64,
    /// Hops by which it acts.
    pub acted: u64,
    /// The instant at which it last asked for or acted by one.
    pub last: Option<Time>,
    /// The number of its logins and the instant of the last one, by authentication method.
    pub logins: BTreeMap<String, (u64, Time)>,
    /// The scopes that were granted on its hops, by API.
    pub authority: BTreeSet<(Resource, Scope)>,
    /// Its running copies that were suspended and not resumed.
    pub suspended: BTreeSet<String>,
}

impl Usage {
    /// The index of the first record that was not counted yet.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The usage of `agent`; none where it never did anything.
    pub fn of(&self, agent: &ClientId) -> AgentUse {
        self.agents.get(agent).cloned().unwrap_or_default()
    }

    /// True where every record was counted from the first on: what was never seen never was.
    pub fn is_whole(&self) -> bool {
        self.first.is_none_or(|first| first == 0)
    }

    /// The instant at which `agent` last asked for a hop about a subject that the trust rule called `rule` vouched for.
    pub fn last_under(&self, rule: &str, agent: &ClientId) -> Option<Time> {
        self.rules.get(rule)?.get(agent).copied()
    }

    /// Counts the record at `index`, which is the next one.
    pub fn add(&mut self, index: u64, record: &Record<'_>) {
        self.first.get_or_insert(index);
        self.next = index + 1;
        let hop = match record {
            Record::Hop(hop) => hop,
            Record::StatusChange(change) => return self.changed(change),
            _ => return,
        };
        let at = hop.at;
        if let Some(rule) = hop.inputs.rule.as_deref() {
            let last = self.rules.entry(rule.to_owned()).or_default().entry(hop.client.clone()).or_insert(at);
            *last = at.max(*last);
        }
        let granted = |api: &Resource| hop.scope.iter().map(|scope| (api.clone(), scope.clone())).collect::<Vec<_>>();
        let authority: Vec<(Resource, Scope)> = hop.audience.iter().flat_map(granted).collect();
        let client = self.seen(&hop.client, at);
        client.asked += 1;
        let login = client.logins.entry(hop.login.clone().into_owned()).or_insert((0, at));
        *login = (login.0 + 1, login.1.max(at));
        client.authority.extend(authority.iter().cloned());
        let actor = self.seen(&hop.actor, at);
        actor.acted += 1;
        actor.authority.extend(authority);
    }

    /// A running copy stands there as its agent's id, which has no space, and its name.
    fn changed(&mut self, change: &StatusChangeRecord<'_>) {
        for thing in change.things.iter().filter(|thing| thing.of == GenerationKind::Instance) {
            let named = thing.name.as_deref().and_then(|name| name.split_once(' '));
            let Some((agent, instance)) = named.and_then(|(id, name)| Some((ClientId::parse(id).ok()?, name))) else { continue };
            let suspended = &mut self.agents.entry(agent).or_default().suspended;
            match change.kind {
                Kind::Suspension => drop(suspended.insert(instance.to_owned())),
                _ => drop(suspended.remove(instance)),
            }
        }
    }

    fn seen(&mut self, agent: &ClientId, at: Time) -> &mut AgentUse {
        let known = self.agents.entry(agent.clone()).or_default();
        known.last = known.last.max(Some(at));
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A use that is not seen in records that begin late is no use that never was.
    #[test]
    fn records_that_begin_late_do_not_tell_that_something_never_was() {
        let whole = |first: Option<u64>| Usage { first, ..Usage::default() }.is_whole();
        assert_eq!([whole(None), whole(Some(0)), whole(Some(1))], [true, true, false]);
    }
}
