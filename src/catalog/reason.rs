//! Why agents and APIs do not make a catalog.

use std::fmt;

use super::Place;
use crate::oauth::{ClientId, Resource, RuleName, Scope};

/// One contradiction, and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogComplaint {
    /// The field that has it.
    pub place: Place,
    /// What it is.
    pub reason: CatalogReason,
    /// The name that nothing goes by, where that is what is wrong.
    pub unknown: Option<Unknown>,
}

/// A name that nothing goes by, and the names that there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The name as written.
    pub name: String,
    /// What could have been meant.
    pub known: Vec<String>,
}

/// What contradicts what. These are sentences for the operator and name what the operator wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogReason {
    /// A second agent with this id, and where the first is.
    AgentTwice(ClientId, Place),
    /// The agent's id reads like a subject of this trust rule.
    AgentLikeSubject(ClientId, RuleName),
    /// The agent's id stands for the operators, or for this server, in records.
    AgentReserved(ClientId),
    /// No trust rule has the name.
    NoRule(RuleName),
    /// A second API with this id, and where the first is.
    ApiTwice(Resource, Place),
    /// Another API has the name as its name or id already.
    NameTaken(String, Resource),
    /// No agent has the id.
    NoAgent(ClientId),
    /// No API has the id.
    NoApi(Resource),
    /// The API has no such scope.
    NoScope(Scope, Resource),
    /// An API derives from itself.
    DeriveFromSelf,
    /// Another API of the group has a scope of this name.
    ScopeTaken(Scope, String, Resource),
    /// APIs of one group must agree on this field, because one token serves them all.
    GroupDiffers(&'static str, String, Resource),
    /// No `typ` that validators of access tokens know.
    Typ,
    /// A token that lives no time at all.
    NoLifetime,
}

impl fmt::Display for CatalogReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AgentTwice(id, first) => write!(f, "agent \"{id}\" is registered already{}", Elsewhere(first)),
            Self::AgentLikeSubject(id, rule) => {
                write!(f, "agent id \"{id}\" begins with \"{rule}:\" and could be taken for a subject of trust rule \"{rule}\"")
            }
            Self::AgentReserved(id) => write!(f, "agent id \"{id}\" has a meaning of its own in the records; choose another"),
            Self::NoRule(name) => write!(f, "there is no trust rule \"{name}\""),
            Self::ApiTwice(id, first) => write!(f, "API \"{id}\" is registered already{}", Elsewhere(first)),
            Self::NameTaken(name, api) => write!(f, "the name \"{name}\" already means API \"{api}\""),
            Self::NoAgent(id) => write!(f, "there is no agent \"{id}\""),
            Self::NoApi(id) => write!(f, "there is no API \"{id}\""),
            Self::NoScope(scope, api) => write!(f, "API \"{api}\" has no scope \"{scope}\""),
            Self::DeriveFromSelf => f.write_str("an API cannot derive authority from itself"),
            Self::ScopeTaken(scope, group, api) => {
                write!(f, "scope \"{scope}\" collides with that of API \"{api}\" in group \"{group}\"")
            }
            Self::GroupDiffers(field, group, api) => {
                write!(f, "`{field}` differs from that of API \"{api}\" in group \"{group}\", and one token must serve both")
            }
            Self::Typ => f.write_str("`typ` must be \"at+jwt\" or \"JWT\""),
            Self::NoLifetime => f.write_str("`lifetime` must be at least 1s"),
        }
    }
}

struct Elsewhere<'a>(&'a Place);

impl fmt::Display for Elsewhere<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.file.is_empty() { Ok(()) } else { write!(f, " at {}", self.0) }
    }
}
