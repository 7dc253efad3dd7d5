//! A registered OAuth client with an accountable owner.

use std::fmt;

use crate::oauth::{ClientId, RuleName};

/// An agent as registered. How it logs in is the concern of `client`; what it may do is the policies'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its `client_id`, and `act.sub` where it acts.
    pub id: ClientId,
    /// The accountable person.
    pub owner: String,
    /// The team it belongs to, as policies name it.
    pub team: String,
    /// What kind of client it is; `act.sub_profile`.
    pub kind: AgentKind,
    /// Where it stands in its life. The stricter of this and the recorded status holds.
    pub status: Status,
    /// As which client it obtains tokens elsewhere: under which trust rule, and that issuer's `azp` or ID-token `aud`.
    pub foreign_clients: Vec<(RuleName, String)>,
    /// Which bindings its tokens must have.
    pub bound: BoundTokens,
}

/// Which bindings the tokens of an agent must have. With both set either will do; with neither a token is bound where the client
/// proves a key by DPoP, or where it must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BoundTokens {
    /// `dpop_bound_access_tokens` (RFC 9449 §5.2).
    pub dpop: bool,
    /// `tls_client_certificate_bound_access_tokens` (RFC 8705 §3.4).
    pub certificate: bool,
}

impl Agent {
    /// Whether it is the client `client` of the issuer behind the trust rule `rule`.
    pub fn is_foreign_client(&self, rule: &RuleName, client: &str) -> bool {
        self.foreign_clients.iter().any(|(known, id)| known == rule && id == client)
    }
}

/// What kind of client an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AgentKind {
    /// Decides for itself what to do next.
    AiAgent,
    /// A workload that does what it was written to do.
    Service,
    /// A program that people use.
    Application,
}

impl AgentKind {
    /// Every kind under the name it has in files and in `act.sub_profile`.
    pub const NAMES: [(&'static str, Self); 3] =
        [("ai_agent", Self::AiAgent), ("service", Self::Service), ("application", Self::Application)];

    /// The name in files and in `act.sub_profile`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AiAgent => "ai_agent",
            Self::Service => "service",
            Self::Application => "application",
        }
    }
}

impl fmt::Display for AgentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where an agent stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// May log in and act.
    Active,
    /// May do nothing until it is resumed.
    Suspended,
    /// Will never act again.
    Retired,
}

impl Status {
    /// Every status under its name in files, the least strict first.
    pub const NAMES: [(&'static str, Self); 3] =
        [("active", Self::Active), ("suspended", Self::Suspended), ("retired", Self::Retired)];

    /// The stricter of two.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        self.max(other)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Retired => "retired",
        })
    }
}
