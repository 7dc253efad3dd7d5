//! The tasks that are remembered, and the status of each.

use serde::Serialize;

use crate::commit::Commit;
use crate::deployment::Deployment;
use crate::lifecycle::{Task, TaskStatus, current_task};
use crate::oauth::{ClientId, TaskId, Time};

/// One task.
#[derive(Debug, Serialize)]
pub struct TaskReport {
    /// Its id.
    pub id: String,
    /// Its transaction.
    pub txn: String,
    /// The task that it is a child of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The agent that opened it.
    pub opener: String,
    /// The agent that works on it.
    pub holder: String,
    /// Its purpose.
    pub purpose: String,
    /// `active`, `suspended` or `ended`.
    pub status: &'static str,
    /// The agent, or `ops`, that suspended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended_by: Option<String>,
    /// Exchanges that it was opened with.
    pub budget: u64,
    /// Exchanges that are left.
    pub left: u64,
    /// Seconds since 1970 when it was opened.
    pub opened: i64,
    /// Seconds since 1970 when it ends.
    pub deadline: i64,
    /// Seconds that it lives without a heartbeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<u64>,
}

/// A part of all tasks.
#[derive(Debug, Serialize)]
pub struct TaskPage {
    /// The tasks, the newest first.
    pub tasks: Vec<TaskReport>,
    /// The task after which the next part begins; none in the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The most tasks of a page.
pub const TASK_PAGE_MAX: usize = 250;

/// The tasks that are remembered at `now` and were opened before `after`, the newest first, `limit` at most and
/// [`TASK_PAGE_MAX`]. Those that are over go a minute after their deadline.
pub fn task_page(deployment: &Deployment, commit: &Commit, after: Option<TaskId>, limit: usize, now: Time) -> TaskPage {
    let (state, limit) = (commit.state(), limit.clamp(1, TASK_PAGE_MAX));
    let rules = deployment.rules(&*state, now);
    let mut newest = state.newest_tasks(after, limit + 1);
    let is_last = newest.len() <= limit;
    newest.truncate(limit);
    let next = newest.last().filter(|_| !is_last).map(|task| task.terms.id.to_string());
    let tasks = newest.into_iter().map(|task| current_task(task, &rules));
    TaskPage { tasks: tasks.map(|(task, status)| report(&task, status)).collect(), next }
}

fn report(task: &Task, status: TaskStatus) -> TaskReport {
    let terms = &task.terms;
    TaskReport {
        id: terms.id.to_string(),
        txn: terms.txn.to_string(),
        parent: terms.parent.map(|parent| parent.to_string()),
        opener: terms.opener.to_string(),
        holder: terms.holder.to_string(),
        purpose: terms.purpose.clone(),
        status: match status {
            TaskStatus::Active => "active",
            TaskStatus::Suspended => "suspended",
            TaskStatus::Ended => "ended",
        },
        suspended_by: task.suspended_by.as_ref().map(ClientId::to_string),
        budget: terms.budget,
        left: task.left,
        opened: terms.opened.seconds(),
        deadline: terms.deadline.seconds(),
        heartbeat: terms.heartbeat.map(|span| span.as_secs()),
    }
}
