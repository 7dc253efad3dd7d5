//! Tasks: who may open one, who may do what with one, and what ends it.

use std::sync::Arc;
use std::time::Duration;

use super::liveness::alive;
use super::{ActiveClient, Cause, Death, Ending, Hold, Holding, Rules, Standing, StandingReason, Turn};
use crate::crypto::{Digest, MacKey};
use crate::oauth::{ClientId, Generation, GenerationKey, GenerationKind, TaskId, Time, Txn};
use crate::token::{Held, Origin};

/// How long a task is remembered beyond its deadline.
const SKEW: Duration = Duration::from_secs(60);

/// A task as the state knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// What never changes.
    pub fixed: Arc<FixedTask>,
    /// How many exchanges are left.
    pub left: u64,
    /// Who suspended it, while it is.
    pub suspended_by: Option<ClientId>,
}

/// What never changes about a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedTask {
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
    pub authority: Vec<Held>,
    /// What it is for.
    pub purpose: String,
    /// The classes of data that may be touched in it, sorted.
    pub data_classes: Vec<String>,
    /// Everything that it depends on, itself included.
    pub generations: Vec<Generation>,
}

impl FixedTask {
    /// When it ends if no heartbeat comes after `now`. While it is held nobody waits for one.
    pub fn due(&self, hold: Option<Hold>, now: Time) -> Time {
        let heartbeat = self.heartbeat.filter(|_| hold.is_none());
        heartbeat.map_or(self.deadline, |heartbeat| now.plus(heartbeat).min(self.deadline))
    }

    /// When it may be forgotten: nothing issued in it could still be presented.
    pub fn forget(&self) -> Time {
        self.deadline.plus(SKEW)
    }

    /// It, as something that ends or is held.
    pub fn ending(&self, pseudonyms: &MacKey) -> Ending {
        Ending::task(self.id, self.txn, pseudonyms)
    }

    /// The end that time puts to it, under the pseudonym `key`.
    pub(crate) fn overdue(&self, key: GenerationKey, at: Time) -> Death {
        let missed = self.deadline > at;
        let (name, txn) = (Some(self.id.to_string()), Some(self.txn));
        Death {
            ends: vec![Ending { key, kind: GenerationKind::Task, name, txn }],
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
pub struct Opening {
    standing: Standing,
    key: Digest,
    parent: Option<Task>,
}

impl Opening {
    /// Who opens it, and on what it rests.
    pub fn standing(&self) -> &Standing {
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
impl Opening {
    /// An opening as if whoever stands here might open a task, a child where there is a parent.
    pub(crate) fn for_tests(standing: Standing, parent: Option<Task>) -> Self {
        Self { standing, key: Digest::of(b""), parent }
    }
}

/// Whether whoever stands here may open a task at all: it must have proved a key, and must not stand in a task otherwise than by
/// that task's own token.
///
/// # Errors
/// `TaskKeyless`, `InTask`; `Dead` for a parent that the state does not know, which is an end forgotten.
pub fn opening(standing: Standing, rules: &Rules<'_>) -> Result<Opening, StandingReason> {
    let client = standing.client();
    // A proof that comes with the request binds, and the login does where there is none.
    let key = client.proven().dpop().map(|proof| proof.key).or(client.key()).ok_or(StandingReason::TaskKeyless)?;
    let Some(within) = standing.task() else { return Ok(Opening { standing, key, parent: None }) };
    if !matches!(standing.subject().origin(), Origin::Task(..)) {
        return Err(StandingReason::InTask);
    }
    let generation = key_of(within.id, rules.pseudonyms);
    let unknown = StandingReason::Dead(super::Dead { key: generation, cause: Cause::Ended });
    let parent = rules.state.task(&generation).ok_or(unknown)?;
    Ok(Opening { standing, key, parent: Some(parent) })
}

/// The pseudonym of a task.
pub fn key_of(id: TaskId, pseudonyms: &MacKey) -> GenerationKey {
    pseudonyms.pseudonym(GenerationKind::Task, id.as_bytes())
}

/// What somebody wants of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
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
pub enum Tending {
    /// Nothing but to look.
    Nothing,
    /// Its time is moved.
    Beat(GenerationKey),
    /// It is suspended or resumed.
    Hold(Holding),
    /// It ends.
    End(Death),
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
/// `Dead` when it is over, or is to be resumed and something else that it depends on is suspended.
pub fn tend(client: &ActiveClient, id: TaskId, wish: Wish, rules: &Rules<'_>) -> Result<(Task, Tending), StandingReason> {
    let who = &client.agent().id;
    let key = key_of(id, rules.pseudonyms);
    let task = rules.state.task(&key).ok_or(StandingReason::NoTask)?;
    let (opener, holder) = (task.fixed.opener == *who, task.fixed.holder == *who);
    if !(opener || holder) {
        return Err(StandingReason::NoTask);
    }
    let living = alive(rules.state, &task.fixed.generations, rules.now);
    let ended = living.err().filter(|dead| dead.is_final());
    let reason = |what: &str| format!("{what} by the agent that {}", if holder { "holds it" } else { "opened it" });
    let thing = task.fixed.ending(rules.pseudonyms);
    let hold = |turn, what| Tending::Hold(Holding { turn, things: vec![thing.clone()], by: who.clone(), reason: reason(what) });
    let tending = match (wish, ended) {
        (Wish::Look, _) | (Wish::Complete, Some(_)) => Tending::Nothing,
        (_, Some(dead)) => return Err(StandingReason::Dead(dead)),
        (Wish::Heartbeat, None) if holder => Tending::Beat(key),
        (Wish::Heartbeat, None) => return Err(StandingReason::TaskRole),
        (Wish::Suspend, None) => hold(Turn::Suspend, "suspended"),
        (Wish::Resume, None) => hold(Turn::Resume, "resumed"),
        (Wish::Complete, None) => Tending::End(Death {
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
