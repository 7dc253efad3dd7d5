//! Single-use values that were spent and could still be accepted: the memory of the writer, and the view of it that everybody
//! may look at.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::capacity::{Capacity, Fill};
use super::expiry::ExpiryQueue;
use super::receipt::CommitReason;
use super::shares::Shares;
use crate::oauth::{ShareKey, SingleUse, SingleUseKind, Time};

/// The first 128 bits of a value's digest: enough that two values never meet, in half the memory.
type Short = u128;

/// A request spends so many at most: a client assertion and a proof.
const REQUEST_SPENDS: usize = 3;

/// The number of parts of the view, each under a lock of its own.
const SHARDS: usize = 64;

/// A value that expires within so long is a short one: five minutes, as clients sign assertions, and a minute of skew.
const SHORT_MILLIS: i64 = 360_000;

/// The part of the memory that long values may have, so that none of them ever caps the short ones.
const LONG_PART: usize = 4;

/// Remembers until expiry and refuses when full; nothing is ever forgotten early. Written by the writer alone. Who presented a
/// value that was read from the store is not known any more: it counts for all.
#[derive(Debug)]
pub(super) struct ReplayCache {
    spent: Arc<SpentValues>,
    max: usize,
    all: Shares,
    /// Those of them that live long.
    long: Shares,
    expiry: ExpiryQueue<SpentValue>,
}

/// A value that is remembered.
#[derive(Clone, Copy, Debug)]
struct SpentValue {
    short: [u8; size_of::<Short>()],
    share: ShareKey,
    is_long: bool,
}

/// The spent values, for everybody to look at beside the writer, who holds the lock of one part for one insertion and never
/// while it writes to the store. A value counts as spent from the moment at which its batch takes it up: whoever shows it a
/// second time while that batch is being written is a replay too. If the batch is lost, so is the value, when the store is read
/// again.
#[derive(Debug)]
pub(super) struct SpentValues {
    shards: [RwLock<HashSet<Short>>; SHARDS],
    /// How many of them live long.
    long: AtomicUsize,
    /// What was made at this time or before it may have been spent without being remembered, in milliseconds.
    lost: AtomicI64,
    /// What had expired at this time may have been forgotten, in milliseconds.
    forgotten: AtomicI64,
}

impl Default for SpentValues {
    fn default() -> Self {
        let (lost, forgotten) = (AtomicI64::new(i64::MIN), AtomicI64::new(i64::MIN));
        Self { shards: std::array::from_fn(|_| RwLock::default()), long: AtomicUsize::new(0), lost, forgotten }
    }
}

impl SpentValues {
    /// Passes where `value` can still be spent at `now`, as far as the writer has got.
    ///
    /// # Errors
    /// `Spent`, `Replayed`, `Forgotten`, `Expired`; `ClockBehind` where the value may have been forgotten, because it had expired
    /// by a later time than `now`, or by `floor`.
    pub(super) fn look(&self, value: &SingleUse, now: Time, floor: Time) -> Result<(), CommitReason> {
        if self.contains(value) {
            return Err(used(value));
        }
        // After the look: what was forgotten before it had expired by this time.
        let forgotten = Time::from_millis(self.forgotten.load(Ordering::SeqCst)).max(floor);
        if self.is_lost(value) {
            Err(CommitReason::Forgotten)
        } else if value.expires <= now {
            Err(CommitReason::Expired)
        } else if value.expires <= forgotten {
            Err(CommitReason::ClockBehind)
        } else {
            Ok(())
        }
    }

    /// How many are remembered of `max`.
    pub(super) fn fill(&self, max: usize) -> Fill {
        let len = |shard: &RwLock<HashSet<Short>>| shard.read().unwrap_or_else(PoisonError::into_inner).len();
        Fill::of(self.shards.iter().map(len).sum(), max)
    }

    /// How many of them live long.
    pub(super) fn fill_of_long(&self, max: usize) -> Fill {
        Fill::of(self.long.load(Ordering::Relaxed), max / LONG_PART)
    }

    fn is_lost(&self, value: &SingleUse) -> bool {
        value.issued.millis() <= self.lost.load(Ordering::SeqCst)
    }

    fn contains(&self, value: &SingleUse) -> bool {
        let short = short(value);
        self.read(short).is_none_or(|shard| shard.contains(&short))
    }

    fn read(&self, short: Short) -> Option<RwLockReadGuard<'_, HashSet<Short>>> {
        Some(self.shards.get(shard_of(short))?.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, short: Short) -> Option<RwLockWriteGuard<'_, HashSet<Short>>> {
        Some(self.shards.get(shard_of(short))?.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces everything by `values`, and tells how many they are. None of them can be missed meanwhile: each part is replaced
    /// whole.
    fn replace(&self, values: &[SingleUse], lost: Option<Time>) -> usize {
        self.lost.store(lost.map_or(i64::MIN, Time::millis), Ordering::SeqCst);
        let mut fresh: [HashSet<Short>; SHARDS] = std::array::from_fn(|_| HashSet::new());
        for short in values.iter().map(short) {
            let _inserted = fresh.get_mut(shard_of(short)).map(|shard| shard.insert(short));
        }
        let len = fresh.iter().map(HashSet::len).sum();
        for (shard, fresh) in self.shards.iter().zip(fresh) {
            *shard.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        len
    }
}

impl ReplayCache {
    pub(super) fn new(max: usize) -> Self {
        let (all, long) = Default::default();
        Self { spent: Arc::default(), max, all, long, expiry: ExpiryQueue::default() }
    }

    /// The view for everybody else.
    pub(super) fn spent(&self) -> Arc<SpentValues> {
        Arc::clone(&self.spent)
    }

    /// Replaces everything by the stored values. More than the maximum are kept, and then nothing is accepted until enough of
    /// them expired.
    pub(super) fn load(&mut self, values: &[SingleUse], lost: Option<Time>) {
        self.all.reset(self.spent.replace(values, lost));
        self.long.reset(0);
        self.show_long();
        self.expiry = ExpiryQueue::default();
        for value in values {
            let known = SpentValue { short: short(value).to_be_bytes(), share: ShareKey::NOBODY, is_long: false };
            self.expiry.add(known, value.expires);
        }
    }

    /// An epoch begins: what was made up to `fence` does not count. What was forgotten by the time of an epoch before is among
    /// that.
    pub(super) fn begin_epoch(&mut self, fence: Time) {
        self.spent.lost.store(fence.millis(), Ordering::SeqCst);
        self.spent.forgotten.store(i64::MIN, Ordering::SeqCst);
    }

    /// Passes where all `values` can be spent at `now`. One that has expired could have been forgotten, so it is refused.
    ///
    /// # Errors
    /// `Forgotten`, `Expired`; as for [`unspent`](Self::unspent); `Full` and `Share` where there is no room to remember them.
    pub(super) fn spendable(&self, values: &[SingleUse], now: Time) -> Result<(), CommitReason> {
        if values.iter().any(|value| self.spent.is_lost(value)) {
            return Err(CommitReason::Forgotten);
        }
        if values.iter().any(|value| value.expires <= now) {
            return Err(CommitReason::Expired);
        }
        self.unspent(values, now)?;
        let Some(first) = values.first() else { return Ok(()) };
        let retry = || self.expiry.first().map_or(1, |due| due.seconds_after(now));
        self.all.room((Capacity::SingleUse, self.max), first.share, values.len(), retry)?;
        match values.iter().filter(|value| is_long(value, now)).count() {
            0 => Ok(()),
            long => self.long.room((Capacity::LongSingleUse, self.max / LONG_PART), first.share, long, retry),
        }
    }

    /// True where there is room for what one more request may spend.
    pub(super) fn has_room(&self) -> bool {
        self.all.held() + REQUEST_SPENDS <= self.max
    }

    /// Passes where none of those `values` that have not expired at `now` was spent before.
    ///
    /// # Errors
    /// `Spent`, `Replayed`.
    pub(super) fn unspent(&self, values: &[SingleUse], now: Time) -> Result<(), CommitReason> {
        let repeated = |(position, value): (usize, &SingleUse)| {
            self.spent.contains(value) || values.iter().take(position).any(|earlier| earlier.digest == value.digest)
        };
        let mut counting = values.iter().enumerate().filter(|(_, value)| value.expires > now);
        counting.find(|value| repeated(*value)).map_or(Ok(()), |(_, value)| Err(used(value)))
    }

    /// Spends values at `now`, spendable or not.
    pub(super) fn spend(&mut self, values: &[SingleUse], now: Time) {
        values.iter().for_each(|value| self.insert(value, now));
    }

    /// Forgets the values that expired by `now`; false where there were none.
    pub(super) fn forget(&mut self, now: Time) -> bool {
        let due = self.expiry.due(now);
        if due.is_empty() {
            return false;
        }
        // First: whoever looks from now on and does not find a value sees that it has expired.
        self.spent.forgotten.fetch_max(now.millis(), Ordering::SeqCst);
        for value in &due {
            let short = Short::from_be_bytes(value.short);
            let removed = usize::from(self.spent.write(short).is_some_and(|mut shard| shard.remove(&short)));
            self.all.give_back(value.share, removed);
            self.long.give_back(value.share, if value.is_long { removed } else { 0 });
        }
        self.show_long();
        true
    }

    fn show_long(&self) {
        self.spent.long.store(self.long.held(), Ordering::Relaxed);
    }

    fn insert(&mut self, value: &SingleUse, now: Time) {
        let short = short(value);
        if self.spent.write(short).is_some_and(|mut shard| shard.insert(short)) {
            let (share, is_long) = (value.share, is_long(value, now));
            self.all.take(share, 1);
            if is_long {
                self.long.take(share, 1);
                self.show_long();
            }
            self.expiry.add(SpentValue { short: short.to_be_bytes(), share, is_long }, value.expires);
        }
    }
}

/// The reason for which a value that was spent is refused, by its kind.
fn used(value: &SingleUse) -> CommitReason {
    match value.kind {
        SingleUseKind::Assertion => CommitReason::Spent,
        SingleUseKind::Proof => CommitReason::Replayed,
        SingleUseKind::Grant => CommitReason::Redeemed,
    }
}

fn is_long(value: &SingleUse, now: Time) -> bool {
    value.expires.millis() - now.millis() > SHORT_MILLIS
}

fn shard_of(short: Short) -> usize {
    short.to_be_bytes().last().map_or(0, |byte| usize::from(*byte) % SHARDS)
}

fn short(value: &SingleUse) -> Short {
    value.digest.first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(seconds: u32) -> CommitReason {
        CommitReason::Full(Capacity::SingleUse, seconds)
    }

    const NOW: Time = Time::from_seconds(1_800_000_000);

    fn value(id: u8, seconds: i64) -> SingleUse {
        SingleUse {
            digest: [id; 32],
            expires: Time::from_seconds(NOW.seconds() + seconds),
            issued: NOW,
            kind: SingleUseKind::Proof,
            share: ShareKey::NOBODY,
        }
    }

    #[test]
    fn a_value_counts_once_until_it_expires_and_is_forgotten_only_then() {
        let mut spent = ReplayCache::new(2);
        let (one, other) = (value(1, 60), value(2, 90));
        spent.spend(&[one, other], NOW);
        let at = |seconds: i64| Time::from_seconds(NOW.seconds() + seconds);
        for seconds in [0, 59] {
            spent.forget(at(seconds));
            assert_eq!(spent.spendable(&[one], at(seconds)), Err(CommitReason::Replayed), "{seconds}");
            assert_eq!(spent.spendable(&[value(3, 99)], at(seconds)), Err(full(61 - seconds as u32)), "{seconds}");
        }
        assert_eq!(spent.spendable(&[one], at(60)), Err(CommitReason::Expired), "it could have been forgotten");
        assert!(!spent.forget(at(60)) && spent.forget(at(61)));
        assert_eq!(spent.spendable(&[value(3, 99)], at(61)), Ok(()), "there is room again");
        assert_eq!(spent.spendable(&[value(3, 99), value(4, 99)], at(61)), Err(full(30)), "for one");
        assert_eq!(spent.spendable(&[other], at(61)), Err(CommitReason::Replayed));
    }

    /// The view shows what the writer took up before it is durable, and never less while everything is replaced.
    #[test]
    fn whoever_looks_sees_a_value_from_the_moment_it_is_taken_up() {
        let mut cache = ReplayCache::new(9);
        let spent = cache.spent();
        assert_eq!(spent.look(&value(1, 60), NOW, NOW), Ok(()));
        cache.spend(&[value(1, 60)], NOW);
        assert_eq!(spent.look(&value(1, 60), NOW, NOW), Err(CommitReason::Replayed));
        std::thread::scope(|scope| {
            scope.spawn(|| (0..1000).for_each(|_| cache.load(&[value(1, 60), value(2, 60)], None)));
            assert!((0..1000).all(|_| spent.look(&value(1, 60), NOW, NOW) == Err(CommitReason::Replayed)));
        });
        assert_eq!(cache.all.held(), 2);
        cache.load(&[], Some(NOW));
        assert_eq!(spent.look(&value(3, 60), NOW, NOW), Err(CommitReason::Forgotten));
    }

    /// Also for who read the floor before the value was forgotten, and looks for it afterwards.
    #[test]
    fn what_was_forgotten_is_not_taken_for_unspent() {
        let mut cache = ReplayCache::new(9);
        let at = |seconds| Time::from_seconds(NOW.seconds() + seconds);
        cache.spend(&[value(1, 60)], NOW);
        assert!(cache.forget(at(61)));
        assert_eq!(cache.spent().look(&value(1, 60), at(59), NOW), Err(CommitReason::ClockBehind));
        assert_eq!(cache.spent().look(&value(2, 62), at(59), NOW), Ok(()), "it would be remembered still");
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
