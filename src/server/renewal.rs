//! Keys by age: the server makes the key that follows another, as `keys rotate` does, and takes it up as it would that.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::failure::{Failure, with_causes};
use crate::config::KeySettings;
use crate::oauth::{Clock, Time};
use crate::store::{KeyAges, KeyFiles};

/// The time between two looks at the ages.
const PERIOD: Duration = Duration::from_mins(10);

/// Looks at the ages of all keys, now and from time to time. Never returns.
pub(super) async fn watch(settings: KeySettings, clock: Arc<dyn Clock>) {
    let settings = Arc::new(settings);
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (settings, now) = (Arc::clone(&settings), clock.now());
        if let Ok(Err(why)) = tokio::task::spawn_blocking(move || renew(&settings, now)).await {
            tracing::error!("a key that is old enough was not followed by another: {why}");
        }
    }
}

fn renew(settings: &KeySettings, now: Time) -> Result<(), Failure> {
    let ages = KeyAges { signing: settings.rotate_after, secrets: settings.rotate_secrets_after };
    let renewed = KeyFiles::open(&settings.dir, now)?.renew(&ages, now);
    for check in renewed.map_err(|reason| Failure::new(with_causes(&reason)))? {
        tracing::info!(key = check.id, role = check.of.name(), "a key was made that follows another one");
    }
    Ok(())
}
