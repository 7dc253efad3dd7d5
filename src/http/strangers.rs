//! What strangers may cost: the refusals of one address are bounded, so that it is told to wait before any of its signatures is
//! looked at once they are too many. Whoever proved itself on a connection is no stranger there. For requests that only end
//! something an address has a few more, which nothing else can use up.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::http::header::HeaderMap;

use super::connection_limit::network;
use crate::oauth::Time;

/// The refusals of strangers that one address may have, for IPv6 one /64.
#[derive(Clone, Copy, Debug)]
pub struct StrangerLimits {
    /// In a second, in the long run.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

/// Addresses that are remembered in either generation.
const ADDRESSES_MAX: usize = 32 * 1024;

/// The refusals of each address.
#[derive(Debug)]
pub(super) struct Strangers {
    limits: StrangerLimits,
    buckets: Mutex<Generations>,
    turned_away: AtomicU64,
}

/// Addresses that were refused lately, and those of before. What was refused before either is forgotten, so junk of a million
/// addresses takes a bounded memory.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<IpAddr, Bucket>,
    old: HashMap<IpAddr, Bucket>,
}

/// A refusal, in the unit that buckets count by: what comes back in a millisecond at one refusal a second.
const REFUSAL: i64 = 1_000;

/// The refusals that an address has left at an instant; fewer than none where several requests were under way at once.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// In thousandths.
    left: i64,
    /// The same, of requests that only end something, once nothing else is left.
    ending: i64,
    at: Time,
}

/// Of the refusals of an address, as many more for requests that only end something: one of so many.
const ENDING_PART: u32 = 10;

/// Whether somebody proved itself on a connection, and was no stranger since.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownConnection(Arc<AtomicBool>);

/// Whoever a request comes from, by its connection alone.
#[derive(Clone, Copy)]
pub(super) struct Visitor<'a> {
    /// None for a proxy, behind which are many, and for the socket in the data folder.
    address: Option<IpAddr>,
    standing: Option<&'a KnownConnection>,
    /// The request only ends something.
    ends: bool,
    /// The headers of the request, for what is said of them where it is refused.
    headers: Option<&'a HeaderMap>,
}

impl StrangerLimits {
    fn full(self) -> i64 {
        i64::from(self.burst) * REFUSAL
    }

    /// Those for requests that only end something.
    fn ending(self) -> Self {
        let part = |limit: u32| limit.div_ceil(ENDING_PART);
        Self { per_second: part(self.per_second), burst: part(self.burst) }
    }
}

impl Strangers {
    pub(super) fn new(limits: StrangerLimits) -> Self {
        Self { limits, buckets: Mutex::default(), turned_away: AtomicU64::new(0) }
    }

    /// Lets a request in.
    ///
    /// # Errors
    /// The seconds after which its address may try again.
    pub(super) fn admit(&self, visitor: Visitor<'_>, now: Time) -> Result<(), u64> {
        let Some(address) = visitor.address.filter(|_| !visitor.is_known()) else { return Ok(()) };
        let Some(bucket) = self.buckets().of(address).map(|bucket| bucket.refilled(self.limits, now)) else { return Ok(()) };
        if bucket.left > 0 || visitor.ends && bucket.ending > 0 {
            return Ok(());
        }
        self.turned_away.fetch_add(1, Ordering::Relaxed);
        let wait = |left: i64, limits: StrangerLimits| {
            let a_second = u64::from(limits.per_second.max(1)) * REFUSAL.unsigned_abs();
            (1 - left).unsigned_abs().div_ceil(a_second)
        };
        let all = wait(bucket.left, self.limits);
        Err(if visitor.ends { all.min(wait(bucket.ending, self.limits.ending())) } else { all })
    }

    /// Counts the refusal of a stranger.
    pub(super) fn charge(&self, visitor: Visitor<'_>, now: Time) {
        visitor.set_known(false);
        let Some(address) = visitor.address else { return };
        let (mut buckets, all, ending) = (self.buckets(), self.limits.full(), self.limits.ending().full());
        let fresh = Bucket { left: all, ending, at: now };
        let mut bucket = buckets.of(address).unwrap_or(fresh).refilled(self.limits, now);
        match visitor.ends && bucket.left <= 0 {
            true => bucket.ending = (bucket.ending - REFUSAL).max(-ending),
            false => bucket.left = (bucket.left - REFUSAL).max(-all),
        }
        buckets.keep(address, bucket);
    }

    /// The number of addresses that are remembered.
    pub(super) fn addresses(&self) -> usize {
        let buckets = self.buckets();
        buckets.young.len() + buckets.old.len()
    }

    /// As many are remembered at most.
    pub(super) const fn addresses_max() -> usize {
        2 * ADDRESSES_MAX
    }

    /// The requests that were told to wait since the start.
    pub(super) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    fn buckets(&self) -> MutexGuard<'_, Generations> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn of(&self, address: IpAddr) -> Option<Bucket> {
        self.young.get(&address).or_else(|| self.old.get(&address)).copied()
    }

    fn keep(&mut self, address: IpAddr, bucket: Bucket) {
        if self.young.len() >= ADDRESSES_MAX && !self.young.contains_key(&address) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(address, bucket);
    }
}

impl Bucket {
    fn refilled(self, limits: StrangerLimits, now: Time) -> Self {
        let milliseconds = i64::try_from(now.since(self.at).as_millis()).unwrap_or(i64::MAX);
        let refilled = |left: i64, limits: StrangerLimits| {
            let more = milliseconds.saturating_mul(i64::from(limits.per_second));
            left.saturating_add(more).min(limits.full())
        };
        let (left, ending) = (refilled(self.left, limits), refilled(self.ending, limits.ending()));
        Self { left, ending, at: now.max(self.at) }
    }
}

impl<'a> Visitor<'a> {
    /// Whoever sends a request with these `headers` by a connection from `address` of that `standing`.
    pub(super) fn new(address: Option<IpAddr>, standing: Option<&'a KnownConnection>, headers: &'a HeaderMap) -> Self {
        Self { address: address.map(network), standing, ends: false, headers: Some(headers) }
    }

    /// The same, where the request only ends something.
    pub(super) fn ending(self) -> Self {
        Self { ends: true, ..self }
    }

    /// The headers of the request.
    pub(super) fn headers(self) -> Option<&'a HeaderMap> {
        self.headers
    }

    /// It proved itself.
    pub(super) fn proved(self) {
        self.set_known(true);
    }

    fn is_known(self) -> bool {
        self.standing.is_some_and(|standing| standing.0.load(Ordering::Relaxed))
    }

    fn set_known(self, known: bool) {
        if let Some(standing) = self.standing {
            standing.0.store(known, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: StrangerLimits = StrangerLimits { per_second: 2, burst: 5 };
    const NOW: Time = Time::from_seconds(1_780_272_000);

    fn at(number: u32) -> Visitor<'static> {
        Visitor { address: Some(IpAddr::from(number.to_be_bytes())), standing: None, ends: false, headers: None }
    }

    fn later(seconds: u64) -> Time {
        NOW.plus(std::time::Duration::from_secs(seconds))
    }

    #[test]
    fn an_address_waits_when_its_refusals_are_spent_and_others_do_not() {
        let strangers = Strangers::new(LIMITS);
        for _ in 0..5 {
            assert_eq!(strangers.admit(at(1), NOW), Ok(()));
            strangers.charge(at(1), NOW);
        }
        assert_eq!((strangers.admit(at(1), NOW), strangers.admit(at(2), NOW)), (Err(1), Ok(())));
        assert_eq!(strangers.turned_away(), 1);
        // Two come back each second, and no more than there were.
        assert_eq!(strangers.admit(at(1), later(1)), Ok(()));
        (0..2).for_each(|_| strangers.charge(at(1), later(1)));
        assert_eq!(strangers.admit(at(1), later(1)), Err(1));
        (0..5).for_each(|_| strangers.charge(at(1), later(1_000)));
        assert_eq!(strangers.admit(at(1), later(1_000)), Err(1));
    }

    #[test]
    fn those_that_were_under_way_at_once_are_waited_for() {
        let strangers = Strangers::new(LIMITS);
        (0..9).for_each(|_| strangers.charge(at(1), NOW));
        assert_eq!(strangers.admit(at(1), NOW), Err(3), "four too many: five must come back, by two a second");
        assert_eq!((strangers.admit(at(1), later(2)), strangers.admit(at(1), later(3))), (Err(1), Ok(())));
        (0..1_000).for_each(|_| strangers.charge(at(1), NOW));
        assert_eq!(strangers.admit(at(1), NOW), Err(3), "never longer than this");
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let strangers = Strangers::new(LIMITS);
        (0..5).for_each(|_| strangers.charge(at(1), later(10)));
        assert_eq!((strangers.admit(at(1), NOW), strangers.admit(at(1), later(10))), (Err(1), Err(1)));
    }

    #[test]
    fn whoever_proved_itself_on_its_connection_does_not_pay_for_its_neighbours() {
        let (strangers, standing) = (Strangers::new(LIMITS), KnownConnection::default());
        let client = Visitor { standing: Some(&standing), ..at(1) };
        (0..5).for_each(|_| strangers.charge(at(1), NOW));
        assert!(strangers.admit(client, NOW).is_err());
        client.proved();
        assert!(strangers.admit(client, NOW).is_ok() && strangers.admit(at(1), NOW).is_err());
        strangers.charge(client, NOW);
        assert!(strangers.admit(client, NOW).is_err(), "until it is a stranger again");
    }

    /// Whatever else is refused leaves requests that only end something what is theirs, and those leave others theirs.
    #[test]
    fn what_only_ends_something_is_looked_at_when_nothing_else_is() {
        let strangers = Strangers::new(StrangerLimits { per_second: 20, burst: 50 });
        (0..90).for_each(|_| strangers.charge(at(1), NOW));
        let ending = at(1).ending();
        assert!(strangers.admit(at(1), NOW).is_err());
        for _ in 0..5 {
            assert_eq!(strangers.admit(ending, NOW), Ok(()));
            strangers.charge(ending, NOW);
        }
        assert_eq!((strangers.admit(ending, NOW), strangers.admit(at(2), NOW)), (Err(1), Ok(())));
        (0..2).for_each(|_| strangers.charge(at(1), NOW));
        assert_eq!((strangers.admit(ending, later(1)), strangers.admit(at(1), later(1))), (Ok(()), Err(2)), "two a second");
        // While anything else is left it is used first.
        (0..50).for_each(|_| strangers.charge(ending, later(100)));
        assert!(strangers.admit(at(1), later(100)).is_err() && strangers.admit(ending, later(100)).is_ok());
    }

    #[test]
    fn a_million_addresses_take_a_bounded_memory_and_the_busy_one_is_remembered() {
        let strangers = Strangers::new(LIMITS);
        for number in 0..1_000_000 {
            if number % 1_000 == 0 {
                (0..5).for_each(|_| strangers.charge(at(u32::MAX), NOW));
            }
            strangers.charge(at(number), NOW);
        }
        assert!(strangers.addresses() <= Strangers::addresses_max());
        assert!(strangers.admit(at(u32::MAX), NOW).is_err());
    }
}
