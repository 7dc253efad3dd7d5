//! Seeing a task, its heartbeat, suspending, resuming and completing it. Nothing but the order.

use crate::client::Credentials;
use crate::commit::Commit;
use crate::error::Refusal;
use crate::exchange::{self, Asked, Refused, World};
use crate::lifecycle::{self, ActiveClient, StandingReason, Task, TaskStatus, Tending, Wish};
use crate::oauth::{TaskId, Time};

/// A task after what was wished was done.
#[derive(Debug)]
pub struct Tended {
    /// The task.
    pub task: Task,
    /// What stands of it.
    pub status: TaskStatus,
}

/// Does with the task `id` what is wished, if it is this client's to do. When it returns `Ok`, that is durable.
///
/// # Errors
/// The first stage's reason to refuse.
pub async fn tend(
    world: &World,
    commit: &Commit,
    (id, wish): (&str, Wish),
    credentials: &Credentials,
    now: Time,
) -> Result<Tended, Refused> {
    let client = exchange::authenticate(world, commit, credentials, now).await?;
    let mut asked = Asked::by(client.agent());
    let done = authenticated(world, commit, (id, wish), &client, &mut asked, now).await;
    done.map_err(|reason| Refused { reason, asked: Some(asked) })
}

async fn authenticated(
    world: &World,
    commit: &Commit,
    (id, wish): (&str, Wish),
    client: &ActiveClient,
    asked: &mut Asked,
    now: Time,
) -> Result<Tended, Refusal> {
    let id = TaskId::parse(id).map_err(|_| Refusal::Standing(StandingReason::NoTask))?;
    let spent = client.spends();
    let state = commit.state();
    let rules = world.rules(&*state, now);
    let (task, tending) = lifecycle::tend(client, id, wish, &rules).map_err(Refusal::Standing)?;
    asked.txn = Some(task.fixed.txn);
    match tending {
        Tending::Nothing => commit.spend(spent).await,
        Tending::Beat(key) => commit.beat(key, spent).await,
        Tending::Hold(holding) => commit.hold(holding, spent).await,
        Tending::End(death) => commit.end_spending(death, spent).await,
    }
    .map_err(Refusal::Commit)?;
    let (task, status) = lifecycle::task_now(task, &rules);
    Ok(Tended { task, status })
}
