//! Changes of what is alive: revocations, suspensions, resumptions, retirements. Their effect on one generation is a pure
//! function of the generation before it.

use std::borrow::Cow;

use tokio::sync::OwnedSemaphorePermit;

use super::contract::StoredGeneration;
use super::limits::ClientPlace;
use crate::ledger::record::{Kind, Record, RevocableRecord, RevocationRecord, StatusChangeRecord};
use crate::lifecycle::{GenerationState, InactiveStatus, Revocable, Revocation, StatusChange, Task, Transition};
use crate::oauth::{ClientId, SingleUse, Time};

/// No change is about more things, and none has a longer reason, in bytes.
const THINGS_MAX: usize = 256;
const REASON_MAX: usize = 1024;

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
    /// The generations that it leads to, in the order of its things; empty until that is known.
    pub(super) generations: Vec<StoredGeneration>,
    /// The values spent with it.
    pub(super) single_use: Vec<SingleUse>,
    _of_client: Option<ClientPlace>,
    /// None for a change that nobody asked for.
    _place: Option<OwnedSemaphorePermit>,
}

impl PendingChange {
    /// One that does not act yet.
    pub(super) fn new(
        change: StateChange,
        single_use: Vec<SingleUse>,
        of_client: Option<ClientPlace>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self { change, since: None, generations: Vec::new(), single_use, _of_client: of_client, _place: place }
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

    /// The state of one of its things after it, at `at`.
    pub(super) fn applied(&self, before: GenerationState, at: Time) -> GenerationState {
        let next = GenerationState { number: before.number + 1, ended: Some(at), inactive: before.inactive, until: None };
        match self {
            Self::Revocation(_) => next,
            Self::Status(StatusChange { turn: Transition::Retire, .. }) => {
                GenerationState { inactive: Some(InactiveStatus::Retired), ..next }
            }
            Self::Status(StatusChange { turn: Transition::Suspend, .. }) => {
                GenerationState { inactive: before.inactive.max(Some(InactiveStatus::Suspended)), ..before }
            }
            Self::Status(StatusChange { turn: Transition::Resume, .. }) => {
                GenerationState { inactive: before.inactive.filter(|status| *status == InactiveStatus::Retired), ..before }
            }
        }
    }

    /// The time at which the generation of one of its things may be forgotten; none for never. `before` is that time without the
    /// change, if the generation was known. A generation that may never be forgotten stays so, else the later of two counts.
    pub(super) fn forget(&self, before: Option<Option<Time>>) -> Option<Time> {
        match self {
            Self::Status(_) => before.flatten(),
            Self::Revocation(Revocation { until, .. }) => match before {
                Some(before) => before.zip(*until).map(|(one, other)| one.max(other)),
                None => *until,
            },
        }
    }

    /// The client that is to be remembered as having suspended `task`, one of its things; none where that does not change. Of
    /// several who suspend it, the one with the highest rank is remembered.
    pub(super) fn suspended_by(&self, task: &Task) -> Option<Option<ClientId>> {
        match self {
            Self::Status(StatusChange { turn: Transition::Suspend, by, .. }) => {
                let before = task.suspended_by.as_ref().filter(|before| task.terms.rank(before) >= task.terms.rank(by));
                Some(Some(before.unwrap_or(by).clone()))
            }
            Self::Status(StatusChange { turn: Transition::Resume, .. }) => Some(None),
            Self::Status(_) | Self::Revocation(_) => None,
        }
    }

    /// True where the client that suspended `task` has a higher rank than the one that asks.
    pub(super) fn is_outranked(&self, task: &Task) -> bool {
        let Self::Status(change) = self else { return false };
        task.suspended_by.as_ref().is_some_and(|before| task.terms.rank(before) > task.terms.rank(&change.by))
    }

    /// The record of a change at `at` that leaves its things in the generations `numbers`, in order.
    pub(super) fn record(&self, at: Time, numbers: impl Iterator<Item = u64>) -> Record<'_> {
        let things = self.things().iter().zip(numbers).map(|(thing, number)| thing_record(thing, number)).collect();
        match self {
            Self::Revocation(Revocation { by, reason, until, .. }) => {
                Record::Revocation(RevocationRecord::new(at, by.as_str(), reason, *until, things))
            }
            Self::Status(StatusChange { turn, by, reason, .. }) => {
                Record::StatusChange(StatusChangeRecord::new(at, by.as_str(), kind(*turn), reason, things))
            }
        }
    }

    /// True where its record has no more bytes than a record may have, whatever the time and the numbers.
    pub(super) fn fits(&self) -> bool {
        let reason = match self {
            Self::Revocation(revocation) => &revocation.reason,
            Self::Status(change) => &change.reason,
        };
        let latest = Time::from_seconds(253_402_300_799);
        let numbers = std::iter::repeat(u64::MAX);
        let things = (1..=THINGS_MAX).contains(&self.things().len());
        things && reason.len() <= REASON_MAX && self.record(latest, numbers).to_bytes().is_ok()
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
