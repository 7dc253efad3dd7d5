//! The error of administration.

use std::fmt;

use crate::catalog::Catalog;
use crate::commit::CommitReason;
use crate::commit::contract::StoreReason;
use crate::diagnostic::nearest;
use crate::oauth::ClientId;

/// Why nothing was done.
#[derive(Debug)]
pub enum AdminReason {
    /// The target is malformed.
    Malformed(String),
    /// Nothing goes by the name.
    Unknown(String),
    /// The agent is retired, for ever.
    Retired,
    /// It could not be recorded.
    Commit(CommitReason),
    /// The records could not be read.
    Store(StoreReason),
}

/// Refuses an agent that no file registers.
pub(super) fn registered(catalog: &Catalog, agent: &ClientId) -> Result<(), AdminReason> {
    let near = || nearest(agent.as_str(), catalog.agents().map(|agent| agent.id.as_str()));
    let meant = || near().map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    let unknown = || AdminReason::Unknown(format!("there is no agent {agent} in the configuration{}", meant()));
    catalog.agent(agent).map(|_| ()).ok_or_else(unknown)
}

impl fmt::Display for AdminReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) | Self::Unknown(what) => f.write_str(what),
            Self::Retired => f.write_str("the agent is retired, which cannot be undone; register another one"),
            Self::Commit(reason) => reason.fmt(f),
            Self::Store(reason) => reason.fmt(f),
        }
    }
}

impl std::error::Error for AdminReason {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Commit(reason) => Some(reason),
            Self::Store(reason) => Some(reason),
            Self::Malformed(_) | Self::Unknown(_) | Self::Retired => None,
        }
    }
}
