//! The keys of a rule: fixed, or fetched and kept fresh.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::remote::{FetchTarget, JwksCache, Part};
use super::x509::Roots;
use super::{Network, Sequences, SpiffeId, TrustBundle, TrustKind, TrustRule, WorkloadApi, fetch};
use crate::jose::{KeySet, KeyUse};
use crate::oauth::{Issuer, RuleName, Time};

/// Where the keys of a rule come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// From the configuration: inline or a file, or for kind `spiffe` the file of a bundle, read with [`KeyUse::JwtSvid`].
    Fixed(Arc<KeySet>),
    /// From the configuration: a SPIFFE bundle with its X.509 authorities.
    Bundle(Arc<TrustBundle>),
    /// From the configuration: the roots of an enterprise PKI.
    Roots(Arc<Roots>),
    /// From the network.
    Remote(KeyLocation, RefreshPolicy),
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
    /// The SPIFFE Workload API, which streams the bundle of the rule's trust domain.
    Workload(WorkloadApi),
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
        bootstrap: Arc<TrustBundle>,
        /// Whether the endpoint is of the very domain whose bundle it serves: then what it served last counts next.
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
    /// How long the last good keys count when no newer ones can be had.
    pub ceiling: Duration,
    /// How long a request waits for a fetch in flight.
    pub patience: Duration,
}

impl Default for RefreshPolicy {
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

impl RefreshPolicy {
    /// The wait after so many failures in a row.
    pub(super) fn back_off(&self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.retry.saturating_mul(doubled).min(self.interval)
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
        matches!(self.plain(), Self::Bundle { .. } | Self::Workload(_))
    }

    /// Which parts of a rule's material are fetched each for itself.
    fn parts(&self) -> &'static [Part] {
        if matches!(self.plain(), Self::Workload(_)) { &[Part::Tokens, Part::Certificates] } else { &[Part::Whole] }
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
pub(super) struct KeyMaterial {
    pub(super) keys: Arc<KeySet>,
    pub(super) roots: Option<Arc<Roots>>,
}

impl KeyMaterial {
    pub(super) fn of_bundle(bundle: &TrustBundle) -> Self {
        Self { keys: Arc::clone(&bundle.keys), roots: Some(Arc::clone(&bundle.roots)) }
    }

    fn of_roots(roots: &Arc<Roots>) -> Self {
        Self { keys: Arc::new(KeySet::of_signing_keys([])), roots: Some(Arc::clone(roots)) }
    }
}

/// The keys of a rule, in use.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    /// From the configuration; none when that is an older bundle than was seen.
    Fixed(Option<KeyMaterial>),
    /// One for each part of the location; that of tokens is the first, that of certificates the last.
    Remote(Vec<Arc<JwksCache>>),
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
    /// Takes over what is `known` of the same address. A bundle from the configuration that is older than one that was seen does
    /// not count; the `replaced` one of the rule goes on where it is from there too.
    pub(super) fn new<'a>(
        rule: &TrustRule,
        known: impl Iterator<Item = &'a Keys>,
        replaced: Option<&Keys>,
        sequences: &Arc<Sequences>,
    ) -> Self {
        let material = match rule.keys() {
            KeySource::Fixed(keys) => KeyMaterial { keys: Arc::clone(keys), roots: None },
            KeySource::Bundle(bundle) => KeyMaterial::of_bundle(bundle),
            KeySource::Roots(roots) => KeyMaterial::of_roots(roots),
            KeySource::Remote(location, pace) => {
                let known: Vec<&Arc<JwksCache>> = known.flat_map(Keys::remotes).collect();
                let part = |part: &Part| {
                    let domain = rule.trust_domain().cloned();
                    let errand = FetchTarget { location: location.clone(), pace: *pace, part: *part, domain };
                    let same = known.iter().find(|remote| *remote.errand() == errand).map(|same| Arc::clone(same));
                    same.unwrap_or_else(|| Arc::new(JwksCache::new(errand, sequences)))
                };
                return Self::Remote(location.parts().iter().map(part).collect());
            }
        };
        Self::Fixed(not_rolled_back(material, replaced, rule, sequences))
    }

    /// What tasks fetch.
    pub(super) fn remotes(&self) -> &[Arc<JwksCache>] {
        match self {
            Self::Remote(remotes) => remotes,
            Self::Fixed(_) => &[],
        }
    }

    /// What fetches keys of tokens.
    pub(super) fn remote(&self) -> Option<&Arc<JwksCache>> {
        self.remotes().first()
    }

    /// What counts for tokens now, without waiting for anybody.
    pub(super) fn at_hand(&self, now: Time) -> Option<KeyMaterial> {
        match self {
            Self::Fixed(material) => material.clone(),
            Self::Remote(remotes) => remotes.first()?.at_hand(now),
        }
    }

    /// What counts for certificates now.
    pub(super) fn for_certificates(&self, now: Time) -> Option<KeyMaterial> {
        match self {
            Self::Fixed(material) => material.clone(),
            Self::Remote(remotes) => remotes.last()?.at_hand(now),
        }
    }

    /// Of several parts the oldest tells the age, and each must be there.
    pub(super) fn state(&self, rule: &RuleName, now: Time) -> KeyState {
        let remotes = self.remotes();
        let ages: Option<Vec<Duration>> = remotes.iter().map(|remote| remote.age(now)).collect();
        let counts = remotes.iter().map(|remote| remote.counts()).fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        let usable = self.at_hand(now).is_some() && self.for_certificates(now).is_some();
        KeyState {
            rule: rule.clone(),
            age: ages.and_then(|ages| ages.into_iter().max()),
            usable,
            fetches: counts.0,
            failures: counts.1,
        }
    }
}

/// A bundle whose sequence number fell is an old one (SPIFFE Trust Domain and Bundle §4.1.1). A file without a number is its
/// operator's word; an endpoint that stops numbering is not believed.
fn not_rolled_back(
    material: KeyMaterial,
    replaced: Option<&Keys>,
    rule: &TrustRule,
    sequences: &Sequences,
) -> Option<KeyMaterial> {
    let numbered = rule.trust_domain().zip(material.keys.sequence());
    let Some(Err(reason)) = numbered.map(|(domain, sequence)| sequences.admit(domain, Some(sequence))) else {
        return Some(material);
    };
    let before = match replaced {
        Some(Keys::Fixed(before)) => before.clone(),
        _ => None,
    };
    let rule = rule.name();
    match &before {
        Some(_) => tracing::warn!(%rule, %reason, "the file of the bundle is not used, the one before stays in force"),
        None => {
            tracing::error!(%rule, %reason, "the file of the bundle is not used, so there is no verdict on SVIDs of its domain")
        }
    }
    before
}
