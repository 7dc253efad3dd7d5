//! Seeing a task, its heartbeat, suspending, resuming and completing it. Nothing but the order.

use crate::client::Credentials;
use crate::commit::Commit;
use crate::error::ExchangeError;
use crate::exchange::{self, Deployment, RefusedRequest, RequestEvidence};
use crate::lifecycle::{self, ActiveClient, AdmissionReason, Task, TaskAction, TaskChange, TaskStatus};
use crate::oauth::{TaskId, Time};

/// A task after what was wished was done.
#[derive(Debug)]
pub struct TaskOutcome {
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
    world: &Deployment,
    commit: &Commit,
    (id, wish): (&str, TaskAction),
    credentials: &Credentials,
    now: Time,
) -> Result<TaskOutcome, RefusedRequest> {
    let client = exchange::authenticate(world, commit, credentials, now).await?;
    let mut asked = RequestEvidence::by(client.agent());
    let done = authenticated(world, commit, (id, wish), &client, &mut asked, now).await;
    done.map_err(|reason| RefusedRequest { reason, asked: Some(asked) })
}

async fn authenticated(
    world: &Deployment,
    commit: &Commit,
    (id, wish): (&str, TaskAction),
    client: &ActiveClient,
    asked: &mut RequestEvidence,
    now: Time,
) -> Result<TaskOutcome, ExchangeError> {
    let id = TaskId::parse(id).map_err(|_| ExchangeError::Standing(AdmissionReason::NoTask))?;
    let spent = client.spends();
    let state = commit.state();
    let rules = world.rules(&*state, now);
    let (task, tending) = lifecycle::change_task(client, id, wish, &rules).map_err(ExchangeError::Standing)?;
    asked.txn = Some(task.fixed.txn);
    match tending {
        TaskChange::None => commit.spend(spent).await,
        TaskChange::Heartbeat(key) => commit.beat(key, spent).await,
        TaskChange::Status(holding) => commit.hold(holding, spent).await,
        TaskChange::Complete(death) => commit.end_spending(death, spent).await,
    }
    .map_err(ExchangeError::Commit)?;
    let (task, status) = lifecycle::current_task(task, &rules);
    Ok(TaskOutcome { task, status })
}
