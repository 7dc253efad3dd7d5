//! Keys from the network: what a task keeps fresh, and requests read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::AbortHandle;

use super::fetch::{Peer, Route};
use super::keys::KeyMaterial;
use super::{
    BundleProfile, FetchReason, Fetcher, KeyLocation, RefreshPolicy, Sequences, TrustDomain, TrustReason, refresh, workload,
};
use crate::oauth::{Clock, Time};

/// Keys from the network. A task fetches them; requests read what is there and at most ask it to hurry.
#[derive(Debug)]
pub(super) struct JwksCache {
    shared: Arc<Shared>,
    task: OnceLock<AbortHandle>,
}

/// What the task and the requests share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) errand: FetchTarget,
    pub(super) sequences: Arc<Sequences>,
    pub(super) fetched: ArcSwapOption<Fetched>,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) wanted: Notify,
    pub(super) fetches: AtomicU64,
    pub(super) failures: AtomicU64,
    waiting: Semaphore,
}

/// What is to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FetchTarget {
    pub(super) location: KeyLocation,
    pub(super) pace: RefreshPolicy,
    pub(super) part: Part,
    /// Whose bundle it is, for a rule of kind `spiffe`.
    pub(super) domain: Option<TrustDomain>,
}

impl FetchTarget {
    /// All keys of somebody who is no trust domain.
    pub(super) fn whole(location: KeyLocation, pace: RefreshPolicy) -> Self {
        Self { location, pace, part: Part::Whole, domain: None }
    }
}

/// Which part of a rule's material is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// The keys of JWT-SVIDs.
    Tokens,
    /// The roots of X509-SVIDs.
    Certificates,
}

/// What was fetched, and when.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) material: KeyMaterial,
    pub(super) at: Time,
}

/// What the task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Fetching, or about to.
    Fetching,
    /// Resting: it will not fetch now, whoever asks.
    Resting,
    /// Waiting for its time to come, or to be asked.
    Ready,
}

/// No more requests than this wait for one issuer; the others are answered at once.
const WAITING_MAX: usize = 64;

impl JwksCache {
    pub(super) fn new(errand: FetchTarget, sequences: &Arc<Sequences>) -> Self {
        Self { shared: Arc::new(Shared::new(errand, Arc::clone(sequences))), task: OnceLock::new() }
    }

    pub(super) fn errand(&self) -> &FetchTarget {
        &self.shared.errand
    }

    pub(super) fn keep_fresh(&self, fetcher: Fetcher, clock: Arc<dyn Clock>) {
        let shared = Arc::clone(&self.shared);
        let spawn = || match shared.errand.location.plain() {
            KeyLocation::Workload(api) => tokio::spawn(workload::run(api.clone(), shared, clock)).abort_handle(),
            _ => tokio::spawn(refresh::run(shared, fetcher, clock)).abort_handle(),
        };
        self.task.get_or_init(spawn);
    }

    /// What counts now, without waiting for anybody.
    pub(super) fn at_hand(&self, now: Time) -> Option<KeyMaterial> {
        self.shared.current(now)
    }

    pub(super) fn age(&self, now: Time) -> Option<Duration> {
        self.shared.fetched.load().as_ref().map(|fetched| now.since(fetched.at))
    }

    /// How often they were fetched, and how often that failed.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.shared.fetches.load(Ordering::Relaxed), self.shared.failures.load(Ordering::Relaxed))
    }

    /// What counts now, or after the first look at the issuer.
    pub(super) async fn in_force(&self, now: Time) -> Result<KeyMaterial, TrustReason> {
        match self.shared.current(now) {
            Some(material) => Ok(material),
            None => self.after_refetch(now).await,
        }
    }

    /// What counts after one more look at the issuer, unless it was looked at just now.
    pub(super) async fn after_refetch(&self, now: Time) -> Result<KeyMaterial, TrustReason> {
        self.shared.await_fetch().await;
        self.shared.current(now).ok_or(TrustReason::KeysUnavailable)
    }
}

impl Shared {
    pub(super) fn new(errand: FetchTarget, sequences: Arc<Sequences>) -> Self {
        let (phase, _) = watch::channel(Phase::Fetching);
        Self {
            errand,
            sequences,
            fetched: ArcSwapOption::empty(),
            phase,
            wanted: Notify::new(),
            fetches: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            waiting: Semaphore::new(WAITING_MAX),
        }
    }

    /// How the address may be reached now.
    pub(super) fn way(&self) -> Route {
        let networks = self.errand.location.networks().to_vec();
        let KeyLocation::Bundle { profile: BundleProfile::Spiffe { id, bootstrap, own }, .. } = self.errand.location.plain()
        else {
            return Route { networks, peer: None };
        };
        let latest = self.fetched.load();
        let served = latest.as_ref().filter(|_| *own).and_then(|fetched| fetched.material.roots.clone());
        let roots = served.unwrap_or_else(|| Arc::clone(&bootstrap.roots));
        Route { networks, peer: Some(Peer { id: id.clone(), roots }) }
    }

    fn current(&self, now: Time) -> Option<KeyMaterial> {
        let fetched = self.fetched.load();
        let fetched = fetched.as_ref().filter(|fetched| now.since(fetched.at) < self.errand.pace.ceiling)?;
        Some(fetched.material.clone())
    }

    /// Puts `material` in force.
    pub(super) fn keep(&self, material: KeyMaterial, clock: &dyn Clock) {
        let (usable, skipped) = (material.keys.keys().len(), material.keys.skipped().len());
        let roots = material.roots.as_ref().map_or(0, |roots| roots.len());
        tracing::debug!(location = %self.errand.location, usable, skipped, roots, "keys fetched");
        self.fetched.store(Some(Arc::new(Fetched { material, at: clock.now() })));
    }

    /// Tells that nothing came, which changes nothing: the last good keys count until they are too old. The answer is how long to
    /// wait after so many failures in a row.
    pub(super) fn failed(&self, reason: &FetchReason, failures: u32) -> Duration {
        self.failures.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(location = %self.errand.location, %reason, failures, "keys could not be fetched");
        self.errand.pace.back_off(failures)
    }

    /// Waits for the fetch in flight, or asks for one; returns at once when the task is resting or too many wait already.
    async fn await_fetch(&self) {
        let Ok(_seat) = self.waiting.try_acquire() else { return };
        let mut phase = self.phase.subscribe();
        let now = *phase.borrow_and_update();
        match now {
            Phase::Resting => return,
            Phase::Ready => self.wanted.notify_one(),
            Phase::Fetching => (),
        }
        let done = phase.wait_for(|phase| *phase == Phase::Resting);
        let _ = tokio::time::timeout(self.errand.pace.patience, done).await.map(|phase| phase.is_ok());
    }
}

impl Drop for JwksCache {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}
