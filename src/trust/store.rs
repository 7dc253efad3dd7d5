//! The trust federation as a whole: which rule is for which token, and whether it accepts.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::keys::{KeyMaterial, KeyState, Keys};
use super::remote::JwksCache;
use super::rule::IssuerSelector;
use super::validity::Validity;
use super::x509::Roots;
use super::{Fetcher, Sequences, TrustKind, TrustReason, TrustRule, VerifiedAssertion, oidc, platform, spiffe};
use crate::jose::{Cache, Compact, JoseReason, Object};
use crate::oauth::{Clock, RuleName, Time};

/// All trust rules with their keys in force.
#[derive(Debug)]
pub struct TrustStore {
    anchored: Vec<Anchored>,
    by_anchor: HashMap<Box<str>, Vec<usize>>,
    /// Rules of kind `x509`, which no name in a certificate leads to.
    chains: Vec<usize>,
    by_name: HashMap<RuleName, usize>,
    cache: Arc<Cache>,
    sequences: Arc<Sequences>,
}

#[derive(Debug)]
struct Anchored {
    rule: Arc<TrustRule>,
    keys: Keys,
}

/// Two rules have the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateRule(pub RuleName);

impl TrustStore {
    /// The federation of these rules. `previous`, the one that it replaces, hands on the keys it has fetched, so that a reload
    /// asks no issuer again, and the versions of its bundles, so that none is rolled back.
    ///
    /// # Errors
    /// When two rules have the same name.
    pub fn new(rules: Vec<TrustRule>, previous: Option<&TrustStore>) -> Result<Self, DuplicateRule> {
        Self::remembering(rules, previous, previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.sequences)))
    }

    /// The same, with the versions of bundles that `sequences` knows.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn remembering(
        rules: Vec<TrustRule>,
        previous: Option<&TrustStore>,
        sequences: Arc<Sequences>,
    ) -> Result<Self, DuplicateRule> {
        let cache = previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.cache));
        let (anchored, chains) = (Vec::new(), Vec::new());
        let mut trust = Self { anchored, by_anchor: HashMap::new(), chains, by_name: HashMap::new(), cache, sequences };
        for rule in rules {
            let at = trust.anchored.len();
            if trust.by_name.insert(rule.name().clone(), at).is_some() {
                return Err(DuplicateRule(rule.name().clone()));
            }
            match rule.anchor() {
                IssuerSelector::Chain => trust.chains.push(at),
                IssuerSelector::Issuer(_) | IssuerSelector::TrustDomain(_) => {
                    trust.by_anchor.entry(rule.issuer().into()).or_default().push(at)
                }
            }
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
        for remote in enabled.flat_map(|anchored| anchored.keys.remotes()) {
            remote.keep_fresh(fetcher.clone(), Arc::clone(clock));
        }
    }

    /// Finds the one rule that accepts `token`, and reads its subject. Whose rules apply is looked up by `iss` (for SVIDs by
    /// the trust domain of `sub`) before any key is touched; a signature counts only under the keys of the rule that is tried.
    ///
    /// # Errors
    /// See [`TrustReason`]. Of several rules for one issuer, the reason of the one that came furthest.
    pub async fn vouch(&self, token: &Compact<'_>, now: Time) -> Result<VerifiedAssertion, TrustReason> {
        let claims = token.unverified_claims()?;
        let (mut verdict, mut unsettled) = (Verdict::default(), Vec::new());
        for anchored in self.candidates(claims)? {
            let outcome = self.attempt(anchored, token, claims, anchored.keys.at_hand(now).as_ref(), now);
            match (outcome, anchored.keys.remote()) {
                (Err(TrustReason::KeysUnavailable | TrustReason::Jose(JoseReason::UnknownKey)), Some(remote)) => {
                    unsettled.push((anchored, remote));
                }
                (outcome, _) => verdict.add(&anchored.rule, outcome),
            }
        }
        // Nobody waits for one issuer's keys where another rule has accepted the token already.
        if verdict.accepted.is_none() {
            for (anchored, remote) in unsettled {
                verdict.add(&anchored.rule, self.second_attempt(anchored, remote, token, claims, now).await);
            }
        }
        verdict.settle()
    }

    /// What is known of every rule's keys, for operators.
    pub fn key_states(&self, now: Time) -> Vec<KeyState> {
        self.anchored.iter().map(|anchored| anchored.keys.state(anchored.rule.name(), now)).collect()
    }

    /// The roots of the rule called `name` that count now, where it has any.
    ///
    /// # Errors
    /// `KeysUnavailable` when they are not there.
    pub(super) fn roots(&self, name: &RuleName, now: Time) -> Result<Option<Arc<Roots>>, TrustReason> {
        let Some(anchored) = self.by_name.get(name).and_then(|at| self.anchored.get(*at)) else { return Ok(None) };
        let material = anchored.keys.for_certificates(now).ok_or(TrustReason::KeysUnavailable)?;
        Ok(material.roots.filter(|roots| !roots.is_empty()))
    }

    /// How many verified tokens are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.cache.len()
    }

    fn candidates(&self, claims: &Object) -> Result<impl Iterator<Item = &Anchored>, TrustReason> {
        let issuer = claims.text("iss")?;
        let domain = spiffe::subject(claims).map(|id| format!("spiffe://{}", id.trust_domain()));
        let named = |name: Option<&str>| name.and_then(|name| self.by_anchor.get(name)).into_iter().flatten();
        let at = named(issuer.as_deref().filter(|iss| !iss.starts_with("spiffe://"))).chain(named(domain.as_deref()));
        let found: Vec<&Anchored> = at.filter_map(|at| self.anchored.get(*at)).collect();
        if found.is_empty() { Err(TrustReason::Issuer) } else { Ok(found.into_iter()) }
    }

    /// A new `kid` may be a new key, and keys that are not there may be on their way: the issuer is looked at once more, if the
    /// pace allows it.
    async fn second_attempt(
        &self,
        anchored: &Anchored,
        remote: &JwksCache,
        token: &Compact<'_>,
        claims: &Object,
        now: Time,
    ) -> Result<VerifiedAssertion, TrustReason> {
        let material = remote.after_refetch(now).await?;
        self.attempt(anchored, token, claims, Some(&material), now)
    }

    fn attempt(
        &self,
        anchored: &Anchored,
        token: &Compact<'_>,
        claims: &Object,
        material: Option<&KeyMaterial>,
        now: Time,
    ) -> Result<VerifiedAssertion, TrustReason> {
        let rule = &anchored.rule;
        if !rule.enabled() {
            return Err(TrustReason::Disabled);
        }
        check(rule, token, claims)?;
        let validity = Validity::read(claims, now, rule.lifetime_max())?;
        let keys = &material.ok_or(TrustReason::KeysUnavailable)?.keys;
        let verified = token.verify_cached(keys, rule.algorithms(), &self.cache, now)?;
        VerifiedAssertion::new(rule, token, verified, validity)
    }

    /// Keys that the previous federation or another rule of this one has already are used again.
    fn keys_for(&self, rule: &TrustRule, previous: Option<&TrustStore>) -> Keys {
        let known = self.anchored.iter().chain(previous.into_iter().flat_map(|previous| &previous.anchored));
        let replaced = previous.and_then(|previous| previous.anchored.get(*previous.by_name.get(rule.name())?));
        let replaced = replaced.filter(|replaced| replaced.rule.anchor() == rule.anchor()).map(|replaced| &replaced.keys);
        Keys::new(rule, known.map(|anchored| &anchored.keys), replaced, &self.sequences)
    }
}

/// Claim rules of the rule's kind, before any key is touched.
fn check(rule: &TrustRule, token: &Compact<'_>, claims: &Object) -> Result<(), TrustReason> {
    match (rule.anchor(), rule.kind()) {
        (IssuerSelector::TrustDomain(domain), _) => spiffe::check(token, claims, domain),
        (IssuerSelector::Chain, _) => Err(TrustReason::Issuer),
        (IssuerSelector::Issuer(_), TrustKind::Oauth) => oidc::check_access_token(token, claims),
        (IssuerSelector::Issuer(_), _) => oidc::check(token, claims),
    }?;
    platform::check(rule, token, claims)
}

/// What came of trying several rules.
#[derive(Default)]
pub(super) struct Verdict {
    accepted: Option<VerifiedAssertion>,
    ambiguous: bool,
    refused: Option<TrustReason>,
}

impl Verdict {
    pub(super) fn add(&mut self, rule: &TrustRule, outcome: Result<VerifiedAssertion, TrustReason>) {
        match outcome {
            Ok(vouched) => self.ambiguous |= self.accepted.replace(vouched).is_some(),
            Err(reason) => {
                tracing::debug!(rule = %rule.name(), %reason, "a trust rule refuses a token");
                self.refused = self.refused.max(Some(reason));
            }
        }
    }

    /// Exactly one must have accepted; of refusals, the one that came furthest is told.
    pub(super) fn settle(self) -> Result<VerifiedAssertion, TrustReason> {
        match self.accepted {
            Some(_) if self.ambiguous => Err(TrustReason::Ambiguous),
            Some(vouched) => Ok(vouched),
            None => Err(self.refused.unwrap_or(TrustReason::Issuer)),
        }
    }
}

impl fmt::Display for DuplicateRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "two trust rules are called {}", self.0)
    }
}

impl std::error::Error for DuplicateRule {}

mod certificate;

#[cfg(test)]
mod tests;
