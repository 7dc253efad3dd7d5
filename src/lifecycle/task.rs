//! Tasks, as the state knows them.

use std::sync::Arc;
use std::time::Duration;

use super::revocation::{Revocable, Revocation};
use crate::oauth::{ClientId, Generation, GenerationKey, GenerationKind, ScopesOnApi, TaskId, Time, Txn};

/// The time for which a task is remembered beyond its deadline.
pub const TASK_SKEW: Duration = Duration::from_secs(60);

/// A task: a bounded piece of work, with what is left of its budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its terms.
    pub terms: Arc<TaskTerms>,
    /// The number of exchanges left.
    pub left: u64,
    /// The party that suspended it, while it is suspended.
    pub suspended_by: Option<ClientId>,
}

/// The terms of a task, which never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskTerms {
    /// Its id.
    pub id: TaskId,
    /// Its pseudonym.
    pub key: GenerationKey,
    /// The transaction that all its hops belong to.
    pub txn: Txn,
    /// The task that it is a child of.
    pub parent: Option<TaskId>,
    /// The agent that opened it.
    pub opener: ClientId,
    /// The agent that works on it.
    pub holder: ClientId,
    /// The time at which it was opened.
    pub opened: Time,
    /// Its deadline.
    pub deadline: Time,
    /// The time it lives without a heartbeat.
    pub heartbeat: Option<Duration>,
    /// The number of exchanges it was opened with.
    pub budget: u64,
    /// The authority that no token issued in it exceeds.
    pub authority: Vec<ScopesOnApi>,
    /// Its purpose.
    pub purpose: String,
    /// The classes of data that may be touched in it, sorted.
    pub data_classes: Vec<String>,
    /// Everything that it depends on, itself included.
    pub generations: Vec<Generation>,
}

impl TaskTerms {
    /// The time at which it ends if no heartbeat comes after `beat`.
    pub fn due(&self, beat: Time) -> Time {
        self.heartbeat.map_or(self.deadline, |heartbeat| beat.plus(heartbeat).min(self.deadline))
    }

    /// The time after which it may be forgotten: nothing issued in it could still be presented.
    pub fn forget(&self) -> Time {
        self.deadline.plus(TASK_SKEW)
    }

    /// The task as a thing to revoke or suspend.
    pub fn revocable(&self) -> Revocable {
        let (name, txn) = (Some(self.id.to_string()), Some(self.txn));
        Revocable { key: self.key, kind: GenerationKind::Task, name, txn }
    }

    /// Its revocation when its time is over.
    pub(crate) fn overdue(&self, at: Time) -> Revocation {
        let missed = self.deadline > at;
        Revocation {
            ends: vec![self.revocable()],
            by: ClientId::server(),
            reason: if missed { "its heartbeat was missed" } else { "its deadline passed" }.to_owned(),
            until: Some(self.forget()),
        }
    }

    /// The rank of `who` where one suspends and another resumes.
    pub(crate) fn rank(&self, who: &ClientId) -> u8 {
        rank(who.as_str(), self.opener.as_str(), self.holder.as_str())
    }
}

/// The rank of `who` where one suspends a task and another resumes it: operators before the opener before the holder.
pub(crate) fn rank(who: &str, opener: &str, holder: &str) -> u8 {
    match who {
        who if who == opener => 1,
        who if who == holder => 0,
        _ => 2,
    }
}

/// The status of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStatus {
    /// It can be worked on.
    Active,
    /// It, or something it depends on, is suspended.
    Suspended,
    /// It, or something it depends on, has ended.
    Ended,
}
