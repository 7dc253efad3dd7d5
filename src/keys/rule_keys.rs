//! The keys of one trust rule: fixed, or fetched and kept fresh.

use std::sync::Arc;
use std::time::Duration;

use super::source::{FetchTarget, MaterialPart};
use super::{JwksCache, KeyMaterial, KeySource, Sequences};
use crate::oauth::{RuleName, Time, TrustDomain};

/// The keys of one trust rule, in use.
#[derive(Clone, Debug)]
pub(crate) enum RuleKeys {
    /// From the configuration; none when that is an older bundle than was seen.
    Fixed(Option<KeyMaterial>),
    /// One for each part of the location; that of tokens is the first, that of certificates the last.
    Remote(Vec<Arc<JwksCache>>),
}

/// The state of the keys of one rule, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// The rule.
    pub rule: RuleName,
    /// Their age; none where they cannot be had, or come from the configuration.
    pub age: Option<Duration>,
    /// True when they count now.
    pub usable: bool,
    /// The number of fetches.
    pub fetches: u64,
    /// The number of fetches that failed.
    pub failures: u64,
}

impl RuleKeys {
    /// The keys that `source` means for the rule `rule`, whose trust domain is `domain`. Takes over what is `known` of the same
    /// address. A bundle from the configuration that is older than one that was seen does not count; the `replaced` one of the
    /// rule goes on where it is from there too.
    pub(crate) fn new<'a>(
        (rule, source, domain): (&RuleName, &KeySource, Option<&TrustDomain>),
        known: impl Iterator<Item = &'a RuleKeys>,
        replaced: Option<&RuleKeys>,
        sequences: &Arc<Sequences>,
    ) -> Self {
        let material = match source {
            KeySource::Fixed(keys) => KeyMaterial { keys: Arc::clone(keys), roots: None },
            KeySource::Bundle(bundle) => KeyMaterial::of_bundle(bundle),
            KeySource::Roots(roots) => KeyMaterial::of_roots(roots),
            KeySource::Remote(location, policy) => {
                let known: Vec<&Arc<JwksCache>> = known.flat_map(RuleKeys::caches).collect();
                let part = |part: &MaterialPart| {
                    let (location, domain) = (location.clone(), domain.cloned());
                    let target = FetchTarget { location, policy: *policy, part: *part, domain };
                    let same = known.iter().find(|cache| *cache.target() == target).map(|same| Arc::clone(same));
                    same.unwrap_or_else(|| Arc::new(JwksCache::new(target, sequences)))
                };
                return Self::Remote(location.parts().iter().map(part).collect());
            }
        };
        Self::Fixed(newest(material, replaced, rule, domain, sequences))
    }

    /// The caches that tasks keep fresh.
    pub(crate) fn caches(&self) -> &[Arc<JwksCache>] {
        match self {
            Self::Remote(caches) => caches,
            Self::Fixed(_) => &[],
        }
    }

    /// The cache of the keys of tokens.
    pub(crate) fn token_cache(&self) -> Option<&Arc<JwksCache>> {
        self.caches().first()
    }

    /// The keys of tokens that count at `now`, without waiting for anybody.
    pub(crate) fn at_hand(&self, now: Time) -> Option<KeyMaterial> {
        match self {
            Self::Fixed(material) => material.clone(),
            Self::Remote(caches) => caches.first()?.at_hand(now),
        }
    }

    /// The roots of certificates that count at `now`, without waiting for anybody.
    pub(crate) fn for_certificates(&self, now: Time) -> Option<KeyMaterial> {
        match self {
            Self::Fixed(material) => material.clone(),
            Self::Remote(caches) => caches.last()?.at_hand(now),
        }
    }

    /// Of several parts the oldest tells the age, and each must be there.
    pub(crate) fn state(&self, rule: &RuleName, now: Time) -> KeyState {
        let caches = self.caches();
        let ages: Option<Vec<Duration>> = caches.iter().map(|cache| cache.age(now)).collect();
        let counts = caches.iter().map(|cache| cache.counts()).fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        KeyState {
            rule: rule.clone(),
            age: ages.and_then(|ages| ages.into_iter().max()),
            usable: self.at_hand(now).is_some() && self.for_certificates(now).is_some(),
            fetches: counts.0,
            failures: counts.1,
        }
    }
}

/// The material, or that of the `replaced` rule where it is a bundle older than one that was seen: a bundle whose sequence number
/// fell is an old one (SPIFFE Trust Domain and Bundle §4.1.1). A file without a number is its operator's word; an endpoint that
/// stops numbering is not believed.
fn newest(
    material: KeyMaterial,
    replaced: Option<&RuleKeys>,
    rule: &RuleName,
    domain: Option<&TrustDomain>,
    sequences: &Sequences,
) -> Option<KeyMaterial> {
    let numbered = domain.zip(material.keys.sequence());
    let Some(Err(reason)) = numbered.map(|(domain, sequence)| sequences.admit(domain, Some(sequence))) else {
        return Some(material);
    };
    let before = match replaced {
        Some(RuleKeys::Fixed(before)) => before.clone(),
        _ => None,
    };
    match &before {
        Some(_) => tracing::warn!(%rule, %reason, "the file of the bundle is not used, the one before stays in force"),
        None => {
            tracing::error!(%rule, %reason, "the file of the bundle is not used, so there is no verdict on SVIDs of its domain")
        }
    }
    before
}
