//! Hot reload: one whole valid configuration replaces another, or nothing happens.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::Sources;
use super::build::Config;
use super::load::Fingerprint;
use crate::diagnostic::Diagnostics;

/// The time between two looks at the files.
const PERIOD: Duration = Duration::from_secs(1);

/// Looks every second, and at once on SIGHUP, at all files that make the configuration. Whenever any of them has changed the
/// whole of it is read again and handed to `changed`, which takes the new configuration into use, or logs what is wrong and
/// leaves the old one. On SIGHUP it is read again in any case. Never returns; `changed` runs on a thread that may block.
pub async fn watch<F>(sources: Sources, mut known: Fingerprint, changed: F)
where
    F: Fn(Result<Config, Diagnostics>) + Send + Sync + 'static,
{
    let (sources, changed) = (Arc::new(sources), Arc::new(changed));
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut hangups = signal(SignalKind::hangup()).ok();
    loop {
        let asked = tokio::select! {
            _ = ticks.tick() => false,
            () = hangup(&mut hangups) => true,
        };
        let (sources, changed, before) = (sources.clone(), changed.clone(), known.clone());
        let look = move || look(&sources, before, asked, &*changed);
        if let Ok(now) = tokio::task::spawn_blocking(look).await {
            known = now;
        }
    }
}

/// The next SIGHUP; never comes on a system without signals.
async fn hangup(hangups: &mut Option<tokio::signal::unix::Signal>) {
    match hangups {
        Some(hangups) => drop(hangups.recv().await),
        None => std::future::pending().await,
    }
}

fn look(sources: &Sources, known: Fingerprint, asked: bool, changed: &dyn Fn(Result<Config, Diagnostics>)) -> Fingerprint {
    if !asked && known.again() == known {
        return known;
    }
    let loaded = sources.load();
    changed(loaded.config);
    loaded.fingerprint
}
