//! Admission of task requests: who may open a task, and who may do what with one.

use super::active::ActiveClient;
use super::admitted::AdmittedExchange;
use super::in_force::Rules;
use super::liveness::{Cause, NotAlive, alive};
use super::reason::AdmissionReason;
use super::revocation::{Revocation, StatusChange, Transition};
use super::task::{Task, TaskStatus};
use crate::crypto::Digest;
use crate::oauth::{GenerationKind, TaskId};
use crate::token::Origin;

/// An admitted exchange that may open a task. Made only by [`admit_task`].
#[derive(Debug)]
pub struct AdmittedTask {
    admitted: AdmittedExchange,
    key: Digest,
    parent: Option<Task>,
}

/// Admits the opening of a task: the opener must have proved a key, and where its subject token is in a task, that must be the
/// task token itself.
///
/// # Errors
/// `TaskKeyless`, `InTask`; `NotAlive` for a parent that the state does not know, which is an end forgotten.
pub fn admit_task(admitted: AdmittedExchange, rules: &Rules<'_>) -> Result<AdmittedTask, AdmissionReason> {
    let client = admitted.client();
    // A proof that comes with the request binds, and the login does where there is none.
    let key = client.proven().dpop().map(|proof| proof.key).or(client.key()).ok_or(AdmissionReason::TaskKeyless)?;
    let Some(within) = admitted.task() else { return Ok(AdmittedTask { admitted, key, parent: None }) };
    if !matches!(admitted.subject().origin(), Origin::Task(..)) {
        return Err(AdmissionReason::InTask);
    }
    let parent = rules.state.task(&within.id).ok_or_else(|| {
        let key = rules.pseudonyms.pseudonym(GenerationKind::Task, within.id.as_bytes());
        AdmissionReason::NotAlive(NotAlive { key, cause: Cause::Ended })
    })?;
    Ok(AdmittedTask { admitted, key, parent: Some(parent) })
}

impl AdmittedTask {
    /// The exchange that it is opened with.
    pub fn admitted(&self) -> &AdmittedExchange {
        &self.admitted
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
    /// As if `admitted` might open a task, a child where there is a parent.
    pub(crate) fn for_tests(admitted: AdmittedExchange, parent: Option<Task>) -> Self {
        Self { admitted, key: Digest::of(b""), parent }
    }
}

/// A request about a task.
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

impl TaskAction {
    /// Every action that changes something, with the name by which it is asked for.
    pub const NAMED: [(Self, &str); 4] =
        [(Self::Heartbeat, "heartbeat"), (Self::Suspend, "suspend"), (Self::Resume, "resume"), (Self::Complete, "complete")];

    /// True where it ends or suspends, and does nothing else.
    pub fn ends(self) -> bool {
        matches!(self, Self::Suspend | Self::Complete)
    }

    /// Its name; none for a look.
    pub fn name(self) -> Option<&'static str> {
        Self::NAMED.iter().find(|(action, _)| *action == self).map(|(_, name)| *name)
    }
}

/// The change to record for a task action.
#[derive(Debug)]
pub enum TaskChange {
    /// None.
    None,
    /// Its time is moved.
    Heartbeat(TaskId),
    /// It is suspended or resumed.
    Status(StatusChange),
    /// It ends.
    Complete(Revocation),
}

/// The task `id`, and the change to record for `action` of `client`.
///
/// # Errors
/// `NoTask` when it is unknown, forgotten, or none of this client's business; `TaskRole` when this is not for this client to
/// do; `NotAlive` when it is over and `action` is neither `Look` nor `Complete`.
pub fn change_task(
    client: &ActiveClient,
    id: TaskId,
    action: TaskAction,
    rules: &Rules<'_>,
) -> Result<(Task, TaskChange), AdmissionReason> {
    let who = &client.agent().id;
    let task = rules.state.task(&id).ok_or(AdmissionReason::NoTask)?;
    let (opener, holder) = (task.terms.opener == *who, task.terms.holder == *who);
    if !(opener || holder) {
        return Err(AdmissionReason::NoTask);
    }
    let living = alive(rules.state, &task.terms.generations, rules.now);
    let ended = living.err().filter(|dead| dead.is_final());
    let reason = |what: &str| format!("{what} by the agent that {}", if holder { "holds it" } else { "opened it" });
    let things = vec![task.terms.revocable()];
    let status =
        |turn, what| TaskChange::Status(StatusChange { turn, things: things.clone(), by: who.clone(), reason: reason(what) });
    let change = match (action, ended) {
        (TaskAction::Look, _) | (TaskAction::Complete, Some(_)) => TaskChange::None,
        (_, Some(dead)) => return Err(AdmissionReason::NotAlive(dead)),
        (TaskAction::Heartbeat, None) if holder => TaskChange::Heartbeat(id),
        (TaskAction::Heartbeat, None) => return Err(AdmissionReason::TaskRole),
        (TaskAction::Suspend, None) => status(Transition::Suspend, "suspended"),
        (TaskAction::Resume, None) => status(Transition::Resume, "resumed"),
        (TaskAction::Complete, None) => TaskChange::Complete(Revocation {
            ends: things,
            by: who.clone(),
            reason: reason("completed"),
            until: Some(task.terms.forget()),
        }),
    };
    Ok((task, change))
}

/// The task as it is by now, and its status.
pub fn current_task(task: Task, rules: &Rules<'_>) -> (Task, TaskStatus) {
    let status = match alive(rules.state, &task.terms.generations, rules.now) {
        Ok(()) => TaskStatus::Active,
        Err(dead) if dead.is_final() => TaskStatus::Ended,
        Err(_) => TaskStatus::Suspended,
    };
    (rules.state.task(&task.terms.id).unwrap_or(task), status)
}
