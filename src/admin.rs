//! What operators do: end things, suspend, resume and retire agents, and look at the inventory. The same by the socket of a
//! server that runs, and on the data folder where none does.

mod inventory;
mod target;
mod tasks;

use std::fmt;

use serde::Serialize;

pub use inventory::{AgentReport, EndReport, LoginReport, StatusReport, Unused, catch_up, inventory};
pub use target::Target;
pub use tasks::{TaskReport, tasks};

use crate::catalog::Catalog;
use crate::commit::contract::{RecordReader, StoreReason};
use crate::commit::{Commit, CommitReason, Revocable, Revocation, StatusChange, Transition};
use crate::exchange::Deployment;
use crate::lifecycle::InactiveStatus;
use crate::oauth::ClientId;

/// Why nothing was done.
#[derive(Debug)]
pub enum OpsReason {
    /// What is asked for is written wrongly.
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

/// Something that was ended.
#[derive(Debug, Serialize)]
pub struct Done {
    /// What it is: `hop`, `agent` and so on.
    pub ended: &'static str,
    /// How it was called.
    pub name: String,
}

/// Ends `target`, and everything that came from it. When it returns `Ok`, that is durable.
///
/// # Errors
/// See [`OpsReason`].
pub async fn end(
    world: &Deployment,
    commit: &Commit,
    records: &dyn RecordReader,
    target: &Target,
    reason: Option<&str>,
) -> Result<Done, OpsReason> {
    let (ending, until) = target.ending(world, &*commit.state(), records)?;
    let done = Done { ended: ending.kind.label(), name: ending.name.clone().unwrap_or_else(|| target.to_string()) };
    let reason = reason.unwrap_or("revoked by an operator").to_owned();
    let death = Revocation { ends: vec![ending], by: ClientId::operators(), reason, until };
    commit.end(death).await.map_err(OpsReason::Commit)?;
    Ok(done)
}

/// Suspends, resumes or retires an agent in the record. When it returns `Ok`, that is durable.
///
/// # Errors
/// See [`OpsReason`].
pub async fn turn(
    world: &Deployment,
    commit: &Commit,
    agent: &ClientId,
    turn: Transition,
    reason: Option<&str>,
) -> Result<(), OpsReason> {
    registered(&world.catalog, agent)?;
    if turn != Transition::Retire && world.hold_of(agent, &*commit.state()) == Some(InactiveStatus::Retired) {
        return Err(OpsReason::Retired);
    }
    let things = vec![Revocable::agent(agent, &world.pseudonyms)];
    let reason = reason.unwrap_or("asked for by an operator").to_owned();
    let holding = StatusChange { turn, things, by: ClientId::operators(), reason };
    commit.hold(holding, Vec::new()).await.map_err(OpsReason::Commit)
}

fn registered(catalog: &Catalog, agent: &ClientId) -> Result<(), OpsReason> {
    let unknown = || OpsReason::Unknown(format!("there is no agent {agent} in the configuration"));
    catalog.agent(agent).map(|_| ()).ok_or_else(unknown)
}

impl fmt::Display for OpsReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) | Self::Unknown(what) => f.write_str(what),
            Self::Retired => f.write_str("the agent is retired, which cannot be undone; register another one"),
            Self::Commit(reason) => reason.fmt(f),
            Self::Store(reason) => reason.fmt(f),
        }
    }
}

impl std::error::Error for OpsReason {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Commit(reason) => Some(reason),
            Self::Store(reason) => Some(reason),
            Self::Malformed(_) | Self::Unknown(_) | Self::Retired => None,
        }
    }
}
