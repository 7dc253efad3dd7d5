//! The order in which a thread reads what its connections have sent: those of one address take turns with all others, so that
//! nobody waits for more than a few requests of each of them.
//!
//! A thread serves as many requests as are ready before it looks at its sockets again. Without turns whoever keeps many
//! connections busy would be served on all of them first.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::task::Waker;
use std::time::{Duration, Instant};

use actix_web::rt;

/// Whoever shares a turn: all connections of one address, for IPv6 of one /64; behind a proxy each connection alone, for behind
/// it are many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    Address(IpAddr),
    Connection(u64),
}

/// A turn is so many reads.
const READS: u32 = 4;

/// Whoever had its turn so long ago has another: who is not busy never waits.
const SPAN: Duration = Duration::from_millis(1);

/// The place of a connection in the order of its thread.
#[derive(Debug)]
pub(super) struct ReadTurn {
    lane: Lane,
    /// Its number among those that wait.
    place: Option<u64>,
}

/// The order of one thread.
#[derive(Debug, Default)]
struct ReadOrder {
    /// When everybody had a new turn; none before the first.
    since: Option<Instant>,
    lanes: HashMap<Lane, LaneTurn>,
    next_place: u64,
    /// A task gives everybody a new turn when the sockets were looked at.
    is_passing: bool,
}

/// The turn of one lane, and its connections that wait for the next.
#[derive(Debug, Default)]
struct LaneTurn {
    taken: u32,
    /// Reads that are left to those who were woken for this turn: those whose places are below `woken_below`.
    kept: u32,
    woken_below: u64,
    waiting: BTreeMap<u64, Waker>,
}

thread_local! {
    static ORDER: RefCell<ReadOrder> = RefCell::default();
}

impl ReadTurn {
    pub(super) fn new(lane: Lane) -> Self {
        Self { lane, place: None }
    }

    /// True where a read is in turn; else `waker` is woken when it may be.
    pub(super) fn take_or_wait(&mut self, waker: &Waker, now: Instant) -> bool {
        let passes = ORDER.with_borrow_mut(|order| order.take_or_wait(self, waker, now));
        if passes == TurnAnswer::Begins {
            drop(rt::spawn(pass_turns()));
        }
        passes == TurnAnswer::InTurn
    }
}

impl Drop for ReadTurn {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let _ending = ORDER.try_with(|order| order.borrow_mut().lanes.get_mut(&self.lane).map(|at| at.waiting.remove(&place)));
    }
}

#[derive(Debug, PartialEq, Eq)]
enum TurnAnswer {
    InTurn,
    Waits,
    /// It waits, and is the first to do so: somebody has to give new turns.
    Begins,
}

impl ReadOrder {
    fn take_or_wait(&mut self, turn: &mut ReadTurn, waker: &Waker, now: Instant) -> TurnAnswer {
        if !self.is_passing && self.since.is_none_or(|since| now.duration_since(since) > SPAN) {
            // Nobody waits.
            self.renew(now);
        }
        let place = turn.place.unwrap_or(self.next_place);
        let at = self.lanes.entry(turn.lane).or_default();
        let is_woken = turn.place.is_some_and(|place| place < at.woken_below) && at.kept > 0;
        let is_next = at.waiting.first_key_value().is_none_or(|(first, _)| place <= *first);
        if is_woken || is_next && at.taken + at.kept < READS {
            at.kept -= u32::from(is_woken);
            at.taken += 1;
            turn.place.take().map(|place| at.waiting.remove(&place));
            return TurnAnswer::InTurn;
        }
        at.waiting.insert(place, waker.clone());
        if turn.place.replace(place).is_none() {
            self.next_place += 1;
        }
        if std::mem::replace(&mut self.is_passing, true) { TurnAnswer::Waits } else { TurnAnswer::Begins }
    }

    /// A new turn for everybody. The answer is who may read in it, of those who wait: the longest waiting of each lane.
    fn renew(&mut self, now: Instant) -> Vec<Waker> {
        self.since = Some(now);
        self.lanes.retain(|_, at| !at.waiting.is_empty());
        let mut woken = Vec::new();
        for at in self.lanes.values_mut() {
            let before = woken.len();
            woken.extend((0..READS).map_while(|_| at.waiting.pop_first()).map(|(_, waker)| waker));
            (at.taken, at.kept) = (0, u32::try_from(woken.len() - before).unwrap_or(READS));
            at.woken_below = at.waiting.first_key_value().map_or(self.next_place, |(first, _)| *first);
        }
        self.is_passing = !woken.is_empty();
        woken
    }
}

/// Gives new turns, each after the sockets were looked at, until nobody waits.
async fn pass_turns() {
    loop {
        tokio::task::yield_now().await;
        let woken = ORDER.with_borrow_mut(|order| order.renew(Instant::now()));
        if woken.is_empty() {
            return;
        }
        woken.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
    use super::*;
    use crate::patience::an_instant;

    fn lane(last: u8) -> Lane {
        Lane::Address(IpAddr::from([127, 0, 0, last]))
    }

    /// The order of a thread whose time stands still, and connections that are always readable.
    struct Busy {
        order: ReadOrder,
        now: Instant,
        connections: Vec<ReadTurn>,
        reads: Vec<u32>,
    }

    impl Busy {
        fn new(lanes: &[(u8, usize)]) -> Self {
            let all = lanes.iter().flat_map(|(last, count)| std::iter::repeat_n(lane(*last), *count));
            let connections: Vec<ReadTurn> = all.map(ReadTurn::new).collect();
            let reads = vec![0; connections.len()];
            Self { order: ReadOrder::default(), now: an_instant(), connections, reads }
        }

        /// Everybody asks, in order; then there is a new turn.
        fn round(&mut self) {
            for (turn, reads) in self.connections.iter_mut().zip(&mut self.reads) {
                *reads += u32::from(self.order.take_or_wait(turn, Waker::noop(), self.now) == TurnAnswer::InTurn);
            }
            self.order.renew(self.now);
        }

        fn of(&self, wanted: Lane) -> u32 {
            self.connections.iter().zip(&self.reads).filter(|(turn, _)| turn.lane == wanted).map(|(_, reads)| reads).sum()
        }
    }

    #[test]
    fn lanes_take_turns_however_many_connections_each_has() {
        let mut busy = Busy::new(&[(1, 100), (2, 4), (3, 1)]);
        (0..1_000).for_each(|_| busy.round());
        let reads = [1, 2, 3].map(|last| busy.of(lane(last)));
        assert_eq!(reads, [4_000, 4_000, 1_000], "a connection asks once in a round");
    }

    #[test]
    fn within_a_lane_nobody_is_left_behind() {
        let mut busy = Busy::new(&[(1, 100)]);
        (0..1_000).for_each(|_| busy.round());
        assert!(busy.reads.iter().all(|reads| (39..=41).contains(reads)), "{:?}", busy.reads);
    }

    #[test]
    fn who_is_gone_is_waited_for_by_nobody_and_who_is_not_busy_never_waits() {
        let mut busy = Busy::new(&[(1, 10)]);
        busy.round();
        let mut alone = ReadTurn::new(lane(2));
        for read in 0..1_000 {
            busy.order.renew(busy.now);
            assert_eq!(busy.order.take_or_wait(&mut alone, Waker::noop(), busy.now), TurnAnswer::InTurn, "{read}");
        }
        let mut order = ReadOrder::default();
        for read in 0..1_000 {
            let now = busy.now + Duration::from_millis(read * 2);
            assert_eq!(order.take_or_wait(&mut alone, Waker::noop(), now), TurnAnswer::InTurn, "{read}");
            assert!(!order.is_passing && order.lanes.len() == 1);
        }
        ORDER.with_borrow_mut(|order| {
            let mut turns: Vec<ReadTurn> = (0..6).map(|_| ReadTurn::new(lane(3))).collect();
            let mut passes = |turn: &mut ReadTurn| order.take_or_wait(turn, Waker::noop(), busy.now) == TurnAnswer::InTurn;
            let passed = turns.iter_mut().map(&mut passes).filter(|passed| *passed);
            assert_eq!(passed.count(), 4);
            assert_eq!(order.lanes[&lane(3)].waiting.len(), 2);
            turns
        });
        ORDER.with_borrow(|order| assert!(order.lanes[&lane(3)].waiting.is_empty(), "they were dropped"));
    }
}
