//! Points in time. Nothing here reads a clock: the endpoints and the commit do, and pass the instant down.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// How far ahead of ours another's clock may be: `iat` and `nbf` only. An `exp` is never stretched.
pub const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// An instant from milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// An instant from whole seconds since the epoch; saturates at the ends of time.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down: an expiry never grows by rounding.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The instant `span` later; saturates.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The instant `span` earlier; saturates.
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Whole seconds from `earlier` on, after which this time has come; 0 where it has.
    pub fn seconds_after(self, earlier: Time) -> u32 {
        let millis = self.millis().saturating_sub(earlier.millis()).max(0);
        u32::try_from(millis.saturating_add(999) / 1000).unwrap_or(u32::MAX)
    }

    /// How long from `earlier` to `self`; zero when `earlier` is not earlier.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// The source of the present instant. Only the HTTP handlers and the commit hold one.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Time;

    /// By how much the machine's clock is ahead of what is believed; none where it is believed. `now` is believed either way.
    fn doubt(&self) -> Option<Duration> {
        None
    }

    /// A server begins, and knows that it was `newest` once; 1970 where it knows nothing.
    fn begin(&self, newest: Time) {
        let _believed_anyway = newest;
    }

    /// The machine's clock is right as it is.
    fn accept(&self) {}
}

/// A `NumericDate` claim (RFC 7519 §2): a JSON number of seconds, integral or not; never a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumericDate(pub Time);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumericDateVisitor)
    }
}

struct NumericDateVisitor;

/// Beyond the year 9999 a date is nonsense and would only invite overflow.
const SECONDS_MAX: i64 = 253_402_300_799;

impl Visitor<'_> for NumericDateVisitor {
    type Value = NumericDate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of seconds since the epoch")
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<NumericDate, E> {
        match (0..=SECONDS_MAX).contains(&seconds) {
            true => Ok(NumericDate(Time::from_seconds(seconds))),
            false => Err(E::custom("date out of range")),
        }
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<NumericDate, E> {
        self.visit_i64(i64::try_from(seconds).map_err(E::custom)?)
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<NumericDate, E> {
        match seconds.is_finite() && (0.0..=SECONDS_MAX as f64).contains(&seconds) {
            true => Ok(NumericDate(Time::from_millis((seconds * 1000.0).floor() as i64))),
            false => Err(E::custom("date out of range")),
        }
    }
}
