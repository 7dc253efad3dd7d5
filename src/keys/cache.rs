//! Caches of keys that are published by others, each kept fresh by a task, and the keys of a client.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::task::AbortHandle;
use url::Url;

use super::source::FetchTarget;
use super::state::CacheState;
use super::{KeyLocation, KeyMaterial, KeysUnavailable, RefreshPolicy, Sequences, refresh, workload};
use crate::jose::KeySet;
use crate::net::Fetcher;
use crate::oauth::{Clock, Time};

/// Keys from the network. A task fetches them; requests read what is there and at most ask it to hurry.
#[derive(Debug)]
pub(crate) struct JwksCache {
    pub(super) state: Arc<CacheState>,
    task: OnceLock<AbortHandle>,
}

/// Public keys of a client, given with its registration or kept fresh like an issuer's where it publishes them (`jwks_uri`, RFC
/// 7591 §2). The address comes from the configuration, never from a token.
#[derive(Clone, Debug)]
pub struct ClientJwks(JwksSource);

#[derive(Clone, Debug)]
enum JwksSource {
    Given(Arc<KeySet>),
    Remote(Arc<JwksCache>),
}

impl JwksCache {
    pub(super) fn new(target: FetchTarget, sequences: &Arc<Sequences>) -> Self {
        Self { state: Arc::new(CacheState::new(target, Arc::clone(sequences))), task: OnceLock::new() }
    }

    pub(super) fn target(&self) -> &FetchTarget {
        &self.state.target
    }

    /// Starts the task that fetches; calling it again starts nothing twice. Must be called on a tokio runtime.
    pub(crate) fn keep_fresh(&self, fetcher: Fetcher, clock: Arc<dyn Clock>) {
        let state = Arc::clone(&self.state);
        let spawn = || match state.target.location.plain() {
            KeyLocation::Workload(api) => tokio::spawn(workload::run(api.clone(), state, clock)).abort_handle(),
            _ => tokio::spawn(refresh::run(state, fetcher, clock)).abort_handle(),
        };
        self.task.get_or_init(spawn);
    }

    /// The keys that count at `now`, without waiting for anybody.
    pub(super) fn at_hand(&self, now: Time) -> Option<KeyMaterial> {
        self.state.current(now)
    }

    pub(super) fn age(&self, now: Time) -> Option<Duration> {
        self.state.fetched.load().as_ref().map(|fetched| now.since(fetched.at))
    }

    /// The numbers of fetches and of those that failed.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.state.fetches.load(Ordering::Relaxed), self.state.failures.load(Ordering::Relaxed))
    }

    /// The keys that count now, or after the first look at the issuer.
    pub(super) async fn in_force(&self, now: Time) -> Result<KeyMaterial, KeysUnavailable> {
        match self.state.current(now) {
            Some(material) => Ok(material),
            None => self.after_refetch(now).await,
        }
    }

    /// The keys that count after one more look at the issuer, unless it was looked at just now.
    ///
    /// # Errors
    /// When there are none that are fresh enough.
    pub(crate) async fn after_refetch(&self, now: Time) -> Result<KeyMaterial, KeysUnavailable> {
        self.state.await_fetch().await;
        self.state.current(now).ok_or(KeysUnavailable)
    }
}

impl Drop for JwksCache {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl From<KeySet> for ClientJwks {
    fn from(keys: KeySet) -> Self {
        Self(JwksSource::Given(Arc::new(keys)))
    }
}

impl ClientJwks {
    /// The keys that are published at `uri`, none yet.
    pub fn at(uri: Url) -> Self {
        Self::refreshed(uri, RefreshPolicy::default())
    }

    /// The keys that are published at `uri`, fetched as `policy` says.
    pub(crate) fn refreshed(uri: Url, policy: RefreshPolicy) -> Self {
        let target = FetchTarget::whole(KeyLocation::Uri(uri), policy);
        Self(JwksSource::Remote(Arc::new(JwksCache::new(target, &Arc::default()))))
    }

    /// These keys; where one of `known` fetches from the same address, that one goes on, so that a reload asks nobody again.
    #[must_use]
    pub fn or_known<'a>(self, known: impl IntoIterator<Item = &'a Self>) -> Self {
        let JwksSource::Remote(own) = &self.0 else { return self };
        let location = &own.target().location;
        let same = |keys: &&Self| matches!(&keys.0, JwksSource::Remote(known) if known.target().location == *location);
        known.into_iter().find(same).cloned().unwrap_or(self)
    }

    /// True for keys that were given, none of which is usable.
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, JwksSource::Given(keys) if keys.is_empty())
    }

    /// True for keys that the client publishes.
    pub fn is_published(&self) -> bool {
        matches!(&self.0, JwksSource::Remote(_))
    }

    /// False where they are published and none is fresh enough at `now`.
    pub fn is_at_hand(&self, now: Time) -> bool {
        match &self.0 {
            JwksSource::Given(_) => true,
            JwksSource::Remote(cache) => cache.at_hand(now).is_some(),
        }
    }

    /// Keeps them fresh from now on, where they are published. Must be called on a tokio runtime; calling it again starts
    /// nothing twice.
    pub fn keep_fresh(&self, fetcher: &Fetcher, clock: &Arc<dyn Clock>) {
        if let JwksSource::Remote(cache) = &self.0 {
            cache.keep_fresh(fetcher.clone(), Arc::clone(clock));
        }
    }

    /// The keys by their RFC 7638 thumbprints, or the address at which they are published.
    pub fn described(&self) -> Vec<String> {
        match &self.0 {
            JwksSource::Given(keys) => keys.keys().iter().map(|key| key.thumbprint().to_string()).collect(),
            JwksSource::Remote(cache) => vec![cache.target().location.to_string()],
        }
    }

    /// The keys that count now.
    ///
    /// # Errors
    /// When there are none that are fresh enough.
    pub async fn in_force(&self, now: Time) -> Result<Arc<KeySet>, KeysUnavailable> {
        match &self.0 {
            JwksSource::Given(keys) => Ok(Arc::clone(keys)),
            JwksSource::Remote(cache) => cache.in_force(now).await.map(|material| material.keys),
        }
    }

    /// The keys that count after one more look at where they are published, if the policy allows it: for a `kid` that is
    /// unknown. None where there is nothing to look at.
    ///
    /// # Errors
    /// As [`Self::in_force`].
    pub async fn after_refetch(&self, now: Time) -> Result<Option<Arc<KeySet>>, KeysUnavailable> {
        match &self.0 {
            JwksSource::Given(_) => Ok(None),
            JwksSource::Remote(cache) => cache.after_refetch(now).await.map(|material| Some(material.keys)),
        }
    }
}
