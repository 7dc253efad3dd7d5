//! The clock that everything goes by: a clock that tells the time, compared with one that only counts. A reading that is too far
//! ahead is doubted, and then the time is that which has passed since the last one that was not. One record with a time far ahead
//! would keep everything after it from being issued until then, so nothing is recorded meanwhile.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use crate::oauth::{Clock, Time};

/// So far the clock may leap ahead while the server runs.
const LEAP_MAX: Duration = Duration::from_hours(24);

/// So long after the newest record the clock may stand at a start.
const PAUSE_MAX: Duration = Duration::from_hours(30 * 24);

/// The two clocks of a machine.
pub trait Timepieces: Send + Sync {
    /// The time, as the machine has it. It may be set.
    fn wall(&self) -> Time;

    /// The time that has passed since some moment before. It cannot be set.
    fn passed(&self) -> Duration;
}

/// The clock of a machine, as far as it is believed.
#[derive(Debug)]
pub struct CheckedClock<T> {
    timepieces: T,
    /// A time that somebody vouched for.
    vouched: Time,
    /// The wall clock, less the time that has passed, in milliseconds, as it was last believed.
    offset: AtomicI64,
    /// So many milliseconds ahead of that a reading is believed.
    tolerance: AtomicI64,
    /// The last reading was doubted.
    doubted: AtomicBool,
}

impl<T: Timepieces> CheckedClock<T> {
    /// A clock that is believed until it `begins`. `vouched` is a time that somebody said has come.
    pub fn new(timepieces: T, vouched: Option<Time>) -> Self {
        let offset = AtomicI64::new(timepieces.wall().millis().saturating_sub(millis(timepieces.passed())));
        let vouched = vouched.unwrap_or(Time::from_millis(0));
        Self { timepieces, vouched, offset, tolerance: AtomicI64::new(i64::MAX), doubted: AtomicBool::new(false) }
    }

    /// The time, and by how much the wall clock is ahead of what is believed.
    fn read(&self) -> (Time, Option<Duration>) {
        let (wall, passed) = (self.timepieces.wall(), millis(self.timepieces.passed()));
        let line = self.offset.load(Ordering::SeqCst).saturating_add(passed);
        let ahead = wall.millis().saturating_sub(line);
        if ahead > self.tolerance.load(Ordering::SeqCst) {
            return (Time::from_millis(line), Some(wall.since(Time::from_millis(line))));
        }
        // One that is behind is told as it is, and believed no less when it comes back.
        if ahead > 0 {
            self.believe(wall, passed);
        }
        (wall, None)
    }

    fn believe(&self, wall: Time, passed: i64) {
        self.offset.fetch_max(wall.millis().saturating_sub(passed), Ordering::SeqCst);
        // Nothing is compared before the beginning.
        if self.tolerance.load(Ordering::SeqCst) != i64::MAX {
            self.tolerance.store(millis(LEAP_MAX), Ordering::SeqCst);
        }
    }

    /// Tells once that a doubt begins, and that it ends.
    fn tell(&self, doubt: Option<Duration>) {
        if self.doubted.swap(doubt.is_some(), Ordering::SeqCst) == doubt.is_some() {
            return;
        }
        match doubt {
            Some(ahead) => tracing::error!(
                ahead_s = ahead.as_secs(),
                "the clock of this machine is too far ahead of the newest record and the time that has passed since, so nothing \
                 is issued and nothing recorded; put it right, or, where it is right, say so by `countersign clock accept`"
            ),
            None => tracing::info!("the clock of this machine is believed again"),
        }
    }
}

impl<T: Timepieces> Clock for CheckedClock<T> {
    fn now(&self) -> Time {
        let (now, doubt) = self.read();
        self.tell(doubt);
        now
    }

    fn doubt(&self) -> Option<Duration> {
        self.read().1
    }

    fn begin(&self, newest: Time) {
        let newest = newest.max(self.vouched);
        if newest.millis() == 0 {
            return self.tolerance.store(millis(LEAP_MAX), Ordering::SeqCst);
        }
        let passed = millis(self.timepieces.passed());
        self.offset.store(newest.millis().saturating_sub(passed), Ordering::SeqCst);
        self.tolerance.store(millis(PAUSE_MAX), Ordering::SeqCst);
    }

    fn accept(&self) {
        let (wall, passed) = (self.timepieces.wall(), millis(self.timepieces.passed()));
        self.offset.store(wall.millis().saturating_sub(passed), Ordering::SeqCst);
        self.tolerance.store(millis(LEAP_MAX), Ordering::SeqCst);
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
