//! How many tokens agents were issued within an hour, by what can be done with them: of agents with a limit alone. Nobody else
//! costs anything here.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::receipt::CommitReason;
use crate::catalog::ScopeEffect;
use crate::oauth::{ClientId, Time};

/// A token counts for so many whole seconds after the one in which it was issued: for an hour at least.
const HOUR: i64 = 3_600;

/// A token that counts against limits of the agent that it is issued to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedToken {
    /// The agent.
    pub agent: ClientId,
    /// The effects of its scopes that the agent has a limit of, each with the tokens in an hour.
    pub limits: Vec<(ScopeEffect, u32)>,
}

/// What was issued to agents with limits. The writer decides by it and counts, so the count is exact; others may look.
#[derive(Debug, Default)]
pub struct Velocities(Mutex<HashMap<(ClientId, ScopeEffect), Window>>);

/// The tokens of an hour, by the second in which each was issued.
#[derive(Debug, Default)]
struct Window(VecDeque<(i64, u32)>);

impl Velocities {
    /// Passes where a token may be issued at `now`.
    ///
    /// # Errors
    /// `Velocity`, with the time after which it may.
    pub fn room(&self, token: &CountedToken, now: Time) -> Result<(), CommitReason> {
        let windows = self.windows();
        for (effect, per_hour) in &token.limits {
            let window = windows.get(&(token.agent.clone(), *effect));
            if let Some(seconds) = window.and_then(|window| window.wait(*per_hour, now)) {
                return Err(CommitReason::Velocity(*effect, *per_hour, seconds));
            }
        }
        Ok(())
    }

    /// Counts a token that was issued at `at`.
    pub(super) fn count(&self, token: &CountedToken, at: Time) {
        let mut windows = self.windows();
        for (effect, _) in &token.limits {
            windows.entry((token.agent.clone(), *effect)).or_default().count(at);
        }
    }

    /// The tokens with a scope of `effect` that `agent` was issued in the hour before `now`.
    pub fn used(&self, agent: &ClientId, effect: ScopeEffect, now: Time) -> u32 {
        self.windows().get(&(agent.clone(), effect)).map_or(0, |window| window.used(now))
    }

    fn windows(&self) -> MutexGuard<'_, HashMap<(ClientId, ScopeEffect), Window>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    /// Those that count at `now`, the oldest first. One of a later time is of an epoch that has ended.
    fn counting(&self, now: Time) -> impl Iterator<Item = &(i64, u32)> {
        self.0.iter().filter(move |(second, _)| *second <= now.seconds() && now.seconds() <= second + HOUR)
    }

    fn used(&self, now: Time) -> u32 {
        self.counting(now).map(|(_, count)| count).sum()
    }

    /// The seconds after which there is room for one more; none where there is now.
    fn wait(&self, per_hour: u32, now: Time) -> Option<u32> {
        let mut left = self.used(now);
        if left < per_hour {
            return None;
        }
        let mut counting = self.counting(now);
        let last = counting.find(|(_, count)| {
            left -= count;
            left < per_hour
        });
        last.map(|(second, _)| u32::try_from(second + HOUR + 1 - now.seconds()).unwrap_or(1))
    }

    fn count(&mut self, at: Time) {
        let at = at.seconds();
        self.0.retain(|(second, _)| *second <= at && at <= second + HOUR);
        match self.0.back_mut().filter(|(second, _)| *second == at) {
            Some((_, count)) => *count += 1,
            None => self.0.push_back((at, 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    const START: i64 = 1_800_000_000;

    fn token(agent: &str, limits: &[(ScopeEffect, u32)]) -> CountedToken {
        CountedToken { agent: ClientId::parse(agent).unwrap(), limits: limits.to_vec() }
    }

    fn at(millis: i64) -> Time {
        Time::from_millis(START * 1_000 + millis)
    }

    fn issued(velocities: &Velocities, token: &CountedToken, now: Time) -> bool {
        let room = velocities.room(token, now);
        if room.is_ok() {
            velocities.count(token, now);
        }
        room.is_ok()
    }

    /// In no hour are there more than allowed, wherever it begins; and the wait that is told is never too short by a second.
    #[test]
    fn no_hour_has_more_than_the_limit_and_the_wait_is_true() {
        let (velocities, of) = (Velocities::default(), token("a", &[(ScopeEffect::Irreversible, 20)]));
        let mut times: Vec<i64> = Vec::new();
        let mut millis = 0;
        for step in 0..9_000 {
            millis += i64::from(step % 7) * 911;
            match velocities.room(&of, at(millis)) {
                Ok(()) => {
                    velocities.count(&of, at(millis));
                    times.push(millis);
                }
                Err(CommitReason::Velocity(ScopeEffect::Irreversible, 20, seconds)) => {
                    let then = millis + i64::from(seconds) * 1_000;
                    assert_eq!(velocities.room(&of, at(then)), Ok(()), "{seconds}");
                    let before = velocities.room(&of, at(then - 1_000));
                    assert!(matches!(before, Err(CommitReason::Velocity(.., 1))), "{before:?}");
                }
                other => assert_eq!(other, Ok(())),
            }
        }
        assert!(times.len() > 100, "{}", times.len());
        assert!(times.windows(21).all(|all| all.last().unwrap() - all.first().unwrap() > 3_600_000));
    }

    #[test]
    fn agents_and_effects_count_apart_and_a_lower_limit_waits_for_more() {
        let velocities = Velocities::default();
        let (both, other) =
            (token("a", &[(ScopeEffect::Read, 3), (ScopeEffect::Irreversible, 2)]), token("b", &[(ScopeEffect::Read, 1)]));
        assert_eq!([0, 1, 2].map(|second| issued(&velocities, &both, at(second * 1_000))), [true, true, false]);
        assert!(issued(&velocities, &other, at(0)) && !issued(&velocities, &other, at(0)));
        assert!(issued(&velocities, &token("a", &[(ScopeEffect::Read, 3)]), at(2_000)), "reading alone");
        let a = ClientId::parse("a").unwrap();
        let used = |effect| velocities.used(&a, effect, at(2_000));
        assert_eq!([used(ScopeEffect::Read), used(ScopeEffect::Irreversible), used(ScopeEffect::Recoverable)], [3, 2, 0]);
        let lower = velocities.room(&token("a", &[(ScopeEffect::Read, 1)]), at(2_000));
        assert_eq!(lower, Err(CommitReason::Velocity(ScopeEffect::Read, 1, 3_601)), "until the last of three is an hour ago");
    }

    #[test]
    fn what_a_later_clock_counted_does_not_count_in_the_epoch_after_it() {
        let (velocities, of) = (Velocities::default(), token("a", &[(ScopeEffect::Read, 1)]));
        assert!(issued(&velocities, &of, at(86_400_000)));
        assert!(issued(&velocities, &of, at(0)) && !issued(&velocities, &of, at(1_000)));
    }
}
