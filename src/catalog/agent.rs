//! A registered OAuth client with an accountable owner.

use super::api::{Api, ScopeEffect};
use crate::oauth::{ClientId, Resource, RuleName, Scopes};

/// An agent as registered. How it logs in is the concern of `client`; what it may do is the policies'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its `client_id`, and `act.sub` where it acts.
    pub id: ClientId,
    /// The accountable person.
    pub owner: String,
    /// The team it belongs to, as policies name it.
    pub team: String,
    /// `act.sub_profile`.
    pub kind: AgentKind,
    /// The status that its file gives it. The stricter of this and the recorded status holds.
    pub status: Status,
    /// The clients as which it obtains tokens elsewhere: a trust rule, and the `azp` or ID-token `aud` of its issuer.
    pub foreign_clients: Vec<(RuleName, String)>,
    /// The id of the API that a request is for where neither it nor its subject token says one.
    pub default_target: Option<Resource>,
    /// Bindings that its tokens must have.
    pub bound: BoundTokens,
    /// How often it may ask, where its file says; 0 for as often as it likes.
    pub requests_per_second: Option<u32>,
    /// How many tokens it may be issued, by what can be done with them.
    pub velocity: VelocityLimits,
}

/// The most tokens in an hour that an agent may be issued with a scope of an effect; no limit where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VelocityLimits(Vec<(ScopeEffect, u32)>);

/// Bindings that the tokens of an agent must have. With both set either will do; with neither a token is bound where the client
/// proves a key by DPoP, or where it must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BoundTokens {
    /// `dpop_bound_access_tokens` (RFC 9449 §5.2).
    pub dpop: bool,
    /// `tls_client_certificate_bound_access_tokens` (RFC 8705 §3.4).
    pub certificate: bool,
}

impl Agent {
    /// It is `client` at the issuer of the trust rule `rule`.
    pub fn is_foreign_client(&self, rule: &RuleName, client: &str) -> bool {
        self.foreign_clients.iter().any(|(known, id)| known == rule && id == client)
    }
}

impl VelocityLimits {
    /// These, each of another effect.
    pub fn new(limits: Vec<(ScopeEffect, u32)>) -> Self {
        Self(limits)
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each effect with its limit.
    pub fn iter(&self) -> impl Iterator<Item = (ScopeEffect, u32)> {
        self.0.iter().copied()
    }

    /// Those that a token with `scopes` for `apis` counts against: a scope of it has that effect.
    pub fn against<'a>(&self, apis: impl Iterator<Item = &'a Api> + Clone, scopes: &Scopes) -> Vec<(ScopeEffect, u32)> {
        let granted = |api: &'a Api| api.scopes.iter().filter(|(scope, _)| scopes.contains(scope)).map(|(_, info)| info.effect);
        self.iter().filter(|(effect, _)| apis.clone().flat_map(granted).any(|found| found == *effect)).collect()
    }
}

named! {
    /// The kind of client that an agent is.
    pub enum AgentKind {
        /// Decides for itself what to do next.
        AiAgent = "ai_agent",
        /// A workload that does what it was written to do.
        Service = "service",
        /// A program that people use.
        Application = "application",
    }
}

named! {
    /// The status of an agent, the least strict first.
    pub enum Status {
        /// May log in and act.
        Active = "active",
        /// May do nothing until it is resumed.
        Suspended = "suspended",
        /// Will never act again.
        Retired = "retired",
    }
}

impl Status {
    /// The stricter of two.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        self.max(other)
    }
}
