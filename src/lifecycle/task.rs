//! Tasks: who may open one, who may do what with one, and what ends it.

use std::sync::Arc;
use std::time::Duration;

use super::liveness::alive;
use super::{
    ActiveClient, AdmissionReason, AdmittedExchange, Cause, InactiveStatus, Revocable, Revocation, Rules, StatusChange,
    Transition,
};
use crate::crypto::{Digest, MacKey};
use crate::oauth::{ClientId, Generation, GenerationKey, GenerationKind, ScopesOnApi, TaskId, Time, Txn};
use crate::token::Origin;

/// How long a task is remembered beyond its deadline.
const SKEW: Duration = Duration::from_secs(60);

/// A task as the state knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// What never changes.
    pub fixed: Arc<TaskTerms>,
    /// How many exchanges are left.
    pub left: u64,
    /// Who suspended it, while it is.
    pub suspended_by: Option<ClientId>,
}

/// What never changes about a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskTerms {
    /// Which.
    pub id: TaskId,
    /// The transaction that all its hops belong to.
    pub txn: Txn,
    /// The task that it is a child of.
    pub parent: Option<TaskId>,
    /// Who opened it.
    pub opener: ClientId,
    /// Who works on it.
    pub holder: ClientId,
    /// When it was opened.
    pub opened: Time,
    /// When it ends.
    pub deadline: Time,
    /// How long it lives without a heartbeat.
    pub heartbeat: Option<Duration>,
    /// How many exchanges it was opened with.
    pub budget: u64,
    /// The ceiling.
    pub authority: Vec<ScopesOnApi>,
    /// What it is for.
    pub purpose: String,
    /// The classes of data that may be touched in it, sorted.
    pub data_classes: Vec<String>,
    /// Everything that it depends on, itself included.
    pub generations: Vec<Generation>,
}

impl TaskTerms {
    /// When it ends if no heartbeat comes after `now`. While it is held nobody waits for one.
    pub fn due(&self, hold: Option<InactiveStatus>, now: Time) -> Time {
        let heartbeat = self.heartbeat.filter(|_| hold.is_none());
        heartbeat.map_or(self.deadline, |heartbeat| now.plus(heartbeat).min(self.deadline))
    }

    /// When it may be forgotten: nothing issued in it could still be presented.
    pub fn forget(&self) -> Time {
        self.deadline.plus(SKEW)
    }

    /// It, as something that ends or is held.
    pub fn ending(&self, pseudonyms: &MacKey) -> Revocable {
        Revocable::task(self.id, self.txn, pseudonyms)
    }

    /// The end that time puts to it, under the pseudonym `key`.
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

    /// Who counts for more where one suspends and another resumes: operators, then who opened it, then who works on it.
    pub(crate) fn rank(&self, who: &ClientId) -> u8 {
        match who {
            who if *who == self.opener => 1,
            who if *who == self.holder => 0,
            _ => 2,
        }
    }
}

/// Somebody may open a task. Made only by [`opening`].
#[derive(Debug)]
pub struct AdmittedTask {
    standing: AdmittedExchange,
    key: Digest,
    parent: Option<Task>,
}

impl AdmittedTask {
    /// Who opens it, and on what it rests.
    pub fn standing(&self) -> &AdmittedExchange {
        &self.standing
    }

    /// The thumbprint of the key that its opener proved.
    pub fn key(&self) -> Digest {
        self.key
    }

    /// The task that the subject token is the token of, under which a child is opened.
    pub fn parent(&self) -> Option<&Task> {
        self.parent.as_ref()
    }
}

#[cfg(test)]
impl AdmittedTask {
    /// An opening as if whoever stands here might open a task, a child where there is a parent.
    pub(crate) fn for_tests(standing: AdmittedExchange, parent: Option<Task>) -> Self {
        Self { standing, key: Digest::of(b""), parent }
    }
}

/// Whether whoever stands here may open a task at all: it must have proved a key, and must not stand in a task otherwise than by
/// that task's own token.
///
/// # Errors
/// `TaskKeyless`, `TaskMembership`; `NotAlive` for a parent that the state does not know, which is an end forgotten.
pub fn opening(standing: AdmittedExchange, rules: &Rules<'_>) -> Result<AdmittedTask, AdmissionReason> {
    let client = standing.client();
    // A proof that comes with the request binds, and the login does where there is none.
    let key = client.proven().dpop().map(|proof| proof.key).or(client.key()).ok_or(AdmissionReason::TaskKeyless)?;
    let Some(within) = standing.task() else { return Ok(AdmittedTask { standing, key, parent: None }) };
    if !matches!(standing.subject().origin(), Origin::Task(..)) {
        return Err(AdmissionReason::InTask);
    }
    let generation = key_of(within.id, rules.pseudonyms);
    let unknown = AdmissionReason::Dead(super::NotAlive { key: generation, cause: Cause::Ended });
    let parent = rules.state.task(&generation).ok_or(unknown)?;
    Ok(AdmittedTask { standing, key, parent: Some(parent) })
}

/// The pseudonym of a task.
pub fn key_of(id: TaskId, pseudonyms: &MacKey) -> GenerationKey {
    pseudonyms.pseudonym(GenerationKind::Task, id.as_bytes())
}

/// What somebody wants of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskAction {
    /// To see it.
    Look,
    /// To say that the work goes on.
    Heartbeat,
    /// To have nothing issued in it for a while.
    Suspend,
    /// To go on with it.
    Resume,
    /// To end it.
    Complete,
}

/// What is to be done to fulfil a wish.
#[derive(Debug)]
pub enum TaskChange {
    /// Nothing but to look.
    Nothing,
    /// Its time is moved.
    Beat(GenerationKey),
    /// It is suspended or resumed.
    Hold(StatusChange),
    /// It ends.
    End(Revocation),
}

/// What stands of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStatus {
    /// It can be worked on.
    Active,
    /// It, or something it depends on, is suspended.
    Suspended,
    /// It, or something it depends on, has ended.
    Ended,
}

/// The task `id`, and what is to be done with it so that `wish` of `client` comes true.
///
/// # Errors
/// `NoTask` when it is unknown, forgotten, or none of this client's business; `TaskRole` when this is not for this client to do;
/// `NotAlive` when it is over, or is to be resumed and something else that it depends on is suspended.
pub fn tend(
    client: &ActiveClient,
    id: TaskId,
    wish: TaskAction,
    rules: &Rules<'_>,
) -> Result<(Task, TaskChange), AdmissionReason> {
    let who = &client.agent().id;
    let key = key_of(id, rules.pseudonyms);
    let task = rules.state.task(&key).ok_or(AdmissionReason::NoTask)?;
    let (opener, holder) = (task.fixed.opener == *who, task.fixed.holder == *who);
    if !(opener || holder) {
        return Err(AdmissionReason::NoTask);
    }
    let living = alive(rules.state, &task.fixed.generations, rules.now);
    let ended = living.err().filter(|dead| dead.is_final());
    let reason = |what: &str| format!("{what} by the agent that {}", if holder { "holds it" } else { "opened it" });
    let thing = task.fixed.ending(rules.pseudonyms);
    let hold =
        |turn, what| TaskChange::Hold(StatusChange { turn, things: vec![thing.clone()], by: who.clone(), reason: reason(what) });
    let tending = match (wish, ended) {
        (TaskAction::Look, _) | (TaskAction::Complete, Some(_)) => TaskChange::Nothing,
        (_, Some(dead)) => return Err(AdmissionReason::Dead(dead)),
        (TaskAction::Heartbeat, None) if holder => TaskChange::Beat(key),
        (TaskAction::Heartbeat, None) => return Err(AdmissionReason::TaskRole),
        (TaskAction::Suspend, None) => hold(Transition::Suspend, "suspended"),
        (TaskAction::Resume, None) => hold(Transition::Resume, "resumed"),
        (TaskAction::Complete, None) => TaskChange::End(Revocation {
            ends: vec![thing],
            by: who.clone(),
            reason: reason("completed"),
            until: Some(task.fixed.forget()),
        }),
    };
    Ok((task, tending))
}

/// The task as it is by now, and what stands of it.
pub fn task_now(task: Task, rules: &Rules<'_>) -> (Task, TaskStatus) {
    let status = match alive(rules.state, &task.fixed.generations, rules.now) {
        Ok(()) => TaskStatus::Active,
        Err(dead) if dead.is_final() => TaskStatus::Ended,
        Err(_) => TaskStatus::Suspended,
    };
    (rules.state.task(&key_of(task.fixed.id, rules.pseudonyms)).unwrap_or(task), status)
}
