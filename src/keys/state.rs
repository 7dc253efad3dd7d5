//! The state that a task which fetches keys shares with the requests that read them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};

use super::source::FetchTarget;
use super::spiffe_tls::{self, SpiffeServer};
use super::{BundleProfile, KeyLocation, KeyMaterial, RefreshReason, Sequences};
use crate::net::{FetchReason, Route};
use crate::oauth::{Clock, Time};

/// The keys of one [`FetchTarget`], and the task that fetches them.
#[derive(Debug)]
pub(super) struct CacheState {
    pub(super) target: FetchTarget,
    pub(super) sequences: Arc<Sequences>,
    pub(super) fetched: ArcSwapOption<Fetched>,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) wanted: Notify,
    pub(super) fetches: AtomicU64,
    pub(super) failures: AtomicU64,
}

/// Key material and the instant at which it was fetched.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) material: KeyMaterial,
    pub(super) at: Time,
}

/// The phase of the task that fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Fetching, or about to.
    Fetching,
    /// Resting: it will not fetch now, whoever asks.
    Resting,
    /// Waiting for its time to come, or to be asked.
    Ready,
}

/// The number of keys left out that one line names.
const LEFT_OUT_TOLD: usize = 8;

impl CacheState {
    pub(super) fn new(target: FetchTarget, sequences: Arc<Sequences>) -> Self {
        let (phase, _) = watch::channel(Phase::Fetching);
        Self {
            target,
            sequences,
            fetched: ArcSwapOption::empty(),
            phase,
            wanted: Notify::new(),
            fetches: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// How the address may be reached now.
    ///
    /// # Errors
    /// When there can be no TLS client, or the token that it takes is not there.
    pub(super) async fn route(&self) -> Result<Route, RefreshReason> {
        let config = |server| spiffe_tls::client_config(server).ok_or(FetchReason::Client);
        let tls = self.spiffe_server().map(config).transpose()?;
        let Some(reach) = self.target.location.reach() else { return Ok(Route { tls, ..Route::default() }) };
        let route = reach.route().await?;
        Ok(Route { tls: tls.or(route.tls), ..route })
    }

    /// The server that must answer now, where a SPIFFE ID proves it.
    pub(super) fn spiffe_server(&self) -> Option<SpiffeServer> {
        let KeyLocation::Bundle { profile: BundleProfile::Spiffe { id, bootstrap, own }, .. } = self.target.location.plain()
        else {
            return None;
        };
        let latest = self.fetched.load();
        let served = latest.as_ref().filter(|_| *own).and_then(|fetched| fetched.material.roots.clone());
        Some(SpiffeServer { id: id.clone(), roots: served.unwrap_or_else(|| Arc::clone(&bootstrap.roots)) })
    }

    /// The keys that count at `now`, without waiting for anybody.
    pub(super) fn current(&self, now: Time) -> Option<KeyMaterial> {
        let fetched = self.fetched.load();
        let fetched = fetched.as_ref().filter(|fetched| now.since(fetched.at) < self.target.policy.max_stale)?;
        Some(fetched.material.clone())
    }

    /// Puts `material` in force.
    pub(super) fn keep(&self, material: KeyMaterial, clock: &dyn Clock) {
        let (usable, left_out) = (material.keys.keys().len(), material.keys.left_out().len());
        let roots = material.roots.as_ref().map_or(0, |roots| roots.len());
        tracing::debug!(location = %self.target.location, usable, left_out, roots, "keys fetched");
        self.tell_unused(&material);
        self.fetched.store(Some(Arc::new(Fetched { material, at: clock.now() })));
    }

    /// Tells what of `material` is not used, once for as long as that stays so.
    fn tell_unused(&self, material: &KeyMaterial) {
        let unused = |material: &KeyMaterial| {
            let (set, roots) = (&material.keys, material.roots.as_ref().map_or(0, |roots| roots.len()));
            let told = set.left_out().iter().filter(|key| !key.is_by_design(set.key_use())).map(ToString::to_string);
            (told.collect::<Vec<String>>(), set.is_empty() && roots == 0)
        };
        let (left_out, empty) = unused(material);
        let known = self.fetched.load().as_ref().map(|before| unused(&before.material)).unwrap_or_default();
        let location = &self.target.location;
        if !left_out.is_empty() && left_out != known.0 {
            let (count, keys) = (left_out.len(), left_out.iter().take(LEFT_OUT_TOLD).cloned().collect::<Vec<_>>().join("; "));
            tracing::warn!(%location, count, %keys, "keys are left out of what was fetched; the others count");
        }
        if empty && !known.1 {
            tracing::warn!(%location, "what was fetched has no usable key, so every token under it is refused");
        }
    }

    /// Tells that nothing came, which changes nothing: the last good keys count until they are too old. The answer is how long
    /// to wait after so many failures in a row.
    pub(super) fn failed(&self, reason: &RefreshReason, failures: u32) -> Duration {
        self.failures.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(location = %self.target.location, %reason, failures, "keys could not be fetched");
        self.target.policy.back_off(failures)
    }

    /// Waits for the fetch in flight, or asks for one; returns at once when the task is resting. All wait for the same fetch,
    /// each in a connection, of which every address has its share: a bound of its own would be one that a single client fills.
    pub(super) async fn await_fetch(&self) {
        let mut phase = self.phase.subscribe();
        let now = *phase.borrow_and_update();
        match now {
            Phase::Resting => return,
            Phase::Ready => self.wanted.notify_one(),
            Phase::Fetching => (),
        }
        let done = phase.wait_for(|phase| *phase == Phase::Resting);
        let _ = tokio::time::timeout(self.target.policy.wait_max, done).await.map(|phase| phase.is_ok());
    }
}
