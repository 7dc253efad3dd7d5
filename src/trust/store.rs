//! The trust federation as a whole: it finds the rules for a token or certificate, tries them, and keeps their keys.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::review::Reviewer;
use super::rule::IssuerSelector;
use super::verify::CLIENT_ATTESTATION;
use super::{
    Trial, TrialCheck, TrustKind, TrustReason, TrustRefusal, TrustRule, ValidatedLeaf, VerifiedAssertion, trial, verify,
};
use crate::jose::{Cache, Compact, JoseReason, Object};
use crate::keys::{JwksCache, KeyMaterial, KeyState, RuleKeys, Sequences};
use crate::net::Fetcher;
use crate::oauth::{Clock, RuleName, SpiffeId, Time};
use crate::x509::{Roots, X509Reason};

/// All trust rules with their keys in force.
#[derive(Debug)]
pub struct TrustStore {
    entries: Vec<RuleEntry>,
    /// Rules by the `iss` of their tokens, or their trust domain as `spiffe://…`.
    by_issuer: HashMap<Box<str>, Vec<usize>>,
    /// Rules of kind `x509`, which no name in a certificate leads to.
    by_roots: Vec<usize>,
    /// Rules of kind `client_attester`, which no name in a client attestation need lead to.
    attesters: Vec<usize>,
    by_name: HashMap<RuleName, usize>,
    cache: Arc<Cache>,
    sequences: Arc<Sequences>,
}

#[derive(Debug)]
struct RuleEntry {
    rule: Arc<TrustRule>,
    keys: RuleKeys,
    /// Boxed: few rules have one.
    reviewer: Option<Box<Reviewer>>,
}

/// The outcomes of all rules that were tried on one token.
#[derive(Default)]
struct Outcomes {
    accepted: Option<VerifiedAssertion>,
    ambiguous: bool,
    refused: Option<TrustRefusal>,
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

    /// The federation of these rules, with the versions of bundles that `sequences` knows.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn remembering(
        rules: Vec<TrustRule>,
        previous: Option<&TrustStore>,
        sequences: Arc<Sequences>,
    ) -> Result<Self, DuplicateRule> {
        let cache = previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.cache));
        let (by_issuer, by_name) = (HashMap::new(), HashMap::new());
        let (by_roots, attesters) = (Vec::new(), Vec::new());
        let mut store = Self { entries: Vec::new(), by_issuer, by_roots, attesters, by_name, cache, sequences };
        for rule in rules {
            let at = store.entries.len();
            if store.by_name.insert(rule.name().clone(), at).is_some() {
                return Err(DuplicateRule(rule.name().clone()));
            }
            match (rule.selector(), rule.kind()) {
                (IssuerSelector::Roots, _) => store.by_roots.push(at),
                (_, TrustKind::ClientAttester) => store.attesters.push(at),
                _ => store.by_issuer.entry(rule.issuer().into()).or_default().push(at),
            }
            let keys = store.keys_for(&rule, previous);
            let reviewer = rule.review().map(|source| Box::new(Reviewer::new(source.clone())));
            store.entries.push(RuleEntry { rule: Arc::new(rule), keys, reviewer });
        }
        Ok(store)
    }

    /// The one rule that accepts `token`, and the subject as it reads it. The rules that apply are found by `iss` (for SVIDs by
    /// the trust domain of `sub`) before any key is touched; a signature counts only under the keys of the rule that is tried.
    ///
    /// # Errors
    /// See [`TrustReason`]. Of several rules for one issuer, the reason of the one that came furthest.
    pub async fn verify(&self, token: &Compact<'_>, now: Time) -> Result<VerifiedAssertion, TrustRefusal> {
        let claims = token.unverified_claims().map_err(TrustReason::from)?;
        let accepted = self.verify_under(self.candidates(claims)?, token, claims, now).await?;
        // Last, and of what passed everything else: no stranger's token is sent anywhere.
        match accepted.rule().review().and_then(|_| self.entry(accepted.rule().name())?.reviewer.as_ref()) {
            Some(reviewer) => reviewer.review(accepted, token, now).await,
            None => Ok(accepted),
        }
    }

    /// The one rule of kind `client_attester` that accepts a client attestation. It need not name its issuer, so that every such
    /// rule looks at it: which client it names has no part in that.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub async fn verify_client_attestation(&self, token: &Compact<'_>, now: Time) -> Result<VerifiedAssertion, TrustRefusal> {
        let claims = token.unverified_claims().map_err(TrustReason::from)?;
        self.verify_under(self.attesters(), token, claims, now).await
    }

    async fn verify_under<'a>(
        &self,
        rules: impl Iterator<Item = &'a RuleEntry>,
        token: &Compact<'_>,
        claims: &Object,
        now: Time,
    ) -> Result<VerifiedAssertion, TrustRefusal> {
        let (mut outcomes, mut unsettled) = (Outcomes::default(), Vec::new());
        for entry in rules {
            let material = entry.keys.at_hand(now);
            let outcome = VerifiedAssertion::of_token(&entry.rule, token, claims, material.as_ref(), &self.cache, now);
            match (outcome, entry.keys.token_cache()) {
                (Err(refused), Some(keys)) if may_be_settled(refused.reason()) => unsettled.push((entry, keys)),
                (outcome, _) => outcomes.add(&entry.rule, outcome),
            }
        }
        // Nobody waits for one issuer's keys where another rule has accepted the token already.
        if outcomes.accepted.is_none() {
            for (entry, keys) in unsettled {
                outcomes.add(&entry.rule, self.second_attempt(&entry.rule, keys, token, claims, now).await);
            }
        }
        outcomes.settle()
    }

    /// The view of each rule that looks at `token`, or of the rule `only`, whichever issuer the token names: for people. Keys
    /// that are not there are waited for as [`Self::verify`] waits.
    ///
    /// # Errors
    /// When no rule looks at it.
    pub async fn trials(&self, token: &Compact<'_>, only: Option<&RuleName>, now: Time) -> Result<Vec<Trial>, TrustRefusal> {
        let claims = token.unverified_claims().map_err(TrustReason::from)?;
        let entries: Vec<&RuleEntry> = match only {
            Some(name) => vec![self.entry(name).ok_or_else(|| TrustRefusal::of_no_rule(name))?],
            None if token.typ_is(CLIENT_ATTESTATION) => self.attesters().collect(),
            None => self.candidates(claims)?.collect(),
        };
        let mut trials = Vec::new();
        for entry in entries {
            let first = trial_of(&entry.rule, token, claims, entry.keys.at_hand(now).as_ref(), now);
            let unsettled = first.checks.iter().filter_map(|check| check.refused).any(may_be_settled);
            let trial = match entry.keys.token_cache().filter(|_| unsettled) {
                Some(keys) => {
                    let material = keys.after_refetch(now).await.ok();
                    trial_of(&entry.rule, token, claims, material.as_ref(), now)
                }
                None => first,
            };
            trials.push(match &entry.reviewer {
                Some(reviewer) => reviewed(trial, reviewer, token, now).await,
                None => trial,
            });
        }
        Ok(trials)
    }

    /// The one rule that accepts a certificate, and the subject as it reads it. Who presents the certificate must have proved its
    /// key, as a TLS handshake does. One that has `claimed` a SPIFFE ID is judged by its trust domain's bundle alone, every other
    /// one by the rules of kind `x509`. `validated` looks for a path to the roots of a rule and may know it already. It waits for
    /// nobody: a bundle that is not there is no verdict.
    ///
    /// # Errors
    /// See [`TrustReason`]. Of several rules, the reason of the one that came furthest.
    pub fn verify_path(
        &self,
        claimed: Option<&SpiffeId>,
        now: Time,
        validated: &dyn Fn(&Roots) -> Result<Arc<ValidatedLeaf>, X509Reason>,
    ) -> Result<VerifiedAssertion, TrustReason> {
        let rules = match claimed {
            Some(id) => self.by_issuer.get(format!("spiffe://{}", id.trust_domain()).as_str()).map(Vec::as_slice),
            None => Some(self.by_roots.as_slice()),
        };
        let mut outcomes = Outcomes::default();
        for entry in rules.unwrap_or_default().iter().filter_map(|at| self.entries.get(*at)) {
            let material = entry.keys.for_certificates(now);
            let outcome = VerifiedAssertion::of_certificate(&entry.rule, material, validated);
            outcomes.add(&entry.rule, outcome.map_err(TrustRefusal::from));
        }
        outcomes.settle().map_err(|refused| refused.reason())
    }

    /// The subject of a certificate as the rule `name`, of kind `x509`, reads it. `validated` looks for a path to the rule's
    /// roots and may know it already.
    ///
    /// # Errors
    /// See [`TrustReason`].
    pub fn verify_path_under(
        &self,
        name: &RuleName,
        now: Time,
        validated: &dyn Fn(&Roots) -> Result<Arc<ValidatedLeaf>, X509Reason>,
    ) -> Result<VerifiedAssertion, TrustReason> {
        let of_roots = |entry: &&RuleEntry| *entry.rule.selector() == IssuerSelector::Roots;
        let entry = self.entry(name).filter(of_roots).ok_or(TrustReason::Issuer)?;
        VerifiedAssertion::of_certificate(&entry.rule, entry.keys.for_certificates(now), validated)
    }

    /// The rule called `name`.
    pub fn rule(&self, name: &RuleName) -> Option<&Arc<TrustRule>> {
        self.entry(name).map(|entry| &entry.rule)
    }

    /// All rules, in the order in which they were given.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<TrustRule>> {
        self.entries.iter().map(|entry| &entry.rule)
    }

    /// Keeps the keys of the remote issuers of rules in force fresh from now on, each by its own policy, for as long as any
    /// federation that uses them lives. It waits for nobody. Must be called on a tokio runtime; calling it again starts nothing
    /// twice.
    pub fn keep_fresh(&self, fetcher: &Fetcher, clock: &Arc<dyn Clock>) {
        let enabled = self.entries.iter().filter(|entry| entry.rule.enabled());
        enabled.clone().filter_map(|entry| entry.reviewer.as_ref()).for_each(|reviewer| reviewer.ask_by(fetcher));
        for cache in enabled.flat_map(|entry| entry.keys.caches()) {
            cache.keep_fresh(fetcher.clone(), Arc::clone(clock));
        }
    }

    /// The state of every rule's keys, for operators.
    pub fn key_states(&self, now: Time) -> Vec<KeyState> {
        self.entries.iter().map(|entry| entry.keys.state(entry.rule.name(), now)).collect()
    }

    /// The state of the keys of the rule `name`.
    pub fn key_state(&self, name: &RuleName, now: Time) -> Option<KeyState> {
        self.entry(name).map(|entry| entry.keys.state(name, now))
    }

    /// The number of verified tokens that are remembered.
    #[cfg(test)]
    pub(crate) fn remembered(&self) -> usize {
        self.cache.len()
    }

    fn entry(&self, name: &RuleName) -> Option<&RuleEntry> {
        self.by_name.get(name).and_then(|at| self.entries.get(*at))
    }

    fn attesters(&self) -> impl Iterator<Item = &RuleEntry> {
        self.attesters.iter().filter_map(|at| self.entries.get(*at))
    }

    fn candidates(&self, claims: &Object) -> Result<impl Iterator<Item = &RuleEntry>, TrustRefusal> {
        let issuer = claims.text("iss").map_err(TrustReason::from)?;
        let domain = verify::spiffe_id(claims).map(|id| format!("spiffe://{}", id.trust_domain()));
        let named = |name: Option<&str>| name.and_then(|name| self.by_issuer.get(name)).into_iter().flatten();
        let at = named(issuer.as_deref().filter(|iss| !iss.starts_with("spiffe://"))).chain(named(domain.as_deref()));
        let found: Vec<&RuleEntry> = at.filter_map(|at| self.entries.get(*at)).collect();
        let known = self.by_issuer.keys().map(|known| &**known);
        if found.is_empty() { Err(TrustRefusal::of_stranger(issuer.as_deref(), known)) } else { Ok(found.into_iter()) }
    }

    /// A new `kid` may be a new key, and keys that are not there may be on their way: the issuer is looked at once more, if the
    /// refresh policy allows it.
    async fn second_attempt(
        &self,
        rule: &Arc<TrustRule>,
        keys: &JwksCache,
        token: &Compact<'_>,
        claims: &Object,
        now: Time,
    ) -> Result<VerifiedAssertion, TrustRefusal> {
        let material = keys.after_refetch(now).await.map_err(TrustReason::from)?;
        VerifiedAssertion::of_token(rule, token, claims, Some(&material), &self.cache, now)
    }

    /// Keys that the previous federation or another rule of this one has already are used again.
    fn keys_for(&self, rule: &TrustRule, previous: Option<&TrustStore>) -> RuleKeys {
        let known = self.entries.iter().chain(previous.into_iter().flat_map(|previous| &previous.entries));
        let replaced = previous.and_then(|previous| previous.entry(rule.name()));
        let replaced = replaced.filter(|replaced| replaced.rule.selector() == rule.selector()).map(|replaced| &replaced.keys);
        let named = (rule.name(), rule.keys(), rule.trust_domain());
        RuleKeys::new(named, known.map(|entry| &entry.keys), replaced, &self.sequences)
    }
}

/// A token under one rule. No cache of signatures knows of it.
fn trial_of(rule: &Arc<TrustRule>, token: &Compact<'_>, claims: &Object, material: Option<&KeyMaterial>, now: Time) -> Trial {
    let accepted = VerifiedAssertion::of_token(rule, token, claims, material, &Cache::new(1), now).ok();
    Trial { rule: Arc::clone(rule), checks: trial::checks(rule, token, claims, material, now), accepted }
}

/// The trial with the verdict of the rule's cluster, which is asked about a token that passed everything else.
async fn reviewed(mut trial: Trial, reviewer: &Reviewer, token: &Compact<'_>, now: Time) -> Trial {
    let Some(accepted) = trial.accepted.take() else { return trial };
    let (found, refused) = match reviewer.review(accepted, token, now).await {
        Ok(accepted) => {
            trial.accepted = Some(accepted);
            ("vouched for".to_owned(), None)
        }
        Err(refused) => {
            let found = refused.found().map(ToString::to_string);
            (found.unwrap_or_else(|| "not vouched for".to_owned()), Some(refused.reason()))
        }
    };
    let wanted = "the cluster vouches for it".to_owned();
    trial.checks.push(TrialCheck { name: "TokenReview".to_owned(), found, wanted, refused });
    trial
}

/// True where a look at the issuer's keys may bring a verdict, or another one.
fn may_be_settled(reason: TrustReason) -> bool {
    matches!(reason, TrustReason::KeysUnavailable | TrustReason::Jose(JoseReason::UnknownKey))
}

impl Outcomes {
    fn add(&mut self, rule: &TrustRule, outcome: Result<VerifiedAssertion, TrustRefusal>) {
        match outcome {
            Ok(assertion) => self.ambiguous |= self.accepted.replace(assertion).is_some(),
            Err(refused) => {
                tracing::debug!(rule = %rule.name(), reason = %refused, "a trust rule refuses a token");
                let further = self.refused.as_ref().is_none_or(|known| known.reason() <= refused.reason());
                self.refused = if further { Some(refused) } else { self.refused.take() };
            }
        }
    }

    /// Exactly one must have accepted; of refusals, the one that came furthest is told.
    fn settle(self) -> Result<VerifiedAssertion, TrustRefusal> {
        match self.accepted {
            Some(_) if self.ambiguous => Err(TrustReason::Ambiguous.into()),
            Some(assertion) => Ok(assertion),
            None => Err(self.refused.unwrap_or(TrustReason::Issuer.into())),
        }
    }
}

impl fmt::Display for DuplicateRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "two trust rules are called {}", self.0)
    }
}

impl std::error::Error for DuplicateRule {}

#[cfg(test)]
mod certificate_tests;
#[cfg(test)]
mod tests;
