//! The registered agents and APIs, as meant: validated, cross-checked, immutable. A reload makes a new catalog.

mod agent;
mod api;
mod check;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub use agent::{Agent, AgentKind, AllowedGrantTypes, BoundTokens, Status, VelocityLimits};
pub use api::{
    Api, AuthorizationServer, ChainShown, ConstraintRequirement, Derive, Destination, ScopeEffect, ScopeInfo, StatusBits,
    StatusList,
};

use crate::diagnostic::{Declared, Diagnostic};
use crate::oauth::{Audience, ClientId, Resource, RuleName, Scope, Scopes};

/// All registered agents and APIs. Whatever an API's `agent`, `derive`, `default_scopes` or an agent's `foreign_clients` name
/// exists.
#[derive(Debug, Default)]
pub struct Catalog {
    agents: HashMap<ClientId, Arc<Agent>>,
    apis: HashMap<Resource, Arc<Api>>,
    names: HashMap<Arc<str>, Arc<Api>>,
    /// The APIs by the common form of their ids, and of those names that are URIs.
    forms: HashMap<String, Arc<Api>>,
    scopes: HashSet<Scope>,
    data_classes: HashSet<String>,
}

impl Catalog {
    /// Puts agents and APIs together. `rules` are the names of all trust rules, disabled ones too.
    ///
    /// # Errors
    /// Every contradiction, each with its location when the entry came from a file.
    pub fn new<A, B>(agents: Vec<A>, apis: Vec<B>, rules: &[RuleName]) -> Result<Self, Vec<Diagnostic>>
    where
        A: Into<Declared<Agent>>,
        B: Into<Declared<Api>>,
    {
        let agents: Vec<Declared<Agent>> = agents.into_iter().map(Into::into).collect();
        let apis: Vec<Declared<Api>> = apis.into_iter().map(Into::into).collect();
        let found = check::all(&agents, &apis, rules);
        if !found.is_empty() {
            return Err(found);
        }
        let mut catalog = Self::default();
        agents.into_iter().for_each(|agent| catalog.add_agent(agent.entry));
        apis.into_iter().for_each(|api| catalog.add_api(api.entry));
        Ok(catalog)
    }

    /// The agent registered under `id`, whatever its status.
    pub fn agent(&self, id: &ClientId) -> Option<&Arc<Agent>> {
        self.agents.get(id)
    }

    /// The API whose id is `id`, compared as a string (RFC 8707 §2).
    pub fn api(&self, id: &Resource) -> Option<&Arc<Api>> {
        self.apis.get(id)
    }

    /// The API that a `resource` of a request means: by its id or a name that is a URI, or by another spelling of the same URI,
    /// as the URL classes of many languages write it (RFC 3986 §6.2.3).
    pub fn api_at(&self, resource: &Resource) -> Option<&Arc<Api>> {
        let same = || self.forms.get(&resource.common_form()?);
        self.names.get(resource.as_str()).or_else(same)
    }

    /// The API that `audience` means: one of its logical names, or its id (RFC 8693 §2.1).
    pub fn api_named(&self, audience: &Audience) -> Option<&Arc<Api>> {
        self.names.get(audience.as_str())
    }

    /// The APIs whose access tokens the authorization server `issuer` issues, in the order of their ids.
    pub fn apis_behind(&self, issuer: &str) -> Vec<&Arc<Api>> {
        let behind = |api: &&Arc<Api>| api.authorization_server.as_ref().is_some_and(|server| server.issuer.as_str() == issuer);
        let mut apis: Vec<&Arc<Api>> = self.apis.values().filter(behind).collect();
        apis.sort_by_key(|api| &api.id);
        apis
    }

    /// The one API that declares all of the scopes `asked`; none where none or several do.
    pub fn api_with(&self, asked: &Scopes) -> Option<&Arc<Api>> {
        let declares = |api: &&Arc<Api>| asked.iter().all(|scope| api.scopes.contains_key(scope));
        let mut apis = self.apis.values().filter(declares);
        let only = apis.next().filter(|_| !asked.is_empty());
        if apis.next().is_some() { None } else { only }
    }

    /// The scopes of `asked` that any API declares. Others are words of whoever asked.
    pub fn declared<'a>(&self, asked: &'a Scopes) -> Cow<'a, Scopes> {
        match asked.iter().all(|scope| self.scopes.contains(scope)) {
            true => Cow::Borrowed(asked),
            false => Cow::Owned(asked.iter().filter(|scope| self.scopes.contains(*scope)).cloned().collect()),
        }
    }

    /// Those of the data classes `asked` that any scope declares. Others are words of whoever asked.
    pub fn declared_classes(&self, asked: &[String]) -> Vec<String> {
        asked.iter().filter(|class| self.data_classes.contains(*class)).cloned().collect()
    }

    /// All agents, in no particular order.
    pub fn agents(&self) -> impl Iterator<Item = &Arc<Agent>> {
        self.agents.values()
    }

    /// All APIs, in no particular order.
    pub fn apis(&self) -> impl Iterator<Item = &Arc<Api>> {
        self.apis.values()
    }

    fn add_agent(&mut self, agent: Agent) {
        self.agents.insert(agent.id.clone(), Arc::new(agent));
    }

    fn add_api(&mut self, api: Api) {
        let api = Arc::new(api);
        self.scopes.extend(api.scopes.keys().cloned());
        self.data_classes.extend(api.scopes.values().flat_map(|scope| scope.data.iter().cloned()));
        self.names.insert(api.id.as_str().into(), api.clone());
        for name in &api.names {
            self.names.insert(name.as_str().into(), api.clone());
        }
        self.forms.extend(api.forms().map(|form| (form, Arc::clone(&api))));
        self.apis.insert(api.id.clone(), api);
    }
}

#[cfg(test)]
mod tests;
