//! How often each client may ask: one bucket per client, which holds a second's worth of requests and is filled steadily (the
//! generic cell rate algorithm: one number per client, the time by which its bucket is full again).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::RateExceeded;
use crate::oauth::{ClientId, Time};

/// More clients than this are not remembered at a time; there are never more than are registered.
const CLIENTS_MAX: usize = 65_536;

const SECOND_MICROS: i64 = 1_000_000;

/// When the bucket of each client that asked lately is full again, in microseconds since 1970.
#[derive(Debug, Default)]
pub struct RequestRates(Mutex<HashMap<ClientId, i64>>);

impl RequestRates {
    /// Passes where `client` has one of its requests per second left at `now`, and takes it; 0 bounds nothing.
    ///
    /// # Errors
    /// With the time after which it has one again.
    pub(super) fn take(&self, client: &ClientId, per_second: u32, now: Time) -> Result<(), RateExceeded> {
        if per_second == 0 {
            return Ok(());
        }
        let (now, each) = (now.millis().saturating_mul(1000), SECOND_MICROS / i64::from(per_second));
        let mut clients = self.clients();
        if clients.len() >= CLIENTS_MAX && !clients.contains_key(client) {
            clients.retain(|_, full| *full > now);
        }
        // A clock that was ahead is no reason to wait for it.
        let full = clients.get(client).map_or(now, |full| (*full).clamp(now, now + SECOND_MICROS));
        let is_within = full + each <= now + SECOND_MICROS;
        clients.insert(client.clone(), if is_within { full + each } else { full });
        if !is_within {
            let wait = full + each - now - SECOND_MICROS;
            let seconds = u32::try_from(1 + (wait - 1) / SECOND_MICROS).unwrap_or(1).max(1);
            return Err(RateExceeded { per_second, seconds });
        }
        Ok(())
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<ClientId, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn client(id: &str) -> ClientId {
        ClientId::parse(id).unwrap()
    }

    /// Over any span a client gets its rate, and a second's worth at once; nobody else is touched.
    #[test]
    fn a_client_has_its_rate_and_a_second_of_it_at_once() {
        let (rates, start) = (RequestRates::default(), 1_800_000_000_000);
        for per_second in [1, 7, 1000, 5000] {
            let name = client(&format!("of-{per_second}"));
            let mut passed = 0;
            for millis in 0..10_000 {
                let at = Time::from_millis(start + millis);
                (0..20).for_each(|_| passed += u32::from(rates.take(&name, per_second, at).is_ok()));
            }
            let most = per_second * 11;
            assert!(passed <= most && passed >= (per_second * 10).min(200_000), "{per_second}: {passed}");
            let refused = rates.take(&name, per_second, Time::from_millis(start + 9_999)).unwrap_err();
            assert_eq!((refused.per_second, refused.seconds), (per_second, 1));
            assert!(rates.take(&client("other"), 1000, Time::from_millis(start + 9_999)).is_ok());
        }
    }

    #[test]
    fn zero_bounds_nothing_and_a_clock_that_was_ahead_is_not_waited_for() {
        let (rates, now) = (RequestRates::default(), Time::from_seconds(1_800_000_000));
        assert!((0..100_000).all(|_| rates.take(&client("a"), 0, now).is_ok()) && rates.clients().is_empty());
        let ahead = Time::from_seconds(1_900_000_000);
        assert!(rates.take(&client("a"), 1, ahead).is_ok());
        assert_eq!(rates.take(&client("a"), 1, now).unwrap_err().seconds, 1);
        assert!(rates.take(&client("a"), 1, now.plus(std::time::Duration::from_secs(1))).is_ok());
    }
}
