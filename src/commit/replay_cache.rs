//! Single-use values that were spent and could still be accepted.

use std::collections::HashSet;

use super::expiry::ExpiryQueue;
use super::receipt::CommitReason;
use crate::oauth::{SingleUse, SingleUseKind, Time};

/// The first 128 bits of a value's digest: enough that two values never meet, in half the memory.
type Short = u128;

/// A request spends so many at most: a client assertion and a proof.
const REQUEST_SPENDS: usize = 2;

/// Remembers until expiry and refuses when full; nothing is ever forgotten early. Used by the writer alone, so it takes no lock.
#[derive(Debug)]
pub(super) struct ReplayCache {
    values: HashSet<Short>,
    expiry: ExpiryQueue<Short>,
    max: usize,
    /// What was made at this time or before it may have been spent without being remembered.
    lost: Option<Time>,
}

impl ReplayCache {
    pub(super) fn new(max: usize) -> Self {
        Self { values: HashSet::new(), expiry: ExpiryQueue::default(), max, lost: None }
    }

    /// Replaces everything by the stored values. More than the maximum are kept, and then nothing is accepted until enough of
    /// them expired.
    pub(super) fn load(&mut self, values: &[SingleUse], lost: Option<Time>) {
        *self = Self { lost, ..Self::new(self.max) };
        self.spend(values);
    }

    /// Passes where all `values` can be spent at `now`. One that has expired could have been forgotten, so it is refused.
    ///
    /// # Errors
    /// `Forgotten`, `Expired`; as for [`unspent`](Self::unspent); `Busy` where there is no room to remember them.
    pub(super) fn spendable(&self, values: &[SingleUse], now: Time) -> Result<(), CommitReason> {
        if values.iter().any(|value| self.lost.is_some_and(|lost| value.issued <= lost)) {
            return Err(CommitReason::Forgotten);
        }
        if values.iter().any(|value| value.expires <= now) {
            return Err(CommitReason::Expired);
        }
        self.unspent(values, now)?;
        if self.values.len() + values.len() > self.max { Err(CommitReason::Busy) } else { Ok(()) }
    }

    /// True where there is room for what one more request may spend.
    pub(super) fn has_room(&self) -> bool {
        self.values.len() + REQUEST_SPENDS <= self.max
    }

    /// Passes where none of those `values` that have not expired at `now` was spent before.
    ///
    /// # Errors
    /// `Spent`, `Replayed`.
    pub(super) fn unspent(&self, values: &[SingleUse], now: Time) -> Result<(), CommitReason> {
        let repeated = |(position, value): (usize, &SingleUse)| {
            self.values.contains(&short(value)) || values.iter().take(position).any(|earlier| earlier.digest == value.digest)
        };
        let mut counting = values.iter().enumerate().filter(|(_, value)| value.expires > now);
        match counting.find(|value| repeated(*value)) {
            None => Ok(()),
            Some((_, SingleUse { kind: SingleUseKind::Assertion, .. })) => Err(CommitReason::Spent),
            Some((_, SingleUse { kind: SingleUseKind::Proof, .. })) => Err(CommitReason::Replayed),
        }
    }

    /// Spends values that are spendable.
    pub(super) fn spend(&mut self, values: &[SingleUse]) {
        values.iter().for_each(|value| self.insert(value));
    }

    /// Forgets the values that expired by `now`; false where there were none.
    pub(super) fn forget(&mut self, now: Time) -> bool {
        let due = self.expiry.due(now);
        for value in &due {
            self.values.remove(value);
        }
        !due.is_empty()
    }

    fn insert(&mut self, value: &SingleUse) {
        if self.values.insert(short(value)) {
            self.expiry.add(short(value), value.expires);
        }
    }
}

fn short(value: &SingleUse) -> Short {
    value.digest.first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_seconds(1_800_000_000);

    fn value(id: u8, seconds: i64) -> SingleUse {
        SingleUse {
            digest: [id; 32],
            expires: Time::from_seconds(NOW.seconds() + seconds),
            issued: NOW,
            kind: SingleUseKind::Proof,
        }
    }

    #[test]
    fn a_value_counts_once_until_it_expires_and_is_forgotten_only_then() {
        let mut spent = ReplayCache::new(2);
        let (one, other) = (value(1, 60), value(2, 90));
        spent.spend(&[one, other]);
        let at = |seconds: i64| Time::from_seconds(NOW.seconds() + seconds);
        for seconds in [0, 59] {
            spent.forget(at(seconds));
            assert_eq!(spent.spendable(&[one], at(seconds)), Err(CommitReason::Replayed), "{seconds}");
            assert_eq!(spent.spendable(&[value(3, 99)], at(seconds)), Err(CommitReason::Busy), "{seconds}");
        }
        assert_eq!(spent.spendable(&[one], at(60)), Err(CommitReason::Expired), "it could have been forgotten");
        assert!(!spent.forget(at(60)) && spent.forget(at(61)));
        assert_eq!(spent.spendable(&[value(3, 99)], at(61)), Ok(()), "there is room again");
        assert_eq!(spent.spendable(&[value(3, 99), value(4, 99)], at(61)), Err(CommitReason::Busy), "for one");
        assert_eq!(spent.spendable(&[other], at(61)), Err(CommitReason::Replayed));
    }

    #[test]
    fn one_request_does_not_spend_a_value_twice() {
        let spent = ReplayCache::new(9);
        assert_eq!(spent.spendable(&[value(1, 60), value(2, 60), value(1, 60)], NOW), Err(CommitReason::Replayed));
        let assertion = SingleUse { kind: SingleUseKind::Assertion, ..value(1, 60) };
        let mut full = ReplayCache::new(0);
        full.load(&[value(1, 60)], None);
        assert_eq!(full.spendable(&[assertion], NOW), Err(CommitReason::Spent));
    }

    #[test]
    fn what_was_made_before_the_loss_does_not_count() {
        let mut spent = ReplayCache::new(9);
        spent.load(&[], Some(NOW));
        let made = |millis| SingleUse { issued: Time::from_millis(NOW.millis() + millis), ..value(1, 60) };
        for millis in [-1_000, -1, 0] {
            assert_eq!(spent.spendable(&[made(1), made(millis)], NOW), Err(CommitReason::Forgotten), "{millis}");
        }
        assert_eq!(spent.spendable(&[made(1)], NOW), Ok(()));
        spent.load(&[], None);
        assert_eq!(spent.spendable(&[made(-1)], NOW), Ok(()), "nothing was lost");
    }
}
