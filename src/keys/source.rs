//! Sources of keys: the configuration, an address, or the SPIFFE Workload API, and how often they are asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::{Reach, TrustBundle, WorkloadApi};
use crate::jose::KeySet;
use crate::net;
use crate::oauth::{Issuer, SpiffeId, TrustDomain};
use crate::x509::Roots;

/// The source of a rule's keys.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// From the configuration: inline or a file, or for kind `spiffe` the file of a bundle, read with
    /// [`crate::jose::KeyUse::JwtSvid`].
    Fixed(Arc<KeySet>),
    /// From the configuration: a SPIFFE bundle with its X.509 authorities.
    Bundle(Arc<TrustBundle>),
    /// From the configuration: the roots of an enterprise PKI.
    Roots(Arc<Roots>),
    /// From the network.
    Remote(KeyLocation, RefreshPolicy),
}

/// The address that keys are fetched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyLocation {
    /// The `jwks_uri` of an issuer's OpenID configuration (OpenID Connect Discovery §4). It must be on the issuer's own host,
    /// or on one of `hosts` (`host` or `host:port`).
    Discovery {
        /// The issuer, whose own configuration it must be.
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
    /// The SPIFFE Workload API, which streams the bundle of the rule's trust domain.
    Workload(WorkloadApi),
    /// One of the above, reached in this way.
    Within(Box<KeyLocation>, Box<Reach>),
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
        bootstrap: Arc<TrustBundle>,
        /// True for an endpoint of the very domain whose bundle it serves: then what it served last counts next.
        own: bool,
    },
}

/// How often keys are fetched, and how long they count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RefreshPolicy {
    /// Between two fetches, where the answer names no `max-age`.
    pub interval: Duration,
    /// The shortest time between two fetches after one that succeeded, whoever asks.
    pub cool_down: Duration,
    /// The wait after the first fetch that failed; it doubles up to the interval.
    pub retry: Duration,
    /// The greatest age at which the last good keys count when no newer ones can be had.
    pub max_stale: Duration,
    /// The longest time that a request waits for a fetch in flight.
    pub wait_max: Duration,
}

/// One thing that a task fetches again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FetchTarget {
    pub(super) location: KeyLocation,
    pub(super) policy: RefreshPolicy,
    pub(super) part: MaterialPart,
    /// The trust domain whose bundle it is, for a rule of kind `spiffe`.
    pub(super) domain: Option<TrustDomain>,
}

/// The part of a rule's key material that one task fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MaterialPart {
    /// All of it.
    Whole,
    /// The keys of JWT-SVIDs.
    Tokens,
    /// The roots of X509-SVIDs.
    Certificates,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(300),
            cool_down: Duration::from_secs(30),
            retry: Duration::from_secs(2),
            max_stale: Duration::from_secs(24 * 3600),
            wait_max: Duration::from_secs(3),
        }
    }
}

impl RefreshPolicy {
    /// The wait after so many failures in a row.
    pub(super) fn back_off(&self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.retry.saturating_mul(doubled).min(self.interval)
    }
}

impl FetchTarget {
    /// All keys at `location`, of somebody who is no trust domain.
    pub(super) fn whole(location: KeyLocation, policy: RefreshPolicy) -> Self {
        Self { location, policy, part: MaterialPart::Whole, domain: None }
    }
}

impl KeySource {
    /// False for an address that no fetcher goes to.
    pub(crate) fn is_fetchable(&self) -> bool {
        match self {
            Self::Remote(location, _) => {
                let plain = location.reach().is_some_and(|reach| reach.plain);
                location.uri().is_none_or(|uri| net::may_fetch(uri, plain))
            }
            _ => true,
        }
    }
}

impl KeyLocation {
    /// The location itself, without how it is reached.
    pub(super) fn plain(&self) -> &Self {
        match self {
            Self::Within(inner, _) => inner.plain(),
            plain => plain,
        }
    }

    /// How it is reached, where that is said.
    pub(crate) fn reach(&self) -> Option<&Reach> {
        if let Self::Within(_, reach) = self { Some(reach) } else { None }
    }

    /// True where the keys are found by the issuer's name.
    pub(crate) fn is_discovered(&self) -> bool {
        matches!(self.plain(), Self::Discovery { .. })
    }

    /// True for the source of a SPIFFE bundle.
    pub(crate) fn is_bundle(&self) -> bool {
        matches!(self.plain(), Self::Bundle { .. } | Self::Workload(_))
    }

    /// The parts of a rule's key material that are fetched each by a task of its own.
    pub(super) fn parts(&self) -> &'static [MaterialPart] {
        match self.plain() {
            Self::Workload(_) => &[MaterialPart::Tokens, MaterialPart::Certificates],
            _ => &[MaterialPart::Whole],
        }
    }

    fn uri(&self) -> Option<&Url> {
        match self.plain() {
            Self::Uri(uri) | Self::Bundle { url: uri, .. } => Some(uri),
            _ => None,
        }
    }
}

impl fmt::Display for KeyLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discovery { issuer, .. } => write!(f, "{issuer}"),
            Self::Uri(uri) | Self::Bundle { url: uri, .. } => write!(f, "{uri}"),
            Self::Workload(api) => api.fmt(f),
            Self::Within(inner, _) => inner.fmt(f),
        }
    }
}
