//! The keys of a rule: fixed, or fetched and kept fresh.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::AbortHandle;
use url::Url;

use super::fetch::{Peer, Way};
use super::x509::Roots;
use super::{Bundle, Fetcher, Network, SpiffeId, TrustKind, TrustReason, fetch, refresh};
use crate::jose::{KeySet, KeyUse};
use crate::oauth::{Clock, Issuer, RuleName, Time};

/// Where the keys of a rule come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// From the configuration: inline or a file, or for kind `spiffe` the file of a bundle, read with [`KeyUse::JwtSvid`].
    Fixed(Arc<KeySet>),
    /// From the configuration: a SPIFFE bundle with its X.509 authorities.
    Bundle(Arc<Bundle>),
    /// From the configuration: the roots of an enterprise PKI.
    Roots(Arc<Roots>),
    /// From the network.
    Remote(KeyLocation, Pace),
}

/// Which address keys are fetched from.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The bundle endpoint of a SPIFFE trust domain (SPIFFE Federation §5).
    Bundle {
        /// Its address.
        url: Url,
        /// How it proves itself.
        profile: BundleProfile,
    },
    /// One of the above, whose host may lead to these networks although they are not public.
    Within(Box<KeyLocation>, Vec<Network>),
}

/// How a bundle endpoint proves itself (SPIFFE Federation §5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleProfile {
    /// `https_web`: by a certificate of the public PKI for its host.
    Web,
    /// `https_spiffe`: by an X509-SVID.
    Spiffe {
        /// The SPIFFE ID that it must have.
        id: SpiffeId,
        /// The bundle of that ID's trust domain to begin with.
        bootstrap: Arc<Bundle>,
        /// Whether the endpoint is of the very domain whose bundle it serves: then what it served last counts next.
        own: bool,
    },
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
    /// Whether it is fetched as a JWK set rather than a bundle.
    pub(super) fn is_jwks(&self) -> bool {
        matches!(self, Self::Remote(location, _) if !location.is_bundle())
    }

    /// Whether it is of the sort that a rule of `kind` needs.
    pub(super) fn is_for(&self, kind: TrustKind) -> bool {
        match (self, kind) {
            (Self::Fixed(keys), TrustKind::Spiffe) => keys.key_use() == KeyUse::JwtSvid,
            (Self::Fixed(keys), _) => keys.key_use() == KeyUse::Signature && kind.has_issuer(),
            (Self::Bundle(_), _) => kind == TrustKind::Spiffe,
            (Self::Roots(_), _) => kind == TrustKind::X509,
            (Self::Remote(location, _), _) if location.is_bundle() => kind == TrustKind::Spiffe,
            (Self::Remote(..), _) => kind != TrustKind::X509,
        }
    }

    pub(super) fn is_fetchable(&self) -> bool {
        match self {
            Self::Remote(location, _) => location.uri().is_none_or(fetch::is_allowed),
            _ => true,
        }
    }
}

impl KeyLocation {
    /// The location itself, without the networks that it may lead to.
    pub(super) fn plain(&self) -> &Self {
        match self {
            Self::Within(inner, _) => inner.plain(),
            plain => plain,
        }
    }

    pub(super) fn networks(&self) -> &[Network] {
        if let Self::Within(_, networks) = self { networks } else { &[] }
    }

    pub(super) fn is_bundle(&self) -> bool {
        matches!(self.plain(), Self::Bundle { .. })
    }

    fn uri(&self) -> Option<&Url> {
        match self.plain() {
            Self::Uri(uri) | Self::Bundle { url: uri, .. } => Some(uri),
            _ => None,
        }
    }
}

/// What verifies: keys of tokens, and roots of certificates.
#[derive(Clone, Debug)]
pub(super) struct Material {
    pub(super) keys: Arc<KeySet>,
    pub(super) roots: Option<Arc<Roots>>,
}

impl Material {
    pub(super) fn of_bundle(bundle: &Bundle) -> Self {
        Self { keys: Arc::clone(&bundle.keys), roots: Some(Arc::clone(&bundle.roots)) }
    }

    fn of_roots(roots: &Arc<Roots>) -> Self {
        Self { keys: Arc::new(KeySet::of_signing_keys([])), roots: Some(Arc::clone(roots)) }
    }
}

/// The keys of a rule, in use.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    Fixed(Material),
    Remote(Arc<RemoteKeys>),
}

/// What is known of the keys of one rule, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// The rule.
    pub rule: RuleName,
    /// How old they are; none where they cannot be had, or come from the configuration.
    pub age: Option<Duration>,
    /// Whether they count now.
    pub usable: bool,
    /// How often they were fetched.
    pub fetches: u64,
    /// How often that failed.
    pub failures: u64,
}

impl Keys {
    /// Takes over what is `known` of the same address, and refuses to go back behind the `replaced` version of a bundle.
    pub(super) fn new<'a>(
        source: &KeySource,
        mut known: impl Iterator<Item = &'a Keys>,
        replaced: Option<&Keys>,
        rule: &RuleName,
    ) -> Self {
        let fixed = |material: Material| Self::Fixed(not_rolled_back(material, replaced, rule));
        match source {
            KeySource::Fixed(keys) => fixed(Material { keys: Arc::clone(keys), roots: None }),
            KeySource::Bundle(bundle) => fixed(Material::of_bundle(bundle)),
            KeySource::Roots(roots) => Self::Fixed(Material::of_roots(roots)),
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

    /// What counts now, without waiting for anybody.
    pub(super) fn at_hand(&self, now: Time) -> Option<Material> {
        match self {
            Self::Fixed(material) => Some(material.clone()),
            Self::Remote(remote) => remote.shared.current(now),
        }
    }

    pub(super) fn state(&self, rule: &RuleName, now: Time) -> KeyState {
        let (age, counts) = match self {
            Self::Fixed(_) => (None, (0, 0)),
            Self::Remote(remote) => (remote.shared.age(now), remote.shared.counts()),
        };
        KeyState { rule: rule.clone(), age, usable: self.at_hand(now).is_some(), fetches: counts.0, failures: counts.1 }
    }
}

/// A bundle whose sequence number fell is an old one (SPIFFE Trust Domain and Bundle §4.1.1).
fn not_rolled_back(material: Material, replaced: Option<&Keys>, rule: &RuleName) -> Material {
    match replaced {
        // A file without a number is its operator's word; an endpoint that stops numbering is not believed.
        Some(Keys::Fixed(before)) if material.keys.sequence().is_some() && is_older(&material.keys, &before.keys) => {
            tracing::warn!(%rule, "the bundle has a lower spiffe_sequence than the one in force, which stays");
            before.clone()
        }
        _ => material,
    }
}

/// Whether `keys` are of an older version than `before`, or of one that does not say so.
pub(super) fn is_older(keys: &KeySet, before: &KeySet) -> bool {
    keys.sequence() < before.sequence()
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
    pub(super) fetches: AtomicU64,
    pub(super) failures: AtomicU64,
    waiting: Semaphore,
}

/// What was fetched, and when.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) material: Material,
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

    /// What counts now, or after the first look at the issuer.
    pub(super) async fn in_force(&self, now: Time) -> Result<Material, TrustReason> {
        match self.shared.current(now) {
            Some(material) => Ok(material),
            None => self.after_refetch(now).await,
        }
    }

    /// What counts after one more look at the issuer, unless it was looked at just now.
    pub(super) async fn after_refetch(&self, now: Time) -> Result<Material, TrustReason> {
        self.shared.await_fetch().await;
        self.shared.current(now).ok_or(TrustReason::KeysUnavailable)
    }
}

impl Shared {
    pub(super) fn new(location: KeyLocation, pace: Pace) -> Self {
        let (phase, _) = watch::channel(Phase::Fetching);
        Self {
            location,
            pace,
            fetched: ArcSwapOption::empty(),
            phase,
            wanted: Notify::new(),
            fetches: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            waiting: Semaphore::new(WAITING_MAX),
        }
    }

    /// How the address may be reached now.
    pub(super) fn way(&self) -> Way {
        let networks = self.location.networks().to_vec();
        let KeyLocation::Bundle { profile: BundleProfile::Spiffe { id, bootstrap, own }, .. } = self.location.plain() else {
            return Way { networks, peer: None };
        };
        let latest = self.fetched.load();
        let served = latest.as_ref().filter(|_| *own).and_then(|fetched| fetched.material.roots.clone());
        let roots = served.unwrap_or_else(|| Arc::clone(&bootstrap.roots));
        Way { networks, peer: Some(Peer { id: id.clone(), roots }) }
    }

    fn current(&self, now: Time) -> Option<Material> {
        let fetched = self.fetched.load();
        let fetched = fetched.as_ref().filter(|fetched| now.since(fetched.at) < self.pace.ceiling)?;
        Some(fetched.material.clone())
    }

    fn age(&self, now: Time) -> Option<Duration> {
        self.fetched.load().as_ref().map(|fetched| now.since(fetched.at))
    }

    fn counts(&self) -> (u64, u64) {
        (self.fetches.load(Ordering::Relaxed), self.failures.load(Ordering::Relaxed))
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
