//! Stand-in until the catalog lands.
#![allow(missing_docs)]
use crate::oauth::{Audience, ClientId, Resource, RuleName, Scope, Scopes};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub struct Agent {
    pub id: ClientId,
    pub owner: String,
    pub team: String,
    pub kind: AgentKind,
    pub status: Status,
    pub foreign_clients: Vec<(RuleName, String)>,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentKind {
    AiAgent,
    Service,
    Application,
}
impl AgentKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AiAgent => "ai_agent",
            Self::Service => "service",
            Self::Application => "application",
        }
    }
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Active,
    Suspended,
    Retired,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainShown {
    Full,
    Current,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    Internal,
    Partner,
    External,
}
impl Destination {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Partner => "partner",
            Self::External => "external",
        }
    }
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Read,
    Reversible,
    Recoverable,
    Irreversible,
}
impl Effect {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Reversible => "reversible",
            Self::Recoverable => "recoverable",
            Self::Irreversible => "irreversible",
        }
    }
}
#[derive(Debug)]
pub struct ScopeInfo {
    pub data: Vec<String>,
    pub effect: Effect,
}
#[derive(Debug)]
pub struct Derive {
    pub from_api: Resource,
    pub from_scope: Scope,
    pub to: Scope,
}
#[derive(Debug)]
pub struct Api {
    pub id: Resource,
    pub names: Vec<Audience>,
    pub agent: Option<ClientId>,
    pub destination: Destination,
    pub default_scopes: Scopes,
    pub lifetime: Option<Duration>,
    pub typ: String,
    pub chain: ChainShown,
    pub group: Option<String>,
    pub scopes: BTreeMap<Scope, ScopeInfo>,
    pub derive: Vec<Derive>,
}
#[derive(Debug, Default)]
pub struct Catalog {
    agents: BTreeMap<ClientId, Arc<Agent>>,
    apis: BTreeMap<Resource, Arc<Api>>,
}
impl Catalog {
    pub fn agent(&self, id: &ClientId) -> Option<&Arc<Agent>> {
        self.agents.get(id)
    }
    pub fn api(&self, id: &Resource) -> Option<&Arc<Api>> {
        self.apis.get(id)
    }
    pub fn api_named(&self, name: &Audience) -> Option<&Arc<Api>> {
        self.apis.values().find(|api| api.id.as_str() == name.as_str() || api.names.contains(name))
    }
}
