//! Tasks, as the state knows them.

use std::sync::Arc;
use std::time::Duration;

use super::revocation::{InactiveStatus, Revocable, Revocation};
use crate::oauth::{ClientId, Generation, GenerationKey, GenerationKind, Pseudonyms, ScopesOnApi, TaskId, Time, Txn};

/// The time for which a task is remembered beyond its deadline.
const SKEW: Duration = Duration::from_secs(60);

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
    /// The time at which it ends if no heartbeat comes after `now`. While it is inactive nobody waits for one.
    pub fn due(&self, status: Option<InactiveStatus>, now: Time) -> Time {
        let heartbeat = self.heartbeat.filter(|_| status.is_none());
        heartbeat.map_or(self.deadline, |heartbeat| now.plus(heartbeat).min(self.deadline))
    }

    /// The time after which it may be forgotten: nothing issued in it could still be presented.
    pub fn forget(&self) -> Time {
        self.deadline.plus(SKEW)
    }

    /// The task as a thing to revoke or suspend.
    pub fn revocable(&self, pseudonyms: &Pseudonyms) -> Vec<Revocable> {
        Revocable::task(self.id, self.txn, pseudonyms)
    }

    /// Its revocation when its time is over, under the pseudonym `key`.
    pub(crate) fn overdue(&self, key: GenerationKey, at: Time) -> Revocation {
        let missed = self.deadline > at;
        let (name, txn) = (Some(self.id.to_string()), Some(self.txn));
        Revocation {
            ends: vec![Revocable { key, kind: GenerationKind::Task, name, txn }],
            by: ClientId::server(),
            reason: if missed { "its heartbeat was missed" } else { "its deadline passed" }.to_owned(),
            until: Some(self.forget()),
        }
    }

    /// The rank of `who` where one suspends and another resumes: operators before the opener before the holder.
    pub(crate) fn rank(&self, who: &ClientId) -> u8 {
        match who {
            who if *who == self.opener => 1,
            who if *who == self.holder => 0,
            _ => 2,
        }
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

/// The pseudonym of a task that begins now.
pub fn key_of(id: TaskId, pseudonyms: &Pseudonyms) -> GenerationKey {
    pseudonyms.pseudonym(GenerationKind::Task, id.as_bytes())
}
