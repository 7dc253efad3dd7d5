//! The model: a handful of facts, and a walk from child to parent.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ask, BUDGET, Fate, HEARTBEAT_MILLIS};
use crate::commit::{CommitReason, Transition};
use crate::ledger::record::KeyEvent;
use crate::oauth::Generation;

/// The origin of a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ground {
    Outside,
    Token(u8),
    Task,
}

/// A hop that is committed: the value that it spends, whether it is in the task, and until when it can be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hop {
    pub(super) value: u8,
    pub(super) in_task: bool,
    pub(super) until: i64,
}

/// The facts of the model.
#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub(super) struct Ghost {
    /// Every hop that was admitted, and what it was admitted from.
    from: BTreeMap<u8, Ground>,
    /// Hops that ended themselves, by a revocation or with the subject or the agent.
    over: BTreeSet<u8>,
    spent: BTreeSet<u8>,
    suspended: bool,
    retired: bool,
    /// The running copy of the agent is suspended.
    instance_suspended: bool,
    task: Option<Task>,
    /// The newest event in the life of the key.
    key: Option<KeyEvent>,
}

/// The one task.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) struct Task {
    /// Its opener holds its token.
    pub(super) known: bool,
    pub(super) generations: Vec<Generation>,
    pub(super) charged: u64,
    over: bool,
    suspended: bool,
    due: i64,
}

impl Task {
    /// True while nobody waits for its heartbeat.
    pub(super) fn is_spared(&self) -> bool {
        self.due == i64::MAX
    }

    /// True once time, or anything else, has ended it.
    pub(super) fn is_over(&self, now: i64) -> bool {
        self.over || self.overdue(now)
    }

    pub(super) fn overdue(&self, now: i64) -> bool {
        self.due <= now
    }

    fn is_alive(&self, now: i64) -> bool {
        !self.over && !self.suspended && !self.overdue(now)
    }
}

impl Ghost {
    pub(super) fn key(&self) -> Option<KeyEvent> {
        self.key
    }

    /// True while the key is in use: it may not be missing.
    pub(super) fn requires_key(&self) -> bool {
        self.key == Some(KeyEvent::Begin)
    }

    pub(super) fn task(&self) -> Option<&Task> {
        self.task.as_ref()
    }

    /// Nobody waits for a heartbeat while the task, or the agent that it depends on, may not act.
    fn is_paused(&self) -> bool {
        !self.may_act() || self.task.as_ref().is_some_and(|task| task.suspended)
    }

    /// Neither the agent nor its running copy is suspended or retired.
    fn may_act(&self) -> bool {
        !self.suspended && !self.retired && !self.instance_suspended
    }

    /// When what paused the task is over, the waiting begins anew.
    fn retime(&mut self, paused_before: bool, now: i64) {
        let paused = self.is_paused();
        if let Some(task) = self.task.as_mut().filter(|task| paused != paused_before && !task.overdue(now)) {
            task.due = if paused { i64::MAX } else { now + HEARTBEAT_MILLIS };
        }
    }

    pub(super) fn admit(&mut self, id: u8, from: Ground) {
        self.from.insert(id, from);
    }

    pub(super) fn may_join(&self, from: Ground, now: i64) -> bool {
        self.may_act() && self.is_sound(from, now)
    }

    pub(super) fn is_alive(&self, id: u8, now: i64) -> bool {
        self.may_act() && self.is_sound(Ground::Token(id), now)
    }

    fn is_sound(&self, from: Ground, now: i64) -> bool {
        match from {
            Ground::Outside => true,
            Ground::Task => self.task.as_ref().is_some_and(|task| task.is_alive(now)),
            Ground::Token(id) => !self.over.contains(&id) && self.from.get(&id).is_some_and(|from| self.is_sound(*from, now)),
        }
    }

    pub(super) fn tell_opener(&mut self, told: bool) {
        if let Some(task) = &mut self.task {
            task.known |= told;
        }
    }

    /// The generations that the task depends on are decided when it is opened.
    pub(super) fn opened(&mut self, generations: &[Generation]) {
        if let Some(task) = self.task.as_mut().filter(|task| task.generations.is_empty()) {
            task.generations = generations.to_vec();
        }
    }

    /// The answer that the writer owes to `ask`; the facts are then those after it. `hop` is the hop that is committed.
    /// After a flush that failed everybody is told that it did; what revokes or suspends acts all the same, and the rest
    /// exactly when it is durable.
    pub(super) fn judge(&mut self, ask: Ask, hop: Option<Hop>, now: i64, fate: Fate) -> Result<(), CommitReason> {
        if matches!(ask, Ask::Key(event) if self.key >= Some(event)) {
            return Ok(());
        }
        let verdict = self.verdict(ask, hop, now);
        let stays = matches!(fate, Fate::Durable | Fate::Landed | Fate::KilledBefore | Fate::KilledAfter);
        let acts_at_once = !matches!(
            ask,
            Ask::Issue(_)
                | Ask::Open
                | Ask::Beat
                | Ask::Agent(Transition::Resume)
                | Ask::Instance(Transition::Resume)
                | Ask::Task(Transition::Resume)
        );
        if verdict.is_ok() && (stays || acts_at_once) {
            let paused = self.is_paused();
            self.apply(ask, hop, now);
            self.retime(paused, now);
        }
        match (verdict, fate) {
            (Ok(()), Fate::Lost | Fate::Landed) => Err(CommitReason::Unavailable),
            (verdict, _) => verdict,
        }
    }

    fn verdict(&self, ask: Ask, hop: Option<Hop>, now: i64) -> Result<(), CommitReason> {
        let task_is_over = self.task.as_ref().is_none_or(|task| task.over || task.overdue(now)) || self.retired;
        match ask {
            Ask::Issue(id) => {
                let Hop { value, in_task, until } = hop.ok_or(CommitReason::Died)?;
                if self.spent.contains(&value) {
                    return Err(CommitReason::Spent);
                }
                if until <= now {
                    return Err(CommitReason::Expired);
                }
                if !self.is_alive(id, now) {
                    return Err(CommitReason::Died);
                }
                if in_task && self.task.as_ref().is_none_or(|task| task.charged == BUDGET) {
                    return Err(CommitReason::Budget);
                }
                Ok(())
            }
            Ask::Open if !self.may_act() => Err(CommitReason::Died),
            Ask::Beat if task_is_over => Err(CommitReason::Died),
            Ask::Agent(Transition::Resume) if self.retired => Err(CommitReason::Retired),
            _ => Ok(()),
        }
    }

    fn apply(&mut self, ask: Ask, hop: Option<Hop>, now: i64) {
        match (ask, &mut self.task) {
            (Ask::Issue(_), task) => {
                self.spent.extend(hop.map(|hop| hop.value));
                if let (Some(task), true) = (task, hop.is_some_and(|hop| hop.in_task)) {
                    task.charged += 1;
                }
            }
            (Ask::Revoke(id), _) => drop(self.over.insert(id)),
            (Ask::EndSubject | Ask::EndInstance, task) => {
                self.over.extend(self.from.keys());
                task.iter_mut().for_each(|task| task.over = true);
            }
            (Ask::Key(event), _) => self.key = Some(event),
            (Ask::Agent(Transition::Suspend), _) => self.suspended = true,
            (Ask::Agent(Transition::Resume), _) => self.suspended = false,
            (Ask::Agent(Transition::Retire), _) => self.retired = true,
            (Ask::Instance(turn), _) => self.instance_suspended = turn == Transition::Suspend,
            // What has ended is not suspended any more.
            (Ask::Task(turn), Some(task)) => task.suspended = turn == Transition::Suspend && !task.is_over(now),
            (Ask::Complete, Some(task)) => (task.over, task.suspended) = (true, false),
            (Ask::Beat, Some(task)) if task.due == i64::MAX => {}
            (Ask::Beat, Some(task)) => task.due = now + HEARTBEAT_MILLIS,
            (Ask::Open, task) => {
                let (known, generations, charged, over, suspended) = Default::default();
                *task = Some(Task { known, generations, charged, over, suspended, due: now + HEARTBEAT_MILLIS });
            }
            (Ask::Task(_) | Ask::Complete | Ask::Beat, None) => {}
        }
    }
}
