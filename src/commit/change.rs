//! What acts before it is recorded: deaths, suspensions, retirements. And resumptions, which act after.

use std::borrow::Cow;

use super::command::{Revocable, Revocation, StatusChange, Transition};
use crate::ledger::RecordReason;
use crate::ledger::record::{Kind, Record, RevocableRecord, RevocationRecord, StatusChangeRecord};
use crate::lifecycle::{GenerationState, InactiveStatus, Task};
use crate::oauth::{ClientId, Time};

/// No change is about more things, and none has a longer reason, in bytes.
const THINGS_MAX: usize = 256;
const REASON_MAX: usize = 1024;

/// A change of what is alive.
#[derive(Debug)]
pub(super) enum Change {
    Death(Revocation),
    Holding(StatusChange),
}

impl Change {
    /// What it is about.
    pub(super) fn things(&self) -> &[Revocable] {
        match self {
            Self::Death(death) => &death.ends,
            Self::Holding(holding) => &holding.things,
        }
    }

    /// Who asked for it.
    pub(super) fn by(&self) -> &ClientId {
        match self {
            Self::Death(death) => &death.by,
            Self::Holding(holding) => &holding.by,
        }
    }

    /// When what it does may be forgotten; none for never.
    pub(super) fn forget(&self) -> Option<Time> {
        match self {
            Self::Death(death) => death.until,
            Self::Holding(_) => None,
        }
    }

    /// What it makes of the life of one of its things, at `at`.
    pub(super) fn applied(&self, before: GenerationState, at: Time) -> GenerationState {
        let next = GenerationState { number: before.number + 1, ended: Some(at), hold: before.hold, until: None };
        match self {
            Self::Death(_) => next,
            Self::Holding(StatusChange { turn: Transition::Retire, .. }) => {
                GenerationState { hold: Some(InactiveStatus::Retired), ..next }
            }
            Self::Holding(StatusChange { turn: Transition::Suspend, .. }) => {
                GenerationState { hold: before.hold.max(Some(InactiveStatus::Suspended)), ..before }
            }
            Self::Holding(StatusChange { turn: Transition::Resume, .. }) => {
                GenerationState { hold: before.hold.filter(|hold| *hold == InactiveStatus::Retired), ..before }
            }
        }
    }

    /// Who is to be remembered as having suspended `task`, one of its things; none where that does not change. Of several who
    /// suspend it, whoever counts for most is remembered.
    pub(super) fn suspended_by(&self, task: &Task) -> Option<Option<ClientId>> {
        match self {
            Self::Holding(StatusChange { turn: Transition::Suspend, by, .. }) => {
                let before = task.suspended_by.as_ref().filter(|before| task.fixed.rank(before) >= task.fixed.rank(by));
                Some(Some(before.unwrap_or(by).clone()))
            }
            Self::Holding(StatusChange { turn: Transition::Resume, .. }) => Some(None),
            Self::Holding(_) | Self::Death(_) => None,
        }
    }

    /// Whether whoever suspended `task` counts for more than who asks.
    pub(super) fn is_outranked(&self, task: &Task) -> bool {
        let Self::Holding(holding) = self else { return false };
        task.suspended_by.as_ref().is_some_and(|before| task.fixed.rank(before) > task.fixed.rank(&holding.by))
    }

    /// The record of a change at `at` that leaves its things in the lives `numbers`, in order.
    ///
    /// # Errors
    /// When it is too long, or the instant out of range.
    pub(super) fn record(&self, at: Time, numbers: impl Iterator<Item = u64>) -> Result<Vec<u8>, RecordReason> {
        let things = self.things().iter().zip(numbers).map(|(thing, number)| thing_record(thing, number)).collect();
        match self {
            Self::Death(death) => {
                Record::Revocation(RevocationRecord::new(at, death.by.as_str(), &death.reason, death.until, things)).to_bytes()
            }
            Self::Holding(StatusChange { turn, by, reason, .. }) => {
                Record::StatusChange(StatusChangeRecord::new(at, by.as_str(), kind(*turn), reason, things)).to_bytes()
            }
        }
    }

    /// Whether its record, whatever the time and the numbers, has no more bytes than a record may have.
    pub(super) fn fits(&self) -> bool {
        let reason = match self {
            Self::Death(death) => &death.reason,
            Self::Holding(holding) => &holding.reason,
        };
        let latest = Time::from_seconds(253_402_300_799);
        let numbers = std::iter::repeat(u64::MAX);
        (1..=THINGS_MAX).contains(&self.things().len()) && reason.len() <= REASON_MAX && self.record(latest, numbers).is_ok()
    }
}

fn kind(turn: Transition) -> Kind {
    match turn {
        Transition::Suspend => Kind::Suspension,
        Transition::Resume => Kind::Resumption,
        Transition::Retire => Kind::Retirement,
    }
}

fn thing_record(thing: &Revocable, number: u64) -> RevocableRecord<'_> {
    RevocableRecord { key: thing.key, name: thing.name.as_deref().map(Cow::Borrowed), number, of: thing.kind, txn: thing.txn }
}
