//! The one liveness predicate (promises 4 and 5): a token is alive while every generation it depends on is current, active and
//! in time. One of them is that of the server itself: the epoch. In epoch 0 no token names it, so one that names none is of that.

use std::fmt;

use super::revocation::InactiveStatus;
use super::task::Task;
use crate::oauth::{Generation, GenerationKey, TaskId, Time};

/// The present state of every generation and task. The commit owns the truth; its state in memory implements this.
pub trait StateView: Send + Sync {
    /// The present state of the thing behind each key, in order; a thing that never ended is in generation 0.
    fn generations(&self, keys: &[GenerationKey]) -> Vec<GenerationState>;

    /// A task; none when there is none, or no more.
    fn task(&self, id: &TaskId) -> Option<Task>;

    /// The time up to which things may have been forgotten: the present is never earlier.
    fn floor(&self) -> Time;
}

/// The present state of one thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct GenerationState {
    /// The number of its current generation: how often it was ended.
    pub number: u64,
    /// The time at which it was last ended.
    pub ended: Option<Time>,
    /// Its status, where that keeps it from acting.
    pub inactive: Option<InactiveStatus>,
    /// It lives before this moment only, if nobody moves the moment: the deadline of a task, or earlier the next heartbeat.
    pub until: Option<Time>,
}

/// Something that a token depends on is not alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAlive {
    /// Its pseudonym: for the log and the record, not for the caller.
    pub key: GenerationKey,
    /// The cause.
    pub cause: Cause,
}

/// The cause for which something is not alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The generation that the token was issued under has ended.
    Ended,
    /// It is retired: nothing joins it any more either.
    Retired,
    /// Its time is over, or its heartbeat was missed.
    Overdue,
    /// It is suspended, and may come back.
    Suspended,
}

/// Succeeds where every generation, the epoch among them, is still the current one, is neither suspended nor retired, and has
/// time left at `now`.
/// Every path that issues, introspects, lists or completes asks this, and the commit asks it once more, atomically and with its
/// own time.
///
/// # Errors
/// Names the first thing that is over for good, or else the first that is suspended.
pub fn alive(state: &dyn StateView, generations: &[Generation], now: Time) -> Result<(), NotAlive> {
    let now = now.max(state.floor());
    let unnamed = unnamed_epoch(generations);
    let generations = || generations.iter().chain(&unnamed);
    let keys: Vec<GenerationKey> = generations().map(|generation| generation.key).collect();
    let mut suspended = None;
    for (generation, life) in generations().zip(state.generations(&keys)) {
        match life.fault(*generation, now) {
            Some(Cause::Suspended) => suspended = suspended.or(Some(NotAlive { key: generation.key, cause: Cause::Suspended })),
            Some(cause) => return Err(NotAlive { key: generation.key, cause }),
            None => {}
        }
    }
    suspended.map_or(Ok(()), Err)
}

/// The first epoch, where none stands among `generations`.
fn unnamed_epoch(generations: &[Generation]) -> Option<Generation> {
    let named = generations.iter().any(|generation| generation.key == GenerationKey::EPOCH);
    (!named).then_some(Generation { key: GenerationKey::EPOCH, number: 0 })
}

/// The generations that an issued token depends on, its epoch among them in any case: whatever joins it must not bring another.
pub(super) fn with_epoch(generations: &[Generation]) -> Vec<Generation> {
    generations.iter().copied().chain(unnamed_epoch(generations)).collect()
}

/// Everything that a hop depends on, if it is alive: the `inherited` generations, under which the subject token was issued, and
/// the present ones of what is `joining` with this hop.
///
/// # Errors
/// As for [`alive`].
pub fn join(
    state: &dyn StateView,
    mut inherited: Vec<Generation>,
    joining: impl Iterator<Item = (GenerationKey, GenerationState)>,
    now: Time,
) -> Result<Vec<Generation>, NotAlive> {
    inherited.extend(joining.map(|(key, life)| Generation { key, number: life.number }));
    alive(state, &inherited, now).map(|()| inherited)
}

impl GenerationState {
    /// The cause for which `generation` of this thing is not alive at `now`; none where it is. Where no end is remembered, the
    /// one at which it began was forgotten, if such are, and none came after it.
    fn fault(&self, generation: Generation, now: Time) -> Option<Cause> {
        let forgotten = self.number == 0 && generation.is_dated();
        if self.number != generation.number && !forgotten {
            return Some(Cause::Ended);
        }
        match (self.inactive, self.until) {
            (Some(InactiveStatus::Retired), _) => Some(Cause::Retired),
            (_, Some(until)) if until <= now => Some(Cause::Overdue),
            (Some(InactiveStatus::Suspended), _) => Some(Cause::Suspended),
            (None, _) => None,
        }
    }
}

impl NotAlive {
    /// True where it can never come back.
    pub fn is_final(&self) -> bool {
        self.cause != Cause::Suspended
    }
}

impl fmt::Display for NotAlive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.cause {
            Cause::Suspended => "something that this token depends on is suspended",
            Cause::Ended | Cause::Retired | Cause::Overdue => "something that this token depends on has ended",
        })
    }
}

impl std::error::Error for NotAlive {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything but the server is in the same state.
    struct One(GenerationState, Time);

    impl StateView for One {
        fn generations(&self, keys: &[GenerationKey]) -> Vec<GenerationState> {
            let of = |key: &GenerationKey| if *key == GenerationKey::EPOCH { GenerationState::default() } else { self.0 };
            keys.iter().map(of).collect()
        }

        fn task(&self, _: &TaskId) -> Option<Task> {
            None
        }

        fn floor(&self) -> Time {
            self.1
        }
    }

    const NOW: Time = Time::from_millis(1_000);

    fn cause(life: GenerationState, floor: i64, now: Time) -> Option<Cause> {
        let generation = Generation { key: GenerationKey([1; 16]), number: 2 };
        alive(&One(life, Time::from_millis(floor)), &[generation], now).err().map(|dead| dead.cause)
    }

    #[test]
    fn a_life_counts_while_it_is_current_not_held_and_in_time() {
        let life = GenerationState { number: 2, ended: Some(NOW), inactive: None, until: None };
        let until = |millis| GenerationState { until: Some(Time::from_millis(millis)), ..life };
        let held = |status| GenerationState { inactive: Some(status), ..life };
        assert_eq!(cause(life, 0, NOW), None);
        assert_eq!(cause(GenerationState { number: 3, ..life }, 0, NOW), Some(Cause::Ended));
        assert_eq!(cause(GenerationState { number: 1, ..life }, 0, NOW), Some(Cause::Ended));
        assert_eq!(cause(held(InactiveStatus::Suspended), 0, NOW), Some(Cause::Suspended));
        assert_eq!(cause(held(InactiveStatus::Retired), 0, NOW), Some(Cause::Retired));
        assert_eq!(cause(until(1_001), 0, NOW), None);
        assert_eq!(cause(until(1_000), 0, NOW), Some(Cause::Overdue), "exactly at its time it is over");
        assert_eq!(
            cause(GenerationState { inactive: Some(InactiveStatus::Suspended), ..until(1_000) }, 0, NOW),
            Some(Cause::Overdue)
        );
    }

    #[test]
    fn a_dated_generation_outlives_the_memory_of_its_beginning_and_no_later_end() {
        let dated = 1_700_000_000_000;
        let dies = |number, state| {
            let generation = Generation { key: GenerationKey([1; 16]), number };
            alive(&One(state, NOW), &[generation], NOW).err().map(|dead| dead.cause)
        };
        let state = |number| GenerationState { number, ..GenerationState::default() };
        assert_eq!([0, dated].map(|current| dies(dated, state(current))), [None, None]);
        assert_eq!([1, dated - 1, dated + 1].map(|current| dies(dated, state(current))), [Some(Cause::Ended); 3]);
        assert_eq!([dies(0, state(dated)), dies(3, state(0))], [Some(Cause::Ended); 2]);
        let suspended = GenerationState { inactive: Some(InactiveStatus::Suspended), ..state(0) };
        assert_eq!(dies(dated, suspended), Some(Cause::Suspended));
    }

    #[test]
    fn a_token_that_names_no_epoch_is_of_the_first() {
        struct In(u64);
        impl StateView for In {
            fn generations(&self, keys: &[GenerationKey]) -> Vec<GenerationState> {
                let number = |key: &GenerationKey| if *key == GenerationKey::EPOCH { self.0 } else { 0 };
                keys.iter().map(|key| GenerationState { number: number(key), ..GenerationState::default() }).collect()
            }

            fn task(&self, _: &TaskId) -> Option<Task> {
                None
            }

            fn floor(&self) -> Time {
                Time::from_millis(0)
            }
        }
        let other = Generation { key: GenerationKey([1; 16]), number: 0 };
        let named = |number| vec![other, Generation { key: GenerationKey::EPOCH, number }];
        for epoch in 0..3 {
            assert_eq!(alive(&In(epoch), &[other], NOW).is_ok(), epoch == 0);
            assert_eq!(alive(&In(epoch), &[], NOW).is_ok(), epoch == 0);
            for number in 0..3 {
                assert_eq!(alive(&In(epoch), &named(number), NOW).is_ok(), number == epoch);
                // What joins does not stand for what was inherited.
                let joining = [(GenerationKey::EPOCH, GenerationState { number: epoch, ..GenerationState::default() })];
                let joined = join(&In(epoch), with_epoch(&named(number)), joining.into_iter(), NOW);
                assert_eq!(joined.is_ok(), number == epoch);
                assert_eq!(join(&In(epoch), with_epoch(&[other]), joining.into_iter(), NOW).is_ok(), epoch == 0);
            }
        }
    }

    #[test]
    fn the_present_is_never_before_what_was_forgotten() {
        let life = GenerationState { number: 2, until: Some(Time::from_millis(5_000)), ..GenerationState::default() };
        assert_eq!(cause(life, 4_999, NOW), None);
        assert_eq!(cause(life, 5_000, NOW), Some(Cause::Overdue));
    }

    #[test]
    fn what_is_over_for_good_is_told_before_what_may_come_back() {
        struct Two;
        impl StateView for Two {
            fn generations(&self, _: &[GenerationKey]) -> Vec<GenerationState> {
                let suspended = GenerationState { inactive: Some(InactiveStatus::Suspended), ..GenerationState::default() };
                vec![suspended, GenerationState { number: 1, ..GenerationState::default() }]
            }

            fn task(&self, _: &TaskId) -> Option<Task> {
                None
            }

            fn floor(&self) -> Time {
                Time::from_millis(0)
            }
        }
        let generations = [1, 2].map(|id| Generation { key: GenerationKey([id; 16]), number: 0 });
        let dead = NotAlive { key: GenerationKey([2; 16]), cause: Cause::Ended };
        assert_eq!(alive(&Two, &generations, NOW), Err(dead));
        assert!(dead.is_final());
    }
}
