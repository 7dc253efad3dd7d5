//! The keys of a rule: fixed, or fetched and kept fresh.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::AbortHandle;
use url::Url;

use super::{Fetcher, TrustReason, fetch, refresh};
use crate::jose::{KeySet, KeyUse};
use crate::oauth::{Clock, Issuer, RuleName, Time};

/// Where the keys of a rule come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// From the configuration: inline or a file, or for kind `spiffe` the file of a bundle, read with [`KeyUse::JwtSvid`].
    Fixed(Arc<KeySet>),
    /// From the network.
    Remote(KeyLocation, Pace),
}

/// Which address keys are fetched from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyLocation {
    /// What the issuer's OpenID configuration names as `jwks_uri` (OpenID Connect Discovery §4). It must be on the issuer's own
    /// host, or on one of `hosts` (`host` or `host:port`).
    Discovery {
        /// Whose.
        issuer: Issuer,
        /// Further hosts that the key set may be on.
        hosts: Vec<String>,
    },
    /// This address.
    Uri(Url),
}

/// How often keys are fetched, and how long they count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pace {
    /// Between two fetches, where the answer names no `max-age`.
    pub interval: Duration,
    /// The shortest time between two fetches after one that succeeded, whoever asks.
    pub cool_down: Duration,
    /// The wait after the first fetch that failed; it doubles up to the interval.
    pub retry: Duration,
    /// How long the last good keys count when no newer ones can be had.
    pub ceiling: Duration,
    /// How long a request waits for a fetch in flight.
    pub patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(300),
            cool_down: Duration::from_secs(30),
            retry: Duration::from_secs(2),
            ceiling: Duration::from_secs(24 * 3600),
            patience: Duration::from_secs(3),
        }
    }
}

impl KeySource {
    pub(super) fn is_remote(&self) -> bool {
        matches!(self, Self::Remote(..))
    }

    /// Whether fixed keys were read for that use; remote ones are when they come.
    pub(super) fn is_for(&self, key_use: KeyUse) -> bool {
        match self {
            Self::Fixed(keys) => keys.key_use() == key_use,
            Self::Remote(..) => true,
        }
    }

    pub(super) fn is_fetchable(&self) -> bool {
        match self {
            Self::Remote(KeyLocation::Uri(uri), _) => fetch::is_allowed(uri),
            _ => true,
        }
    }
}

/// The keys of a rule, in use.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    Fixed(Arc<KeySet>),
    Remote(Arc<RemoteKeys>),
}

/// The keys that count now, and where newer ones may come from.
pub(super) struct KeysInForce<'a> {
    pub(super) keys: Arc<KeySet>,
    pub(super) remote: Option<&'a RemoteKeys>,
}

impl Keys {
    /// Takes over what is `known` of the same address, and refuses to go back behind the `replaced` version of a bundle.
    pub(super) fn new<'a>(
        source: &KeySource,
        mut known: impl Iterator<Item = &'a Keys>,
        replaced: Option<&Keys>,
        rule: &RuleName,
    ) -> Self {
        match source {
            KeySource::Fixed(keys) => Self::Fixed(Arc::clone(not_rolled_back(keys, replaced, rule))),
            KeySource::Remote(location, pace) => {
                let same = known.find_map(|keys| keys.remote().filter(|remote| remote.is_of(location, *pace)));
                Self::Remote(same.map_or_else(|| Arc::new(RemoteKeys::new(location.clone(), *pace)), Arc::clone))
            }
        }
    }

    pub(super) fn remote(&self) -> Option<&Arc<RemoteKeys>> {
        match self {
            Self::Remote(remote) => Some(remote),
            Self::Fixed(_) => None,
        }
    }

    pub(super) async fn in_force(&self, now: Time) -> Result<KeysInForce<'_>, TrustReason> {
        match self {
            Self::Fixed(keys) => Ok(KeysInForce { keys: Arc::clone(keys), remote: None }),
            Self::Remote(remote) => Ok(KeysInForce { keys: remote.in_force(now).await?, remote: Some(remote) }),
        }
    }
}

/// A bundle whose sequence number fell is an old one (SPIFFE Trust Domain and Bundle §4.1.2).
fn not_rolled_back<'a>(keys: &'a Arc<KeySet>, replaced: Option<&'a Keys>, rule: &RuleName) -> &'a Arc<KeySet> {
    match replaced {
        Some(Keys::Fixed(before)) if keys.sequence().is_some() && keys.sequence() < before.sequence() => {
            tracing::warn!(%rule, "the bundle has a lower spiffe_sequence than the one in force, which stays");
            before
        }
        _ => keys,
    }
}

/// Keys from the network. A task fetches them; requests read what is there and at most ask it to hurry.
#[derive(Debug)]
pub(super) struct RemoteKeys {
    shared: Arc<Shared>,
    task: OnceLock<AbortHandle>,
}

/// What the task and the requests share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) location: KeyLocation,
    pub(super) pace: Pace,
    pub(super) fetched: ArcSwapOption<Fetched>,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) wanted: Notify,
    waiting: Semaphore,
}

/// A key set and when it was fetched.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) keys: Arc<KeySet>,
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

impl RemoteKeys {
    pub(super) fn new(location: KeyLocation, pace: Pace) -> Self {
        Self { shared: Arc::new(Shared::new(location, pace)), task: OnceLock::new() }
    }

    fn is_of(&self, location: &KeyLocation, pace: Pace) -> bool {
        self.shared.location == *location && self.shared.pace == pace
    }

    pub(super) fn keep_fresh(&self, fetcher: Fetcher, clock: Arc<dyn Clock>) {
        let spawn = || tokio::spawn(refresh::run(Arc::clone(&self.shared), fetcher, clock)).abort_handle();
        self.task.get_or_init(spawn);
    }

    pub(super) async fn in_force(&self, now: Time) -> Result<Arc<KeySet>, TrustReason> {
        match self.shared.current(now) {
            Some(keys) => Ok(keys),
            None => {
                self.shared.await_fetch().await;
                self.shared.current(now).ok_or(TrustReason::KeysUnavailable)
            }
        }
    }

    /// The keys in force after one more look at the issuer, unless it was looked at just now.
    pub(super) async fn after_refetch(&self, now: Time) -> Result<Arc<KeySet>, TrustReason> {
        self.shared.await_fetch().await;
        self.shared.current(now).ok_or(TrustReason::KeysUnavailable)
    }
}

impl Shared {
    pub(super) fn new(location: KeyLocation, pace: Pace) -> Self {
        let (phase, _) = watch::channel(Phase::Fetching);
        let (wanted, waiting) = (Notify::new(), Semaphore::new(WAITING_MAX));
        Self { location, pace, fetched: ArcSwapOption::empty(), phase, wanted, waiting }
    }

    fn current(&self, now: Time) -> Option<Arc<KeySet>> {
        let fetched = self.fetched.load();
        let fetched = fetched.as_ref().filter(|fetched| now.since(fetched.at) < self.pace.ceiling)?;
        Some(Arc::clone(&fetched.keys))
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
        let _ = tokio::time::timeout(self.pace.patience, done).await.map(|phase| phase.is_ok());
    }
}

impl Drop for RemoteKeys {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}
