//! What agents did, as their hops tell.

use std::collections::{BTreeMap, BTreeSet};

use super::record::Record;
use crate::oauth::{ClientId, Resource, Scope, Time};

/// What every agent of a ledger did so far.
#[derive(Debug, Default)]
pub struct Usage {
    agents: BTreeMap<ClientId, AgentUse>,
    next: u64,
}

/// What one agent did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentUse {
    /// Hops that it asked for.
    pub asked: u64,
    /// Hops by which it acts.
    pub acted: u64,
    /// When it last asked for or acted by one.
    pub last: Option<Time>,
    /// How often it logged in, by the name of the method, and when last.
    pub logins: BTreeMap<String, (u64, Time)>,
    /// What was granted on its hops.
    pub authority: BTreeSet<(Resource, Scope)>,
}

impl Usage {
    /// The index of the first record that was not counted yet.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// What `agent` did; nothing, where it never did anything.
    pub fn of(&self, agent: &ClientId) -> AgentUse {
        self.agents.get(agent).cloned().unwrap_or_default()
    }

    /// Counts the record at `index`, which is the next one.
    pub fn add(&mut self, index: u64, record: &Record<'_>) {
        self.next = index + 1;
        let Record::Hop(hop) = record else { return };
        let at = hop.at;
        let scopes = || hop.scope.iter().flat_map(|scopes| scopes.iter());
        let authority: Vec<(Resource, Scope)> =
            hop.audience.iter().flat_map(|api| scopes().map(|scope| (api.clone(), scope.clone()))).collect();
        let client = self.seen(&hop.client, at);
        client.asked += 1;
        let login = client.logins.entry(hop.login.clone().into_owned()).or_insert((0, at));
        *login = (login.0 + 1, login.1.max(at));
        client.authority.extend(authority.iter().cloned());
        let actor = self.seen(&hop.actor, at);
        actor.acted += 1;
        actor.authority.extend(authority);
    }

    fn seen(&mut self, agent: &ClientId, at: Time) -> &mut AgentUse {
        let known = self.agents.entry(agent.clone()).or_default();
        known.last = known.last.max(Some(at));
        known
    }
}
