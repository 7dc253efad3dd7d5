//! Changes of what is alive: revocations, suspensions, resumptions, retirements, and how each is recorded.

use std::borrow::Cow;

use super::contract::Heartbeat;
use super::effect::Effect;
use super::limits::QueuePlace;
use crate::ledger::RecordReason;
use crate::ledger::record::{Kind, Record, RevocableRecord, RevocationRecord, StatusChangeRecord};
use crate::lifecycle::{INSTANCE_REMEMBERED, Revocable, Revocation, StatusChange, Task, Transition};
use crate::oauth::{ClientId, GenerationKind, SingleUse, Time, Txn};

/// No change is about more things, and none has a longer reason, in bytes.
const THINGS_MAX: usize = 256;
pub(super) const REASON_MAX: usize = 1024;

/// No record has a later time.
const LATEST: Time = Time::from_millis(253_402_300_799_000);

/// A change of what is alive.
#[derive(Debug)]
pub(super) enum StateChange {
    Revocation(Revocation),
    Status(StatusChange),
}

/// A change on its way to the record, with its reserved places.
#[derive(Debug)]
pub(super) struct PendingChange {
    pub(super) change: StateChange,
    /// The time since which it acts in memory.
    pub(super) since: Option<Time>,
    /// The clock was not believed then.
    pub(super) doubted: bool,
    /// Its record and effect, once it acts.
    pub(super) recorded: Option<RecordedChange>,
    /// The values spent with it.
    pub(super) single_use: Vec<SingleUse>,
    /// None for a change that nobody asked for.
    _place: Option<QueuePlace>,
}

impl PendingChange {
    /// One that does not act yet.
    pub(super) fn new(change: StateChange, single_use: Vec<SingleUse>, place: Option<QueuePlace>) -> Self {
        Self { change, since: None, doubted: false, recorded: None, single_use, _place: place }
    }
}

/// A change as it is recorded, and what it brings.
#[derive(Debug)]
pub(super) struct RecordedChange {
    /// The canonical record; the reason where it cannot be written.
    pub(super) record: Result<Vec<u8>, RecordReason>,
    /// The transaction that it belongs to.
    pub(super) txn: Option<Txn>,
    pub(super) effect: Effect,
    /// The heartbeats that count with it.
    pub(super) beats: Vec<Heartbeat>,
}

impl RecordedChange {
    /// `change` at `at`, whose things are in the generations `numbers` before it, in order.
    pub(super) fn of(change: &StateChange, at: Time, numbers: &[u64]) -> Self {
        let numbers = change.things().iter().zip(numbers).map(|(thing, before)| change.next(thing, *before, at));
        let record = change.record(at, numbers);
        Self { txn: record.txn(), effect: Effect::of(&record), record: record.to_bytes(), beats: Vec::new() }
    }

    /// The same change at `at` instead; it has been done, so its things have their numbers.
    pub(super) fn again(&self, change: &StateChange, at: Time) -> Self {
        let numbers: Vec<u64> = match &self.effect {
            Effect::End { things, .. } | Effect::Status { things, .. } => things.iter().map(|thing| thing.number).collect(),
            _ => Vec::new(),
        };
        let record = change.record(at, numbers.into_iter());
        Self { txn: record.txn(), effect: Effect::of(&record), record: record.to_bytes(), beats: Vec::new() }
    }
}

impl StateChange {
    /// The things that change.
    pub(super) fn things(&self) -> &[Revocable] {
        match self {
            Self::Revocation(revocation) => &revocation.ends,
            Self::Status(change) => &change.things,
        }
    }

    /// The client that asked for it.
    pub(super) fn by(&self) -> &ClientId {
        match self {
            Self::Revocation(revocation) => &revocation.by,
            Self::Status(change) => &change.by,
        }
    }

    /// True where the client that suspended `task` has a higher rank than the one that asks.
    pub(super) fn is_outranked(&self, task: &Task) -> bool {
        let Self::Status(change) = self else { return false };
        task.suspended_by.as_ref().is_some_and(|before| task.terms.rank(before) > task.terms.rank(&change.by))
    }

    /// The record of a change at `at` that leaves its things in the generations `numbers`, in order.
    fn record(&self, at: Time, numbers: impl Iterator<Item = u64>) -> Record<'_> {
        let things = self.things().iter().zip(numbers).map(|(thing, number)| thing_record(thing, number)).collect();
        match self {
            Self::Revocation(Revocation { by, reason, .. }) => {
                Record::Revocation(RevocationRecord::new(at, by.as_str(), reason, self.until(at), things))
            }
            Self::Status(StatusChange { turn, by, reason, .. }) => {
                Record::StatusChange(StatusChangeRecord::new(at, by.as_str(), kind(*turn), reason, things))
            }
        }
    }

    /// The number of the generation that `thing`, which is in that of number `before`, is in after the change at `at`.
    fn next(&self, thing: &Revocable, before: u64, at: Time) -> u64 {
        let next = before + u64::from(self.ends());
        match self {
            Self::Revocation(Revocation { until: Some(_), .. }) if thing.kind == GenerationKind::Instance => {
                next.max(u64::try_from(at.millis()).unwrap_or_default())
            }
            _ => next,
        }
    }

    /// When the end that it makes at `at` may be forgotten: of a running copy no earlier than after its time, however late it is
    /// recorded.
    fn until(&self, at: Time) -> Option<Time> {
        let Self::Revocation(Revocation { ends, until, .. }) = self else { return None };
        let until = (*until)?;
        let of_instance = ends.iter().any(|thing| thing.kind == GenerationKind::Instance);
        Some(if of_instance { until.max(at.plus(INSTANCE_REMEMBERED)).min(LATEST) } else { until })
    }

    /// True where it begins a generation of its things.
    fn ends(&self) -> bool {
        matches!(self, Self::Revocation(_) | Self::Status(StatusChange { turn: Transition::Retire, .. }))
    }

    /// True where its record has no more bytes than a record may have, whatever the time and the numbers.
    pub(super) fn fits(&self) -> bool {
        let reason = match self {
            Self::Revocation(revocation) => &revocation.reason,
            Self::Status(change) => &change.reason,
        };
        let numbers = std::iter::repeat(u64::MAX);
        (1..=THINGS_MAX).contains(&self.things().len())
            && reason.len() <= REASON_MAX
            && self.record(LATEST, numbers).to_bytes().is_ok()
    }
}

fn kind(transition: Transition) -> Kind {
    match transition {
        Transition::Suspend => Kind::Suspension,
        Transition::Resume => Kind::Resumption,
        Transition::Retire => Kind::Retirement,
    }
}

fn thing_record(thing: &Revocable, number: u64) -> RevocableRecord<'_> {
    RevocableRecord { key: thing.key, name: thing.name.as_deref().map(Cow::Borrowed), number, of: thing.kind, txn: thing.txn }
}
