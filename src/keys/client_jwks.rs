//! The keys of a client: given with its registration, or published by it at an address that its file names.

use std::sync::Arc;

use url::Url;

use super::remote::{FetchTarget, JwksCache};
use super::{Fetcher, KeyLocation, RefreshPolicy, TrustReason};
use crate::jose::KeySet;
use crate::oauth::{Clock, Time};

/// Public keys, kept fresh like an issuer's where they are published (`jwks_uri`, RFC 7591 §2). The address comes from the
/// configuration, never from a token.
#[derive(Clone, Debug)]
pub struct ClientJwks(Where);

#[derive(Clone, Debug)]
enum Where {
    Given(Arc<KeySet>),
    Remote(Arc<JwksCache>, KeyLocation),
}

impl From<KeySet> for ClientJwks {
    fn from(keys: KeySet) -> Self {
        Self(Where::Given(Arc::new(keys)))
    }
}

impl ClientJwks {
    /// The keys that are published at `uri`, none yet.
    pub fn at(uri: Url) -> Self {
        let location = KeyLocation::Uri(uri);
        let errand = FetchTarget::whole(location.clone(), RefreshPolicy::default());
        Self(Where::Remote(Arc::new(JwksCache::new(errand, &Arc::default())), location))
    }

    /// The same, fetched at another pace.
    #[cfg(test)]
    pub(crate) fn paced(uri: Url, pace: RefreshPolicy) -> Self {
        let location = KeyLocation::Uri(uri);
        let errand = FetchTarget::whole(location.clone(), pace);
        Self(Where::Remote(Arc::new(JwksCache::new(errand, &Arc::default())), location))
    }

    /// The same keys; where one of `known` fetches from the same address, that one goes on, so that a reload asks nobody again.
    #[must_use]
    pub fn or_known<'a>(self, known: impl IntoIterator<Item = &'a Self>) -> Self {
        let Where::Remote(_, location) = &self.0 else { return self };
        let same = |keys: &&Self| matches!(&keys.0, Where::Remote(_, known) if known == location);
        known.into_iter().find(same).cloned().unwrap_or(self)
    }

    /// Whether they were given and there is none that is usable.
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Where::Given(keys) if keys.is_empty())
    }

    /// Keeps them fresh from now on, where they are published. Must be called on a tokio runtime; calling it again starts nothing
    /// twice.
    pub fn keep_fresh(&self, fetcher: &Fetcher, clock: &Arc<dyn Clock>) {
        if let Where::Remote(remote, _) = &self.0 {
            remote.keep_fresh(fetcher.clone(), Arc::clone(clock));
        }
    }

    /// The keys that count now.
    ///
    /// # Errors
    /// `KeysUnavailable` when there are none that are fresh enough.
    pub async fn in_force(&self, now: Time) -> Result<Arc<KeySet>, TrustReason> {
        match &self.0 {
            Where::Given(keys) => Ok(Arc::clone(keys)),
            Where::Remote(remote, _) => remote.in_force(now).await.map(|material| material.keys),
        }
    }

    /// The keys that count after one more look at where they are published, if the pace allows it: for a `kid` that is unknown.
    /// None where there is nothing to look at.
    ///
    /// # Errors
    /// As [`Self::in_force`].
    pub async fn after_refetch(&self, now: Time) -> Result<Option<Arc<KeySet>>, TrustReason> {
        match &self.0 {
            Where::Given(_) => Ok(None),
            Where::Remote(remote, _) => remote.after_refetch(now).await.map(|material| Some(material.keys)),
        }
    }
}
