//! The trust federation as a whole: which rule is for which token, and whether it accepts.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::keys::{Keys, KeysInForce};
use super::rule::Anchor;
use super::validity::Validity;
use super::{Fetcher, TrustReason, TrustRule, Vouched, oidc, spiffe};
use crate::jose::{Cache, Compact, JoseReason, KeySet, Object, Verified};
use crate::oauth::{Clock, RuleName, Time};

/// All trust rules with their keys in force.
#[derive(Debug)]
pub struct Trust {
    anchored: Vec<Anchored>,
    by_anchor: HashMap<Box<str>, Vec<usize>>,
    by_name: HashMap<RuleName, usize>,
    cache: Arc<Cache>,
}

#[derive(Debug)]
struct Anchored {
    rule: Arc<TrustRule>,
    keys: Keys,
}

/// Two rules have the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateRule(pub RuleName);

impl Trust {
    /// The federation of these rules. `previous`, the one that it replaces, hands on the keys it has fetched, so that a reload
    /// asks no issuer again, and the versions of its bundles, so that none is rolled back.
    ///
    /// # Errors
    /// When two rules have the same name.
    pub fn new(rules: Vec<TrustRule>, previous: Option<&Trust>) -> Result<Self, DuplicateRule> {
        let cache = previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.cache));
        let mut trust = Self { anchored: Vec::new(), by_anchor: HashMap::new(), by_name: HashMap::new(), cache };
        for rule in rules {
            let at = trust.anchored.len();
            if trust.by_name.insert(rule.name().clone(), at).is_some() {
                return Err(DuplicateRule(rule.name().clone()));
            }
            trust.by_anchor.entry(rule.issuer().into()).or_default().push(at);
            let keys = trust.keys_for(&rule, previous);
            trust.anchored.push(Anchored { rule: Arc::new(rule), keys });
        }
        Ok(trust)
    }

    /// The rule called `name`.
    pub fn rule(&self, name: &RuleName) -> Option<&Arc<TrustRule>> {
        self.by_name.get(name).and_then(|at| self.anchored.get(*at)).map(|anchored| &anchored.rule)
    }

    /// All rules, in the order in which they were given.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<TrustRule>> {
        self.anchored.iter().map(|anchored| &anchored.rule)
    }

    /// Keeps the keys of the remote issuers of rules in force fresh from now on, each at its own pace, for as long as any
    /// federation that uses them lives. It waits for nobody. Must be called on a tokio runtime; calling it again starts nothing
    /// twice.
    pub fn keep_fresh(&self, fetcher: &Fetcher, clock: &Arc<dyn Clock>) {
        let enabled = self.anchored.iter().filter(|anchored| anchored.rule.enabled());
        for remote in enabled.filter_map(|anchored| anchored.keys.remote()) {
            remote.keep_fresh(fetcher.clone(), Arc::clone(clock));
        }
    }

    /// Finds the one rule that accepts `token`, and reads its subject. Whose rules apply is looked up by `iss` (for SVIDs by
    /// the trust domain of `sub`) before any key is touched; a signature counts only under the keys of the rule that is tried.
    ///
    /// # Errors
    /// See [`TrustReason`]. Of several rules for one issuer, the reason of the one that came furthest.
    pub async fn vouch(&self, token: &Compact<'_>, now: Time) -> Result<Vouched, TrustReason> {
        let claims = token.unverified_claims()?;
        let (mut accepted, mut refused) = (None, TrustReason::Issuer);
        for anchored in self.candidates(claims)? {
            match self.attempt(anchored, token, claims, now).await {
                Ok(_) if accepted.is_some() => return Err(TrustReason::Ambiguous),
                Ok(vouched) => accepted = Some(vouched),
                Err(reason) => {
                    tracing::debug!(rule = %anchored.rule.name(), %reason, "a trust rule refuses a token");
                    refused = refused.max(reason);
                }
            }
        }
        match accepted {
            Some(vouched) if refused != TrustReason::KeysUnavailable => Ok(vouched),
            _ => Err(refused),
        }
    }

    fn candidates(&self, claims: &Object) -> Result<impl Iterator<Item = &Anchored>, TrustReason> {
        let issuer = claims.text("iss")?;
        let domain = spiffe::subject(claims).map(|id| format!("spiffe://{}", id.trust_domain()));
        let named = |name: Option<&str>| name.and_then(|name| self.by_anchor.get(name)).into_iter().flatten();
        let at = named(issuer.as_deref().filter(|iss| !iss.starts_with("spiffe://"))).chain(named(domain.as_deref()));
        let found: Vec<&Anchored> = at.filter_map(|at| self.anchored.get(*at)).collect();
        if found.is_empty() { Err(TrustReason::Issuer) } else { Ok(found.into_iter()) }
    }

    async fn attempt(
        &self,
        anchored: &Anchored,
        token: &Compact<'_>,
        claims: &Object,
        now: Time,
    ) -> Result<Vouched, TrustReason> {
        let rule = &anchored.rule;
        if !rule.enabled() {
            return Err(TrustReason::Disabled);
        }
        match rule.anchor() {
            Anchor::Issuer(_) => oidc::check(token, claims)?,
            Anchor::TrustDomain(domain) => spiffe::check(token, claims, domain)?,
        }
        let validity = Validity::read(claims, now, rule.lifetime_max())?;
        let verified = self.verify(anchored, token, now).await?;
        Vouched::new(rule, token, verified, validity)
    }

    /// An unknown `kid` may be a new key: the issuer's keys are looked at once more, if the pace allows it.
    async fn verify(&self, anchored: &Anchored, token: &Compact<'_>, now: Time) -> Result<Verified, TrustReason> {
        let KeysInForce { keys, remote } = anchored.keys.in_force(now).await?;
        match (self.verify_under(anchored, token, &keys, now), remote) {
            (Err(JoseReason::UnknownKey), Some(remote)) => {
                let keys = remote.after_refetch(now).await?;
                Ok(self.verify_under(anchored, token, &keys, now)?)
            }
            (verified, _) => Ok(verified?),
        }
    }

    fn verify_under(&self, anchored: &Anchored, token: &Compact<'_>, keys: &KeySet, now: Time) -> Result<Verified, JoseReason> {
        token.verify_cached(keys, anchored.rule.algorithms(), &self.cache, now)
    }

    /// Keys that the previous federation or another rule of this one has already are used again.
    fn keys_for(&self, rule: &TrustRule, previous: Option<&Trust>) -> Keys {
        let known = self.anchored.iter().chain(previous.into_iter().flat_map(|previous| &previous.anchored));
        let replaced = previous.and_then(|previous| previous.anchored.get(*previous.by_name.get(rule.name())?));
        let replaced = replaced.filter(|replaced| replaced.rule.anchor() == rule.anchor()).map(|replaced| &replaced.keys);
        Keys::new(rule.keys(), known.map(|anchored| &anchored.keys), replaced, rule.name())
    }
}

impl fmt::Display for DuplicateRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "two trust rules are called {}", self.0)
    }
}

impl std::error::Error for DuplicateRule {}

#[cfg(test)]
mod tests;
