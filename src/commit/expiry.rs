//! Forgetting in order of time.

use std::collections::BTreeMap;

use crate::oauth::Time;

/// Things by the second after which they may be forgotten.
#[derive(Clone, Debug)]
pub(super) struct ExpiryQueue<T>(BTreeMap<i64, Vec<T>>);

impl<T> Default for ExpiryQueue<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> ExpiryQueue<T> {
    pub(super) fn add(&mut self, thing: T, expires: Time) {
        self.0.entry(second(expires)).or_default().push(thing);
    }

    /// The time at which the next thing may be forgotten.
    pub(super) fn first(&self) -> Option<Time> {
        self.0.first_key_value().map(|(due, _)| Time::from_seconds(*due))
    }

    /// True where anything may be forgotten at `now`.
    pub(super) fn any(&self, now: Time) -> bool {
        self.0.first_key_value().is_some_and(|(due, _)| *due <= now.seconds())
    }

    /// Takes out everything that may be forgotten at `now`.
    pub(super) fn due(&mut self, now: Time) -> Vec<T> {
        let mut due = Vec::new();
        while self.any(now) {
            due.extend(self.0.pop_first().map(|(_, things)| things).unwrap_or_default());
        }
        due
    }
}

/// True where what expires at `expires` may be forgotten at `now`: in a later second. Whoever looks at a thing that is due, and
/// has been given a later date since, must ask by the same measure, or two who forgot at other times come to differ.
pub(super) fn is_over(expires: Time, now: Time) -> bool {
    second(expires) <= now.seconds()
}

/// The first whole second at which `expires` is surely over.
fn second(expires: Time) -> i64 {
    expires.seconds().saturating_add(1)
}
